# ruff: noqa: S608 - table names are the ones written here
"""Fill the tables from the whole branch, and update them from one tip to another.

All rows of a run are derived from all files of the run together, so that an update gives the same
rows as a fill.
"""

import gc
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from gitexp.adapters.git.repository import Change, Repo
from gitexp.core.model.ids import ObjectId, is_null
from gitexp.core.schema.layout import PathKind, parse_path
from gitexp.storage.cache.damage import list_files, runs_under_damaged_trees
from gitexp.storage.cache.rows import File, RunFiles, read_files, read_run_files, rows_of
from gitexp.storage.cache.sql import (
    INDEXES,
    NO_RUN,
    TABLES,
    Progress,
    TooManyChanges,
    row_of,
    run_of,
)
from gitexp.storage.cache.values import Path, insert_values, rows_of_run

BATCH: Final = 500
"""Runs written together."""

REBUILD_SHARE: Final = 0.5
"""Share of changed runs above which a fill from the whole branch is faster."""


def create_tables(conn: sqlite3.Connection) -> None:
    """Create the empty tables, without their indexes."""
    for statement in TABLES.split(";\n")[:-1]:
        conn.execute(statement)


def create_indexes(conn: sqlite3.Connection) -> None:
    """Create the indexes: after a fill, which is faster than updating them in it."""
    for statement in INDEXES.split(";\n")[:-1]:
        conn.execute(statement)


class RowWriter:
    """Writer of derived runs to the tables."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._keys: dict[str, int] = dict(conn.execute("SELECT name, key FROM keys"))
        self._shapes: dict[tuple[Path, ...], int] = {}

    def add(self, batch: Iterable[RunFiles]) -> None:
        """Add runs that the tables do not hold yet."""
        found = list(batch)
        rows = rows_of(found)
        shaped = [(*row, self._shape(paths)) for *row, paths in rows["runs"]]
        for table, lines in {**rows, "runs": shaped}.items():
            if lines:
                marks = ",".join("?" * len(lines[0]))
                self._conn.executemany(f"INSERT INTO {table} VALUES ({marks})", lines)
        if self._keys:
            documents = (run.stored.document for run in found if run.stored is not None)
            for (rid, *_, paths), document in zip(rows["runs"], documents, strict=True):
                values = rows_of_run(self._keys, rid, document["clock"], document, paths)
                insert_values(self._conn, values)

    def _shape(self, paths: tuple[Path, ...]) -> int:
        if paths not in self._shapes:
            text = json.dumps(paths)
            self._conn.execute("INSERT OR IGNORE INTO shapes (paths) VALUES (?)", (text,))
            found = self._conn.execute("SELECT shape FROM shapes WHERE paths = ?", (text,))
            (self._shapes[paths],) = found.fetchone()
        return self._shapes[paths]

    def remove(self, rids: Sequence[int]) -> None:
        """Delete all rows of runs."""
        gone = [(rid,) for rid in rids]
        self._conn.executemany(
            "DELETE FROM produced WHERE program = (SELECT program FROM runs WHERE rid = ?1)"
            " AND rid = ?1",
            gone,
        )
        self._conn.executemany(
            "DELETE FROM vals WHERE key IN (SELECT key FROM keys) AND rid = ?", gone
        )
        for table in ("files", "broken", "runs", "documents", "tags"):
            self._conn.executemany(f"DELETE FROM {table} WHERE rid = ?", gone)


def fill(
    conn: sqlite3.Connection,
    repo: Repo,
    tip: ObjectId | None,
    progress: Progress | None,
    *,
    seed_params: Sequence[str] = (),
) -> None:
    """Read the whole branch into empty tables, then create the SQL indexes.

    Raises `CommandFailed` if the commit or its top tree cannot be read.
    """
    if tip is not None:
        with _without_collector():
            listed, damaged = list_files(repo, tip)
            if damaged:
                lost = runs_under_damaged_trees(repo, tip, damaged, listed)
                conn.executemany("INSERT INTO broken VALUES (?, ?, ?)", lost)
            writer, groups = RowWriter(conn), read_files(repo, list(listed.items()))
            for done in range(0, len(listed), BATCH):
                batch = islice(groups, BATCH)
                writer.add(read_run_files(run, contents, seed_params) for run, contents in batch)
                if progress is not None:
                    progress(min(done + BATCH, len(listed)), len(listed))
    create_indexes(conn)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the search for cycles: among millions of values without one it costs a tenth."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def update(
    conn: sqlite3.Connection,
    repo: Repo,
    changes: Iterable[Change],
    progress: Progress | None,
    *,
    seed_params: Sequence[str] = (),
) -> None:
    """Apply the changes between two tips. Raises `TooManyChanges` before it writes anything."""
    files: list[tuple[int, Change, PathKind]] = []
    touched: set[int] = set()
    for change in changes:
        place = parse_path(change.path)
        if place is not None and place.run is not None:
            rid = row_of(place.run)
            touched.add(rid)
            files.append((rid, change, place.kind))
    if conn.execute("SELECT 1 FROM broken WHERE rid = ?", (NO_RUN,)).fetchone():
        raise TooManyChanges  # a directory was damaged, so the files below it are unknown
    if len(touched) > 2 * BATCH:  # the count reads a whole index, so only for large updates
        (count,) = conn.execute("SELECT count(*) FROM runs").fetchone()
        if len(touched) > REBUILD_SHARE * count:
            raise TooManyChanges
    conn.executemany(
        "DELETE FROM files WHERE rid = ? AND path = ?", ((rid, c.path) for rid, c, _ in files)
    )
    conn.executemany(
        "INSERT INTO files VALUES (?, ?, ?, ?, NULL)",
        ((rid, c.path, kind.value, c.new_oid) for rid, c, kind in files if not is_null(c.new_oid)),
    )
    again = conn.execute("SELECT DISTINCT rid FROM broken LIMIT ?", (BATCH,))
    touched.update(rid for (rid,) in again)  # a fetch may have brought the missing objects
    writer, order = RowWriter(conn), sorted(touched)
    for start in range(0, len(order), BATCH):
        rids = order[start : start + BATCH]
        listed = [(run_of(rid), _files_of(conn, rid)) for rid in rids]
        writer.remove(rids)
        writer.add(read_run_files(*group, seed_params) for group in read_files(repo, listed))
        if progress is not None:
            progress(min(start + BATCH, len(order)), len(order))


def _files_of(conn: sqlite3.Connection, rid: int) -> list[File]:
    """Return the files of a run in the tables, sorted by path."""
    found = conn.execute("SELECT path, kind, oid FROM files WHERE rid = ? ORDER BY path", (rid,))
    return [File(path, PathKind(kind), ObjectId(oid)) for path, kind, oid in found.fetchall()]
