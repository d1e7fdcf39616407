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
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Final, TypeAlias

from gitexp.index.bulk import packed_rows_of
from gitexp.index.rows import File, Group, Listed, Rows, read_files
from gitexp.repo import Repo
from gitexp.repo.launch import stop

if TYPE_CHECKING:
    from subprocess import Popen  # noqa: TID251 - the type only

MANY: Final = 5000
"""From so many runs on, starting Python several times pays."""

MOST: Final = 6
"""More processes would wait for the one that writes."""


_AHEAD_BYTES: Final = 1 << 20
"""So much a process may have read before it has to wait for the one that writes."""

RowsOf: TypeAlias = Callable[[Iterable[Group]], Rows]
"""Which rows of the runs are wanted; a function of a module, so that it can be named."""


def read_rows(
    repo: Repo, listed: Sequence[Listed], batch: int, rows_of: RowsOf = packed_rows_of
) -> Iterator[Rows]:
    """The rows of the runs, so many runs at a time, in any order.

    Each process has a share of its own of the order given: git unpacks neighbours quickest.
    """
    count = min(_processors(), MOST) if len(listed) >= MANY else 1
    shares = [_cut(share, batch) for share in _cut(listed, -(-len(listed) // count))]
    if count == 1:
        yield from chain.from_iterable(_read(repo, parts, rows_of) for parts in shares)
        return
    readers: list[Popen[bytes] | None] = []
    try:
        readers = [_start(repo) for _ in shares]
        for reader, parts in zip(readers, shares, strict=True):
            _give(reader, repo, parts, rows_of)
        for together in zip_longest(*shares):
            for n, part in enumerate(together):
                if part is not None:
                    yield _receive(readers, n) or next(_read(repo, [part], rows_of))
    finally:
        for reader in readers:
            if reader is not None:
                stop(reader)


def _cut(listed: Sequence[Listed], length: int) -> list[Sequence[Listed]]:
    return [listed[start : start + length] for start in range(0, len(listed), length or 1)]


def _read(repo: Repo, parts: Sequence[Sequence[Listed]], rows_of: RowsOf) -> Iterator[Rows]:
    """The rows of each part; one git hands over all of them, so that it unpacks nothing twice."""
    groups = read_files(repo, [listed for part in parts for listed in part])
    for part in parts:
        yield rows_of(islice(groups, len(part)))


def _processors() -> int:
    """How many processes can work at once; 1 where Python cannot be started again by its name."""
    if getattr(sys, "frozen", False) or "python" not in os.path.basename(sys.executable).lower():  # noqa: PTH119
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(repo: Repo) -> "Popen[bytes] | None":
    """Start a process; `None` when that is impossible."""
    try:
        reader = repo.launcher.open_python(__name__)
    except OSError:
        return None
    with suppress(ImportError, AttributeError, OSError):  # where it can be done: of Linux
        import fcntl  # noqa: PLC0415 - see above

        fcntl.fcntl(reader.stdout or -1, fcntl.F_SETPIPE_SZ, _AHEAD_BYTES)
    return reader


def _give(
    reader: "Popen[bytes] | None", repo: Repo, parts: Sequence[Sequence[Listed]], rows_of: RowsOf
) -> None:
    """Tell a process what to read. Should it have died, that there is no answer will say so."""
    if reader is None or reader.stdin is None:
        return
    plain = [[(run, [tuple(f) for f in files]) for run, files in part] for part in parts]
    with suppress(OSError):
        pickle.dump((repo, plain, rows_of), reader.stdin, pickle.HIGHEST_PROTOCOL)
        reader.stdin.close()


def _receive(readers: "list[Popen[bytes] | None]", number: int) -> Rows | None:
    """The next rows of a process; `None` from it for good once it failed."""
    reader = readers[number]
    if reader is None or reader.stdout is None:
        return None
    try:
        rows: Rows = pickle.load(reader.stdout)  # noqa: S301 - from our own child
    except (OSError, EOFError, ValueError, LookupError, pickle.UnpicklingError):
        stop(reader)
        readers[number] = None
        return None
    return rows


def main() -> None:
    """Read the parts named on standard input and write their rows to standard output."""
    gc.disable()  # as in `fill`
    repo, plain, rows_of = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    parts = [[(run, [File(*f) for f in files]) for run, files in part] for part in plain]
    for rows in _read(repo, parts, rows_of):
        pickle.dump(rows, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
