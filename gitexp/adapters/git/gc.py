"""A `git gc` beside us: whether one runs, and waiting for its end.

Apart from what writes, since who only looks needs no more than this.
"""

from pathlib import Path

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock

_GC_PATIENCE_S = 5.0


def is_collecting(repo: Repo) -> bool:
    """Tell whether a `git gc` is running here."""
    return (repo.common_dir / "gc.pid").exists()


def await_gc(repo: Repo) -> None:
    """Wait a little for the gc that runs now, not for a later one, to have done its work.

    What refs hold before a gc begins is safe from it; only after its end it can be told what it
    took of the rest.
    """
    pid = repo.common_dir / "gc.pid"
    until_s = clock.monotonic_s() + _GC_PATIENCE_S
    running = _identity(pid)
    while running is not None and running == _identity(pid) and clock.monotonic_s() < until_s:
        clock.sleep(0.01)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
