"""The file lock on which local writers queue.

It gives speed and order only: git's compare-and-swap makes a change of a ref safe.
"""

import contextlib
import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict, GitexpError


class FileLock:
    """An exclusive lock between processes; the kernel releases it when its holder dies.

    Waiters get the lock roughly in the order of their arrival. Not reentrant, not for two threads
    at once. Raises `Conflict` at the timeout, `GitexpError` when the file cannot be locked.
    """

    def __init__(self, path: Path, *, timeout_s: float | None = 60.0) -> None:
        self.path = path
        self.timeout_s = timeout_s
        """Seconds to wait; `None` waits forever."""
        self._fd: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Acquire the lock and write the holder's process id and host into the file."""
        if self._fd is not None:
            raise RuntimeError("this lock is held already")
        until = None if self.timeout_s is None else clock.monotonic_s() + self.timeout_s
        while True:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
                if not _take(fd, until):
                    raise self._conflict()
            except OSError as error:
                raise GitexpError(
                    f"cannot lock '{self.path}'",
                    why=error.strerror,
                    hints=["make the git directory writable for you"],
                ) from error
            if _is_still(self.path, fd):
                break
            os.close(fd)  # the file was deleted during the wait, and other processes lock a new one
        self._fd = fd
        with contextlib.suppress(OSError):  # the lock is held even if a full disk takes no text
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} {_host()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock; no-op when not held."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
        os.close(fd)

    def _conflict(self) -> Conflict:
        why, hint = "another process holds the lock", "try again when it has ended"
        with contextlib.suppress(OSError, ValueError):
            pid, _, host = self.path.read_text().strip().partition(" ")
            why = f"process {int(pid)} on {host} holds the lock"
            hint = f"see what it is doing with `ps -p {pid}`, and try again when it has ended"
        return Conflict(
            f"cannot get at the runs of this repository within {self.timeout_s:g} s",
            why=why,
            hints=[hint],
        )


def _is_still(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _host() -> str:
    return os.uname().nodename


# --- waiting ------------------------------------------------------------------------------------


def _take(fd: int, until: float | None) -> bool:
    """Lock the file. At the timeout and on an error, close it, at once or when the waiter ends."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if until is not None and until <= clock.monotonic_s():
            os.close(fd)
            return False
        return _Waiter(fd).wait(until)
    except OSError:
        os.close(fd)
        raise
    return True


class _Waiter:
    """A place in the kernel's queue for the lock, with a timeout.

    Polling would starve: among 16 writers of 30 ms, one waited 8 s instead of 0.5 s.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._mutex = threading.Lock()
        self._arrived = threading.Event()
        self._abandoned = False
        self._error: OSError | None = None

    def wait(self, until: float | None) -> bool:
        threading.Thread(target=self._stand, daemon=True).start()
        try:
            while not self._arrived.is_set():
                left = None if until is None else until - clock.monotonic_s()
                if left is not None and left <= 0:
                    break
                self._arrived.wait(left)
        except BaseException:
            if not self._give_up():
                os.close(self._fd)
            raise
        if self._give_up():
            return False
        if self._error is not None:
            os.close(self._fd)
            raise self._error
        return True

    def _stand(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            self._error = error
        with self._mutex:
            self._arrived.set()
            if self._abandoned:
                os.close(self._fd)

    def _give_up(self) -> bool:
        """Return True when the lock has not arrived; the thread then closes the file itself."""
        with self._mutex:
            self._abandoned = not self._arrived.is_set()
            return self._abandoned
