"""The output of a run, kept in the git directory: its first and last megabytes.

Kept output is a convenience, not part of the record: a failing disk loses it without an error.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 5 << 20
TAIL_BYTES: Final = 5 << 20
"""Bytes kept of the start and of the end of longer output."""
MAX_BYTES: Final = 4 * (HEAD_BYTES + TAIL_BYTES)
"""Limit of a file of kept output; bytes that are no UTF-8 text grow when redacted."""
MAX_AGE_S: Final = 90 * 86400.0
"""`git exp gc` deletes older output."""
MAX_TOTAL_BYTES: Final = 1 << 30
"""Above this total `git exp gc` deletes the oldest output."""

_MAX_UNFINISHED: Final = 1 << 16
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_TRUNC
_LEFT_OUT: Final = "[gitexp left out {:,} bytes of output here]"


class KeptOutput:
    """Output of a running command, written to a raw file and redacted at its end."""

    def __init__(
        self, path: Path, *, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES
    ) -> None:
        """`path` is the file for the redacted text; its directory is created when needed."""
        self.path = path
        self._raw = raw_path(path)
        self._head, self._tail = head_bytes, tail_bytes
        self._written = 0
        self._unfinished: dict[str, bytes] = {}
        self._fd: int | None = None
        self._failed = False

    def feed(self, chunk: bytes, stream: str = "stdout") -> None:
        """Add output of a stream; lines of different streams are not mixed."""
        head, newline, rest = chunk.rpartition(b"\n")
        held = self._unfinished.pop(stream, b"")
        if newline:
            self._write(held + head + newline)
            held = b""
        if len(held) + len(rest) > _MAX_UNFINISHED:
            self._write(held + rest)
        elif held or rest:
            self._unfinished[stream] = held + rest

    def finish(self, redact: Callable[[str], str]) -> str:
        """Replace the raw file by the redacted text and return the text. Never raises `OSError`."""
        for rest in self._unfinished.values():
            self._write(rest)
        self._unfinished = {}
        text = ""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                text = redact(self._text())
                write_text(self.path, text)
            os.close(self._fd)
            self._fd = None
        with contextlib.suppress(OSError):
            self._raw.unlink(missing_ok=True)
        return text

    def _write(self, data: bytes) -> None:
        if self._failed or not data:
            return
        try:
            if self._fd is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self._raw, _OPEN, 0o600)
            first = data[: max(0, self._head - self._written)]
            if first:
                os.pwrite(self._fd, first, self._written)
            self._written += len(first)
            for piece, place in self._ring(data[len(first) :]):
                os.pwrite(self._fd, piece, place)
        except OSError:
            self._failed = True

    def _ring(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield pieces of the output after the head with their offsets, in a ring buffer."""
        skipped = max(0, len(data) - self._tail)
        self._written += skipped
        left = memoryview(data)[skipped:]
        while left:
            at = (self._written - self._head) % self._tail
            piece = left[: self._tail - at]
            yield bytes(piece), self._head + at
            self._written += len(piece)
            left = left[len(piece) :]

    def _text(self) -> str:
        fd = self._fd
        if fd is None:
            return ""
        head = os.pread(fd, self._head, 0)
        beyond = self._written - self._head
        if beyond <= 0:
            return head.decode(errors="replace")
        ring = os.pread(fd, self._tail, self._head)
        if beyond <= self._tail:
            return (head + ring).decode(errors="replace")
        at = beyond % self._tail
        return _joined(head, ring[at:] + ring[:at], beyond - self._tail)


def _joined(head: bytes, tail: bytes, left_out: int) -> str:
    """Join head and tail, whole lines only, by a line with the number of bytes left out."""
    first = head.rpartition(b"\n")[0] or head
    last = tail.partition(b"\n")[2] or tail
    left_out += len(head) - len(first) + len(tail) - len(last)
    gap = _LEFT_OUT.format(left_out)
    return f"{first.decode(errors='replace')}\n{gap}\n{last.decode(errors='replace')}"


def raw_path(path: Path) -> Path:
    """Return the path of the raw output of a running command."""
    return path.with_suffix(".raw")


def write_text(path: Path, text: str) -> None:
    """Write kept output atomically. Raises `OSError`."""
    aside = path.with_suffix(".new")
    fd = os.open(aside, _OPEN, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(text.encode(errors="replace"))
    aside.replace(path)


def finish_abandoned(path: Path, redact: Callable[[str], str]) -> None:
    """Redact the output of a command whose `git exp run` was killed.

    When the output exceeds the limits, keep only its first megabytes: the rest is in no order.
    """
    raw = raw_path(path)
    with contextlib.suppress(OSError):
        data = raw.read_bytes()
        if len(data) >= HEAD_BYTES + TAIL_BYTES:
            data = data[:HEAD_BYTES].rpartition(b"\n")[0] + b"\n[gitexp lost the rest]\n"
        write_text(path, redact(data.decode(errors="replace")))
        raw.unlink()


def read_output(path: Path) -> str | None:
    """Return the kept text, `None` when there is none."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return None


def discard_output(path: Path) -> None:
    """Delete kept output. Harmless when repeated."""
    for each in (path, raw_path(path), path.with_suffix(".new")):
        with contextlib.suppress(OSError):
            each.unlink(missing_ok=True)


def _files_in(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def find_old_output(directory: Path, now_s: float) -> list[Path]:
    """Return the files that are too old, and the oldest of the others above the total limit."""
    files: list[tuple[float, int, Path]] = []
    for path in _files_in(directory):
        with contextlib.suppress(OSError):  # another process deleted it
            found = path.lstat()
            files.append((found.st_mtime, found.st_size, path))
    old, total = [], 0
    for changed_s, size, path in sorted(files, reverse=True):
        total += size
        if now_s - changed_s > MAX_AGE_S or total > MAX_TOTAL_BYTES:
            old.append(path)
    return old


_LINE_END: Final = re.compile(r"\r\n|\n|\r")


def lines_of(text: str) -> list[str]:
    """Split kept output into lines, also those that overwrite each other."""
    return _LINE_END.split(text)
