"""Space reserved in a journal for its last lines, so that they fit on a full disk.

Spaces after the first line are overwritten in place. Most file systems need no new space for that;
those that never write in place (btrfs, zfs) may still fail.
"""

from pathlib import Path

SIZE_BYTES = 16 << 10
"""Enough for the end of the command and, except for unusual ones, for its record."""


def make_room() -> bytes:
    """Return the bytes to write after the first line."""
    return b" " * (SIZE_BYTES - 1) + b"\n"


def fill_room(path: Path, line: bytes) -> bool:
    """Overwrite reserved space with a line. Return False if it does not fit or none is reserved.

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
