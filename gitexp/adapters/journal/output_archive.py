"""All that a run printed, kept in the git directory: the first and the last megabytes of it.

It is a convenience, not a record: a failing disk loses it and stops nothing.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 5 << 20
TAIL_BYTES: Final = 5 << 20
"""What is kept of the beginning and of the end of longer output."""
MAX_BYTES: Final = 4 * (HEAD_BYTES + TAIL_BYTES)
"""What a file of kept output may have at most; bytes that are no text grow when redacted."""
MAX_AGE_S: Final = 90 * 86400.0
"""Older output is removed by `git exp gc`."""
MAX_TOTAL_BYTES: Final = 1 << 30
"""When all kept output is larger, `git exp gc` removes the oldest."""

_MAX_UNFINISHED: Final = 1 << 16
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_TRUNC
_LEFT_OUT: Final = "[gitexp left out {:,} bytes of output here]"


class KeptOutput:
    """Takes in output of any size; the file of a running command is raw, then it is redacted."""

    def __init__(
        self, path: Path, *, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES
    ) -> None:
        """`path` is where the redacted text will be; the directory is made when needed."""
        self.path = path
        self._raw = raw_path(path)
        self._head, self._tail = head_bytes, tail_bytes
        self._written = 0
        self._unfinished: dict[str, bytes] = {}
        self._fd: int | None = None
        self._failed = False

    def feed(self, chunk: bytes, stream: str = "stdout") -> None:
        """Take in what was printed next on a stream; lines of several streams stay whole."""
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
        """Write the redacted text in place of the raw one; returns it. Never raises `OSError`."""
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
        """Pieces of what comes after the head, and their places: the end overwrites itself."""
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
    """Head and tail with a line between them that tells how much is missing; whole lines only."""
    first = head.rpartition(b"\n")[0] or head
    last = tail.partition(b"\n")[2] or tail
    left_out += len(head) - len(first) + len(tail) - len(last)
    gap = _LEFT_OUT.format(left_out)
    return f"{first.decode(errors='replace')}\n{gap}\n{last.decode(errors='replace')}"


def raw_path(path: Path) -> Path:
    """Where the output is while its command runs."""
    return path.with_suffix(".raw")


def write_text(path: Path, text: str) -> None:
    """Write kept output whole or not at all. Raises `OSError`."""
    aside = path.with_suffix(".new")
    fd = os.open(aside, _OPEN, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(text.encode(errors="replace"))
    aside.replace(path)


def finish_abandoned(path: Path, redact: Callable[[str], str]) -> None:
    """Redact the output of a command whose `git exp run` was killed.

    Of output that went on beyond the first and last megabytes only the first are whole.
    """
    raw = raw_path(path)
    with contextlib.suppress(OSError):
        data = raw.read_bytes()
        if len(data) >= HEAD_BYTES + TAIL_BYTES:
            data = data[:HEAD_BYTES].rpartition(b"\n")[0] + b"\n[gitexp lost the rest]\n"
        write_text(path, redact(data.decode(errors="replace")))
        raw.unlink()


def read_output(path: Path) -> str | None:
    """The kept text; `None` when there is none."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return None


def discard_output(path: Path) -> None:
    """Delete kept output; harmless when repeated."""
    for each in (path, raw_path(path), path.with_suffix(".new")):
        with contextlib.suppress(OSError):
            each.unlink(missing_ok=True)


def find_old_output(directory: Path, now_s: float) -> list[Path]:
    """Files that are too old, then the oldest until the others are small enough together."""
    files: list[tuple[float, int, Path]] = []
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
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
    """The lines of kept output, those drawn over each other among them."""
    return _LINE_END.split(text)
