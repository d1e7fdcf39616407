"""Fetch and push the run branch and its keep branch.

Uses `adapters.git.transport` for the network and `storage.merge` to merge branches, and counts
the runs that moved. No network access happens under the lock of local writers.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from gitexp.adapters.git import transport
from gitexp.adapters.git.lfs import push_lfs_objects, uses_lfs
from gitexp.adapters.git.remotes import Remote, fetch_remote, push_remote
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict, GitexpError, Refused
from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import PURGED_FOLDER, remote_ref
from gitexp.features.sync import backoff
from gitexp.features.sync.signed_checkpoint import sign_runs
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.merge.branches import MergeResult, merge_keep_branch, merge_run_branch
from gitexp.storage.merge.code_states import refuse_old_remote
from gitexp.storage.merge.purged import (
    names_of,
    purge_code,
    read_purges,
    refs_before_purge,
    refuse_before_purge,
)
from gitexp.storage.merge.tally import BranchChanges, count_changes
from gitexp.storage.settings.options import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchReport:
    """Result of a fetch."""

    remote: str
    here: BranchChanges = field(default_factory=BranchChanges)
    """New on the local run branch."""
    moved: bool = False
    """True when a local branch moved."""
    merged: bool = False
    """True when a merge commit joined two histories of runs."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """Result of an accepted push; a rejected push raises."""

    remote: str
    there: BranchChanges = field(default_factory=BranchChanges)
    """New on the remote's run branch."""
    moved: bool = False
    """True when a branch of the remote moved."""
    tries: int = 0
    fetched: FetchReport | None = None
    """The fetch that the push needed first; `None` if it needed none."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """Results of a fetch and a push."""

    fetched: FetchReport
    pushed: PushReport


@dataclass(frozen=True, slots=True)
class _FetchOutcome:
    """Result of one fetch, with the state of the remote."""

    code: MergeResult
    runs: MergeResult
    tips: Mapping[str, ObjectId]
    """Tips of the remote, by its ref names."""
    is_empty: bool
    rewritten: bool


def fetch_runs(run_branch: RunBranch, remote: str | None, settings: Settings) -> FetchReport:
    """Fetch and merge the runs of a remote. The merge never loses a recorded run.

    `remote` names a configured remote; `None` uses the default. Raises `NotFound` when the remote
    does not exist, `Refused` when its branch is not gitexp's or exceeds the size in the settings,
    `UnreadableRecord` when a newer gitexp wrote it, `GitexpError` when it cannot be reached.
    """
    source = fetch_remote(run_branch.repo, remote or settings.remote)
    run_branch.check()
    return _report(run_branch, source, [_fetch(run_branch, source, settings, is_hub=False)])


def push_runs(run_branch: RunBranch, remote: str | None, settings: Settings) -> PushReport:
    """Push the recorded runs to a remote. If the remote has other runs, fetch and merge first.

    Raises what `fetch_runs` raises, `Refused` when the remote has no branch at all, and
    `GitexpError` when it rejects the push or the time runs out. If this returns, the remote
    accepted the push.
    """
    target = push_remote(run_branch.repo, remote or settings.remote)
    if run_branch.check() is None:
        return PushReport(remote=target.name)
    deadline = clock.monotonic_s() + settings.push_timeout
    heard = []
    if len(_known(run_branch, target)) < 2:
        heard.append(_fetch(run_branch, target, settings))
    return _push(run_branch, target, settings, deadline, heard)


def sync_runs(run_branch: RunBranch, remote: str | None, settings: Settings) -> SyncReport:
    """Fetch, merge and push, so that both sides have the same runs at the same commit.

    If neither side has new runs, no branch moves. If git fetches from one remote and pushes to
    another, gitexp does too. Raises what `fetch_runs` and `push_runs` raise.
    """
    source = fetch_remote(run_branch.repo, remote or settings.remote)
    target = push_remote(run_branch.repo, remote or settings.remote)
    run_branch.check()
    deadline = clock.monotonic_s() + settings.push_timeout
    heard = _fetch(run_branch, source, settings)
    fetched = _report(run_branch, source, [heard])
    if target.key != source.key:
        return SyncReport(fetched=fetched, pushed=push_runs(run_branch, target.name, settings))
    ours = {run_branch.run_ref: heard.runs.new, run_branch.code_ref: heard.code.new}
    pushed = PushReport(remote=target.name)
    if any(tip is not None and tip != heard.tips.get(ref) for ref, tip in ours.items()):
        if heard.is_empty:
            raise _empty(target)
        pushed = _push(run_branch, target, settings, deadline, [])
    return SyncReport(fetched=fetched, pushed=pushed)


# --- pushing ------------------------------------------------------------------------------------


def _push(
    run_branch: RunBranch,
    remote: Remote,
    settings: Settings,
    deadline: float,
    heard: list[_FetchOutcome],
) -> PushReport:
    backoff.wait_before_push(run_branch.repo)
    began_s, known = clock.monotonic_s(), _known(run_branch, remote)
    warnings: tuple[str, ...] = ()
    for tries in count(1):
        if heard and heard[-1].is_empty:
            raise _empty(remote)
        if tries == 1 and settings.sign == "sync" and _is_due(run_branch, known):
            warnings = tuple(filter(None, [sign_runs(run_branch, settings)]))
        ours = _tips(run_branch)
        if run_branch.repo.resolve(f"{ours[run_branch.run_ref]}:{PURGED_FOLDER}") is not None:
            ours, known = _after_purge(run_branch, remote, settings, ours, known, heard)
        refuse_old_remote(run_branch, remote.name, known.get(run_branch.code_ref))
        if not settings.push_code:
            ours.pop(run_branch.code_ref, None)
        left_s = max(deadline - clock.monotonic_s(), 1.0)
        pushed = _push_once(run_branch, remote, settings, ours, known, left_s)
        turn_s = clock.monotonic_s() - began_s
        if pushed.accepted:
            _remember(run_branch, remote, ours)
            backoff.record_contention(run_branch.repo, tries - 1, turn_s)
            return PushReport(
                remote=remote.name,
                there=count_changes(
                    run_branch.repo, known.get(run_branch.run_ref), ours[run_branch.run_ref]
                ),
                moved=known != ours,
                tries=tries,
                fetched=_report(run_branch, remote, heard) if heard else None,
                warnings=warnings,
            )
        if not pushed.stale:
            raise _refused(run_branch, remote, pushed)
        left = deadline - clock.monotonic_s()
        if left < 0:
            break
        backoff.sleep_after_rejection(tries, turn_s)
        began_s = clock.monotonic_s()
        within = settings._replace(push_timeout=max(left, 1.0))
        heard.append(_fetch_again(run_branch, remote, within, certain=len(known) == 2))
        known = dict(heard[-1].tips)
    raise Conflict(
        f"cannot push the runs to '{remote.name}'",
        why=f"other pushes came first {tries} times ({pushed.reason})",
        hints=["`git exp sync` tries again; the runs recorded here are safe"],
    )


def _after_purge(
    run_branch: RunBranch,
    remote: Remote,
    settings: Settings,
    ours: dict[str, ObjectId],
    known: dict[str, ObjectId],
    heard: list[_FetchOutcome],
) -> tuple[dict[str, ObjectId], dict[str, ObjectId]]:
    """Remove purged code from the branches before a push. Return our tips and the remote's.

    A new run may have put purged code back on our keep branch. Raises `Refused` when the remote
    still has the state before a purge.
    """
    repo = run_branch.repo
    if known.get(run_branch.code_ref) != ours.get(run_branch.code_ref):
        with run_branch.lock():
            purge_code(
                run_branch,
                known.get(run_branch.code_ref),
                read_purges(repo, ours[run_branch.run_ref]),
            )
        ours = _tips(run_branch)
    if not refs_before_purge(repo, ours, known):
        return ours, known
    if not heard:
        heard.append(_fetch(run_branch, remote, settings))
        ours, known = _tips(run_branch), dict(heard[-1].tips)
    before = refs_before_purge(repo, ours, known)
    if before:
        raise refuse_before_purge(remote.name, [*before])
    return ours, known


def _push_once(
    run_branch: RunBranch,
    remote: Remote,
    settings: Settings,
    ours: Mapping[str, ObjectId],
    known: Mapping[str, ObjectId],
    timeout_s: float,
) -> transport.Pushed:
    repo = run_branch.repo
    if known.get(run_branch.code_ref) != ours.get(run_branch.code_ref) and uses_lfs(repo):
        branch = run_branch.code_ref.removeprefix("refs/heads/")
        push_lfs_objects(repo, remote, branch, timeout_s=timeout_s)
    leases = {
        ref: known.get(ref, "")
        for ref in ours
        if ref not in known or repo.is_ancestor(known[ref], ours[ref])
    }
    hooks = settings.push_hooks == "always"
    return transport.push(repo, remote, ours, leases=leases, hooks=hooks, timeout_s=timeout_s)


def _empty(remote: Remote) -> Refused:
    return Refused(
        f"the runs are not pushed to '{remote.name}'",
        why="it has no branch yet, and the first one pushed becomes the default branch",
        hints=[f"push your code first: `git push {remote.name} HEAD`"],
    )


def _refused(run_branch: RunBranch, remote: Remote, pushed: transport.Pushed) -> GitexpError:
    return GitexpError(
        f"'{remote.name}' refused the runs",
        why=pushed.reason,
        hints=[_way_out(run_branch, pushed.reason)],
        said=pushed.said,
    )


def _way_out(run_branch: RunBranch, reason: str) -> str:
    """Return a hint for a rejected push, chosen by git's reason."""
    if "exists; cannot create" in reason or "exists: cannot" in reason:
        return "rename that branch on the remote, or `git config exp.branch NAME` renames ours"
    if "hook declined" in reason:
        return "a rule of the server rejected it, see its message above"
    return f"ask an owner of the remote to allow branches '{run_branch.name}*'"


