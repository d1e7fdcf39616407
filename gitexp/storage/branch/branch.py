"""The run branch: write records to it and read them.

Each event of a run is one commit. Writers of one machine queue on a file lock; the compare-and-swap
of the ref decides. The keep branch moves before the run branch, so a failure between the two leaves
at most one superfluous kept commit. `write` returns when the record is stored;
`docs/reliability.md` says what each durability guarantees then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from gitexp.adapters.git.cat_file import Found
from gitexp.adapters.git.code_commit import code_commit_id
from gitexp.adapters.git.fsync import sync_recent
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Checkpoint, CodeCommit, Commit, Identity, SetRef, Step, Verify
from gitexp.adapters.git.write import write_stream
from gitexp.adapters.system import clock
from gitexp.adapters.system.file_lock import MIN_DEAD_AGE_S, FileLock, GitLock, clear_dead_lock
from gitexp.core.errors import CommandFailed, Conflict, GitexpError, NotFound, Refused, Unreadable
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Run, Series, Table
from gitexp.core.schema.layout import (
    FORMAT,
    FORMAT_PATH,
    READ_FORMATS,
    TOMBSTONE,
    annotation_path,
    code_ref,
    environment_path,
    pending_ref,
    run_path,
    run_ref,
    series_path,
)
from gitexp.core.schema.limits import MAX_RECORD_BYTES
from gitexp.core.schema.root_files import CODE_IDENTITY, FORMAT_FILE, ROOT_FILES, code_identity
from gitexp.core.schema.toml_codec import (
    decode_run,
    decode_table,
)
from gitexp.storage.branch.events import Event, is_ours, message_of
from gitexp.storage.branch.keep import KEEP_MESSAGE
from gitexp.storage.branch.refusals import damaged, locked

PATIENCE_S = 30.0
"""Seconds that a write waits for other writers before it fails; the run's journal stays."""

LOCK_PATIENCE_S = 2.0
"""Seconds that a write waits for an old lock of git whose holder may still live."""

_LOOKS = 3

_KEPT_BEFORE = ("^1^1", "^1^2", "^2^1", "^2^2")
"""Parents of the keep branch that may hold the last run's code after a merge with a remote."""


@dataclass(frozen=True, slots=True)
class _Tips:
    run: ObjectId | None
    code: ObjectId | None
    kept: frozenset[str] = field(default_factory=frozenset)
    deleted: frozenset[str] = field(default_factory=frozenset)
    """Those runs of the events that another process has deleted."""
    is_foreign: bool = False
    """True if gitexp did not make the newest commit of the run branch."""


