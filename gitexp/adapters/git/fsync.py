"""Durability: git syncs the files that it writes, we sync the folders that name them, and our own.

What each promise means is in `docs/reliability.md`.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed

_WRITTEN_BACK_S = 60.0
"""By then the kernel has written a file back by itself; its own limits are 30 s and 5 s."""

_TICK_S = 0.1
"""A file system's clock may stand still for up to 10 ms; what falls into it counts as changed."""


def sync_recent(repo: Repo, *refs: str) -> None:
    """Flush what others, above all the user's own git, wrote without syncing it.

    A record must not outlive the code that it names. `refs` are loose refs to flush as well. Costs
    nothing to speak of where nothing is new.
    """
    times = folder_times(repo)
    objects = repo.common_dir / "objects"
    fans = {folder: time for folder, time in times.items() if folder.parent == objects}
    since_ns = max(fans.values(), default=0) - int(_WRITTEN_BACK_S * 1e9)
    recent = [folder for folder, time in fans.items() if time >= since_ns]
    files = [repo.common_dir / ref for ref in refs]
    for folder in recent:
        with os.scandir(folder) as entries:
            files += [Path(entry.path) for entry in entries if _changed_ns(entry) >= since_ns]
    sync_all(files)
    sync_all([*recent, *{(repo.common_dir / ref).parent for ref in refs}])


def _changed_ns(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_mtime_ns
    except OSError:
        return 0  # packed and gone meanwhile


def _folders(repo: Repo) -> list[Path]:
    objects = repo.common_dir / "objects"
    fans = [Path(entry.path) for entry in os.scandir(objects) if len(entry.name) == 2]
    refs = repo.common_dir / "refs"
    ours = [refs / "gitexp", refs / "gitexp" / "pending"]
    return [objects, objects / "pack", *fans, refs, refs / "heads", *ours]


def folder_times(repo: Repo) -> dict[Path, int]:
    """When each folder that may be written to was last changed, in nanoseconds."""
    times = {}
    for folder in _folders(repo):
        try:
            times[folder] = folder.stat().st_mtime_ns
        except OSError:
            continue
    return times


def sync_folders(repo: Repo, before: dict[Path, int]) -> None:
    """Flush the folders that changed since."""
    within_ns = max(before.values(), default=0) - int(_TICK_S * 1e9)
    times = folder_times(repo).items()
    sync_all([path for path, time in times if before.get(path) != time or time >= within_ns])


def sync_refs(repo: Repo, refs: Iterable[str]) -> None:
    """Flush the folders of loose refs."""
    folders = dict.fromkeys(above for ref in refs for above in PurePosixPath(ref).parents)
    sync_all([repo.common_dir / folder for folder in folders if folder.name])


def sync_all(paths: Sequence[Path | str]) -> None:
    """Flush many at once: a journaling file system then needs one commit for several."""
    if len(paths) >= _MANY:
        with suppress(RuntimeError):  # there are no new threads while Python ends
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_MANY) as pool:
                list(pool.map(sync_path, paths))
            return
    for path in paths:
        sync_path(path)


_MANY = 16


def sync_path(path: Path | str) -> None:
    """Flush a file, or a folder's entries, to the disk; what cannot be opened is left alone.

    Raises `CommandFailed` when the disk says that it could not keep it, or we have no room to ask.
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
"""Why a file that is there cannot be opened now."""

_LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
"""What an fsync says when something is not on the disk; others say that it cannot sync at all."""
