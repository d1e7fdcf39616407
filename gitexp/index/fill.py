"""The whole run branch into empty tables, and documents when they are asked for.

Floor 3.
"""

import gc
import sqlite3
from collections.abc import Iterable, Iterator

from gitexp.ids import ObjectId, RunId
from gitexp.index.holes import find_lost, list_files
from gitexp.index.readers import read_rows
from gitexp.index.rows import DocumentRow, File, document_rows_of
from gitexp.index.sql import Progress, run_of
from gitexp.index.writer import BATCH, Writer, create_indexes, files_of
from gitexp.refs import parse_path
from gitexp.repo import Repo


def fill(conn: sqlite3.Connection, repo: Repo, tip: ObjectId, progress: Progress | None) -> None:
    """Read the whole branch into empty tables, then make the indexes."""
    collects = gc.isenabled()
    gc.disable()  # millions of values and not one cycle: looking for some costs a tenth
    try:
        _fill(conn, repo, tip, progress)
    finally:
        if collects:
            gc.enable()


def _fill(conn: sqlite3.Connection, repo: Repo, tip: ObjectId, progress: Progress | None) -> None:
    grouped: dict[RunId, list[File]] = {}
    found, damaged = list_files(repo, tip)
    for path, oid in found:
        place = parse_path(path)
        if place is not None and place.run is not None:
            grouped.setdefault(place.run, []).append(File(path, place.kind, oid))
    if damaged:
        lost = find_lost(repo, tip, damaged, grouped)
        conn.executemany("INSERT INTO broken VALUES (?, ?, ?)", lost)
    for files in grouped.values():
        files.sort()
    listed = list(grouped.items())
    writer, done = Writer(conn), 0
    for rows in read_rows(repo, listed, BATCH):
        writer.insert(rows)
        done = min(done + BATCH, len(listed))
        if progress is not None:
            progress(done, len(listed))
    create_indexes(conn)


def document_rows(
    conn: sqlite3.Connection, repo: Repo, rids: Iterable[int], progress: Progress | None
) -> Iterator[list[DocumentRow]]:
    """The rows of `docs` for runs, some hundred at a time, read from the branch."""
    listed = [(run_of(rid), files_of(conn, rid)) for rid in rids]
    done = 0
    for rows in read_rows(repo, listed, BATCH, document_rows_of):
        yield rows["docs"]
        done += BATCH
        if progress is not None:
            progress(min(done, len(listed)), len(listed))
