"""Who holds a file lock, for processes that do not want it themselves.

The text of the lock file alone is not enough: after a kill it names a process that is dead, whose
id another one may have now, and in a container or on a shared disk it names one of another machine.
"""

import contextlib
import fcntl
import os
import signal
from pathlib import Path

from gitexp.adapters.system import clock
from gitexp.adapters.system.processes import has_open
from gitexp.core.model.frozen import frozen

_TRIES = 100
_TRY_S = 0.01


@frozen
class Holder:
    """A process that holds a lock."""

    pid: int | None
    """Its id; `None` when it is not known, or is one of another machine or container."""
    text: str
    """What to call it."""


def is_locked(path: Path) -> bool:
    """Return whether a process holds a lock. Other processes that look do not count."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def holder_of(path: Path) -> Holder | None:
    """Return who holds a lock; `None` when no process does.

    Its holder writes its name right after it has the lock, so this waits for a name that fits.
    """
    text = "another process"
    for _ in range(_TRIES):
        if not is_locked(path):
            return None
        with contextlib.suppress(OSError, ValueError):
            first, _, host = path.read_text().strip().partition(" ")
            pid, text = int(first), f"process {int(first)} on {host}"
            if host != os.uname().nodename:
                break
            if _holds(pid, path):
                return Holder(pid, f"process {pid}")
        clock.sleep(_TRY_S)
    return Holder(None, text)


def signal_holder(path: Path, number: int) -> Holder | None:
    """Send a signal to the process that holds a lock; returns it, `None` when there is none.

    A holder without a process id gets nothing: it is not on this machine, or in another container.
    """
    holder = holder_of(path)
    if holder is None or holder.pid is None:
        return holder
    if not hasattr(os, "pidfd_open"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder.pid, number)
        return holder
    try:
        fd = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        return None
    try:
        if not _holds(holder.pid, path):  # the process of this id is another one by now
            return None
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    return holder


def _holds(pid: int, path: Path) -> bool:
    """Return whether a process has the lock file open, as far as this system says."""
    if not Path("/proc/self/fd").is_dir():
        return True
    try:
        return has_open(Path(f"/proc/{pid}"), path, path.stat())
    except OSError:
        return False
