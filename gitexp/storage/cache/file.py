"""Where the run index lies, and whether the file is the one we wrote.

Beside the index lies a stamp: size, time and number of the file as our last write left it. Whoever
else touched the file (a backup, a full disk, a flipped bit) left another, and the index is made
again. The stamp is also the lock that keeps a write and its stamp together.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gitexp.adapters.system import clock

BUSY_S: Final = 5.0
"""How long a reader or writer waits for others before it goes its own way."""

_TICK_S: Final = 0.001
_TICKS: Final = 25
_BACK_NS: Final = 10**9
"""More than any file system's clock stands still."""

_ABANDONED_S: Final = 3600.0
"""A half-made index of that age has no living writer."""


class Busy(Exception):
    """Another process kept the index for too long."""


class IndexFile:
    """One index file and its stamp."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = path.with_name(path.name + ".stamp")

    def open(self) -> sqlite3.Connection | None:
        """Connect to the index if it is the one we wrote, else `None`. Raises `sqlite3.Error`."""
        return connect(f"{self.path.as_uri()}?mode=rw") if self.is_ours() else None

    def inode(self) -> int | None:
        """The number of the file at the path now; changes when another process replaced it."""
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    def is_ours(self) -> bool:
        """Tell whether the file is as our last write left it."""
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
        """Keep readers from looking until the write inside is stamped. Raises `OSError`, `Busy`."""
        handle = os.open(self._stamp, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle, exclusive=True)
            yield
            self._write_stamp(handle)
        finally:
            os.close(handle)

    def _write_stamp(self, handle: int) -> None:
        """Write the stamp, and again until its own time is later than the file's.

        A change within the same tick of the file system's clock would leave no trace; so the file
        is made to look older. Where that is not for us to do, as it is another user's, we wait.
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
        """A fresh file that takes the place of the index when all went well.

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
    """Open a database we can afford to lose: no syncing, no journal on the disk.

    Threads may take turns with it: a run may be ended by another one than began it.
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
    import fcntl  # where it is missing, importing this module still works

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
            return None  # a file system without locks: the stamp alone must do
