"""Detection of a running `git gc`, and waiting for its end.

Separate from `transaction`, so that read-only callers import no more than this.
"""

import os
from collections.abc import Collection
from pathlib import Path

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock

_GC_PATIENCE_S = 5.0


def is_gc_running(repo: Repo) -> bool:
    """Return whether a `git gc` runs in this repository."""
    return (repo.common_dir / "gc.pid").exists()


def wait_for_gc(repo: Repo) -> None:
    """Wait at most 5 s for the end of the gc that runs now, not for a later one.

    A gc keeps every object that a ref holds when it begins. Which other objects it removed is
    known only after its end.
    """
    pid = repo.common_dir / "gc.pid"
    until_s = clock.monotonic_s() + _GC_PATIENCE_S
    running = _identity(pid)
    while running is not None and running == _identity(pid) and clock.monotonic_s() < until_s:
        clock.sleep(0.01)


def gc_fingerprint(repo: Repo, *, without: Collection[str] = ()) -> tuple[object, ...]:
    """Return the state of packed refs and packs, which every gc changes before it removes anything.

    `without` names packs of our own.
    """
    try:
        found = (repo.common_dir / "packed-refs").stat()
        refs = (found.st_ino, found.st_mtime_ns, found.st_size)
    except FileNotFoundError:
        refs = (0, 0, 0)
    try:
        names = os.listdir(repo.common_dir / "objects" / "pack")  # noqa: PTH208 - of every record
    except FileNotFoundError:
        names = []
    return (*refs, *sorted(n for n in names if n.endswith(".pack") and n not in without))


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