def _is_due(run_branch: RunBranch, known: Mapping[str, ObjectId]) -> bool:
    return run_branch.repo.read_ref(run_branch.run_ref) != known.get(run_branch.run_ref)


def _tips(run_branch: RunBranch) -> dict[str, ObjectId]:
    """Return our tips. Reads the run branch first, because a record moves the keep branch first."""
    tips = {ref: run_branch.repo.read_ref(ref) for ref in (run_branch.run_ref, run_branch.code_ref)}
    return {ref: tip for ref, tip in tips.items() if tip is not None}


def _known(run_branch: RunBranch, remote: Remote) -> dict[str, ObjectId]:
    """Return the remote's tips after the last fetch or push, by the remote's ref name."""
    return remote.known(run_branch.repo, (run_branch.run_ref, run_branch.code_ref))


def _remember(run_branch: RunBranch, remote: Remote, pushed: Mapping[str, ObjectId]) -> None:
    known = _known(run_branch, remote)
    for ref, tip in pushed.items():
        old = known.get(ref, run_branch.repo.null)
        if old != tip:
            with suppress(Conflict):  # another process saw a newer remote state
                run_branch.repo.update_ref(remote_ref(remote.key, ref), tip, old, "push")


# --- fetching -----------------------------------------------------------------------------------


