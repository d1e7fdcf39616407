"""SHA-256 of files, within limits, cached between processes by size, times and inode.

The cache is a plain file. If it is deleted or damaged, files are read again. A hash is cached only
when the file did not change within the last seconds, because a second change could leave the same
times.
"""

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from gitexp.adapters.system import clock
from gitexp.core.model.run import FileState

_BLOCK_BYTES: Final = 1 << 20
_SETTLED_NS: Final = 2_000_000_000
"""Minimum age of a file whose hash is cached."""
_MAX_REMEMBERED: Final = 20_000


class FileDigests:
    """Hashes files up to a limit of bytes and of seconds."""

    def __init__(self, memory: Path, *, max_bytes: int, max_seconds: float) -> None:
        self._memory = memory
        self._bytes_left = max_bytes
        self._deadline_s = clock.monotonic_s() + max_seconds
        self._known: dict[str, list[object]] | None = None
        self._is_changed = False

    def digest(self, path: Path, *, follow: bool = False) -> FileState | None:
        """Return size and hash of a file. For a link, hash its text, or with `follow` its target.

        Returns `None` when the file is unreadable, changes while it is read, or is no regular
        file, and when a limit is reached.
        """
        try:
            path = path.resolve(strict=True) if follow else path
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                target = os.fsencode(path.readlink())
                return FileState(sha256=hashlib.sha256(target).hexdigest(), bytes=len(target))
            if not stat.S_ISREG(found.st_mode):
                return None
            return self._digest_file(path, found)
        except (OSError, RuntimeError):  # RuntimeError: a link to itself
            return None

    def _digest_file(self, path: Path, found: os.stat_result) -> FileState | None:
        key, marks = os.fsdecode(path), _marks(found)
        known = self._load().get(key)
        if known is not None and known[:-1] == marks:
            return FileState(sha256=str(known[-1]), bytes=found.st_size)
        if found.st_size > self._bytes_left:
            return None
        self._bytes_left -= found.st_size
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                if clock.monotonic_s() > self._deadline_s:
                    return None
            if _marks(os.fstat(file.fileno())) != marks:
                return None
        age_ns = clock.file_time_ns() - max(found.st_mtime_ns, found.st_ctime_ns)
        if age_ns > _SETTLED_NS:
            self._load()[key] = [*marks, digest.hexdigest()]
            self._is_changed = True
        return FileState(sha256=digest.hexdigest(), bytes=found.st_size)

    def save(self) -> None:
        """Write the cache. Never raises: without a cache, files are read again."""
        if not self._is_changed:
            return
        recent = dict(list(self._load().items())[-_MAX_REMEMBERED:])
        text = json.dumps(recent)
        aside = self._memory.with_suffix(f".{os.getpid()}")
        with suppress(OSError, ValueError):
            aside.write_text(f"{_check(text)}\n{text}")
            aside.replace(self._memory)

    def _load(self) -> dict[str, list[object]]:
        if self._known is None:
            self._known = {}
            with suppress(OSError, ValueError):
                check, _, text = self._memory.read_text().partition("\n")
                if check == _check(text):
                    self._known = json.loads(text)
        return self._known


def _marks(found: os.stat_result) -> list[object]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


def _check(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
