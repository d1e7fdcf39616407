"""Values of many runs, packed by key until the first query for the key.

A large branch has millions of values, and a query needs those of two or three keys. So a fill
writes one row a key for each part, which is a few hundred runs. The first query for a key moves the
key's values to `vals`; the first change of a run moves all keys of its part. A value is either
packed or in `vals`, never in both.
"""

import json
import math
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

from gitexp.core.model.run import Value
from gitexp.core.query.values import forms_of
from gitexp.storage.cache.sql import checksum, whole

Form: TypeAlias = int | float | tuple[int | float | None, str | None]
"""A value as queries see it: number form and text form, or a plain number alone."""

Packed: TypeAlias = bytes | str
"""The forms of one key, one for each run of the part: an array if all are floats, else JSON."""

Column: TypeAlias = Sequence[Value | None]
"""The values of one key, one for each run; `None` for a run without the key."""

_DOUBLE: Final = "d"
_LONG: Final = "q"


class Part(NamedTuple):
    """The packed values of some runs, by key."""

    number: int
    """Unique: the row number of a run that was read with these."""
    rids: bytes
    clocks: bytes
    columns: list[tuple[str, Packed]]


def form_of(value: Value) -> Form:
    """Return a parameter or metric as queries see it, in its shortest form."""
    if type(value) is int or (type(value) is float and value - value == 0):  # most are
        return value
    forms = forms_of(value)
    return forms.number, forms.text


def pack(
    number: int, rids: Sequence[int], clocks: Sequence[int], values: Mapping[str, Column]
) -> Part:
    """Pack the values of some runs, given by key name."""
    columns = [(name, _pack_column(column)) for name, column in values.items()]
    return Part(number, _longs(rids), _longs(clocks), columns)


def _longs(numbers: Sequence[int]) -> bytes:
    return array(_LONG, numbers).tobytes()


def _pack_column(column: Column) -> Packed:
    kinds = set(map(type, column))
    if kinds == {float} and all(map(math.isfinite, cast(Sequence[float], column))):
        return array(_DOUBLE, cast(Sequence[float], column)).tobytes()
    if len(kinds) == 1 and kinds <= {bool, int, str}:  # one type: equal values have the same form
        known = {value: form_of(cast(Value, value)) for value in set(column)}
        return json.dumps(list(map(known.__getitem__, column)))
    return json.dumps([None if value is None else form_of(value) for value in column])


def keep(conn: sqlite3.Connection, part: Part, keys: Iterable[int]) -> None:
    """Write a part. `keys` are the numbers of its columns' keys, in the same order."""
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
    """Move the packed values of a key to `vals`. Raises `Damaged`."""
    columns = conn.execute("SELECT part, column, checksum FROM packed WHERE key = ?", (key,))
    for part, column, check in columns.fetchall():
        _insert(conn, key, _members(conn, part), whole(column, check))
    conn.execute("DELETE FROM packed WHERE key = ?", (key,))


def unpack_runs(conn: sqlite3.Connection, rids: Iterable[int]) -> None:
    """Move all packed values of the parts that hold these runs to `vals`. Raises `Damaged`."""
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
    """Return row number and clock of each run of a part."""
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
    """Yield number and text of each run's value; `None` for a run without one."""
    forms = json.loads(column) if isinstance(column, str) else _numbers(_DOUBLE, column)
    for form in forms:
        yield form if form is None or type(form) is list else (form, None)


def _numbers(kind: str, packed: bytes) -> "array[Any]":
    numbers: array[Any] = array(kind)
    numbers.frombytes(packed)
    return numbers