def _fetch_again(
    run_branch: RunBranch, remote: Remote, settings: Settings, *, certain: bool
) -> _FetchOutcome:
    """Fetch what another clone pushed. If the remote lost its branches, list its refs first."""
    try:
        return _fetch(run_branch, remote, settings, certain=certain)
    except GitexpError as error:
        if not certain or "find remote ref" not in (error.why or ""):
            raise
        return _fetch(run_branch, remote, settings)


def _fetch(
    run_branch: RunBranch,
    remote: Remote,
    settings: Settings,
    *,
    certain: bool = False,
    is_hub: bool = True,
) -> _FetchOutcome:
    """Fetch and merge. Keep it short: the longer it takes, the likelier another push wins.

    `is_hub` is true when a push to the remote follows.
    """
    known = _known(run_branch, remote).get(run_branch.run_ref)
    fetched = transport.fetch(
        run_branch.repo,
        remote,
        [(ref, remote_ref(remote.key, ref)) for ref in (run_branch.run_ref, run_branch.code_ref)],
        timeout_s=settings.push_timeout,
        max_bytes=settings.max_fetch_size,
        partial=[run_branch.code_ref],
        certain=certain,
    )
    _forget_deleted(run_branch, remote, fetched.tips)
    theirs = fetched.tips.get(run_branch.run_ref)
    rewritten = bool(known and theirs and known != theirs) and not run_branch.repo.is_ancestor(
        str(known), str(theirs)
    )
    with run_branch.lock():
        code = merge_keep_branch(
            run_branch, remote.name, fetched.tips.get(run_branch.code_ref), runs=theirs
        )
        runs = merge_run_branch(
            run_branch, remote.name, theirs, max_files=settings.max_fetch_files, is_hub=is_hub
        )
    return _FetchOutcome(code, runs, fetched.tips, fetched.is_empty, rewritten)


def _forget_deleted(run_branch: RunBranch, remote: Remote, tips: Mapping[str, ObjectId]) -> None:
    """Delete our refs to branches that the remote no longer has."""
    for ref, old in _known(run_branch, remote).items():
        if ref not in tips:
            with suppress(Conflict):
                run_branch.repo.update_ref(
                    remote_ref(remote.key, ref), run_branch.repo.null, old, "deleted"
                )


def _report(run_branch: RunBranch, remote: Remote, heard: Sequence[_FetchOutcome]) -> FetchReport:
    warnings = []
    name = remote.name
    if any(_is_purged(run_branch.repo, h.runs) for h in heard):
        warnings.append(
            f"runs or code were purged at '{name}', here too now; `git exp purge` without arguments"
            " removes what this clone still has of them"
        )
    elif any(h.rewritten for h in heard):
        warnings.append(f"the run branch of '{name}' was rewritten; your runs are kept")
    if any(h.runs.repaired for h in heard):
        warnings.append(
            f"'{name}' had dropped or replaced records that you have; both versions are kept"
        )
    here = BranchChanges()
    for h in heard:
        here += count_changes(run_branch.repo, h.runs.old, h.runs.new)
    return FetchReport(
        remote=name,
        here=here,
        moved=any(joined.old != joined.new for h in heard for joined in (h.runs, h.code)),
        merged=any(h.runs.merged for h in heard),
        warnings=tuple(warnings),
    )


def _is_purged(repo: Repo, runs: MergeResult) -> bool:
    """Return whether a fetch brought a purge that was unknown to this clone."""
    if runs.old is None or runs.new is None or runs.old == runs.new:
        return False
    return bool(names_of(repo, runs.new) - names_of(repo, runs.old))


def fetch_from(run_branch: RunBranch, remote: Remote, settings: Settings) -> None:
    """Fetch and merge the run and keep branches of a remote. Raises what `fetch_runs` raises."""
    _fetch(run_branch, remote, settings)
