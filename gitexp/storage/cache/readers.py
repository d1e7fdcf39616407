"""Read a large branch with several processes: this one writes to SQLite, the others parse records.

The module is also the program of a reading process, `python -m gitexp.storage.cache.readers`. If
such a process fails, this process reads its share.
"""

import gc
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from gitexp.adapters.git.pipes import widen
from gitexp.adapters.git.process import stop
from gitexp.adapters.git.repository import Repo
from gitexp.storage.cache.bulk import packed_rows_of
from gitexp.storage.cache.listing import cut, group
from gitexp.storage.cache.rows import Group, Listed, Rows, read_files

if TYPE_CHECKING:
    from subprocess import Popen  # noqa: TID251 - the type only

MANY: Final = 5000
"""Number of files from which starting several Python processes saves time."""

MOST: Final = 6
"""Maximum number of processes: more would wait for the process that writes."""

RowsOf: TypeAlias = Callable[[Iterable[Group]], Rows]
"""Function that derives the rows of runs; pickle requires a function of a module."""


class Readers:
    """The reading processes, as a context manager that stops them at its end.

    Each process receives the listing of its own share.
    """

    def __init__(self, repo: Repo, rows_of: RowsOf = packed_rows_of) -> None:
        self._repo = repo
        self._rows_of = rows_of
        self._started: list[Popen[bytes] | None] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for reader in self._started:
            if reader is not None:
                stop(reader)

    def expect(self, files: int) -> None:
        """Start the processes if at least `MANY` files will be read.

        They load Python while this process still receives the listing.
        """
        if files >= MANY and not self._started:
            count = min(_processors(), MOST)
            self._started = [_start(self._repo) for _ in range(count if count > 1 else 0)]

    def read(self, lines: Sequence[str], batch: int) -> tuple[int, Iterator[Rows]]:
        """Return the number of runs in the lines of a listing, and an iterator over their rows.

        Each step yields the rows of `batch` runs. The order of runs is not defined.
        """
        self.expect(len(lines))
        readers = self._started or [None]
        shares = [
            _Share(self._repo, reader, "\0".join(share), batch, self._rows_of)
            for reader, share in zip(readers, cut(lines, len(readers)), strict=False)
        ]
        return sum(share.count for share in shares), _by_turns([share.rows() for share in shares])


def _by_turns(sources: list[Iterator[Rows]]) -> Iterator[Rows]:
    while sources:
        for source in list(sources):
            rows = next(source, None)
            if rows is None:
                sources.remove(source)
            else:
                yield rows


class _Share:
    """Share of one process; this process reads it if there is no such process or it fails."""

    def __init__(
        self, repo: Repo, reader: "Popen[bytes] | None", lines: str, batch: int, rows_of: RowsOf
    ) -> None:
        self._repo = repo
        self._reader = reader
        self._lines = lines
        self._batch = batch
        self._rows_of = rows_of
        self._give()

    @cached_property
    def count(self) -> int:
        """Number of runs."""
        told = self._receive()
        return len(self._listed) if told is None else told

    def rows(self) -> Iterator[Rows]:
        """Yield the rows of `batch` runs at a time."""
        done = 0
        while done < self.count and (rows := self._receive()) is not None:
            yield rows
            done += self._batch
        if done < self.count:
            yield from _read(self._repo, self._listed[done:], self._batch, self._rows_of)

    @cached_property
    def _listed(self) -> list[Listed]:
        return group(self._lines.split("\0"))

    def _give(self) -> None:
        """Send the process its share. If it died, `_receive` finds out."""
        if self._reader is None or self._reader.stdin is None:
            return
        work = self._repo, self._lines, self._batch, self._rows_of
        with suppress(OSError):
            pickle.dump(work, self._reader.stdin, pickle.HIGHEST_PROTOCOL)
            self._reader.stdin.close()

    def _receive(self) -> Any:
        """Return the next object from the process; always `None` after it failed."""
        if self._reader is None or self._reader.stdout is None:
            return None
        try:
            return pickle.load(self._reader.stdout)  # noqa: S301 - from our own child
        except (OSError, EOFError, ValueError, LookupError, pickle.UnpicklingError):
            stop(self._reader)
            self._reader = None
            return None


def _read(repo: Repo, listed: Sequence[Listed], batch: int, rows_of: RowsOf) -> Iterator[Rows]:
    """Yield the rows of `batch` runs at a time.

    One git process reads all objects, so that it unpacks none twice.
    """
    groups = read_files(repo, listed)
    for _ in range(0, len(listed), batch):
        yield rows_of(islice(groups, batch))


def _processors() -> int:
    """Return the number of usable processors; 1 if `sys.executable` is not a Python to start."""
    if getattr(sys, "frozen", False) or "python" not in os.path.basename(sys.executable).lower():  # noqa: PTH119
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(repo: Repo) -> "Popen[bytes] | None":
    """Start a process. Return `None` if that fails."""
    try:
        reader = repo.launcher.open_python(__name__)
    except OSError:
        return None
    widen(reader.stdout)
    return reader


def main() -> None:
    """Read a share from stdin; write the number of its runs, then their rows, to stdout."""
    gc.disable()  # as in `fill`
    repo, lines, batch, rows_of = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    listed = group(lines.split("\0"))
    for told in chain([len(listed)], _read(repo, listed, batch, rows_of)):
        pickle.dump(told, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
