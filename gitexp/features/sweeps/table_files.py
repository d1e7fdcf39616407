"""Files after `--from`: a table of values by parameter, or a matrix with a point in each row.

Pure.
"""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.errors import UnreadableRecord
from gitexp.core.inputs.argv import parse_value
from gitexp.core.inputs.files import parse_params
from gitexp.core.model.run import Table, Value, flatten, nest
from gitexp.core.schema.limits import check_table
from gitexp.features.sweeps.space import (
    MAX_POINTS,
    Choice,
    Point,
    UnusableSpace,
    Values,
)
from gitexp.features.sweeps.space_syntax import parse_values

FORMS = "a table [space] in TOML, or a list of points in JSON or CSV"


def parse_space_file(
    data: bytes, suffix: str, *, name: str
) -> tuple[dict[str, Values], list[Point]]:
    """Read a file: values by parameter, and the points of a matrix. Raises `UnusableSpace`."""
    try:
        match suffix.lower():
            case ".toml":
                return _by_name(parse_params(data, ".toml", name=name), name), []
            case ".json":
                return _from_json(json.loads(data), name)
            case ".csv":
                return {}, _from_csv(data.decode("utf-8-sig"), name)
    except (ValueError, RecursionError, csv.Error, UnreadableRecord) as error:
        raise UnusableSpace(f"cannot read '{name}'", why=str(error)) from error
    raise UnusableSpace(f"cannot read '{name}'", why=f"its name ends in '{suffix}'", hints=[FORMS])


def _by_name(table: Mapping[str, Value], name: str) -> dict[str, Values]:
    space = table.get("space")
    if not isinstance(space, dict) or not space:
        raise UnusableSpace(f"'{name}' has no table [space]", hints=[f"write {FORMS}"])
    check_table(space, "parameter")
    return {dotted: _values(dotted, value) for dotted, value in flatten(space)}


def _values(name: str, value: Value) -> Values:
    """A list gives choices; text is read as after `-S`; anything else is one value."""
    if isinstance(value, list):
        if not value:
            raise UnusableSpace(f"cannot read the values of '{name}'", why="the list is empty")
        return Choice(tuple({canonical(each): each for each in reversed(value)}.values())[::-1])
    return parse_values(name, value) if isinstance(value, str) else Choice((value,))


def _from_json(document: Any, name: str) -> tuple[dict[str, Values], list[Point]]:
    if isinstance(document, dict):
        space = document.get("space", document)
        return _by_name({"space": space}, name), []
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise UnusableSpace(f"cannot read '{name}'", why="it is no list of points", hints=[FORMS])
    return {}, _points([_without_null(row) for row in document], name)


def _without_null(row: Mapping[str, Any]) -> Table:
    return {key: value for key, value in row.items() if value is not None}


def _from_csv(text: str, name: str) -> list[Point]:
    rows = list(csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True))
    for number, row in enumerate(rows, start=2):
        if "" in row:
            raise UnusableSpace(
                f"cannot read '{name}'", why=f"line {number} has more values than the header"
            )
    found = [{key: parse_value(text) for key, text in row.items() if text} for row in rows]
    return _points(found, name)


def _points(rows: list[Table], name: str) -> list[Point]:
    if not rows:
        raise UnusableSpace(f"'{name}' has no points")
    if len(rows) > MAX_POINTS:
        raise UnusableSpace(f"'{name}' has {len(rows):,} points", why=f"at most {MAX_POINTS:,}")
    for row in rows:
        check_table(nest(row), "parameter")
    return [dict(flatten(nest(row))) for row in rows]
