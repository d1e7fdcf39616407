"""The run branch and the keep branch of a repository: their state, their locks, their records.

Each event of a run is one commit. `transaction` writes events, and `docs/reliability.md` says what
each durability guarantees then.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from datetime import datetime

from gitexp.adapters.git.cat_file import GitObject
from gitexp.adapters.git.code_commit import code_commit_id
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.stale_locks import MIN_STALE_AGE_S, LockFile, clear_stale_lock
from gitexp.adapters.git.steps import Identity
from gitexp.adapters.system import clock
from gitexp.adapters.system.file_lock import FileLock
from gitexp.core.errors import (
    CommandFailed,
    Conflict,
    GitexpError,
    NotFound,
    Refused,
    UnreadableRecord,
)
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
from gitexp.core.schema.root_files import CODE_IDENTITY, FORMAT_FILE, code_identity
from gitexp.core.schema.toml_codec import decode_run, decode_table
from gitexp.storage.branch.events import RunEvent, is_ours
from gitexp.storage.branch.refusals import damaged, locked
from gitexp.storage.branch.snapshot import Snapshot
from gitexp.storage.branch.transaction import Transaction

PATIENCE_S = 30.0
"""Seconds that a write waits for other writers before it fails; the run's journal stays."""

LOCK_PATIENCE_S = 2.0
"""Seconds that a write waits for an old lock of git whose holder may still live."""

_LOOKS = 3

_KEPT_BEFORE = ("^1^1", "^1^2", "^2^1", "^2^2")
"""Parents of the keep branch that may hold the last run's code after a merge with a remote."""


