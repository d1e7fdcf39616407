"""Removal of git's stale locks.

A `*.lock` file of git that outlives its process blocks every later record. `clear_stale_lock` moves
it aside if no process can hold it. In doubt, the lock counts as held.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gitexp.adapters.system import clock
from gitexp.adapters.system.processes import has_open
from gitexp.core.model.frozen import frozen

MIN_STALE_AGE_S = 10.0
"""Git holds a ref lock for milliseconds; younger locks are never touched."""

_SECOND_LOOK_S = 0.1


@frozen
class LockFile:
    """A `*.lock` file of git."""

    path: Path
    age_s: float
    """Seconds since it was created, on the clock of the file system."""
    holder: str | None = None
    """The possible holder, or `unknown` with the reason; absent when no process can hold it."""
    moved_to: Path | None = None
    """New path of the stale lock; absent when it was left in place."""


def clear_stale_lock(path: Path) -> LockFile | None:
    """Move a stale lock of git aside. Return `None` when there is no lock file (any more).

    The caller must hold gitexp's lock. A lock is stale when all of these hold: it is older than
    `MIN_STALE_AGE_S`; it is the same file at a second look; no local process has it open; no git
    works in this repository, since git closes a lock file long before it removes it; and no other
    machine can write to the disk. Never raises for the state of the disk.
    """
    try:
        first = path.lstat()
        common_dir = _common_dir(next(_git_dirs_above(path.parent)))
        aside = common_dir / "gitexp" / "dead-locks"
        aside.mkdir(parents=True, exist_ok=True)
        os.utime(aside)
        # The clock of the file system may differ from ours.
        age_s = aside.stat().st_mtime - first.st_mtime
    except FileNotFoundError:
        return None
    except (OSError, StopIteration) as error:
        return LockFile(path, 0.0, f"unknown ({error})")
    moved_to = None
    try:
        holder = _find_holder(path, first, age_s, common_dir)
        if holder is None:
            clock.sleep(_SECOND_LOOK_S)
            moved_to = _move_aside(path, first, aside)
            holder = None if moved_to else "a process that changed it just now"
    except FileNotFoundError:
        return None
    except OSError as error:
        holder = f"unknown ({error.strerror})"
    return LockFile(path, age_s, holder, moved_to)


def _trace(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _move_aside(path: Path, expected: os.stat_result, folder: Path) -> Path | None:
    """Check the lock again, rename it, and check the result: put a live lock back."""
    if _trace(path.lstat()) != _trace(expected):
        return None
    aside = folder / f"{path.name}.{clock.new_id()}"
    path.rename(aside)
    if _trace(aside.lstat()) == _trace(expected):
        return aside
    with contextlib.suppress(FileExistsError):
        os.link(aside, path)
    aside.unlink()
    return None


def _find_holder(path: Path, found: os.stat_result, age_s: float, common_dir: Path) -> str | None:
    """Return the possible holder. An unknown state counts as a holder."""
    if age_s < MIN_STALE_AGE_S:
        return "the process that made it a moment ago"
    if not Path("/proc/self/fd").is_dir():
        return "unknown: this system does not tell who has a file open"
    kind = _file_system(path)
    if kind is None or kind.startswith(_SHARED):
        return (
            f"unknown: other machines may write to this file system ({kind or 'of no known kind'})"
        )
    for process in _processes(found.st_uid):
        try:
            name = (process / "comm").read_text(errors="replace").strip()
            if _may_hold(process, name, path, found, common_dir):
                return f"{name} (process {process.name})"
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended; a live lock would have ended with it
    return None


def _processes(owner: int) -> list[Path]:
    """Return the processes that may have created a file of this owner, except this one."""
    found = []
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if entry.stat().st_uid == owner:
                        found.append(Path(entry.path))
    return found


def _may_hold(
    process: Path, name: str, path: Path, found: os.stat_result, common_dir: Path
) -> bool:
    argv = (process / "cmdline").read_bytes().split(b"\0")
    is_git = name.startswith("git") and name not in ("git-exp", "gitexp")
    if is_git and _subcommand(argv) in _LOCKLESS:
        return False
    try:
        return has_open(process, path, found) or (is_git and _works_in(process, argv, common_dir))
    except PermissionError:
        # Init and other privileged processes hide their files from all users; git never does.
        return is_git


_LOCKLESS = (b"cat-file", b"fsmonitor--daemon", b"credential-cache--daemon", b"daemon", b"exp")
"""Git commands that may run for days and lock nothing; `git exp` waits for the run."""

_WITH_VALUE = (b"-C", b"-c", b"--git-dir", b"--work-tree", b"--namespace", b"--config-env")


def _works_in(process: Path, argv: list[bytes], common_dir: Path) -> bool:
    """Return whether a git process works in this repository."""
    directory = (process / "cwd").readlink()
    given = _given_git_dir(argv, (process / "environ").read_bytes().split(b"\0"))
    found = [directory / os.fsdecode(given)] if given else _git_dirs_above(directory)
    return any(_is_same(_common_dir(git_dir), common_dir) for git_dir in found)


def _subcommand(argv: list[bytes]) -> bytes | None:
    words = iter(argv[1:])
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith(b"-"):
            return word
    return None


def _given_git_dir(argv: list[bytes], environ: list[bytes]) -> bytes | None:
    for word, following in zip(argv, [*argv[1:], b""], strict=True):
        if word == b"--git-dir":
            return following
        if word.startswith(b"--git-dir="):
            return word.partition(b"=")[2]
    return next((entry[8:] for entry in environ if entry.startswith(b"GIT_DIR=")), None)


def _git_dirs_above(folder: Path) -> Iterator[Path]:
    """Yield every directory that git, started here, may take for its git directory."""
    for place in (folder, *folder.parents):
        marker = place / ".git"
        if marker.is_file():
            yield place / marker.read_text(errors="surrogateescape")[len("gitdir:") :].strip()
        elif marker.is_dir():
            yield marker
        elif (place / "HEAD").is_file() or (place / "commondir").is_file():
            yield place


def _common_dir(git_dir: Path) -> Path:
    link = git_dir / "commondir"
    return git_dir / link.read_text().strip() if link.is_file() else git_dir


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and one.samefile(other)


_SHARED = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "fakeowner", "fuse.", "glusterfs", "gpfs", "lustre"),
    *("ncpfs", "nfs", "ocfs2", "prl_fs", "smb", "vboxsf", "virtiofs"),
)
"""Prefixes of the names of file systems that other machines may write to."""


def _file_system(path: Path) -> str | None:
    """Return the kernel's name of the file system that holds a path."""
    best, kind = "", None
    place = f"{path.resolve()}/"
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        mount, _, source = line.partition(" - ")
        point = mount.split(" ")[4].replace("\\040", " ").rstrip("/") + "/"
        if place.startswith(point) and len(point) >= len(best):
            best, kind = point, source.split(" ")[0]
    return kind
