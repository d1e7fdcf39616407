"""Pipes that hold more than the system gives them."""

from contextlib import suppress
from typing import IO

_AHEAD_BYTES = 1 << 20
"""The most that Linux gives to everybody."""


def widen(pipe: IO[bytes] | None) -> None:
    """Let who writes get further ahead of who reads, where that can be had: of Linux."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe or -1, fcntl.F_SETPIPE_SZ, _AHEAD_BYTES)