class RunBranch:
    """Run branch and keep branch of one repository."""

    def __init__(self, repo: Repo, name: str, *, durable: bool) -> None:
        self.repo = repo
        self.name = name
        self.run_ref = run_ref(name)
        self.code_ref = code_ref(name)
        self.durable = durable
        self._code_identity: str | None = None

    @contextmanager
    def reading(self) -> Iterator["RunBranch"]:
        """Yield this branch with one git process for all its questions, as `Repo.reading` does."""
        with self.repo.reading() as repo:
            reading = copy(self)
            reading.repo = repo
            yield reading

    def transaction(self, identity: Identity, moment: datetime) -> Transaction:
        """Return a transaction: the only way to write a record. See `transaction`.

        `identity` and `moment` are author and time of its commits.
        """
        return Transaction(self, identity, moment)

    # --- locks ------------------------------------------------------------------------------

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

    def clear_stale_locks(self, *names: str) -> LockFile | None:
        """Move git's locks of dead processes aside: those of our refs, and the named files.

        Call only while holding `lock`. Returns a lock that is still in place, if any.
        """
        names = (*names, *(f"{ref}.lock" for ref in (self.run_ref, self.code_ref)))
        paths = [self.repo.common_dir / name for name in names]
        locks = [clear_stale_lock(path) for path in paths if path.exists()]
        return next((lock for lock in locks if lock and not lock.moved_to), None)

    def wait_after(self, conflict: Conflict, since_s: float) -> None:
        """Wait up to 50 ms before a transaction is staged again. Call only while holding `lock`.

        `since_s` is the monotonic time of the first try. Raises the conflict 30 s after that, and
        after 2 s the error that names an old lock of git which a process may hold.
        """
        waited_s = clock.monotonic_s() - since_s
        held = self.clear_stale_locks()
        if held and held.age_s > MIN_STALE_AGE_S and waited_s > LOCK_PATIENCE_S:
            raise locked(held) from conflict
        if waited_s > PATIENCE_S:
            raise conflict
        clock.sleep(clock.jitter(0.05))

    def release(self, run: Run) -> None:
        """Release the pin of a recorded run's snapshot: the keep branch holds the code now.

        A conflict on the ref is ignored.
        """
        ref, snapshot = pending_ref(run.id), run.code.snapshot
        if run.code.dirty and snapshot is not None and self.repo.read_ref(ref) is not None:
            with suppress(Conflict):
                self.repo.update_ref(ref, self.repo.null, snapshot, "gitexp: recorded")

    # --- the state of the branches ----------------------------------------------------------

    def snapshot(self, events: Sequence[RunEvent] = ()) -> Snapshot:
        """Read both branches with one question to git.

        With `events`, also read what a transaction of them must know: which of their runs were
        deleted, and whether the keep branch holds their code a few commits further back. Raises
        `UnreadableRecord` when a branch is damaged: broken is not absent. While a gc replaces
        packs, an intact branch may look damaged for a moment, so it looks again three times. Raises
        `Refused` when gitexp did not create the branch.
        """
        for _ in range(_LOOKS):
            try:
                return self._read_snapshot(events)
            except UnreadableRecord:
                clock.sleep(clock.jitter(0.1))
        return self._read_snapshot(events)

    def _read_snapshot(self, events: Sequence[RunEvent]) -> Snapshot:
        runs = [event.run for event in events]
        stones = [f"{self.run_ref}:{annotation_path(r.id, r.started, TOMBSTONE)}" for r in runs]
        run, form, code, *tombstones = self._ask(
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
        return Snapshot(
            tip=run and run.oid,
            keep_tip=code and code.oid,
            kept=kept,
            deleted=frozenset(r.id for r, stone in zip(runs, tombstones, strict=True) if stone),
            is_foreign=run is not None and not is_ours(run.content),
        )

    def _ask(self, names: Sequence[str]) -> list[GitObject | None]:
        try:
            return self.repo.read_objects(names)
        except CommandFailed as error:
            raise damaged(self.name, error.why) from error

    def _check_format(self, form: GitObject | None) -> None:
        if form is not None and form.content == FORMAT_FILE:
            return
        if form is None and self.repo.resolve(f"{self.run_ref}:{FORMAT_PATH}") is not None:
            raise damaged(self.name, f"its '{FORMAT_PATH}' cannot be read")
        version: object = None
        with suppress(UnreadableRecord):
            version = decode_table(b"" if form is None else form.content).get("format")
        if isinstance(version, int) and version > FORMAT:
            raise UnreadableRecord(
                f"cannot use branch '{self.name}'",
                why=f"it has format {version}, this gitexp knows up to {FORMAT}",
                hints=["update gitexp: `pip install -U gitexp`"],
            )
        if version not in READ_FORMATS:
            raise Refused(
                f"branch '{self.name}' is not gitexp's",
                why=f"it has no '{FORMAT_PATH}' that gitexp wrote",
                hints=["choose another branch for the runs: `git config exp.branch NAME`"],
            )

    # --- the code of runs -------------------------------------------------------------------

    def code_identity(self) -> str:
        """Return the author of code commits that the run branch declares."""
        if self._code_identity is None:
            try:
                [form] = self._ask([f"{self.run_ref}:{FORMAT_PATH}"])
            except UnreadableRecord:
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
        """Return the tip of a branch that gitexp created. Raises `Refused`, `UnreadableRecord`.

        Checks only the run branch; `doctor` checks the keep branch.
        """
        tip = self.tip()
        if tip is not None:
            self._check_format(*self._ask([f"{tip}:{FORMAT_PATH}"]))
        return tip

    def load_run(self, run: RunId, started: datetime) -> Run:
        """Read a run from its record. Raises `NotFound`, `UnreadableRecord`."""
        return decode_run(self._load(run_path(run, started), f"the record of run {run[:7]}"))

    def load_series(self, run: RunId, started: datetime) -> Series:
        """Read the metric series of a run; an empty list if it has none. Raises
        `UnreadableRecord`."""
        try:
            data = self._load(series_path(run, started), "series", max_bytes=1 << 30)
        except NotFound:
            return []
        from gitexp.core.schema.series_csv import decode_series

        return decode_series(data)

    def load_environment(self, digest: str) -> Table:
        """Read a package list. Raises `NotFound`, `UnreadableRecord`."""
        return decode_table(self._load(environment_path(digest), f"environment {digest[:7]}"))

    def _load(self, path: str, what: str, *, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
        oid = self.repo.resolve(f"{self.run_ref}:{path}")
        if oid is None:
            raise NotFound(f"{what} is not on branch '{self.name}'")
        data = self._read_blob(oid, max_bytes)
        if data is None:
            raise UnreadableRecord(
                f"cannot read {what}",
                why=f"its object {oid[:10]} is missing, damaged or too large",
                hints=["`git exp doctor` looks for it on the remote"],
            )
        return data

    def _read_blob(self, oid: ObjectId, max_bytes: int = MAX_RECORD_BYTES) -> bytes | None:
        return next(iter(self.repo.read_blobs([oid], max_bytes=max_bytes)))[1]
