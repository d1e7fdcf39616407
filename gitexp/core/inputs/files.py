"""Parse parameter and metric files: TOML, JSON, YAML, CSV, TSV and JSON lines.

Messages call the file `name`. Everything is bounded, so the file of a runaway program is refused
after a short time.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.inputs.argv import parse_value
from gitexp.core.inputs.listed_metrics import name_listed_tables, rows_of_columns
from gitexp.core.model.run import Series, Table, Value, flatten, nest
from gitexp.core.schema.limits import MAX_DEPTH, check_table, refuse_depth

MAX_FILE_BYTES = 64 << 20
MAX_VALUES = 200_000
"""Maximum values of one table: more than a record can hold, which is 1 MiB."""
MAX_ROW_VALUES = 2_000_000
"""Maximum values in all rows of one file; YAML aliases can represent far more."""
MAX_BRACKETS = 200
"""YAML with more open brackets is refused before parsing."""

TABLE_SUFFIXES = (".toml", ".json", ".yaml", ".yml")
ROW_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


def parse_params(data: bytes, suffix: str, *, name: str = "") -> Table:
    """Read a parameter file. Raises `InvalidInput`."""
    table = parse_table(data, suffix, name=name)
    check_table(table, "parameter")
    return table


def parse_metrics(data: bytes, suffix: str, *, name: str = "") -> tuple[Table, Series]:
    """Read a metrics file: the last value of each metric, and the series if it holds rows.

    A single table has no series; a list of objects in it is a table by their names. Of rows (CSV,
    TSV, JSON lines, a JSON list of objects, a table of lists with a step or a loss) the last value
    of each column counts; `step`, and `time` beside it or in several rows, are times, not metrics.
    Ignores an incomplete last line, which a crash may leave. Raises `InvalidInput`.
    """
    label = _label(suffix, name)
    loaded = _load(data, suffix, label) if suffix.lower() in TABLE_SUFFIXES else None
    if isinstance(loaded, list):
        budget = [MAX_ROW_VALUES]
        rows = [_tidy_table(row, label, budget) for row in loaded]
    elif suffix.lower() in TABLE_SUFFIXES:
        tidy = _tidy_table(loaded, label)
        history = rows_of_columns(tidy)
        if history is None:
            table = nest(name_listed_tables(tidy))
            check_table(table, "metric")
            return table, []
        rows = history
    else:
        rows = _rows(data, suffix, label)
    table = _last_values(rows)
    check_table(table, "metric")
    return table, [] if len(rows) < 2 else [_series_row(row) for row in rows]


def parse_table(data: bytes, suffix: str, *, name: str = "") -> Table:
    """Read one table from TOML, JSON or YAML, without `null` values.

    Raises `InvalidInput`, with line and column if the parser knows them.
    """
    label = _label(suffix, name)
    return _tidy_table(_load(data, suffix, label), label)


def _label(suffix: str, name: str) -> str:
    return f"'{name}'" if name else f"the {suffix.removeprefix('.') or 'nameless'} file"


def _invalid(label: str, why: str, *, hints: Sequence[str] = ()) -> InvalidInput:
    return InvalidInput(f"cannot read {label}", why=why, hints=hints)


def _text(data: bytes, label: str) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise _invalid(label, f"it has {len(data):,} bytes, at most {MAX_FILE_BYTES:,} are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(label, f"it is not UTF-8 at byte {error.start}") from error


# --- one table ------------------------------------------------------------------------------------


def _load(data: bytes, suffix: str, label: str) -> object:
    loaders: dict[str, Callable[[str, str], object]] = {
        ".toml": _load_toml,
        ".json": _load_json,
        ".yaml": _load_yaml,
        ".yml": _load_yaml,
    }
    loader = loaders.get(suffix.lower())
    if loader is None:
        known = ", ".join((*TABLE_SUFFIXES, *ROW_SUFFIXES))
        raise _invalid(label, f"'{suffix}' is not a known format", hints=[f"known are {known}"])
    text = _text(data, label)
    try:
        return loader(text, label)
    except RecursionError as error:
        raise _invalid(label, f"it is nested deeper than {MAX_DEPTH} levels") from error


def _load_toml(text: str, label: str) -> object:
    import tomllib

    try:
        refuse_depth(text)
        return tomllib.loads(text)
    except UnreadableRecord as error:
        raise _invalid(label, error.why or error.what) from error
    except ValueError as error:
        raise _invalid(label, str(error)) from error


def _load_json(text: str, label: str) -> object:
    import json

    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        raise _invalid(
            label, f"{error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except ValueError as error:
        raise _invalid(label, str(error)) from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the name '{twice[:60]}' occurs twice")
    return table


def _load_yaml(text: str, label: str) -> object:
    try:
        import yaml  # an optional extra
    except ImportError as error:
        raise _invalid(
            label, "PyYAML is not installed", hints=["`pip install 'gitexp[yaml]'`"]
        ) from error

    _refuse_brackets(text, label)

    class Loader(yaml.SafeLoader):
        """YAML loader that is safe and reads `1e-3` as a number; YAML 1.1 requires `1.0e-3`."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+\Z"),
        list("-+0123456789"),
    )
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _invalid(label, f"{error.problem}{at}") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise _invalid(label, str(error).splitlines()[0]) from error


