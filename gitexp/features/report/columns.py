"""Runs as columns: what the page filters, sorts and shows, without one name written twice.

A column has one of these shapes, whichever is short: `num` (numbers), `raw` (any values), `dict`
and `codes` (few different values), `ref` (rows of other runs), `time` (microseconds or numbers of
groups, each the distance from the one before); `at` beside it are the rows that have a value, when
few do. A missing value is null, a code of -1. Whole numbers that JavaScript cannot hold are
`{"$i": TEXT}`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gitexp.core.model.tables import flatten

Document = Mapping[str, Any]
Column = dict[str, Any]
Cells = dict[int, Any]
"""The values of a column by row."""

EXACT: Final = 2**53
"""Whole numbers up to this are exact in JavaScript."""

SPARSE: Final = 3
"""A column is kept with its rows when fewer than one row in this number has it."""

SAMPLE: Final = 200
"""Values that are looked at first."""

FEW: Final = 4
"""Rows for each different value from which a column keeps every value once."""

_TABLES: Final = {
    "metrics": "metrics.",
    "units": "units.",
    "params": "params.",
    "environment": "env.",
}
_PLAIN: Final = (
    *("name", "outcome", "duration_s", "author", "origin", "reason", "decision"),
    *("fingerprint", "session", "source", "group", "batch", "round", "clock"),
)
_OF_CODE: Final = ("commit", "branch", "dirty", "tree", "digest")
_REFERENCES: Final = ("parent", "reproduces")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def columns_of(documents: Sequence[Document]) -> dict[str, Column]:
    """Return the columns of runs, given as JSON documents, oldest first."""
    cells = _cells(documents)
    rows = len(documents)
    found = {name: encode(values, rows) for name, values in cells.items()}
    order = {document["id"]: row for row, document in enumerate(documents)}
    found["id"] = {"raw": [document["id"] for document in documents]}
    found["started"] = {"time": _distances(document["started"] for document in documents)}
    for name in _REFERENCES:
        named = {row: d[name] for row, d in enumerate(documents) if name in d}
        if named:
            found[name] = _with_rows({"ref": [order.get(i, i) for i in named.values()]}, named)
    return found


def _cells(documents: Sequence[Document]) -> dict[str, Cells]:
    """Return the values by column and row. Plain loops: a large report has millions of values."""
    cells: defaultdict[str, Cells] = defaultdict(dict)
    known: dict[str, dict[str, Cells]] = {table: {} for table in _TABLES}
    for row, document in enumerate(documents):
        for name in _PLAIN:
            if name in document:
                cells[name][row] = document[name]
        for name, value in _facts(document):
            cells[name][row] = value
        for table, prefix in _TABLES.items():
            columns = known[table]
            for name, value in document.get(table, _NOTHING).items():
                if type(value) in _AS_IT_IS or (type(value) is int and -EXACT <= value <= EXACT):
                    column = columns.get(name)
                    if column is None:
                        column = columns[name] = cells[prefix + name]
                    column[row] = value
                elif isinstance(value, dict):
                    for inner, found in flatten({name: value}, prefix):
                        cells[inner][row] = plain(found)
                else:
                    cells[prefix + name][row] = plain(value)
    return dict(cells)


_NOTHING: Final[Mapping[str, Any]] = {}


def _facts(document: Document) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a run that are neither plain fields nor in its tables."""
    code = document["code"]
    for name in _OF_CODE:
        if name in code:
            yield name, code[name]
    if document.get("disputed"):
        yield "disputed", True
    if "sweep" in document:
        yield "sweep", document["sweep"]["id"]
    if "checks" in document:
        yield "checks", document["checks"]["outcome"]
    if document.get("tags"):
        yield "tags", document["tags"]
    command = document.get("command")
    if command is not None:
        yield "command", command.get("template") or command["argv"]
        if "exit_code" in command:
            yield "exit_code", command["exit_code"]
    for path, state in document.get("inputs", _NOTHING).items():
        yield f"data.{path}", state["sha256"][:12] or f"{state['bytes']} bytes"


_AS_IT_IS: Final = frozenset((float, str, bool))


def number_groups(keys: Iterable[Any]) -> Column:
    """Return the column of groups by number, from 1 in the order of their first rows."""
    numbers: dict[Any, int] = {}
    found, last = [], 0
    for key in keys:
        number = numbers.setdefault(key, len(numbers) + 1)
        found.append(number - last)
        last = number
    return {"time": found}


def plain(value: Any) -> Any:
    """Return a value for the page: lists as queries see them, large whole numbers as text."""
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, int) and abs(value) > EXACT:
        return {"$i": str(value)}
    return value


def encode(cells: Cells, rows: int) -> Column:
    """Return a column in its shortest shape."""
    dense = len(cells) * SPARSE >= rows
    values = list(map(cells.get, range(rows))) if dense else list(cells.values())
    return _with_rows(_shape(values), None if dense else cells)


def _with_rows(column: Column, cells: Iterable[int] | None) -> Column:
    return column if cells is None else {**column, "at": list(cells)}


def _shape(values: Sequence[Any]) -> Column:
    if _has_few(values):
        keys = values if _are_keys(values) else [_key(value) for value in values]
        different = dict.fromkeys(keys)
        different.pop(None, None)
        if len(different) * FEW <= len(values):
            codes = {key: code for code, key in enumerate(different)}
            first = dict(zip(reversed(keys), reversed(values), strict=True))
            codes[None] = -1
            return {
                "dict": [first[key] for key in different],
                "codes": [codes[key] for key in keys],
            }
    numbers = set(map(type, values)) <= {int, float, type(None)}
    return {"num" if numbers else "raw": list(values)}


def _has_few(values: Sequence[Any]) -> bool:
    """Return whether a column may have few different values, by a look at some of them."""
    some = values[:: max(1, len(values) // SAMPLE)]
    return len(set(map(str, some))) <= max(1, len(some) * 3 // 4)


def _are_keys(values: Sequence[Any]) -> bool:
    """Return whether values tell themselves apart: texts, whole numbers or truths alone."""
    kinds = set(map(type, values)) - {type(None)}
    return len(kinds) == 1 and kinds <= {str, int, bool}


def _key(value: Any) -> Any:
    """Return a key for a value: 1, 1.0 and true have different ones."""
    if value is None or type(value) is str or (type(value) is float and value != 0):
        return value
    return type(value), str(value)


def _distances(times: Iterable[str]) -> list[int]:
    found, last = [], 0
    for text in times:
        moment = (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
        found.append(moment - last)
        last = moment
    return found
