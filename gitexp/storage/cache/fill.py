"""Read the whole run branch into empty tables, and documents when a query needs them."""

import gc
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import partial

from gitexp.adapters.git.repository import Repo
from gitexp.core.model.ids import ObjectId
from gitexp.storage.cache.bulk import packed_rows_of
from gitexp.storage.cache.damage import find_lost, list_files
from gitexp.storage.cache.listing import group, line_of
from gitexp.storage.cache.readers import Readers
from gitexp.storage.cache.rows import DocumentRow, Rows, document_rows_of
from gitexp.storage.cache.sql import Progress
from gitexp.storage.cache.writer import BATCH, Writer, create_indexes


def fill(
    conn: sqlite3.Connection,
    repo: Repo,
    tip: ObjectId,
    progress: Progress | None,
    *,
    seed_params: Sequence[str] = (),
) -> None:
    """Read the whole branch into empty tables, then create the SQL indexes."""
    collects = gc.isenabled()
    gc.disable()  # millions of values without a cycle: searching for cycles costs a tenth
    try:
        _fill(conn, repo, tip, progress, seed_params)
    finally:
        if collects:
            gc.enable()


def _fill(
    conn: sqlite3.Connection,
    repo: Repo,
    tip: ObjectId,
    progress: Progress | None,
    seed_params: Sequence[str],
) -> None:
    writer = Writer(conn)
    with Readers(repo, partial(packed_rows_of, seed_params=tuple(seed_params))) as readers:
        lines, damaged = list_files(repo, tip, readers.expect)
        if damaged:
            lost = find_lost(repo, tip, damaged, dict(group(lines)))
            conn.executemany("INSERT INTO broken VALUES (?, ?, ?)", lost)
        for rows in _read(readers, lines, progress):
            writer.insert(rows)
    create_indexes(conn)


def _read(readers: Readers, lines: list[str], progress: Progress | None) -> Iterator[Rows]:
    """Yield the rows of `BATCH` runs at a time.

    Calls `progress` after the caller has handled them.
    """
    total, found = readers.read(lines, BATCH)
    done = 0
    for rows in found:
        yield rows
        done = min(done + BATCH, total)
        if progress is not None:
            progress(done, total)


def document_rows(
    conn: sqlite3.Connection,
    repo: Repo,
    rids: Collection[int],
    progress: Progress | None,
    *,
    seed_params: Sequence[str] = (),
) -> Iterator[list[DocumentRow]]:
    """Read the `docs` rows of runs from the branch, `BATCH` runs at a time, in any order."""
    wanted = set(rids)
    lines = [
        line_of(path, oid)
        for rid in wanted
        for path, oid in conn.execute("SELECT path, oid FROM files WHERE rid = ?", (rid,))
    ]
    with Readers(repo, partial(document_rows_of, seed_params=tuple(seed_params))) as readers:
        for rows in _read(readers, lines, progress):
            yield [row for row in rows["docs"] if row[0] in wanted]
