"""The tail of a run's output, on disk so that it survives its processes.

The file is `<run id>.output` beside the journal. Its loss loses no run, so a failing disk is never
an error here: the tail is still in memory.
"""

import contextlib
import os
import re
from pathlib import Path

LIMIT_BYTES = 16384

_ROTATE_AT = 16
"""The file may grow to this multiple of the limit before it is truncated."""

_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class OutputTail:
    """Keeps the end of output of any size, in memory and in a bounded file."""

    def __init__(self, path: Path | None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """`path` is the journal's or the output file's; `None` keeps the tail in memory only."""
        self._path = None if path is None else _output_path(path)
        self._limit = limit_bytes
        self._kept = bytearray()
        self._unfinished: dict[str, bytes] = {}
        self._fd: int | None = None
        self._in_file = 0
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self._path, _OPEN | os.O_TRUNC, 0o666)

    def feed(self, chunk: bytes, stream: str = "stdout") -> None:
        """Add output of a stream; never raises for a failing disk.

        Memory keeps the lines of different streams whole. The file has the chunks as they arrive:
        it is read only after a crash, which may cut a line anyway.
        """
        piece = chunk[-self._limit :]
        head, newline, rest = piece.rpartition(b"\n")
        if newline:
            self._kept += self._unfinished.pop(stream, b"") + head + newline
        self._unfinished[stream] = (self._unfinished.get(stream, b"") + rest)[-self._limit :]
        if len(self._kept) > 4 * self._limit:
            del self._kept[: -self._limit]
        if self._fd is None:
            return
        try:
            self._in_file += os.write(self._fd, piece)
            if self._in_file > _ROTATE_AT * self._limit:
                self._rotate()
        except OSError:
            self._close()

    def text(self, *, lines: int | None = None) -> str:
        """Return the tail as a screen shows it: without escape codes and overwritten lines.

        At most `limit_bytes` of UTF-8, and the last `lines` lines.
        """
        return _text(self._all(), self._limit, lines)

    def remove(self) -> None:
        """Delete the file. Harmless when repeated."""
        self._close()
        if self._path is not None:
            self.discard(self._path)

    @staticmethod
    def read(path: Path, *, lines: int | None = None, limit_bytes: int = LIMIT_BYTES) -> str:
        """Return the tail from the file beside a journal; empty when there is none."""
        try:
            with _output_path(path).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * limit_bytes))
                return _text(file.read(), limit_bytes, lines)
        except OSError:
            return ""

    @staticmethod
    def discard(path: Path) -> None:
        """Delete the file beside a journal. Harmless when repeated."""
        for suffix in (".output", ".output-new"):
            with contextlib.suppress(OSError):
                path.with_suffix(suffix).unlink(missing_ok=True)

    def _rotate(self) -> None:
        """Replace the long file by a short one; a reader finds one of the two, complete."""
        if self._path is None:
            return
        aside = self._path.with_suffix(".output-new")
        fd = os.open(aside, _OPEN | os.O_TRUNC, 0o666)
        old, self._fd = self._fd, fd
        if old is not None:
            os.close(old)
        self._in_file = os.write(fd, self._all()[-self._limit :])
        aside.replace(self._path)

    def _all(self) -> bytes:
        return bytes(self._kept) + b"\n".join(filter(None, self._unfinished.values()))

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _output_path(path: Path) -> Path:
    return path.with_suffix(".output")


_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor moves
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _text(kept: bytes, limit: int, lines: int | None) -> str:
    text = kept[-limit:].lstrip(bytes(range(0x80, 0xC0))).decode(errors="replace")
    text = _ESCAPES.sub("", text).replace("\r\n", "\n")
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    if lines is not None:
        cut = len(shown) - lines - (shown[-1] == "")
        shown = shown[max(0, cut) :]
    text = _CONTROLS.sub("\ufffd", "\n".join(shown))
    return text.encode()[-limit:].decode(errors="ignore")
