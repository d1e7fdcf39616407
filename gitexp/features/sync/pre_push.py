"""The pre-push hook: record results, check the gates, announce the first push of the runs.

gitexp fails a push only if the user configured a gate. This module pushes no runs; `background`
does that after the user's push has succeeded.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from gitexp.adapters.git.remotes import GUARD
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import GitexpError
from gitexp.core.model.ids import ObjectId, is_null, parse_object_id
from gitexp.core.model.run import Direction
from gitexp.core.schema.layout import code_ref, is_review, run_ref
from gitexp.features.sync import push_notes
from gitexp.features.sync.gates import Gate
from gitexp.storage.settings.options import Settings

T = TypeVar("T")

GATE_SAYS_NO = 3
"""Exit code of `git exp hook pre-push` that tells the shim to fail; a broken gitexp has another."""
NOTHING_TO_SEND = 10
"""Exit code that tells the shim to start no process."""


# --- input of the hook --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PushPlan:
    """The parts of a user's push that gitexp uses."""

    remote: str
    """Name of the remote, or its URL if the user pushes to a URL."""
    commits: tuple[ObjectId, ...]
    """Commits (or tag objects) pushed to branches of the remote, each once."""
    url: str = ""
    lines: tuple[str, ...] = ()
    """Lines from git: local ref and object, remote ref and object."""

    @property
    def is_for_review(self) -> bool:
        """True when every ref goes to a review, like Gerrit's `refs/for/main`."""
        refs = [line.split()[2] for line in self.lines]
        return bool(refs) and all(map(is_review, refs))


def plan_pre_push(
    arguments: Sequence[str], lines: Iterable[str], environ: Mapping[str, str], branch: str
) -> PushPlan:
    """Read the input of a pre-push hook: `<remote> <url>`, and a line for each ref.

    The pre-commit tool passes neither argument but sets variables, which are read instead.
    Deletions, tags, gitexp's own branches and malformed lines are left out of the commits.
    """
    remote = arguments[0] if arguments else environ.get("PRE_COMMIT_REMOTE_NAME", "")
    url = arguments[1] if len(arguments) > 1 else environ.get("PRE_COMMIT_REMOTE_URL", "")
    lines = [line.strip() for line in lines if len(line.split()) == 4]
    ours = (run_ref(branch), code_ref(branch))
    commits = {}
    for line in lines:
        words = line.split()
        if len(words) == 4 and words[2] not in ours and not words[2].startswith("refs/tags/"):
            with suppress(GitexpError):
                commits[parse_object_id(words[1])] = words[2]
    theirs = environ.get("PRE_COMMIT_REMOTE_BRANCH", "")
    if not lines and theirs not in ours:
        with suppress(GitexpError):
            oid = parse_object_id(environ.get("PRE_COMMIT_TO_REF", ""))
            lines.append(f"HEAD {oid} {theirs} {environ.get('PRE_COMMIT_FROM_REF') or oid}")
            if not theirs.startswith("refs/tags/"):
                commits[oid] = theirs
    return PushPlan(remote, tuple(oid for oid in commits if not is_null(oid)), url, tuple(lines))


# --- gates --------------------------------------------------------------------------------------


def _refusal(gate: Gate) -> str:
    return f"the gate on '{gate.metric}' says no: {_loss(gate)}"


def _doubt(gate: Gate) -> str:
    """Format the message of a gate that passes because the loss is not shown."""
    text = f"the gate on '{gate.metric}' lets this pass although {_loss(gate)}"
    if gate.verdict.basis == "unknown":
        return (
            f"{text}: the noise is unknown; repeats (`git exp run --repeat 3`) or "
            f'`[metrics."{gate.metric}"] noise = 0` tell it'
        )
    return f"{text}: that is not shown against the noise"


def _loss(gate: Gate) -> str:
    verdict = gate.verdict
    wanted = "higher" if verdict.direction is Direction.MAXIMIZE else "lower"
    return (
        f"{verdict.value:g} is worse than the best, {verdict.reference_value:g}, by more than "
        f"{gate.slack:g} ({wanted} is better)"
    )


# --- the hook -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrePushResult:
    """Result of the hook; the command prints the messages and exits with the status."""

    status: int
    """1 only when a gate fails."""
    messages: tuple[str, ...] = ()
    sends: bool = False
    """True when a process must push the runs after the push has succeeded."""


def run_pre_push(
    repo: Repo,
    settings: Settings,
    plan: PushPlan,
    *,
    environ: Mapping[str, str],
    recover: Callable[[], object],
    record_pushed: Callable[[ObjectId], Sequence[str]],
    find_gates: Callable[[ObjectId], Sequence[Gate]],
    foresee: Callable[[], str],
) -> PrePushResult:
    """Record the results of pushed commits, check the gates, and announce a first push of runs.

    `recover` completes runs that are still in the journal. `record_pushed` records the results of
    a commit and returns messages. `find_gates` returns the gated metrics of a commit. `foresee`
    describes what will be published. A `GitexpError` from any of them becomes a message, never a
    failed push.
    """
    if environ.get(GUARD) or not settings.hooks:
        return PrePushResult(0)
    lines: list[str] = push_notes.take_news(repo) if push_notes.has_news(repo) else []
    _attempt(recover, lines)
    found = [repo.peel(commit, "commit") for commit in plan.commits]
    commits = [commit for commit in found if commit is not None]
    for commit in commits:
        lines += _attempt(partial(record_pushed, commit), lines) or ()
    gates: list[Gate] = []
    for commit in commits if settings.gates else ():
        gates += _attempt(partial(find_gates, commit), lines) or ()
    has_runs = repo.read_ref(run_ref(settings.branch)) is not None
    lines += [_doubt(gate) for gate in gates if gate.state == "unsure"]
    refusals = [_refusal(gate) for gate in gates if gate.state == "closed"]
    if refusals:
        lines += [*refusals, "`git push --no-verify` pushes anyway"]
        return PrePushResult(1, tuple(lines))
    if not settings.auto_push or not has_runs:
        return PrePushResult(0, tuple(lines))
    if not repo.config().items(f"remote.{plan.remote}."):
        return PrePushResult(0, (*lines, _left_behind(plan)))
    if plan.is_for_review:
        review = "the runs are not pushed to a review; `git exp push` sends them"
        return PrePushResult(
            0, tuple(lines if push_notes.is_told(repo, plan.url) else [*lines, review])
        )
    if not push_notes.is_told(repo, plan.url):
        found_text = _attempt(foresee, lines)
        lines += [_announce(plan.remote, found_text)] if found_text else []
    return PrePushResult(0, tuple(lines), sends=True)


def _announce(remote: str, what: str) -> str:
    return (
        f"your push also sends to '{remote}': {what}"
        " (`git config exp.autoPush false` turns this off)"
    )


def _left_behind(plan: PushPlan) -> str:
    if plan.remote == plan.url or not plan.remote:
        return "the runs are not pushed to a URL; `git exp push NAME` sends them to a remote"
    return f"the runs are not pushed: '{plan.remote}' is not a configured remote"


def _attempt(action: Callable[[], T], lines: list[str]) -> T | None:
    try:
        return action()
    except GitexpError as error:
        lines.append(error.what if error.why is None else f"{error.what}: {error.why}")
        return None
