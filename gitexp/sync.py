"""Sharing runs: fetching and pushing the run branch and its keep branch.

Floor 4. Talks to remotes through `repo.transport`, joins what they have with what is here through
`joining`, and counts what moved. Network time is spent without holding the lock of local writers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitexp import clock
from gitexp.errors import Conflict, GitexpError, Refused
from gitexp.ids import ObjectId
from gitexp.joining import check_theirs, join_code, join_runs
from gitexp.refs import TOMBSTONE, PathKind, parse_path, remote_ref
from gitexp.repo import Repo, transport
from gitexp.settings import Settings
from gitexp.store import Store

MAX_TRIES = 30
"""How often a push is tried against rivals; one clone of eight needed nine at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a step added to a run branch."""

    runs: int = 0
    """Runs that were not there before."""
    updated: int = 0
    """Runs whose record changed, mostly because they ended."""
    annotations: int = 0
    deleted: int = 0
    """Runs that were there before and are deleted now."""
    conflicts: int = 0
    """Second versions of a file that were kept beside the first."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            runs=self.runs + other.runs,
            updated=self.updated + other.updated,
            annotations=self.annotations + other.annotations,
            deleted=self.deleted + other.deleted,
            conflicts=self.conflicts + other.conflicts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchReport:
    """What a fetch brought."""

    remote: str
    here: Tally = field(default_factory=Tally)
    """What is new on our run branch."""
    moved: bool = False
    """True when a branch of ours moved."""
    merged: bool = False
    """True when two histories of runs were joined by a merge commit."""
    warnings: tuple[str, ...] = ()

    def __add__(self, other: "FetchReport") -> "FetchReport":
        return FetchReport(
            remote=self.remote,
            here=self.here + other.here,
            moved=self.moved or other.moved,
            merged=self.merged or other.merged,
            warnings=(*self.warnings, *(w for w in other.warnings if w not in self.warnings)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What a push sent; there is no report of a push that was not accepted."""

    remote: str
    there: Tally = field(default_factory=Tally)
    """What is new on the remote's run branch."""
    moved: bool = False
    """True when a branch of the remote moved."""
    tries: int = 0
    fetched: FetchReport | None = None
    """What had to be fetched first, absent when nothing had to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What went each way."""

    fetched: FetchReport
    pushed: PushReport


@dataclass(frozen=True, slots=True)
class _Heard:
    """A fetch and what it told about the remote."""

    report: FetchReport
    tips: Mapping[str, ObjectId | None]
    has_code: bool


def fetch_runs(store: Store, remote: str | None, settings: Settings) -> FetchReport:
    """Take over the runs of a remote. Nothing recorded here is ever lost by it.

    `remote` names a configured remote; `None` takes the usual one. Raises `NotFound` when there is
    no such remote, `Refused` when its branch is not gitexp's, `Unreadable` when a newer gitexp
    wrote it, `GitexpError` when it cannot be reached.
    """
    name = transport.default_remote(store.repo, remote or settings.remote)
    return _fetch(store, name, settings.push_timeout).report


def push_runs(
    store: Store, remote: str | None, settings: Settings, *, wait_for_code: bool = False
) -> PushReport:
    """Bring the runs recorded here to a remote, fetching and merging first when it has others.

    With `wait_for_code` a remote without any branch is left alone until it has one, because
    forges make the first branch pushed the default one. Raises what `fetch_runs` raises, and
    `GitexpError` when the remote refuses or the time runs out: a push that returns was accepted.
    """
    name = transport.default_remote(store.repo, remote or settings.remote)
    if store.check() is None:
        return PushReport(remote=name)
    deadline = clock.monotonic_s() + settings.push_timeout
    heard = None
    if len(store.repo.read_refs(*_remote_refs(store, name).values())) < 2:
        heard = _fetch(store, name, settings.push_timeout)
    while wait_for_code and heard is not None and not heard.has_code:
        if clock.monotonic_s() > deadline:
            raise Refused(
                f"the runs are not yet pushed to '{name}'",
                why="it has no branch, and forges make the first one pushed the default",
                hints=["push your code first, then `git exp push`"],
            )
        clock.sleep(0.5)
        heard = _fetch(store, name, settings.push_timeout)
    return _push(store, name, deadline, heard.report if heard else None)


def sync_runs(store: Store, remote: str | None, settings: Settings) -> SyncReport:
    """Fetch, merge and push: afterwards both sides have the same runs at the same commit.

    When nothing is new on either side, nothing moves. Raises what `fetch_runs` and `push_runs`
    raise.
    """
    name = transport.default_remote(store.repo, remote or settings.remote)
    deadline = clock.monotonic_s() + settings.push_timeout
    heard = _fetch(store, name, settings.push_timeout)
    ours = _tips(store)
    if all(heard.tips.get(ref) == tip for ref, tip in ours.items()):
        return SyncReport(fetched=heard.report, pushed=PushReport(remote=name))
    pushed = _push(store, name, deadline, None)
    return SyncReport(fetched=heard.report, pushed=pushed)


# --- pushing ------------------------------------------------------------------------------------


def _push(store: Store, remote: str, deadline: float, fetched: FetchReport | None) -> PushReport:
    for tries in range(1, MAX_TRIES + 1):
        known = _known(store, remote)
        ours = _tips(store)
        left = max(deadline - clock.monotonic_s(), 1.0)
        pushed = transport.push(store.repo, remote, ours, timeout_s=left)
        if pushed.accepted:
            _remember(store, remote, ours, known)
            return PushReport(
                remote=remote,
                there=_tally(store.repo, known.get(store.run_ref), ours[store.run_ref]),
                moved=known != ours,
                tries=tries,
                fetched=fetched,
            )
        if not pushed.stale:
            raise GitexpError(
                f"'{remote}' refused the runs",
                why=pushed.reason,
                hints=[f"ask whoever runs it to allow branches '{store.branch}*'"],
            )
        if clock.monotonic_s() > deadline:
            break
        clock.sleep(clock.jitter(min(0.02 * 2**tries, 1.0)))
        heard = _fetch(store, remote, max(deadline - clock.monotonic_s(), 1.0))
        fetched = heard.report if fetched is None else fetched + heard.report
    raise Conflict(
        f"cannot push the runs to '{remote}'",
        why=f"others were faster {tries} times ({pushed.reason})",
        hints=["`git exp sync` tries again; what is recorded here is safe"],
    )


def _tips(store: Store) -> dict[str, ObjectId]:
    """Our tips, the run branch read first, so that the code of each of its runs is in the other."""
    tips = {ref: store.repo.read_ref(ref) for ref in (store.run_ref, store.code_ref)}
    return {ref: tip for ref, tip in reversed(tips.items()) if tip is not None}


def _remote_refs(store: Store, remote: str) -> dict[str, str]:
    return {ref: remote_ref(remote, ref) for ref in (store.run_ref, store.code_ref)}


def _known(store: Store, remote: str) -> dict[str, ObjectId]:
    """The remote's tips as we last saw them, by the remote's ref name."""
    refs = _remote_refs(store, remote)
    found = store.repo.read_refs(*refs.values())
    return {theirs: found[ours] for theirs, ours in refs.items() if ours in found}


def _remember(
    store: Store, remote: str, pushed: Mapping[str, ObjectId], known: Mapping[str, ObjectId]
) -> None:
    for ref, tip in pushed.items():
        old = known.get(ref, store.repo.null)
        if old != tip:
            try:
                store.repo.update_ref(remote_ref(remote, ref), tip, old, "push")
            except Conflict:
                continue  # somebody here saw the remote later than we did


# --- fetching -----------------------------------------------------------------------------------


def _fetch(store: Store, remote: str, timeout_s: float) -> _Heard:
    store.check()
    known = _known(store, remote)
    fetched = transport.fetch(
        store.repo,
        remote,
        list(_remote_refs(store, remote).items()),
        timeout_s=timeout_s,
        partial=[store.code_ref],
    )
    theirs = {ref: tip for ref, tip in fetched.tips.items() if tip is not None}
    check_theirs(store, remote, theirs)
    warnings = []
    old, new = known.get(store.run_ref), theirs.get(store.run_ref)
    if old and new and old != new and not store.repo.is_ancestor(old, new):
        warnings.append(f"the run branch of '{remote}' was rewritten; your runs are kept")
    with store.lock():
        code = join_code(store, theirs.get(store.code_ref))
        runs = join_runs(store, new)
    if runs.repaired:
        warnings.append(
            f"'{remote}' had dropped or replaced records that you have; both versions are kept"
        )
    report = FetchReport(
        remote=remote,
        here=_tally(store.repo, runs.old, runs.new),
        moved=runs.old != runs.new or code.old != code.new,
        merged=runs.merged,
        warnings=tuple(warnings),
    )
    return _Heard(report, fetched.tips, fetched.has_code)


# --- counting -----------------------------------------------------------------------------------


def _tally(repo: Repo, old: str | None, new: str | None) -> Tally:
    if new is None or old == new:
        return Tally()
    if old is None:
        changes = [("A", entry.path) for entry in repo.list_tree(new)]
    else:
        changes = [(change.status, change.path) for change in repo.diff_trees(old, new)]
    found = dict.fromkeys(("runs", "updated", "annotations", "deleted", "conflicts"), 0)
    for status, path in changes:
        place = parse_path(path)
        if place is None:
            continue
        if place.rival is not None:
            found["conflicts"] += status == "A"
        elif place.kind is PathKind.RUN:
            found[{"A": "runs", "D": "deleted"}.get(status, "updated")] += 1
        elif place.kind is PathKind.ANNOTATION and place.name != TOMBSTONE:
            found["annotations"] += status == "A"
    return Tally(**found)
