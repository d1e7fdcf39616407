# ruff: noqa: S608 - only placeholders
"""The values of one key, sorted for queries when the key is first asked for.

A branch of 100,000 runs has millions of values, and a query needs those of two or three keys. So
the tables hold documents, and `vals` only the keys in `keys`. Runs whose documents have the same
paths share a row of `shapes`, which tells where the values of a key are.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final, TypeAlias

from gitexp.core.model.tables import Outline, leaf_paths, outline
from gitexp.core.query.values import KEYED, query_value

Path: TypeAlias = tuple[str, ...]
"""The keys from the top of a document to one of its values."""

_PLAIN_KEY: Final = r"[A-Za-z0-9_ .:/@+=%-]+"
"""Keys that every version of SQLite finds by a JSON path in quotes."""


_AT_ONCE: Final = 100
"""Places read from a document in one call; SQLite limits the arguments of a function to 127."""


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
    return _paths(tuple((name, outline(document[name])) for name in KEYED if name in document))


@lru_cache(maxsize=1024)  # a branch has many runs and few shapes
def _paths(outlines: tuple[tuple[str, Outline], ...]) -> tuple[Path, ...]:
    return tuple((name, *path) for name, found in outlines for path in leaf_paths(found))


def materialize(conn: sqlite3.Connection, asked: Iterable[str]) -> None:
    """Fill `vals` with the values of keys, given by full name, that it does not hold yet."""
    known = {name for (name,) in conn.execute("SELECT name FROM keys")}
    keys: dict[str, int] = {}
    for name in asked:
        if name not in known:
            keys[name] = conn.execute("INSERT INTO keys (name) VALUES (?)", (name,)).lastrowid or 0
    if keys:
        insert_values(conn, _rows(conn, keys))


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
            yield key, rid, *query_value(value_at(document, path)), clock


def _rows(conn: sqlite3.Connection, keys: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of all runs for keys, given as numbers by name."""
    for shape, text in conn.execute("SELECT shape, paths FROM shapes").fetchall():
        paths: list[Path] = [tuple(path) for path in json.loads(text)]
        found = {path: keys[name] for path in paths if (name := name_of(path)) in keys}
        for start in range(0, len(found), _AT_ONCE):
            yield from _rows_of_shape(
                conn, shape, dict(islice(found.items(), start, start + _AT_ONCE))
            )


def _rows_of_shape(
    conn: sqlite3.Connection, shape: int, keys: dict[Path, int]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the runs of a shape for keys, given as numbers by path.

    SQLite would round a number, so it returns text: the list of what is at several places, in which
    every number stands as it was written.
    """
    places = [_json_path(path) for path in keys]
    asked = places + places[:1]  # one place alone would not give a list
    found = conn.execute(
        f"SELECT rid, clock, json_extract(document, {', '.join('?' * len(asked))})"
        " FROM runs JOIN documents USING (rid) WHERE shape = ?",
        [*asked, shape],
    )
    for rid, clock, text in found:
        for (path, key), place, value in zip(keys.items(), places, json.loads(text), strict=False):
            yield key, rid, *query_value(value_at(value, path) if place == "$" else value), clock


def _json_path(path: Path) -> str:
    """Return the path for SQLite; the whole document for names that it cannot express."""
    if not all(re.fullmatch(_PLAIN_KEY, key) for key in path):
        return "$"
    return "$" + "".join(f'."{key}"' for key in path)
