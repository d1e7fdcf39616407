"""Limits on reading what a program wrote: seconds, bytes, values; and safe reading of a file."""

import os
import stat
from pathlib import Path
from typing import Final

from gitexp.adapters.system import clock
from gitexp.core.errors import InvalidInput

SECONDS: Final = 5.0
"""Seconds for finding and reading all files of a run."""
MAX_FILE_BYTES: Final = 32 << 20
MAX_TOTAL_BYTES: Final = 96 << 20
MAX_VALUES: Final = 1_000_000
"""Most values of one file, or of one run of a tracker."""
_CHUNK: Final = 1 << 20


class OutOfBudget(Exception):
    """A limit was reached; the text names it. Not an `InvalidInput`, which readers skip."""


class Budget:
    """The remaining time and values. One budget serves all files of a run."""

    def __init__(
        self,
        seconds: float = SECONDS,
        *,
        file_bytes: int = MAX_FILE_BYTES,
        total_bytes: int = MAX_TOTAL_BYTES,
        values: int = MAX_VALUES,
    ) -> None:
        self._end_s = clock.monotonic_s() + seconds
        self._seconds = seconds
        self._file_bytes = file_bytes
        self._bytes_left = total_bytes
        self._values = values

    @property
    def is_over(self) -> bool:
        """True when the time is up."""
        return clock.monotonic_s() > self._end_s

    def tick(self, values: int = 0) -> None:
        """Raise `OutOfBudget` when the time is up or a file has too many values."""
        if values > self._values:
            raise OutOfBudget(f"too large: it has more than {self._values:,} values")
        if self.is_over:
            raise OutOfBudget(f"it takes longer than the {self._seconds:g} s for all files")

    def read(self, path: Path, *, max_bytes: int | None = None) -> bytes:
        """Read a regular file. Does not follow links or open pipes.

        Raises `OutOfBudget` when the file is too large, `InvalidInput` when it cannot be read.
        """
        self.tick()
        most = self._file_bytes if max_bytes is None else min(max_bytes, self._file_bytes)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidInput("cannot open it", why=error.strerror) from error
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise InvalidInput("it is not a regular file")
            if found.st_size > most:
                raise OutOfBudget(f"too large: {found.st_size:,} bytes, at most {most:,} are read")
            if found.st_size > self._bytes_left:
                raise OutOfBudget("too large: the limit of bytes for all files is reached")
            content = self._content(fd, found.st_size)
        except OSError as error:
            raise InvalidInput("cannot read it", why=error.strerror) from error
        finally:
            os.close(fd)
        self._bytes_left -= len(content)
        return content

    def _content(self, fd: int, size: int) -> bytes:
        """Read the first `size` bytes, so that a growing file does not delay the end."""
        pieces = []
        while size > 0 and (piece := os.read(fd, min(size, _CHUNK))):
            pieces.append(piece)
            size -= len(piece)
            self.tick()
        return b"".join(pieces)