class Store:
    """Run branch of one repository."""

    def __init__(self, repo: Repo, branch: str, *, durable: bool) -> None:
        self.repo = repo
        self.branch = branch
        self.run_ref = run_ref(branch)
        self.code_ref = code_ref(branch)
        self.durable = durable
        self._code_identity: str | None = None
        self.on_foreign: Callable[[ObjectId], bool] | None = None
        """Called before a write with a tip that gitexp did not make.

        Restores the records that the commit removed. Returns whether it moved the branch.
        """

    # --- writing ----------------------------------------------------------------------------

    def write(
        self,
        events: Sequence[Event],
        *,
        identity: Identity,
        moment: datetime,
    ) -> ObjectId:
        """Write events to the branch, in order, all or none. Returns the new tip.

        The events are recorded when it returns. Raises `Conflict` if other writers hold the branch
        for `PATIENCE_S` or an old lock remains for `LOCK_PATIENCE_S`, `Refused` if gitexp did not
        create the branch, `CommandFailed` if git cannot write.
        """
        with self.repo.session(), self.lock():
            began_s = clock.monotonic_s()
            self._clear("packed-refs.lock")  # else git waits a second and cannot delete the pin
            while True:
                tips = self._read_tips_beside_gc(events)
                if tips.is_foreign and tips.run and self.on_foreign and self.on_foreign(tips.run):
                    continue
                live = [e for e in events if not (e.keeps and e.run.id in tips.deleted)]
                if not live and tips.run is not None:
                    return tips.run  # deleted while it ran: write nothing
                try:
                    return self._write(live, tips, identity, moment)
                except Conflict as conflict:
                    waited_s = clock.monotonic_s() - began_s
                    held = self.clear_dead_locks()
                    if held and held.age_s > MIN_DEAD_AGE_S and waited_s > LOCK_PATIENCE_S:
                        raise locked(held) from conflict
                    if waited_s > PATIENCE_S:
                        raise
                    clock.sleep(clock.jitter(0.05))

    def _write(
        self, events: Sequence[Event], tips: _Tips, identity: Identity, moment: datetime
    ) -> ObjectId:
        keeping = {self.code_commit(e.run.code.tree): e.run.code.tree for e in events if e.keeps}
        fresh = {commit: tree for commit, tree in keeping.items() if commit not in tips.kept}
        if self.durable and fresh:
            sync_recent(self.repo, *_pins(events))
        steps = self._steps(events, tips, fresh, identity, moment)
        return write_stream(self.repo, steps, durable=self.durable)[-1]

    def lock(self) -> FileLock:
        """Return the lock on which local writers queue.

        Raises `GitexpError` in a read-only repository.
        """
        try:
            self.repo.state_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GitexpError(
                "cannot record here", why=f"the git directory is not writable ({error.strerror})"
            ) from error
        return FileLock(self.repo.state_dir / "lock", timeout_s=PATIENCE_S)

    def release(self, run: Run) -> None:
        """Release the pin of a recorded run's snapshot: the keep branch holds the code now.

        A conflict on the ref is ignored.
        """
        ref, snapshot = pending_ref(run.id), run.code.snapshot
        if run.code.dirty and snapshot is not None and self.repo.read_ref(ref) is not None:
            with suppress(Conflict):
                self.repo.update_ref(ref, self.repo.null, snapshot, "gitexp: recorded")

    def clear_dead_locks(self) -> GitLock | None:
        """Move aside ref locks of dead processes. Call only while holding the store's lock.

        Returns a lock that is still in place, if any.
        """
        found = [self._clear(f"{ref}.lock") for ref in (self.run_ref, self.code_ref)]
        return next((lock for lock in found if lock is not None), None)

    def wait_for_others(self, conflict: Conflict, deadline_s: float) -> None:
        """Wait about 50 ms before a write is retried. Call only while holding the store's lock.

        Raises the `conflict` if the monotonic clock is past the deadline.
        """
        if clock.monotonic_s() > deadline_s:
            raise conflict
        self.clear_dead_locks()
        clock.sleep(clock.jitter(0.05))

    def _clear(self, name: str) -> GitLock | None:
        path = self.repo.common_dir / name
        lock = clear_dead_lock(path) if path.exists() else None
        return None if lock is None or lock.moved_to else lock

    def _steps(
        self,
        events: Sequence[Event],
        tips: _Tips,
        fresh: Mapping[ObjectId, ObjectId],
        identity: Identity,
        moment: datetime,
    ) -> list[Step]:
        steps: list[Step] = []
        if fresh:
            message, tip = KEEP_MESSAGE, tips.code
            parents: list[str] = [tip, *fresh] if tip else [*fresh]
            author = self.code_identity()
            steps += [CodeCommit(tree, author) for tree in fresh.values()]
            keep = Commit(self.code_ref, message, identity, moment, parents, clear=True, tip=tip)
            steps += [keep, Checkpoint()]
        elif tips.code and any(event.keeps for event in events):
            steps.append(Verify(self.code_ref, tips.code))  # a moved branch may lack the code
        offset = len(fresh) > 0
        for n, event in enumerate(events):
            parent = f":{n + offset}" if n else tips.run
            files = list(event.files)
            if parent is None:
                files += ROOT_FILES
            parents, message, tip = [parent] if parent else [], message_of(event), tips.run
            steps.append(Commit(self.run_ref, message, identity, moment, parents, files, tip=tip))
        steps += [SetRef(ref, self.repo.null) for ref in _pins(e for e in events if e.releases)]
        return steps

    def _read_tips_beside_gc(self, events: Sequence[Event]) -> _Tips:
        """Call `_read_tips` up to `_LOOKS` + 1 times.

        While a gc replaces packs, an intact branch may look damaged for a moment.
        """
        for _ in range(_LOOKS):
            try:
                return self._read_tips(events)
            except Unreadable:
                clock.sleep(clock.jitter(0.1))
        return self._read_tips(events)

    def _read_tips(self, events: Sequence[Event] = ()) -> _Tips:
        """Read both tips with one git process. A damaged branch raises, it is never absent."""
        runs = [event.run for event in events]
        stones = [f"{self.run_ref}:{annotation_path(r.id, r.started, TOMBSTONE)}" for r in runs]
        run, form, code, *found = self._ask(
            [self.run_ref, f"{self.run_ref}:{FORMAT_PATH}", self.code_ref, *stones]
        )
        for ref, tip in ((self.run_ref, run), (self.code_ref, code)):
            if tip is None and self.repo.resolve(ref) is not None:
                raise damaged(ref.removeprefix("refs/heads/"), "its newest commit is missing")
        if run is not None:
            self._check_format(form)
        kept = frozenset[str](code.parents if code else ())
        wanted = {self.code_commit(e.run.code.tree) for e in events if e.keeps} if code else set()
        if not wanted <= kept:
            before = self._ask([self.code_ref + parent for parent in _KEPT_BEFORE])
            kept |= {commit.oid for commit in before if commit}
        deleted = {run.id for run, stone in zip(runs, found, strict=True) if stone}
        foreign = run is not None and not is_ours(run.content)
        return _Tips(run and run.oid, code and code.oid, kept, frozenset(deleted), foreign)

    def _ask(self, names: Sequence[str]) -> list[Found | None]:
        try:
            return self.repo.read_objects(names)
        except CommandFailed as error:
            raise damaged(self.branch, error.why) from error

    def _check_format(self, form: Found | None) -> None:
        if form is not None and form.content == FORMAT_FILE:
            return
        if form is None and self.repo.resolve(f"{self.run_ref}:{FORMAT_PATH}") is not None:
            raise damaged(self.branch, f"its '{FORMAT_PATH}' cannot be read")
        version: object = None
        with suppress(Unreadable):
            version = decode_table(b"" if form is None else form.content).get("format")
        if isinstance(version, int) and version > FORMAT:
            raise Unreadable(
                f"cannot use branch '{self.branch}'",
                why=f"it has format {version}, this gitexp knows up to {FORMAT}",
                hints=["update gitexp: `pip install -U gitexp`"],
            )
        if version not in READ_FORMATS:
            raise Refused(
                f"branch '{self.branch}' is not gitexp's",
                why=f"it has no '{FORMAT_PATH}' that gitexp wrote",
                hints=["choose another branch for the runs: `git config exp.branch NAME`"],
            )

    # --- the code of runs -------------------------------------------------------------------

    def code_identity(self) -> str:
        """Return the author of code commits that the run branch declares."""
        if self._code_identity is None:
            try:
                [form] = self._ask([f"{self.run_ref}:{FORMAT_PATH}"])
            except Unreadable:
                return CODE_IDENTITY  # gitexp writes nothing to such a branch
            self._code_identity = code_identity(form and form.content)
        return self._code_identity

    def use_code_identity(self, identity: str) -> None:
        """Use another author for later code commits. The caller declares it on the run branch."""
        self._code_identity = identity

    def code_commit(self, tree: str) -> ObjectId:
        """Return the id of the code commit of a tree, which all runs with this code share."""
        return code_commit_id(self.repo, tree, self.code_identity())

    # --- reading ----------------------------------------------------------------------------

    def tip(self) -> ObjectId | None:
        """Return the newest commit of the branch; `None` before the first run."""
        return self.repo.read_ref(self.run_ref)

    def check(self) -> ObjectId | None:
        """Return the tip of a branch that gitexp created. Raises `Refused`, `Unreadable`.

        Checks only the run branch; `doctor` checks the keep branch.
        """
        tip = self.tip()
        if tip is not None:
            self._check_format(*self._ask([f"{tip}:{FORMAT_PATH}"]))
        return tip

    def load_run(self, run: RunId, started: datetime) -> Run:
        """Read a run from its record. Raises `NotFound`, `Unreadable`."""
        return decode_run(self._load(run_path(run, started), f"the record of run {run[:7]}"))

    def load_series(self, run: RunId, started: datetime) -> Series:
        """Read the metric series of a run; an empty list if it has none. Raises `Unreadable`."""
        try:
            data = self._load(series_path(run, started), "series", max_bytes=1 << 30)
        except NotFound:
            return []
        from gitexp.core.schema.series_csv import decode_series

        return decode_series(data)

    def load_environment(self, digest: str) -> Table:
        """Read a package list. Raises `NotFound`, `Unreadable`."""
        return decode_table(self._load(environment_path(digest), f"environment {digest[:7]}"))

    def _load(self, path: str, what: str, *, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
        oid = self.repo.resolve(f"{self.run_ref}:{path}")
        if oid is None:
            raise NotFound(f"{what} is not on branch '{self.branch}'")
        data = self._read_blob(oid, max_bytes)
        if data is None:
            raise Unreadable(
                f"cannot read {what}",
                why=f"its object {oid[:10]} is missing, damaged or too large",
                hints=["`git exp doctor` looks for it on the remote"],
            )
        return data

    def _read_blob(self, oid: ObjectId, max_bytes: int = MAX_RECORD_BYTES) -> bytes | None:
        return next(iter(self.repo.read_blobs([oid], max_bytes=max_bytes)))[1]


def _pins(events: Iterable[Event]) -> list[str]:
    """Return the refs that pin the snapshots of the events' runs."""
    return [pending_ref(event.run.id) for event in events if event.run.code.dirty]
