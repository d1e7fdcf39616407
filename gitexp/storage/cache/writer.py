# ruff: noqa: S608 - table names are the ones written here
"""Write to the tables of the cache.

All rows of a run are derived from all files of the run together, so that an update gives the same
rows as a fill from the whole branch.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import PathKind
from gitexp.storage.cache.packing import keep, unpack_runs
from gitexp.storage.cache.rows import Derived, File, Rows, rows_of
from gitexp.storage.cache.sql import INDEXES, TABLES

BATCH: Final = 500
"""Runs written together."""


class Writer:
    """Writer of derived runs to the tables."""

    def __init__(self, conn: sqlite3.Connection, seed_params: Sequence[str] = ()) -> None:
        self._conn = conn
        self._seed_params = seed_params
        self._keys: dict[str, int] = dict(conn.execute("SELECT name, key FROM keys"))

    def add(self, batch: Iterable[Derived]) -> None:
        """Add runs that the tables do not hold yet."""
        self.insert(rows_of(batch, self._seed_params))

    def insert(self, rows: Rows) -> None:
        """Add rows of runs that the tables do not hold yet."""
        for table, lines in rows.items():
            if table == "packed":
                for part in lines:
                    keep(self._conn, part, [self._key(name) for name, _ in part.columns])
            elif lines:
                named = table == "vals"
                added = [(self._key(name), *rest) for name, *rest in lines] if named else lines
                marks = ",".join("?" * len(lines[0]))
                self._conn.executemany(f"INSERT INTO {table} VALUES ({marks})", added)

    def _key(self, name: str) -> int:
        return self._keys.get(name) or self._add_key(name)

    def _add_key(self, name: str) -> int:
        key = self._keys[name] = len(self._keys) + 1
        self._conn.execute("INSERT INTO keys VALUES (?, ?)", (key, name))
        return key

    def remove(self, rids: Sequence[int]) -> None:
        """Delete all rows of runs."""
        for table in ("files", "broken"):
            self._conn.executemany(f"DELETE FROM {table} WHERE rid = ?", [(rid,) for rid in rids])
        among = "rid IN (SELECT value FROM json_each(?))"
        found = self._conn.execute(f"SELECT rid FROM runs WHERE {among}", (json.dumps([*rids]),))
        standing = found.fetchall()
        if not standing:
            return
        unpack_runs(self._conn, [rid for (rid,) in standing])
        self._conn.executemany(
            "DELETE FROM produced WHERE program = (SELECT program FROM runs WHERE rid = ?1)"
            " AND rid = ?1",
            standing,
        )
        self._conn.executemany(
            "DELETE FROM vals WHERE key IN (SELECT key FROM keys) AND rid = ?", standing
        )
        for table in ("runs", "docs", "tags"):
            self._conn.executemany(f"DELETE FROM {table} WHERE rid = ?", standing)


def create_tables(conn: sqlite3.Connection) -> None:
    """Create the empty tables, without their indexes."""
    conn.executescript(TABLES)


def create_indexes(conn: sqlite3.Connection) -> None:
    """Create the indexes: after a fill, or at once if the branch does not exist yet."""
    for statement in INDEXES.split(";\n"):
        conn.execute(statement)


def files_of(conn: sqlite3.Connection, rid: int) -> list[File]:
    """Return the files of a run in the tables, sorted by path."""
    found = conn.execute("SELECT path, kind, oid FROM files WHERE rid = ? ORDER BY path", (rid,))
    return [File(path, PathKind(kind), ObjectId(oid)) for path, kind, oid in found.fetchall()]
