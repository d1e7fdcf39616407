"""Durability: git flushes the files it writes; gitexp flushes their directories and its own files.

`docs/reliability.md` defines each guarantee.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed

_WRITTEN_BACK_S = 60.0
"""After this time the kernel has written a file back without fsync; its limits are 30 s and 5 s."""

_TICK_S = 0.1
"""Margin for file system clocks, which advance in steps of up to 10 ms."""


def fsync_recent_objects(repo: Repo, *refs: str) -> None:
    """Flush recent objects that other programs, mostly the user's git, wrote without fsync.

    A record must not outlive the code that it names. `refs` are loose refs to flush as well. Cheap
    when no object is recent.
    """
    times = directory_mtimes(repo)
    objects = repo.common_dir / "objects"
    fans = {folder: time for folder, time in times.items() if folder.parent == objects}
    since_ns = max(fans.values(), default=0) - int(_WRITTEN_BACK_S * 1e9)
    recent = [folder for folder, time in fans.items() if time >= since_ns]
    files = [repo.common_dir / ref for ref in refs]
    for folder in recent:
        with os.scandir(folder) as entries:
            files += [Path(entry.path) for entry in entries if _changed_ns(entry) >= since_ns]
    fsync_all(files)
    fsync_all([*recent, *{(repo.common_dir / ref).parent for ref in refs}])


def _changed_ns(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_mtime_ns
    except OSError:
        return 0  # a gc packed it and removed the file


def _folders(repo: Repo) -> list[Path]:
    objects = repo.common_dir / "objects"
    fans = [Path(entry.path) for entry in os.scandir(objects) if len(entry.name) == 2]
    refs = repo.common_dir / "refs"
    ours = [refs / "gitexp", refs / "gitexp" / "pending"]
    return [objects, objects / "pack", *fans, refs, refs / "heads", *ours]


def directory_mtimes(repo: Repo) -> dict[Path, int]:
    """Return the modification time in nanoseconds of each directory that a write may change."""
    times = {}
    for folder in _folders(repo):
        try:
            times[folder] = folder.stat().st_mtime_ns
        except OSError:
            continue
    return times


def fsync_directories(repo: Repo, before: dict[Path, int]) -> None:
    """Flush the directories that changed since `before`, an earlier `directory_mtimes`."""
    within_ns = max(before.values(), default=0) - int(_TICK_S * 1e9)
    times = directory_mtimes(repo).items()
    fsync_all([path for path, time in times if before.get(path) != time or time >= within_ns])


def fsync_refs(repo: Repo, refs: Iterable[str]) -> None:
    """Flush the directories of loose refs."""
    folders = dict.fromkeys(above for ref in refs for above in PurePosixPath(ref).parents)
    fsync_all([repo.common_dir / folder for folder in folders if folder.name])


def fsync_all(paths: Sequence[Path | str]) -> None:
    """Flush many paths in parallel: a journaling file system joins several into one commit."""
    if len(paths) >= _MANY:
        with suppress(RuntimeError):  # Python starts no new threads while it shuts down
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_MANY) as pool:
                list(pool.map(fsync_path, paths))
            return
    for path in paths:
        fsync_path(path)


_MANY = 16


def fsync_path(path: Path | str) -> None:
    """Flush a file, or the entries of a directory, to the disk. Skip a path that cannot be opened.

    Raises `CommandFailed` when the disk reports lost data, or when the process has no file
    descriptor or memory left to open the path.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in _FULL:
            raise CommandFailed(("fsync", str(path)), -1, str(error.strerror)) from error
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in _LOST:
            raise CommandFailed(("fsync", str(path)), -1, str(error.strerror)) from error
    finally:
        os.close(handle)


_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of `open` for a lack of resources; the file may exist."""

_LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
"""Errors of `fsync` for lost data. Other errors mean that the path does not support fsync."""
