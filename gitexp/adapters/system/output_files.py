"""The files that receive gitexp's own output: `> log.txt`, or through `| tee log.txt`.

A file is identified by device and inode, because the shell may have opened it by any name.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import TypeAlias

Identity: TypeAlias = tuple[int, int]
"""Device and inode."""

_WRITING = os.O_WRONLY | os.O_RDWR


def output_files() -> set[Identity]:
    """Return the files behind standard output and standard error.

    For a pipe, return the files that its readers in the same pipeline write. This needs `/proc`.
    """
    files: set[Identity] = set()
    pipes: set[Identity] = set()
    for fd in (1, 2):
        with contextlib.suppress(OSError):
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode):
                files.add((found.st_dev, found.st_ino))
            elif stat.S_ISFIFO(found.st_mode):
                pipes.add((found.st_dev, found.st_ino))
    return files | (_behind(pipes) if pipes else set())


def _behind(pipes: set[Identity]) -> set[Identity]:
    """Return the regular files that the pipes' readers in our process group have open to write."""
    files: set[Identity] = set()
    group = os.getpgrp()
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError, ValueError):
                    fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                    if int(fields[2]) == group:
                        reads, writes = _open_files(Path(entry.path))
                        files |= writes if pipes & reads else set()
    return files


def _open_files(process: Path) -> tuple[set[Identity], set[Identity]]:
    """Return the pipes that a process reads and the regular files that it may write."""
    reads: set[Identity] = set()
    writes: set[Identity] = set()
    for name in os.listdir(process / "fd"):  # noqa: PTH208 - names only
        with contextlib.suppress(OSError, ValueError, IndexError):
            found = (process / "fd" / name).stat()
            text = (process / "fdinfo" / name).read_text().partition("flags:")[2]
            is_writer = bool(int(text.split()[0], 8) & _WRITING)
            if stat.S_ISFIFO(found.st_mode) and not is_writer:
                reads.add((found.st_dev, found.st_ino))
            elif stat.S_ISREG(found.st_mode) and is_writer:
                writes.add((found.st_dev, found.st_ino))
    return reads, writes
