"""Find the files that a run wrote, by bounded directory scans before and after it.

Never follows links. Notes only names that a framework could have written, so that a directory of
a million images costs little.
"""

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.system import clock

MAX_ENTRIES: Final = 100_000
MAX_DEPTH: Final = 12
SECONDS: Final = 2.0
"""Limits of one scan."""
TAIL_BYTES: Final = 64
MAX_TAILS: Final = 2_000

ROW_SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".log", ".txt")
"""Logs that grow by rows, possibly over several runs."""
_SUFFIXES: Final = frozenset([*ROW_SUFFIXES, ".json", ".wandb", ".db", ".sqlite", ".sqlite3"])
_NAMES: Final = frozenset(["hparams.yaml", "args.yaml", "params.yaml", "meta.yaml"])

DEFAULT_DIRECTORIES: Final = (
    *("lightning_logs", "tb_logs", "runs", "logs", "outputs", "output", "results", "mlruns"),
    *("wandb", "dvclive", "checkpoints", "catboost_info", "multirun", ".benchmarks", "target"),
)
"""Default directories of frameworks; also scanned at the top of the work tree."""
_SKIPPED: Final = frozenset(["node_modules", "__pycache__", "site-packages", "venv", "virtualenv"])
_SHOWN: Final = frozenset([".benchmarks"])
"""Hidden directories that are scanned."""
_MARKS_OF_OTHERS: Final = frozenset(["pyvenv.cfg", "conda-meta", ".git"])
"""Entries of environments and other work trees; subdirectories with one are skipped."""


class Mark(NamedTuple):
    """State of a file during a scan."""

    modified_ns: int
    size: int
    inode: int
    tail: bytes | None = None
    """The last bytes of a log of rows; `None` when they were not read."""


@dataclass(slots=True)
class Look:
    """Result of one scan."""

    files: dict[str, Mark] = field(default_factory=dict)
    """By absolute path."""
    is_whole: bool = True
    """False when a limit ended the scan early."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file that the run wrote."""

    path: Path
    kept_bytes: int = 0
    """Bytes at the beginning that earlier runs wrote."""
    is_new: bool = True
    """False when a file of that name existed before."""


def look(directory: Path, top: Path, *, seconds: float = SECONDS, with_tails: bool = False) -> Look:
    """Scan the run's directory, and the default directories below `top`.

    Never raises; skips what it cannot list.
    """
    found = Look()
    end_s = clock.monotonic_s() + seconds
    queue = deque(_roots(directory, top))
    entries = 0
    while queue:
        path, depth = queue.popleft()
        if entries > MAX_ENTRIES or clock.monotonic_s() > end_s:
            found.is_whole = False
            return found
        files, below, count = _listed(path, is_first=depth <= 0)
        entries += count
        for name in files:
            _note(found, os.path.join(path, name), with_tails=with_tails)  # noqa: PTH118
        if depth < 0:
            continue  # at the top, only its files count
        if depth == MAX_DEPTH and below:
            found.is_whole = False
            continue
        queue += [(inner, depth + 1) for inner in below]
    return found


def _roots(directory: Path, top: Path) -> Iterator[tuple[str, int]]:
    yield str(directory), 0
    if directory != top and directory.is_relative_to(top):
        yield str(top), -1
        for name in DEFAULT_DIRECTORIES:
            path = top / name
            if path == directory or directory.is_relative_to(path) or path.is_symlink():
                continue
            if path.is_dir():
                yield from ((inner, 1) for inner in _inside(str(top), name))


def _inside(path: str, name: str) -> Iterator[str]:
    """Yield the directory `name` in `path`; of Cargo's `target` only criterion's part."""
    full = os.path.join(path, name)  # noqa: PTH118
    if name != "target":
        yield full
        return
    full = os.path.join(full, "criterion")  # noqa: PTH118
    if os.path.isdir(full) and not os.path.islink(full):  # noqa: PTH112, PTH114
        yield full


def _listed(path: str, *, is_first: bool) -> tuple[list[str], list[str], int]:
    """Return names of files that may count, paths of directories, and the number of entries."""
    files: list[str] = []
    below: list[str] = []
    count = 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                count += 1
                name = entry.name
                if not is_first and name in _MARKS_OF_OTHERS:
                    return [], [], count
                if count > MAX_ENTRIES:
                    break
                if entry.is_dir(follow_symlinks=False):
                    if name not in _SKIPPED and (name[0] != "." or name in _SHOWN):
                        below += _inside(path, name)
                elif _may_count(name):
                    files.append(name)
    except OSError:
        pass
    return files, below, count


def _may_count(name: str) -> bool:
    _, dot, suffix = name.rpartition(".")
    return dot + suffix.lower() in _SUFFIXES or name in _NAMES or "tfevents" in name


def _note(found: Look, path: str, *, with_tails: bool) -> None:
    try:
        state = os.lstat(path)
    except OSError:
        return
    if not stat.S_ISREG(state.st_mode):
        return
    tail = None
    if (
        with_tails
        and state.st_size
        and path.endswith(ROW_SUFFIXES)
        and len(found.files) < MAX_TAILS
    ):
        tail = _tail(path, state.st_size)
    found.files[path] = Mark(state.st_mtime_ns, state.st_size, state.st_ino, tail)


def _tail(path: str, size: int) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        count = min(TAIL_BYTES, size)
        return os.pread(fd, count, size - count)
    except OSError:
        return None
    finally:
        os.close(fd)


# --- before and after -----------------------------------------------------------------------------


def written_between(before: Look, after: Look, since_ns: int) -> tuple[list[Written], list[Path]]:
    """Return the created and changed files by path, and row logs whose new part is unknown.

    `since_ns` is the start of the run by the clock of the file system. It decides about files that
    an incomplete scan before the run may have missed.
    """
    written: list[Written] = []
    unknown: list[Path] = []
    for path, now in sorted(after.files.items()):
        was = before.files.get(path)
        if was is None:
            if before.is_whole:
                written.append(Written(Path(path)))
            elif now.modified_ns >= since_ns:
                rows = path.endswith(ROW_SUFFIXES)
                (unknown.append(Path(path)) if rows else written.append(Written(Path(path))))
            continue
        if was[:3] == now[:3]:
            continue
        grew = now.inode == was.inode and now.size > was.size > 0
        if not grew or not path.endswith(ROW_SUFFIXES):
            written.append(Written(Path(path), is_new=False))
        elif was.tail is None:
            unknown.append(Path(path))
        else:
            same = _tail(path, was.size) == was.tail
            written.append(Written(Path(path), was.size if same else 0, is_new=False))
    return written, unknown
