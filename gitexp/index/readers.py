"""Reading a large branch with several processes: one waits for SQLite while others read records.

Floor 3. Also the program of such a process, `python -m gitexp.index.readers`. Whatever goes wrong
with it, its part is read here instead.
"""

import gc
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from gitexp.index.rows import Derived, Group, Rows, packed_rows_of, read_runs
from gitexp.repo import Repo

if TYPE_CHECKING:
    from subprocess import Popen  # noqa: TID251 - the type only

MANY: Final = 5000
"""From so many runs on, starting Python several times pays."""

MOST: Final = 6
"""More processes would wait for the one that writes."""


RowsOf: TypeAlias = Callable[[Iterable[Derived]], Rows]
"""Which rows of the runs are wanted; a function of a module, so that it can be named."""


def read_rows(
    repo: Repo, groups: Sequence[Group], batch: int, rows_of: RowsOf = packed_rows_of
) -> Iterator[Rows]:
    """The rows of the runs, so many runs at a time, in the order given."""
    parts = [groups[start : start + batch] for start in range(0, len(groups), batch)]
    count = min(_processors(), MOST) if len(groups) >= MANY else 1
    if count == 1:
        yield from _read(repo, parts, rows_of)
        return
    readers: list[Popen[bytes] | None] = []
    try:
        readers = [_start(repo, parts[n::count], rows_of) for n in range(count)]
        for n, part in enumerate(parts):
            yield _receive(readers, n % count) or next(_read(repo, [part], rows_of))
    finally:
        for reader in readers:
            _stop(reader)


def _read(repo: Repo, parts: Sequence[Sequence[Group]], rows_of: RowsOf) -> Iterator[Rows]:
    """The rows of each part; one git hands over all of them, so that it unpacks nothing twice."""
    derived = read_runs(repo, [group for part in parts for group in part])
    for part in parts:
        yield rows_of(islice(derived, len(part)))


def _processors() -> int:
    """How many processes can work at once; 1 where Python cannot be started again by its name."""
    if getattr(sys, "frozen", False) or "python" not in os.path.basename(sys.executable).lower():  # noqa: PTH119
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(repo: Repo, parts: Sequence[Sequence[Group]], rows_of: RowsOf) -> "Popen[bytes] | None":
    """Start a process and give it its parts; `None` when that is impossible."""
    with suppress(OSError):
        reader = repo.launcher.open_python(__name__)
        assert reader.stdin is not None  # noqa: S101 - opened with a pipe
        with suppress(OSError):  # it died; that there is no answer will say so
            pickle.dump((repo, parts, rows_of), reader.stdin, pickle.HIGHEST_PROTOCOL)
            reader.stdin.close()
        return reader
    return None


def _receive(readers: "list[Popen[bytes] | None]", number: int) -> Rows | None:
    """The next rows of a process; `None` from it for good once it failed."""
    reader = readers[number]
    if reader is None or reader.stdout is None:
        return None
    try:
        rows: Rows = pickle.load(reader.stdout)  # noqa: S301 - from our own child
    except (OSError, EOFError, ValueError, LookupError, pickle.UnpicklingError):
        _stop(reader)
        readers[number] = None
        return None
    return rows


def _stop(reader: "Popen[bytes] | None") -> None:
    if reader is None:
        return
    reader.kill()
    for stream in (reader.stdin, reader.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    reader.wait()


def main() -> None:
    """Read the parts named on standard input and write their rows to standard output."""
    gc.disable()  # as in `fill`
    repo, parts, rows_of = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    for rows in _read(repo, parts, rows_of):
        pickle.dump(rows, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
