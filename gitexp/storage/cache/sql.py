# ruff: noqa: S608 - see the module's words
"""The tables of the cache, and the compiler of statements over them.

Values are always bound, column names come from the fixed list here, and key names are looked up in
the table `keys`: no text of a user becomes SQL. `conditions` compiles filters.

The row number `rid` of a run is its id as a signed 64-bit number. It keeps the order of ids, so an
id prefix is a range of row numbers. `vals` holds the values of the keys that were asked for (see
`values`), clustered by key, so that a query for one metric of all runs reads no other rows; it
repeats `clock` because queries order ties by it.
"""

import sqlite3
import zlib
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gitexp.core.model.ids import RUN_ID_LENGTH, RunId
from gitexp.core.model.run import Command, Outcome, Run
from gitexp.core.query.names import ATTRIBUTES
from gitexp.core.schema.fields import ANNOTATION, RUN, Derived, RecordedField, columns, signature
from gitexp.core.schema.json_codec import DOCUMENT_SCHEMA

RECORDED: Final = columns()
"""Columns of the table `runs` that the schema table of records declares."""

PLACES: Final = [f.place for _, f in RECORDED.values() if isinstance(f, RecordedField)]
"""Where a document has the fields of `RECORDED`. They come first."""

DERIVED_READERS: Final = [d.read for _, d in RECORDED.values() if isinstance(d, Derived)]
"""What reads the other columns of `RECORDED` from a document."""

COLUMNS: Final = {name: f'r."{name}"' for name in ATTRIBUTES}
"""Columns of the table `runs r` by attribute name in queries."""

TEXTUAL: Final = frozenset(name for name, (kind, _) in RECORDED.items() if kind == "TEXT")
BOOLEAN: Final = frozenset(name for name, (kind, _) in RECORDED.items() if kind == "BOOLEAN")

_DECLARED: Final = ", ".join(f'"{name}" {kind}' for name, (kind, _) in RECORDED.items())

