"""What happens on a push of the user's: results recorded, runs sent along, gates asked.

Floor 4. Without a gate that the user configured, gitexp never fails a push. The runs are sent in
the background and hold nothing up: over a network that takes longer than anybody wants to wait. How
it ended is in `push.log` in our local state, and a failure is told at the next push.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from gitexp.errors import GitexpError
from gitexp.ids import ObjectId, is_null, parse_object_id
from gitexp.machine import clock
from gitexp.model import Direction
from gitexp.refs import code_ref, remote_ref, run_ref
from gitexp.repo import Repo
from gitexp.repo.transport import GUARD, remote_names
from gitexp.settings import Settings

T = TypeVar("T")

_MAX_LOG_BYTES = 64 << 10
_UNATTENDED = {
    GUARD: "1",
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "PRE_COMMIT_RUNNING_LEGACY": "",
}
"""Nobody sits in front of a background process; pre-commit, if it called us, is to start afresh."""


# --- what is being pushed -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push of the user's means for gitexp."""

    remote: str
    """The name, or the URL when the user pushes to one."""
    commits: tuple[ObjectId, ...]
    """Commits (or tag objects) that arrive on branches of the remote, each once."""


def plan_pre_push(
    arguments: Sequence[str], lines: Iterable[str], environ: Mapping[str, str], branch: str
) -> PushPlan:
    """Read what git tells a pre-push hook: `<remote> <url>`, and a line for each ref.

    The pre-commit tool passes neither but sets variables; these are read then. Deletions, tags and
    our own branches are left out, and so is every line that is not git's.
    """
    remote = arguments[0] if arguments else environ.get("PRE_COMMIT_REMOTE_NAME", "")
    ours = (run_ref(branch), code_ref(branch))
    commits = {}
    for line in lines:
        words = line.split()
        if len(words) == 4 and words[2] not in ours and not words[2].startswith("refs/tags/"):
            with suppress(GitexpError):
                commits[parse_object_id(words[1])] = words[2]
    theirs = environ.get("PRE_COMMIT_REMOTE_BRANCH", "")
    if not commits and theirs not in ours and not theirs.startswith("refs/tags/"):
        with suppress(GitexpError):
            commits[parse_object_id(environ.get("PRE_COMMIT_TO_REF", ""))] = theirs
    return PushPlan(remote, tuple(oid for oid in commits if not is_null(oid)))


# --- gates --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gate:
    """A metric that the user guards, as it stands for a pushed commit."""

    metric: str
    direction: Direction
    slack: float
    """How much worse than the best is let through."""
    best: float | None
    """Of all comparable runs; absent when there is none."""
    value: float | None
    """Of the pushed commit's run; absent when it has none."""


def judge_gate(best: float | None, value: float | None, direction: Direction, slack: float) -> bool:
    """Tell whether a push may pass. What cannot be compared (absent, NaN) always may."""
    if best is None or value is None:
        return True
    worse = best - value if direction is Direction.MAXIMIZE else value - best
    return not worse > slack


def _refusal(gate: Gate) -> str:
    wanted = "higher" if gate.direction is Direction.MAXIMIZE else "lower"
    return (
        f"the gate on '{gate.metric}' says no: {gate.value:g} is worse than the best, "
        f"{gate.best:g}, by more than {gate.slack:g} ({wanted} is better)"
    )


# --- sending the runs along ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LastPush:
    """What became of the last push that was started in the background."""

    remote: str
    moment: datetime
    """When it was started."""
    status: int | None
    """Exit status; absent while it goes on, and when it was cut off."""
    lines: tuple[str, ...]
    """What it printed."""

    @property
    def failed(self) -> bool:
        """True when it ended and the runs did not arrive."""
        return self.status not in (0, None)


def is_push_due(repo: Repo, branch: str, remote: str) -> bool:
    """Tell whether there are runs that a configured remote is not known to have."""
    ours = {run_ref(branch): None, code_ref(branch): None}
    known = {ref: remote_ref(remote, ref) for ref in ours}
    if remote not in remote_names(repo):
        return False
    found = repo.read_refs(*ours, *known.values())
    return run_ref(branch) in found and any(found.get(r) != found.get(known[r]) for r in ours)


