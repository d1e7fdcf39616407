# ruff: noqa: S608 - table names are the ones written here
"""From the run branch into the tables of the run index.

Floor 3. Everything about a run is derived from the files that name it, always all of them, so that
an update gives the same rows as reading the branch from nothing.
"""

import gc
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gitexp.ids import ObjectId, RunId, is_null
from gitexp.index.holes import NO_RUN, find_lost, list_files
from gitexp.index.packing import keep, unpack_runs
from gitexp.index.readers import read_rows
from gitexp.index.rows import (
    Derived,
    DocumentRow,
    File,
    Rows,
    document_rows_of,
    read_runs,
    rows_of,
)
from gitexp.index.sql import INDEXES, TABLES, Progress, TooManyChanges, row_of, run_of
from gitexp.refs import PathKind, parse_path
from gitexp.repo import Change, Repo

BATCH: Final = 500
"""Runs written at once."""

REBUILD_SHARE: Final = 0.5
"""When more of the runs changed, reading all from nothing is quicker."""


# --- writing --------------------------------------------------------------------------------------


class Writer:
    """Puts derived runs into the tables."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._keys: dict[str, int] = dict(conn.execute("SELECT name, key FROM keys"))

    def add(self, batch: Iterable[Derived]) -> None:
        """Add runs the tables do not know."""
        rows = rows_of(batch)
        self.insert(rows)
        self._conn.executemany(
            "UPDATE files SET clock = ? WHERE rid = ? AND path = ?", rows["clocks"]
        )

    def insert(self, rows: Rows) -> None:
        """Add rows of runs that the tables do not know; their files are another matter."""
        for table, lines in rows.items():
            if table == "packed":
                for part in lines:
                    keep(self._conn, part, [self._key(name) for name, _ in part.columns])
            elif lines and table != "clocks":
                numbered = ((self._key(name), *rest) for name, *rest in lines)
                marks = ",".join("?" * len(lines[0]))
                self._conn.executemany(
                    f"INSERT INTO {table} VALUES ({marks})", numbered if table == "vals" else lines
                )

    def _key(self, name: str) -> int:
        return self._keys.get(name) or self._add_key(name)

    def _add_key(self, name: str) -> int:
        key = self._keys[name] = len(self._keys) + 1
        self._conn.execute("INSERT INTO keys VALUES (?, ?)", (key, name))
        return key

    def remove(self, rids: Sequence[int]) -> None:
        """Take runs out, all but their files."""
        unpack_runs(self._conn, rids)
        ones = [(rid,) for rid in rids]
        self._conn.executemany(
            "DELETE FROM produced WHERE program = (SELECT program FROM runs WHERE rid = ?1)"
            " AND rid = ?1",
            ones,
        )
        self._conn.executemany(
            "DELETE FROM vals WHERE key IN (SELECT key FROM keys) AND rid = ?", ones
        )
        for table in ("runs", "docs", "tags", "broken"):
            self._conn.executemany(f"DELETE FROM {table} WHERE rid = ?", ones)


def create_tables(conn: sqlite3.Connection) -> None:
    """The empty tables, without the indexes."""
    conn.executescript(TABLES)


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
    files, damaged = list_files(repo, tip)
    for path, oid in files:
        place = parse_path(path)
        if place is not None and place.run is not None:
            grouped.setdefault(place.run, []).append(File(path, place.kind, oid))
    if damaged:
        lost = find_lost(repo, tip, damaged, grouped)
        conn.executemany("INSERT INTO broken VALUES (?, ?, ?)", lost)
    groups = [(run, sorted(files)) for run, files in sorted(grouped.items())]
    writer, done = Writer(conn), 0
    for rows in read_rows(repo, groups, BATCH):
        clocks = {path: clock for clock, _, path in rows["clocks"]}
        batch = groups[done : done + BATCH]
        conn.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?)",
            (
                (row_of(run), f.path, f.kind.value, f.oid, clocks.get(f.path))
                for run, files in batch
                for f in files
            ),
        )
        writer.insert(rows)
        done += len(batch)
        if progress is not None:
            progress(done, len(groups))
    create_indexes(conn)


def create_indexes(conn: sqlite3.Connection) -> None:
    """What `fill` ends with; for a branch that does not exist yet."""
    for statement in INDEXES.split(";\n"):
        conn.execute(statement)


def update(
    conn: sqlite3.Connection, repo: Repo, changes: Iterable[Change], progress: Progress | None
) -> None:
    """Apply what differs between two tips. Raises `TooManyChanges` before it changed anything."""
    files: list[tuple[int, Change, PathKind]] = []
    touched: set[int] = set()
    for change in changes:
        place = parse_path(change.path)
        if place is not None and place.run is not None:
            rid = row_of(place.run)
            touched.add(rid)
            files.append((rid, change, place.kind))
    if conn.execute("SELECT 1 FROM broken WHERE rid = ?", (NO_RUN,)).fetchone():
        raise TooManyChanges  # a folder was damaged, and nobody knows what was below it
    (count,) = conn.execute("SELECT count(*) FROM runs").fetchone()
    if len(touched) > max(2 * BATCH, REBUILD_SHARE * count):
        raise TooManyChanges
    conn.executemany(
        "DELETE FROM files WHERE rid = ? AND path = ?", ((rid, c.path) for rid, c, _ in files)
    )
    conn.executemany(
        "INSERT INTO files VALUES (?, ?, ?, ?, NULL)",
        ((rid, c.path, kind.value, c.new_oid) for rid, c, kind in files if not is_null(c.new_oid)),
    )
    again = conn.execute("SELECT DISTINCT rid FROM broken LIMIT ?", (BATCH,))
    touched.update(rid for (rid,) in again)  # objects that were missing may have come
    writer, order = Writer(conn), sorted(touched)
    for start in range(0, len(order), BATCH):
        rids = order[start : start + BATCH]
        writer.remove(rids)
        writer.add(read_runs(repo, [(run_of(rid), _files(conn, rid)) for rid in rids]))
        if progress is not None:
            progress(min(start + BATCH, len(order)), len(order))


def document_rows(
    conn: sqlite3.Connection, repo: Repo, rids: Iterable[int], progress: Progress | None
) -> Iterator[list[DocumentRow]]:
    """The rows of `docs` for runs, some hundred at a time, read from the branch."""
    groups = [(run_of(rid), _files(conn, rid)) for rid in rids]
    done = 0
    for rows in read_rows(repo, groups, BATCH, document_rows_of):
        yield rows["docs"]
        done += BATCH
        if progress is not None:
            progress(min(done, len(groups)), len(groups))


def _files(conn: sqlite3.Connection, rid: int) -> list[File]:
    found = conn.execute("SELECT path, kind, oid FROM files WHERE rid = ? ORDER BY path", (rid,))
    return [File(path, PathKind(kind), ObjectId(oid)) for path, kind, oid in found.fetchall()]