TABLES: Final = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE files (
    rid INTEGER, path TEXT, kind TEXT, oid TEXT, clock INTEGER, PRIMARY KEY (rid, path)
) WITHOUT ROWID;
CREATE TABLE runs (
    rid INTEGER PRIMARY KEY, {_DECLARED},
    path TEXT, series INTEGER, rivals INTEGER, program TEXT, trial TEXT, family TEXT, seeds TEXT,
    shape INTEGER
);
CREATE TABLE documents (rid INTEGER PRIMARY KEY, document TEXT, typed TEXT, checksum INTEGER);
CREATE TABLE shapes (shape INTEGER PRIMARY KEY, paths TEXT UNIQUE);
CREATE TABLE keys (key INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE vals (
    key INTEGER, rid INTEGER, num, text TEXT, clock INTEGER, PRIMARY KEY (key, rid)
) WITHOUT ROWID;
CREATE TABLE tags (tag TEXT, rid INTEGER, PRIMARY KEY (tag, rid)) WITHOUT ROWID;
CREATE TABLE produced (
    program TEXT, path TEXT, rid INTEGER, PRIMARY KEY (program, path, rid)
) WITHOUT ROWID;
CREATE TABLE broken (rid INTEGER, path TEXT, why TEXT, PRIMARY KEY (rid, path)) WITHOUT ROWID;
"""

INDEXES: Final = """
CREATE INDEX vals_order ON vals (key, num, clock, rid) WHERE num IS NOT NULL;
CREATE INDEX files_clock ON files (clock);
CREATE INDEX runs_order ON runs (clock);
CREATE INDEX runs_running ON runs (rid) WHERE outcome = 'running';
CREATE INDEX runs_name ON runs (name);
CREATE INDEX runs_commit ON runs ("commit");
CREATE INDEX runs_snapshot ON runs (snapshot) WHERE snapshot IS NOT NULL;
CREATE INDEX runs_fingerprint ON runs (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX runs_shape ON runs (shape);
CREATE INDEX runs_trial ON runs (trial);
CREATE INDEX runs_session ON runs (session, clock) WHERE session IS NOT NULL;
CREATE INDEX runs_sweep ON runs (sweep) WHERE sweep IS NOT NULL;
CREATE INDEX runs_source ON runs (source) WHERE source IS NOT NULL;
CREATE INDEX runs_rivals ON runs (rid) WHERE rivals > 0;
CREATE INDEX tags_rid ON tags (rid);
"""
"""Created after a fill, which is faster than updating them in it."""

_FORM: Final = zlib.crc32((signature(RUN) + signature(ANNOTATION) + TABLES + INDEXES).encode())

SCHEMA: Final = f"9.{DOCUMENT_SCHEMA}.{_FORM:08x}"
"""Version of the tables and of their content; a cache of another version is rebuilt.

It follows the schema table, the tables and the indexes. Raise the first number when the content of
the tables changes and none of these does, such as when a derived attribute is computed anew.
"""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of finished runs and the total."""


class TooManyChanges(Exception):
    """An update would cost more than a fill from the whole branch."""


NO_RUN: Final = ""
"""Row number of broken paths that belong to no single run."""

_SHIFT: Final = 1 << 63


def row_of(run: str) -> int:
    """Return the row number of a run."""
    return int(run, 16) - _SHIFT


def run_of(rid: int) -> RunId:
    """Return the run of a row number."""
    return RunId(f"{rid + _SHIFT:016x}")


def rows_of_prefix(prefix: str) -> tuple[int, int]:
    """Return the first and last row number of run ids that start with the hex digits."""
    return row_of(prefix.ljust(RUN_ID_LENGTH, "0")), row_of(prefix.ljust(RUN_ID_LENGTH, "f"))


def checksum(text: str) -> int:
    """Return the CRC-32 of a document, to detect damage."""
    return zlib.crc32(text.encode())


class Damaged(sqlite3.DatabaseError):
    """The cache contradicts itself or a checksum."""


def program(command: Command) -> str:
    """Return the program of a command and its first argument that looks like a file.

    The name of a Python interpreter loses its version.
    """
    return program_of(command.argv)


def program_of(argv: Sequence[str]) -> str:
    """Return the program of the words of a command, as `program` does."""
    if not argv:
        return ""
    first = argv[0].rstrip("/").rpartition("/")[2]
    if first.startswith(("python", "pypy")):
        first = first.removesuffix("t").rstrip("0123456789.")
    for argument in argv[1:]:
        if not argument.startswith("-") and ("." in argument or "/" in argument):
            return f"{first} {argument.removeprefix('./')}"
    return first


# --- queries --------------------------------------------------------------------------------------

NUMBERS: Final = "num IS NOT NULL"
TEXTS: Final = "(num IS NULL AND text <> 'NaN')"
"""Texts that can be ordered. NaN has no order and counts as missing."""


_MANY: Final = 2000


class Compiler:
    """Compiler of one statement over `runs r`; `values` holds its parameters by name."""

    def __init__(
        self,
        need: "Callable[[str], None] | None" = None,
        count: "Callable[[str, dict[str, object]], int] | None" = None,
    ) -> None:
        self._need = need
        self._count = count
        self.values: dict[str, object] = {}
        self.needs_runs = False
        """True if a condition reads a column of `r` other than `rid`."""

    def bind(self, value: object) -> str:
        """Add a parameter and return its placeholder."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def matches_many(self, selection: str) -> bool:
        """Return whether a selection has at least `_MANY` rows.

        Then testing a few runs one by one is faster than listing the selection. Callers that want
        few runs pass `count`, which executes a statement that returns one number; without it the
        answer is False.
        """
        if self._count is None:
            return False
        asked = f"SELECT count(*) FROM ({selection} LIMIT {_MANY})"
        return self._count(asked, self.values) == _MANY

    def key(self, name: str) -> str:
        """Return SQL for the number of a key: NULL, which matches no row, if no run has the key.

        Has the values of the key put into `vals`.
        """
        if self._need is not None:
            self._need(name)
        return f"(SELECT key FROM keys WHERE name = {self.bind(name)})"

    def eligible(self, table: str, *, sealed: bool, before: Run | None) -> list[str]:
        """Return terms over the `rid` and `clock` of a table: sealed, and older than a run.

        The run need not be in the cache.
        """
        terms = ["1"]
        if sealed:
            running = f"SELECT rid FROM runs WHERE outcome = '{Outcome.RUNNING.value}'"
            terms.append(f"{table}.rid NOT IN ({running})")
        if before is not None:
            place = f"{self.bind(before.clock)}, {self.bind(row_of(before.id))}"
            terms.append(f"({table}.clock, {table}.rid) < ({place})")
        return terms
