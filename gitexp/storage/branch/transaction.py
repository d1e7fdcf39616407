"""The write protocol of the run branch.

A record is written by a `Transaction` and by nothing else. Its events are plain values: they do not
depend on the state of the branch, so a transaction that meets a conflict stages the same events
again on a new snapshot.

The caller has done this before:

A. Snapshot of the code. `refs/gitexp/pending/<id>` pins it, and its completeness is checked
   (`features/execution/code_snapshot.py`).
B. Journal. It is on the disk, and from here on the run exists (`adapters/journal/journal.py`).
C. At the start of a run, this protocol with its `started` event, before the command runs. If that
   fails, the command still runs and the journal keeps the run (`features/recording`).

Then the end of the `with` block does this:

1.  Take the lock of our writers, which queue on it. The kernel frees it when its holder dies. It is
    for order and speed; step 9 makes the write safe. A read-only repository raises here.
2.  Move stale locks of git aside: only under our lock, older than 10 s, the same file at a second
    look, and held by no process. Unknown counts as held.
3.  Read a `Snapshot` with one question to git: both tips, the format, the tombstones of the events'
    runs. Broken is not absent: look again three times, since a gc may be replacing packs, then
    raise `UnreadableRecord`. A branch that is not gitexp's raises `Refused`.
4.  If another program made the newest commit, restore the records that it removed, in a commit of
    its own, and go to 3.
5.  Leave out the events of runs that were deleted. If none is left, nothing is written.
6.  Find the code that the keep branch lacks. If the write is durable, flush every loose object of
    the last minute and the pins, so that no record outlives the code it names.
7.  Stage steps: the keep commit, a barrier, one commit for each event. Where the keep branch need
    not move, verify that it did not. Last, drop the pins of sealed runs.
8.  Write the objects: loose, or as a pack for many objects, in a shared repository and beside a gc
    (`adapters/git/transaction.py`). What exists is compared, and a file that a crash broke is
    written again. Objects appear under their names when they are complete and, if durable, flushed.
9.  Move the refs with one `git update-ref --stdin`, the keep branch first. Git compares each old
    tip with the one of the snapshot: the compare-and-swap. A process that dies in between has not
    said `commit`; a git that is interrupted is asked to end, so that it removes its locks.
10. If durable, flush the directories of the refs. If a gc ran during step 8 or 9, wait for its end,
    check that every object is there, and if not, write again as a pack.
11. Conflict: another process moved a ref, or git's lock is in the way. Wait up to 50 ms and go to
    3, for 30 s in all. An old lock that a process may hold is an error after 2 s, which names it.
12. Release the lock and set `committed`. Only now the caller removes the journal and reports the
    run as recorded.

A kill at any step leaves the branches as they were, or with a superfluous keep commit, or with all
events. A merge with a remote (`storage/merge`) holds the same lock and does steps 2 and 8 to 11.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gitexp.adapters.git import transaction as git
from gitexp.adapters.git.fsync import fsync_recent_objects
from gitexp.adapters.git.steps import Barrier, DropRef, Identity, NewCommit, Step, VerifyRef
from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict
from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import pending_ref
from gitexp.core.schema.root_files import ROOT_FILES
from gitexp.storage.branch.events import RunEvent, message_of
from gitexp.storage.branch.keep import keep_steps
from gitexp.storage.branch.snapshot import Snapshot

if TYPE_CHECKING:
    from gitexp.storage.branch.branch import RunBranch
    from gitexp.storage.branch.lost_records import Lost


class Transaction:
    """Events to record, all of them or none. Nothing is written before the `with` block ends.

    The end of the block raises `Conflict` if other writers hold the branch for 30 s or an old lock
    of git remains for 2 s, `Refused` if gitexp did not create the branch, `UnreadableRecord` if it
    is damaged, `CommandFailed` if git cannot write. No event is on the branch then. A block that
    ends with an error writes nothing.
    """

    def __init__(self, branch: "RunBranch", identity: Identity, moment: datetime) -> None:
        self._branch = branch
        self._identity = identity
        self._moment = moment
        self._events: list[RunEvent] = []
        self.committed = Snapshot()
        """Where the branches are after the block."""
        self.restored: list[Lost] = []
        """Records that a commit of another program had removed, and step 4 restored."""

    def add(self, *events: RunEvent) -> None:
        """Add events, which become commits in this order."""
        self._events += events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.committed = self._commit()

    def _commit(self) -> Snapshot:
        with self._branch.reading() as branch, branch.lock():
            began_s = clock.monotonic_s()
            # With that lock in place, git waits a second and cannot drop the pin.
            branch.clear_stale_locks("packed-refs.lock")
            while True:
                snapshot = branch.snapshot(self._events)
                try:
                    if snapshot.is_foreign and snapshot.tip and self._restore(branch, snapshot.tip):
                        continue
                    return self._apply(branch, snapshot)
                except Conflict as conflict:
                    branch.wait_after(conflict, began_s)

    def _restore(self, branch: "RunBranch", tip: ObjectId) -> bool:
        """Restore the records that the tip removed. Return whether the branch moved."""
        from gitexp.storage.branch.lost_records import find_lost, restore_lost

        lost = find_lost(branch.repo, tip)
        if not restore_lost(branch, tip, lost):
            return False
        self.restored.append(lost)
        return True

    def _apply(self, branch: "RunBranch", snapshot: Snapshot) -> Snapshot:
        events = [e for e in self._events if not (e.keeps and e.run.id in snapshot.deleted)]
        if not events:
            return snapshot
        code = {branch.code_commit(e.run.code.tree): e.run.code.tree for e in events if e.keeps}
        missing = [tree for commit, tree in code.items() if commit not in snapshot.kept]
        if branch.durable and missing:
            fsync_recent_objects(branch.repo, *_pins(events))
        steps = self._stage(branch, snapshot, events, missing)
        commits = git.apply(branch.repo, steps, durable=branch.durable)
        return Snapshot(
            tip=commits[-1],
            keep_tip=commits[-1 - len(events)] if missing else snapshot.keep_tip,
            kept=snapshot.kept.union(code),
        )

    def _stage(
        self,
        branch: "RunBranch",
        snapshot: Snapshot,
        events: Sequence[RunEvent],
        missing: Sequence[str],
    ) -> list[Step]:
        """Return the steps that record events on a snapshot. `missing` are trees to keep."""
        signed = (self._identity, self._moment)
        steps: list[Step] = []
        if missing:
            steps += [*keep_steps(branch, missing, snapshot.keep_tip, *signed), Barrier()]
        elif snapshot.keep_tip and any(event.keeps for event in events):
            steps.append(VerifyRef(branch.code_ref, snapshot.keep_tip))  # it may be all that holds
        before = sum(isinstance(step, NewCommit) for step in steps)
        parent: str | None = snapshot.tip
        for n, event in enumerate(events, start=before + 1):
            files = event.files if parent else (*event.files, *ROOT_FILES)
            parents = [parent] if parent else []
            steps.append(
                NewCommit(
                    *(branch.run_ref, message_of(event), *signed, parents, files),
                    tip=snapshot.tip,
                )
            )
            parent = f":{n}"
        steps += [DropRef(ref) for ref in _pins(e for e in events if e.releases)]
        return steps


def _pins(events: Iterable[RunEvent]) -> list[str]:
    """Return the refs that pin the snapshots of the events' runs."""
    return [pending_ref(event.run.id) for event in events if event.run.code.dirty]
