"""Pipes with a larger buffer than the system's default."""

from contextlib import suppress
from typing import IO

_AHEAD_BYTES = 1 << 20
"""Linux allows every user this size (`/proc/sys/fs/pipe-max-size`)."""


def widen(pipe: IO[bytes] | None) -> None:
    """Enlarge the buffer of a pipe on Linux; no-op on other systems."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe or -1, fcntl.F_SETPIPE_SZ, _AHEAD_BYTES)