def start_push(repo: Repo, remote: str, argv: Sequence[str]) -> None:
    """Start the push command, given without the remote, in the background."""
    token = clock.new_id()
    log = _log(repo)
    try:
        repo.state_dir.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
            log.unlink()
        with log.open("a", encoding="utf-8") as sink:
            sink.write(f"push {token} {clock.now().isoformat()} {remote}\n")
        script = f'"$@"; echo "end {token} $?"'
        words = ["sh", "-c", script, "gitexp-push", *argv, remote]
        repo.launcher.detach(words, log=log, env=_UNATTENDED)
    except OSError as error:
        raise GitexpError("cannot push the runs in the background", why=error.strerror) from error


def last_push(repo: Repo) -> LastPush | None:
    """What became of the last push in the background; `None` when there was none."""
    try:
        lines = _log(repo).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for n in range(len(lines) - 1, -1, -1):
        words = lines[n].split(" ", 3)
        if len(words) == 4 and words[0] == "push":
            with suppress(ValueError):
                moment = datetime.fromisoformat(words[2])
                return LastPush(words[3], moment, *_read_end(lines[n + 1 :], words[1]))
    return None


def forget_push(repo: Repo) -> None:
    """Stop telling about it, because a later one arrived."""
    _log(repo).unlink(missing_ok=True)


def _log(repo: Repo) -> Path:
    return repo.state_dir / "push.log"


def _read_end(lines: Sequence[str], token: str) -> tuple[int | None, tuple[str, ...]]:
    mark = f"end {token} "
    for n, line in enumerate(lines):
        if line.startswith(mark):
            return int(line.removeprefix(mark)), tuple(lines[:n])
    return None, tuple(lines)


# --- the hook -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrePush:
    """What the hook did; the command prints the messages and exits with the status."""

    status: int
    """1 only when a gate says no."""
    messages: tuple[str, ...] = ()


def run_pre_push(
    repo: Repo,
    settings: Settings,
    plan: PushPlan,
    *,
    environ: Mapping[str, str],
    recover: Callable[[], object],
    record_pushed: Callable[[ObjectId], Sequence[str]],
    find_gates: Callable[[ObjectId], Sequence[Gate]],
    push_argv: Sequence[str] = ("git", "exp", "push", "--quiet", "--wait-for-code"),
) -> PrePush:
    """Record what is pushed, send the runs along, and ask the gates.

    `recover` puts runs onto the branch that are still in the journal; `record_pushed` records the
    results of a commit and says what it did; `find_gates` gives the guarded metrics of a commit. A
    `GitexpError` of any of them becomes a message, never a failed push.
    """
    if environ.get(GUARD) or not settings.hooks:
        return PrePush(0)
    told: list[str] = []
    _attempt(recover, told)
    found = (repo.resolve(f"{commit}^{{commit}}") for commit in plan.commits)
    commits = [commit for commit in found if commit is not None]
    for commit in commits:
        told += _attempt(partial(record_pushed, commit), told) or ()
    if settings.auto_push and is_push_due(repo, settings.branch, plan.remote):
        before = last_push(repo)
        if before is not None and before.failed:
            why = before.lines[0] if before.lines else f"status {before.status}"
            told.append(f"the last push of the runs to '{before.remote}' failed: {why}")
        _attempt(partial(start_push, repo, plan.remote, push_argv), told)
    gates: list[Gate] = []
    for commit in commits if settings.gates else ():
        gates += _attempt(partial(find_gates, commit), told) or ()
    refusals = [_refusal(g) for g in gates if not judge_gate(g.best, g.value, g.direction, g.slack)]
    if refusals:
        told += [*refusals, "`git push --no-verify` pushes all the same"]
    return PrePush(1 if refusals else 0, tuple(told))


def _attempt(deed: Callable[[], T], told: list[str]) -> T | None:
    try:
        return deed()
    except GitexpError as error:
        told.append(error.what if error.why is None else f"{error.what}: {error.why}")
        return None
