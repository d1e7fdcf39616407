"""The cache of a worker: work trees for trials, and what is removed from it when.

Part of the kit that a worker gets, see `worker.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from typing import IO

MAX_AGE_S = 30 * 86400.0
"""Seconds for which results wait for their coordinator, and unused work trees stay."""

MAX_GB = 5.0
"""Limit of code and work trees together, unless the variable `GITEXP_WORKER_CACHE_GB` says more."""

RECENT_S = 3600.0
"""Seconds for which code stays after its last use, whatever the limit: a trial may be starting."""

STORES = ("code-sha1.git", "code-sha256.git")

_MARKS: dict[str, tuple[bytes, dict[str, tuple[int, ...]]]] = {}
"""What each work tree holds for a trial that begins, with the name of that making of the tree."""


def take_tree(
    folder: str,
    store: str,
    commit: str,
    git: Callable[..., bytes],
    scan: Callable[[str], dict[str, tuple[int, ...]]],
) -> tuple[str, IO[bytes], dict[str, tuple[int, ...]]]:
    """Return a work tree with the code of a commit, the open lock that holds it, and its marks."""
    pool = os.path.join(folder, "pool")
    os.makedirs(pool, exist_ok=True)
    for number in range(10000):
        path = os.path.join(pool, f"{commit}-{number}")
        lock = open(path + ".lock", "a+b", buffering=0)
        if not _is_free(lock):
            lock.close()
            continue
        lock.seek(0)
        is_new = bool(lock.read()) or not os.path.isdir(path)  # or its last user was killed
        lock.write(b"in use")
        if is_new:
            remove_tree(path)
            git("-C", store, "worktree", "add", "-q", "--detach", path, commit)
            with open(path + ".made", "wb") as file:
                file.write(os.urandom(8))
        with open(path + ".made", "rb") as file:
            made = file.read()
        if path not in _MARKS or _MARKS[path][0] != made:  # another process made it anew
            _MARKS[path] = (made, scan(path))
        return path, lock, _MARKS[path][1]
    raise OSError(0, "all work trees are in use")


def give_back(path: str, lock: IO[bytes], is_as_new: bool) -> None:
    """Leave a work tree for the next trial, or remove it."""
    with lock:
        if is_as_new:
            lock.truncate(0)
        else:
            remove_tree(path)


def remove_tree(path: str) -> None:
    """Remove a work tree, also one with directories that a trial made read-only."""
    _MARKS.pop(path, None)
    shutil.rmtree(path, ignore_errors=True)
    if os.path.isdir(path):
        for place, _, _ in os.walk(path):
            os.chmod(place, stat.S_IRWXU)
        shutil.rmtree(path)
    folder = os.path.dirname(os.path.dirname(path))
    for store in STORES:
        entry = os.path.join(folder, store, "worktrees", os.path.basename(path))
        shutil.rmtree(entry, ignore_errors=True)


def _is_free(lock: IO[bytes]) -> bool:
    """Take the lock of a work tree; false when a trial holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- cleaning -------------------------------------------------------------------------------------


def clean(folder: str, kept: str, git: Callable[..., bytes]) -> None:
    """Remove what is old, then what is above the limit, the longest unused first.

    Keeps the commit `kept`, code that was used within `RECENT_S`, and all that trials use.
    """
    _remove_old(folder, time.time() - MAX_AGE_S)
    limit = limit_bytes()
    size = sum(_size(os.path.join(folder, name)) for name in ("pool", *STORES))
    if size <= limit:
        return
    for path in _free_trees(folder):
        size -= _size(path)
        remove_tree(path)
        if size <= limit:
            return
    used = {kept, *(path.rpartition("/")[2].rpartition("-")[0] for path in _trees(folder))}
    for name in STORES:
        store = os.path.join(folder, name)
        size -= _size(store)
        unused = [commit for commit in _commits(store) if commit not in used]
        while unused and size + _size(store) > limit:
            half = (len(unused) + 1) // 2
            for commit in unused[:half]:
                git("-C", store, "update-ref", "-d", f"refs/gitexp/code/{commit}")
            unused = unused[half:]
            git("-C", store, "repack", "-a", "-d", "-q")
        size += _size(store)


def limit_bytes() -> float:
    """Return the limit of the cache; a variable that is no number counts as not set."""
    try:
        return float(os.environ["GITEXP_WORKER_CACHE_GB"]) * 1e9
    except (KeyError, ValueError):
        return MAX_GB * 1e9


def _remove_old(folder: str, until_s: float) -> None:
    """Remove results that no coordinator took, and work trees that were not used since a time."""
    for path, _, names in os.walk(os.path.join(folder, "outbox")):
        for name in names:
            with contextlib.suppress(OSError):
                if os.stat(os.path.join(path, name)).st_mtime < until_s:
                    os.unlink(os.path.join(path, name))
    for path in _free_trees(folder):
        if os.stat(path + ".lock").st_mtime < until_s:
            remove_tree(path)


def _trees(folder: str) -> list[str]:
    """Return the work trees, the longest unused first."""
    pool = os.path.join(folder, "pool")
    names = os.listdir(pool) if os.path.isdir(pool) else []
    paths = [os.path.join(pool, name[: -len(".lock")]) for name in names if name.endswith(".lock")]
    paths = [path for path in paths if os.path.isdir(path)]
    return sorted(paths, key=lambda path: os.stat(path + ".lock").st_mtime)


def _free_trees(folder: str) -> Iterator[str]:
    """Yield the work trees that no trial uses, each while its lock is held."""
    for path in _trees(folder):
        with open(path + ".lock", "ab") as lock:
            if _is_free(lock):
                yield path


def _commits(store: str) -> list[str]:
    """Return the commits that were not used within `RECENT_S`, the longest unused first."""
    refs = os.path.join(store, "refs/gitexp/code")
    names = os.listdir(refs) if os.path.isdir(refs) else []
    times = {name: os.stat(os.path.join(refs, name)).st_mtime for name in names}
    until_s = time.time() - RECENT_S
    return sorted((name for name in names if times[name] < until_s), key=times.__getitem__)


def _size(folder: str) -> int:
    """Return the bytes of all files below a directory."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total
