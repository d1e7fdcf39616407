"""The cache file: one lock, connections, and replacement of the whole file.

Every connection is opened under the lock, and every write is made under it, so that no process
meets a file and a write-ahead log that do not belong together. A view then reads without the lock:
in WAL mode its transaction shows one commit whatever others write. Views connect read-only, because
the last writer that closes a database deletes the log by its name, and a view may still have a file
open that another process has replaced.

An update is not flushed to the disk. It is in the log only, where SQLite checks every page by a
checksum: after a power cut the file shows an earlier commit, and the next process updates it again.
SQLite flushes when it empties a long log into the database.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gitexp.adapters.system import clock

BUSY_S: Final = 5.0
"""Seconds that a process waits for the lock before it works without the file."""

_TICK_S: Final = 0.001

_LOG_BYTES: Final = 1 << 21
"""A longer log of SQLite is emptied. Each process that opens the file first reads the whole log."""

_ABANDONED_S: Final = 3600.0
"""An unfinished cache file older than this has no living writer."""

SIDECARS: Final = ("-wal", "-shm")
"""Endings of the files that SQLite puts beside a database in WAL mode."""


class Busy(Exception):
    """Another process held the lock for longer than `BUSY_S`."""


class ForeignLog(sqlite3.DatabaseError):
    """SQLite's log belongs to another state of the database."""


class CacheFile:
    """One cache file and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def lock(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the lock; the kernel releases it when its holder dies. Raises `OSError`, `Busy`."""
        place = self.path.with_name(self.path.name + ".lock")
        handle = _open_lock(place)
        try:
            _take(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(handle)

    def read(self) -> sqlite3.Connection:
        """Connect for a view and begin its transaction. Raises `sqlite3.Error`."""
        return self._begin("ro", "BEGIN")

    def write(self) -> sqlite3.Connection:
        """Connect for a write and begin it, under the exclusive lock. Raises `sqlite3.Error`."""
        return self._begin("rw", "BEGIN IMMEDIATE")

    def commit(self, conn: sqlite3.Connection) -> None:
        """End a write. Raises `sqlite3.Error`."""
        if conn.total_changes:
            conn.execute(
                "INSERT OR REPLACE INTO meta VALUES ('base', ?)", (str(self._stored_id()),)
            )
            _change_id(conn)
        conn.execute("COMMIT")

    def _begin(self, mode: str, statement: str) -> sqlite3.Connection:
        conn = connect(f"{self.path.as_uri()}?mode={mode}")
        try:
            conn.execute("PRAGMA synchronous = NORMAL")  # flush when a log is emptied
            conn.execute(statement)
            self._check_log(conn)
        except BaseException:
            conn.close()
            raise
        return conn

    def _check_log(self, conn: sqlite3.Connection) -> None:
        """Raise `ForeignLog` if the log was written over another state of the database.

        SQLite does not notice when a copy replaces only one of the two files. So each write gives
        the database a new random id, in the log at first, and notes in `meta` on which id it is
        based. The database without its log must have one of these two.
        """
        stored = self._stored_id()
        if stored != _id_of(conn):
            base = conn.execute("SELECT value FROM meta WHERE name = 'base'").fetchone()
            if base != (str(stored),):
                raise ForeignLog("the database and its log do not belong together")

    def _stored_id(self) -> int:
        """Return the id of the database without its log.

        Asks SQLite: if this process opened and closed the file itself, it would lose its locks.
        """
        address = f"{self.path.as_uri()}?immutable=1"  # no setting, which would read the schema
        with contextlib.closing(sqlite3.connect(address, uri=True)) as conn:
            return _id_of(conn)

    def has_long_log(self) -> bool:
        """Return whether the next writer to close should empty SQLite's log."""
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size > _LOG_BYTES
        except OSError:
            return False

    @contextlib.contextmanager
    def replacing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection to a new file that replaces the cache if the block succeeds.

        The caller holds the exclusive lock. Raises `OSError`, `sqlite3.Error`.
        """
        import tempfile

        folder = self.path.parent
        handle, name = tempfile.mkstemp(prefix=self.path.name + "-", suffix=".new", dir=folder)
        os.close(handle)
        fresh = Path(name)
        try:
            self._clear_abandoned(fresh.stat().st_mtime)
            with contextlib.closing(connect(fresh.as_uri())) as conn:
                conn.execute("PRAGMA journal_mode = OFF")
                conn.execute("PRAGMA synchronous = OFF")
                _change_id(conn)
                yield conn
                conn.execute("PRAGMA journal_mode = WAL")
            _sync(fresh)  # it was written without
            self._remove(("", *SIDECARS))  # in this order: a log without its database is harmless
            fresh.replace(self.path)
        finally:
            for ending in ("", *SIDECARS):
                fresh.with_name(fresh.name + ending).unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the file under the lock. Open views keep theirs. Raises `OSError`, `Busy`."""
        if self.path.parent.exists():
            with self.lock(exclusive=True):
                self._remove(("", *SIDECARS))

    def _remove(self, endings: tuple[str, ...]) -> None:
        for ending in endings:
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def _clear_abandoned(self, now_s: float) -> None:
        for path in self.path.parent.glob(self.path.name + "-*.new*"):
            with contextlib.suppress(OSError):
                if now_s - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def connect(address: str) -> sqlite3.Connection:
    """Open a database. Threads may take turns with it."""
    conn = sqlite3.connect(
        address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    conn.execute("PRAGMA cache_size = -65536")
    conn.execute("PRAGMA temp_store = MEMORY")
    return conn


def _id_of(conn: sqlite3.Connection) -> int:
    (found,) = conn.execute("PRAGMA application_id").fetchone()
    return int(found)


def _change_id(conn: sqlite3.Connection) -> None:
    conn.execute(f"PRAGMA application_id = {int(clock.new_id()[:7], 16)}")


def _open_lock(path: Path) -> int:
    flags = getattr(os, "O_CLOEXEC", 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except OSError:
        return os.open(path, os.O_RDONLY | flags)  # a read-only file system


def _take(handle: int, kind: int) -> None:
    deadline = clock.monotonic_s() + BUSY_S
    while True:
        try:
            return fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic_s() > deadline:
                raise Busy from None
            clock.sleep(_TICK_S)
