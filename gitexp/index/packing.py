"""Values of many runs packed by key, until somebody asks for the key.

Floor 3. A branch read from nothing has millions of values, and a question needs those of two or
three keys. So a fill keeps the values of each part, some hundred runs, as one row a key; the first
question about a key turns its rows into those of `vals`, and so does the first change of a run for
all keys of its part. What is packed and what lies in `vals` never overlap.
"""

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

from gitexp.index.sql import checksum, whole
from gitexp.model import Entry, Value
from gitexp.query.values import forms_of, keyed_values

Form: TypeAlias = int | float | tuple[int | float | None, str | None]
"""A value as queries see it; a plain number stands for itself."""

Packed: TypeAlias = bytes | str
"""The forms of one key, a place for each run of the part: as an array when all are floats."""

_DOUBLE: Final = "d"
_LONG: Final = "q"


class Part(NamedTuple):
    """The values of some runs, by key."""

    number: int
    """The row number of its first run."""
    rids: bytes
    clocks: bytes
    columns: list[tuple[str, Packed]]


def form_of(value: Value) -> Form:
    """A parameter or metric as queries see it, in its shortest form."""
    if type(value) is int or (type(value) is float and value - value == 0):  # most are
        return value
    forms = forms_of(value)
    return forms.number, forms.text


def pack(entries: Sequence[tuple[int, Entry]]) -> Part:
    """Pack the values of some runs, each with its row number."""
    values = [dict(keyed_values(entry)) for _, entry in entries]
    names = dict.fromkeys(chain.from_iterable(values))
    rids = array(_LONG, [rid for rid, _ in entries])
    clocks = array(_LONG, [entry.run.clock for _, entry in entries])
    columns = [(name, _pack_column([known.get(name) for known in values])) for name in names]
    return Part(rids[0], rids.tobytes(), clocks.tobytes(), columns)


def _pack_column(column: list[Value | None]) -> Packed:
    floats = [value for value in column if type(value) is float and value - value == 0]
    if len(floats) == len(column):
        return array(_DOUBLE, floats).tobytes()
    return json.dumps([None if value is None else form_of(value) for value in column])


def keep(conn: sqlite3.Connection, part: Part, keys: Iterable[int]) -> None:
    """Write a part; the numbers of the keys in the order of its columns."""
    check = checksum(part.rids + part.clocks)
    conn.execute("INSERT INTO parts VALUES (?, ?, ?, ?)", (*part[:3], check))
    conn.executemany(
        "INSERT INTO packed VALUES (?, ?, ?, ?)",
        [
            (key, part.number, column, checksum(column))
            for key, (_, column) in zip(keys, part.columns, strict=True)
        ],
    )


def unpack_key(conn: sqlite3.Connection, key: int) -> None:
    """Turn the packed values of a key into rows. Raises `Damaged`."""
    columns = conn.execute("SELECT part, column, checksum FROM packed WHERE key = ?", (key,))
    for part, column, check in columns.fetchall():
        _insert(conn, key, _members(conn, part), whole(column, check))
    conn.execute("DELETE FROM packed WHERE key = ?", (key,))


def unpack_runs(conn: sqlite3.Connection, rids: Iterable[int]) -> None:
    """Turn all packed values of the parts these runs are in into rows. Raises `Damaged`."""
    parts = conn.execute(
        "SELECT DISTINCT part FROM runs WHERE part IS NOT NULL"
        " AND rid IN (SELECT value FROM json_each(?))",
        (json.dumps(list(rids)),),
    )
    in_part = "FROM packed WHERE key IN (SELECT key FROM keys) AND part = ?"
    for (part,) in parts.fetchall():
        columns = conn.execute(f"SELECT key, column, checksum {in_part}", (part,))
        members = _members(conn, part)
        for key, column, check in columns.fetchall():
            _insert(conn, key, members, whole(column, check))
        conn.execute(f"DELETE {in_part}", (part,))


def _members(conn: sqlite3.Connection, part: int) -> list[tuple[int, int]]:
    """Row number and clock of each run of a part."""
    found = conn.execute("SELECT rids, clocks, checksum FROM parts WHERE part = ?", (part,))
    rids, clocks, check = found.fetchone()
    whole(rids + clocks, check)
    return list(zip(_numbers(_LONG, rids), _numbers(_LONG, clocks), strict=True))


def _insert(
    conn: sqlite3.Connection, key: int, members: list[tuple[int, int]], column: Packed
) -> None:
    rows = (
        (key, rid, *form, clock)
        for (rid, clock), form in zip(members, _forms(column), strict=True)
        if form is not None
    )
    conn.executemany("INSERT INTO vals VALUES (?, ?, ?, ?, ?)", rows)


def _forms(column: Packed) -> Iterator[Sequence[Any] | None]:
    """Number and text of each run's value; `None` where it has none."""
    forms = json.loads(column) if isinstance(column, str) else _numbers(_DOUBLE, column)
    for form in forms:
        yield form if form is None or type(form) is list else (form, None)


def _numbers(kind: str, packed: bytes) -> "array[Any]":
    numbers: array[Any] = array(kind)
    numbers.frombytes(packed)
    return numbers
