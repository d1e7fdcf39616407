"""Room kept in a journal for its last lines, so that they fit when the disk is full.

Blanks behind the first line. They are written over in place, for which most file systems need no
more space; those that never write in place (btrfs, zfs) may refuse all the same.
"""

from pathlib import Path

SIZE_BYTES = 16 << 10
"""Enough for how a command ended and, but for unusual ones, for its record."""


def make_room() -> bytes:
    """What to write behind the first line."""
    return b" " * (SIZE_BYTES - 1) + b"\n"


def fill_room(path: Path, line: bytes) -> bool:
    """Write a line over blanks that are left. False when it does not fit, or none were kept.

    For one process at a time. Raises `OSError`.
    """
    with path.open("r+b") as file:
        start = len(file.readline())
        room = file.read(SIZE_BYTES)
        used = room.rfind(b"\n", 0, -1) + 1
        left = room[used:-1]
        if len(room) < SIZE_BYTES or left.strip(b" ") or len(line) > len(left):
            return False
        file.seek(start + used)
        file.write(line)
    return True
