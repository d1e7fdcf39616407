"""The values of one key, sorted for queries when the key is first asked for.

A branch of 100,000 runs has millions of values, and a query needs those of two or three keys. So
the tables hold documents, and `vals` only the keys in `keys`. Runs whose documents have the same
paths share a row of `shapes`, which tells where the values of a key are.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gitexp.core.query.values import KEYED, forms_of

Path: TypeAlias = tuple[str, ...]
"""The keys from the top of a document to one of its values."""

_PLAIN_KEY: Final = re.compile(r"[\w .:/@+=%-]+", re.ASCII)
"""Keys that every version of SQLite finds by a JSON path in quotes."""


def name_of(path: Path) -> str:
    """Return the full name of the value at a path of a document."""
    return KEYED[path[0]] + ".".join(path[1:])


def value_at(document: Any, path: Path) -> Any:
    """Return the value at a path of a document, `None` if there is none."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def paths_of(document: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the paths of all parameters, metrics and environment values."""
    return tuple(
        path for name in KEYED if name in document for path in _leaves(document[name], (name,))
    )


def _leaves(table: Mapping[str, Any], above: Path) -> Iterator[Path]:
    for key, value in table.items():
        if type(value) is dict:
            yield from _leaves(value, (*above, key))
        else:
            yield *above, key


def materialize(conn: sqlite3.Connection, asked: Iterable[str]) -> None:
    """Fill `vals` with the values of keys, given by full name, that it does not hold yet."""
    known = {name for (name,) in conn.execute("SELECT name FROM keys")}
    for name in asked:
        if name not in known:
            key = conn.execute("INSERT INTO keys (name) VALUES (?)", (name,)).lastrowid or 0
            insert_values(conn, _rows(conn, key, name))


def insert_values(conn: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows of `vals`. Of two values of one name, as in odd records, the later one counts."""
    conn.executemany("INSERT OR REPLACE INTO vals VALUES (?, ?, ?, ?, ?)", rows)


def rows_of_run(
    keys: dict[str, int], rid: int, clock: int, document: Any, paths: Sequence[Path]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one run for the keys in `vals`, given as numbers by name."""
    for path in paths if keys else ():
        key = keys.get(name_of(path))
        if key is not None:
            yield key, rid, *forms_of(value_at(document, path)), clock


def _rows(conn: sqlite3.Connection, key: int, name: str) -> Iterator[tuple[Any, ...]]:
    for shape, paths in conn.execute("SELECT shape, paths FROM shapes").fetchall():
        for path in json.loads(paths):
            if name_of(path) == name:
                for rid, clock, value in _values(conn, shape, path):
                    yield key, rid, *forms_of(value), clock


def _values(conn: sqlite3.Connection, shape: int, path: Path) -> Iterator[tuple[int, int, Any]]:
    """Yield row number, clock and value of the runs of a shape.

    SQLite would round a number, so it hands over the text: a list of two equal members, which is
    the only form that all versions have for this.
    """
    plain = all(map(_PLAIN_KEY.fullmatch, path))
    at = "".join(f'."{part}"' for part in path) if plain else ""
    rest = () if plain else path
    found = conn.execute(
        "SELECT rid, clock, json_extract(document, ?1, ?1) FROM runs JOIN documents USING (rid)"
        " WHERE shape = ?2",
        (f"${at}", shape),
    )
    for rid, clock, text in found:
        yield rid, clock, value_at(json.loads(text)[0], rest)
