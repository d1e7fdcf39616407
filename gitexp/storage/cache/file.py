"""The cache file, and the check that only gitexp wrote it.

A stamp file beside the cache holds the size, modification time and inode that the last write of
gitexp left. After any other change (a restored backup, a full disk, another program) the stamp
does not match and the cache is rebuilt. The stamp file is also the lock that makes a write and its
stamp one step.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gitexp.adapters.system import clock

BUSY_S: Final = 5.0
"""Seconds that a reader or writer waits for the lock before it works without the file."""

_TICK_S: Final = 0.001
_TICKS: Final = 25
_BACK_NS: Final = 10**9
"""One second: longer than a tick of the clock of common file systems."""

_ABANDONED_S: Final = 3600.0
"""An unfinished cache file older than this has no living writer."""


class Busy(Exception):
    """Another process held the lock for longer than `BUSY_S`."""


class IndexFile:
    """One cache file and its stamp."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = path.with_name(path.name + ".stamp")

    def open(self) -> sqlite3.Connection | None:
        """Connect to the file, or return `None` if its stamp differs. Raises `sqlite3.Error`."""
        return connect(f"{self.path.as_uri()}?mode=rw") if self.is_ours() else None

    def inode(self) -> int | None:
        """Return the inode of the file at the path. It changes when another process replaces it."""
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    def is_ours(self) -> bool:
        """Return whether the file is unchanged since the last write of gitexp."""
        try:
            with self._stamp.open("rb") as stamp:
                _lock(stamp.fileno(), exclusive=False)
                return stamp.read() == self._identity()
        except (OSError, Busy):
            return False

    def _identity(self) -> bytes:
        stat = self.path.stat()
        return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n".encode()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock for a write, then stamp the file. Raises `OSError`, `Busy`."""
        handle = os.open(self._stamp, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle, exclusive=True)
            yield
            self._write_stamp(handle)
        finally:
            os.close(handle)

    def _write_stamp(self, handle: int) -> None:
        """Write the stamp; repeat until its own modification time is later than the cache's.

        A change within the same tick of the file system's clock would leave the same modification
        time. So the cache's time is set back by a second. Where that is not permitted, because
        another user owns the file, the loop waits for the next tick.
        """
        with contextlib.suppress(OSError):
            stat = self.path.stat()
            os.utime(self.path, ns=(stat.st_atime_ns, stat.st_mtime_ns - _BACK_NS))
        identity, moment = self._identity(), self.path.stat().st_mtime_ns
        for _ in range(_TICKS):
            os.ftruncate(handle, 0)
            os.pwrite(handle, identity, 0)
            if os.fstat(handle).st_mtime_ns > moment:
                return
            clock.sleep(_TICK_S)

    @contextlib.contextmanager
    def replacing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection to a new file that replaces the cache if the block succeeds.

        Raises `OSError`, `sqlite3.Error`, `Busy`.
        """
        import tempfile

        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=self.path.name + "-", suffix=".new", dir=folder)
        os.close(handle)
        fresh = Path(name)
        try:
            self._clear_abandoned(fresh.stat().st_mtime)
            conn = connect(fresh.as_uri())
            try:
                yield conn
            finally:
                conn.close()
            with self.writing():
                fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)

    def _clear_abandoned(self, now_s: float) -> None:
        for path in self.path.parent.glob(self.path.name + "-*.new"):
            with contextlib.suppress(OSError):
                if now_s - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()


def connect(address: str) -> sqlite3.Connection:
    """Open a database that may be lost: no fsync, no journal on disk.

    Threads may take turns with it: one thread may start a run and another may end it.
    """
    conn = sqlite3.connect(
        address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    conn.execute("PRAGMA synchronous = OFF")
    conn.execute("PRAGMA journal_mode = MEMORY")
    conn.execute("PRAGMA cache_size = -65536")
    conn.execute("PRAGMA temp_store = MEMORY")
    return conn


def _lock(handle: int, *, exclusive: bool) -> None:
    import fcntl  # inside the function: on a system without fcntl the module can still be imported

    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    deadline = clock.monotonic_s() + BUSY_S
    while True:
        try:
            return fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic_s() > deadline:
                raise Busy from None
            clock.sleep(_TICK_S)
        except OSError:
            return None  # a file system without locks: only the stamp protects the cache