def _refuse_brackets(text: str, label: str) -> None:
    """Refuse many brackets, also in quoted text: PyYAML takes quadratic time over them."""
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth = depth + 1 if bracket[0] in "[{" else max(0, depth - 1)
        if depth > MAX_BRACKETS:
            raise _invalid(label, f"it is nested deeper than {MAX_DEPTH} levels")


# --- rows -----------------------------------------------------------------------------------------


def _rows(data: bytes, suffix: str, label: str) -> list[Table]:
    if suffix.lower() in (".csv", ".tsv"):
        text = _text(data, label)
        return list(_csv_rows(text, "\t" if suffix.lower() == ".tsv" else ",", label))
    if suffix.lower() in (".jsonl", ".ndjson"):
        budget = [MAX_ROW_VALUES]
        rows = _json_rows(_text(data, label), label)
        return [_tidy_table(row, label, budget) for row in rows]
    return [_tidy_table(_load(data, suffix, label), label)]


def _csv_rows(text: str, delimiter: str, label: str) -> Iterator[Table]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    cut_off = not text.endswith(("\n", "\r"))
    try:
        filled = [(lines.line_num, cells) for cells in lines if any(cells)]
    except csv.Error as error:
        raise _invalid(label, f"{error} at line {lines.line_num}") from error
    for position, (line, cells) in enumerate(filled):
        if not columns:
            columns = [cell.strip() for cell in cells]
            if not all(columns) or len(set(columns)) != len(columns):
                raise _invalid(label, "the first line must name every column, each once")
        elif len(cells) == len(columns):
            row: Table = {}
            for name, cell in zip(columns, cells, strict=True):
                if cell.strip():
                    row[name] = _cell(cell)
            yield row
        elif not (cut_off and position == len(filled) - 1):
            raise _invalid(label, f"line {line} has {len(cells)} cells, not {len(columns)}")


def _cell(text: str) -> Value:
    value = parse_value(text)
    return text if isinstance(value, list | dict) else value


def _json_rows(text: str, label: str) -> Iterator[object]:
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _load(line.encode(), ".json", label)
        except InvalidInput as error:
            if number == len(lines):
                return
            why = re.sub(r"at line 1,", f"at line {number},", error.why or "")
            raise _invalid(label, why if why != error.why else f"{why} at line {number}") from error


def _last_values(rows: Sequence[Table]) -> Table:
    last: Table = {}
    for row in rows:
        last.update(flatten(row))
    if "step" in last or len(rows) > 1:
        last.pop("time", None)
    last.pop("step", None)
    return nest(last)


def _series_row(row: Table) -> dict[str, float | int | str]:
    """Return numbers and texts by dotted name, without lists and dates, which no series holds."""
    return {
        name: int(value) if isinstance(value, bool) else value
        for name, value in flatten(row)
        if isinstance(value, bool | int | float | str)
    }


# --- what parsers return, as a record can hold it -------------------------------------------------


def _tidy_table(loaded: object, label: str, budget: list[int] | None = None) -> Table:
    """Return a table with text keys and without nulls.

    Raises `InvalidInput` unless it is a table within the limits. `budget` holds the number of
    further values allowed, for all tables of one file together.
    """
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise _invalid(label, f"expected a table of names and values, found a {_kind(loaded)}")
    budget = [MAX_VALUES] if budget is None else budget
    return {
        _key(key): _tidy(value, label, 1, budget)
        for key, value in loaded.items()
        if value is not None
    }


def _tidy(value: Any, label: str, depth: int, budget: list[int]) -> Value:
    budget[0] -= 1
    if depth > MAX_DEPTH or budget[0] < 0:
        raise _invalid(
            label,
            "it holds too many values to record"
            if budget[0] < 0
            else f"it is nested deeper than {MAX_DEPTH} levels",
        )
    if isinstance(value, dict):
        return {
            _key(key): _tidy(inner, label, depth + 1, budget)
            for key, inner in value.items()
            if inner is not None
        }
    if isinstance(value, list | tuple):
        return [_tidy(inner, label, depth + 1, budget) for inner in value if inner is not None]
    inner: Value = value
    return inner


def _key(key: object) -> str:
    """Return the key as text: YAML keys may be numbers and booleans."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def _kind(loaded: object) -> str:
    return "list" if isinstance(loaded, list) else "text" if isinstance(loaded, str) else "number"
