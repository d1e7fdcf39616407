"""Read logs of rows: CSV, TSV and JSON lines, as loggers write them while a program trains.

A table is a log if a column numbers steps or epochs, its steps never decrease, and few rows share a
step. Tables of predictions or data are not logs.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.argv import parse_value
from gitexp.core.model.run import flatten
from gitexp.features.harvest.budget import Budget, OutOfBudget
from gitexp.features.harvest.findings import STEP_NAMES, step_of

MAX_COLUMNS: Final = 2_000
_ROWS_A_STEP: Final = 4
_OF_TIME: Final = ("time", *STEP_NAMES)

Row = dict[str, float | int]


def step_column(columns: Sequence[str]) -> str | None:
    """Return the column that numbers the rows of a log; `None` if there is none."""
    known = {column.strip().lower(): column for column in columns}
    return next((known[name] for name in STEP_NAMES if name in known), None)


def header_of(head: bytes, suffix: str) -> list[str]:
    """Return the columns named by the first line; empty if it does not look like a header."""
    line = head.partition(b"\n")[0]
    try:
        text = line.decode("utf-8-sig").strip("\r")
        cells = next(csv.reader([text], delimiter=_delimiter(text, suffix)), [])
    except (UnicodeDecodeError, csv.Error):
        return []
    columns = [cell.strip() for cell in cells]
    is_header = len(columns) > 1 and not any(_number(column) is not None for column in columns)
    return columns if is_header else []


def _delimiter(line: str, suffix: str) -> str:
    return "\t" if suffix == ".tsv" or ("\t" in line and "," not in line) else ","


def read_csv(
    content: bytes, suffix: str, budget: Budget, *, kept_bytes: int = 0, is_ended: bool = True
) -> list[Row]:
    """Return the rows of a log after the first `kept_bytes`.

    A last line without a line end counts only if it has all cells and the program ended well, since
    a killed program can leave half a number. Raises `InvalidInput`, `OutOfBudget`.
    """
    columns = header_of(content, suffix)
    step = step_column(columns)
    if step is None:
        raise InvalidInput("no column numbers its steps")
    if len(columns) > MAX_COLUMNS:
        raise OutOfBudget(f"too large: it has {len(columns):,} columns")
    first = content.partition(b"\n")[0]
    body = content[kept_bytes or len(first) + 1 :]
    if not is_ended:
        body = body[: body.rfind(b"\n") + 1]
    delimiter = _delimiter(first.decode("utf-8", errors="replace"), suffix)
    found: list[Row] = []
    lines = csv.reader(io.StringIO(_text(body), newline=""), delimiter=delimiter)
    try:
        for cells in lines:
            budget.tick(len(found) * len(columns))
            if not any(cells):
                continue
            if len(cells) != len(columns):
                if not body.endswith(b"\n") and next(lines, None) is None:
                    break
                raise InvalidInput(
                    f"line {lines.line_num + 1} has {len(cells)} cells, not {len(columns)}"
                )
            row = _row(zip(columns, map(_number, cells), strict=True), step)
            found += [row] if row else []
    except csv.Error as error:
        raise InvalidInput("it is not CSV", why=str(error)) from error
    return found


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"it is not UTF-8 at byte {error.start}") from error


def _number(cell: str) -> float | int | None:
    value = parse_value(cell.strip())
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float) else None


def _row(cells: Iterable[tuple[str, float | int | None]], step: str) -> Row | None:
    """Build a row with its `step` first; names of steps and times are not metrics."""
    values: Row = {}
    at = None
    for name, value in cells:
        if name == step:
            at = step_of(value)
        elif name and value is not None and name.lower() not in STEP_NAMES:
            values[name] = value
    return None if at is None else {"step": at, **values}


# --- JSON lines -----------------------------------------------------------------------------------


def read_json_lines(content: bytes, budget: Budget, *, kept_bytes: int = 0) -> list[Row]:
    """Return the rows of a JSON lines log after the first `kept_bytes`. Skips a partial last line.

    Rows without a step are left out. Raises `InvalidInput`, `OutOfBudget`.
    """
    found: list[Row] = []
    count = 0
    lines = content[kept_bytes:].split(b"\n")
    for number, line in enumerate(lines, start=1):
        budget.tick(count)
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise InvalidInput(f"line {number} is not JSON", why=str(error)[:200]) from error
        row = json_row(document)
        count += len(row or ())
        found += [row] if row else []
    return found


def json_row(document: object) -> Row | None:
    """Return the numbers of a JSON object by dotted name; `None` if it has no step."""
    if not isinstance(document, dict):
        return None
    try:
        values = dict(flatten(document))
    except RecursionError:
        return None
    step = step_column(list(values))
    if step is None:
        return None
    return _row(((name, _json_number(value)) for name, value in values.items()), step)


def _json_number(value: object) -> float | int | None:
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float) else None


# --- log detection ------------------------------------------------------------------------------


def is_log(rows: Sequence[Mapping[str, float | int]]) -> bool:
    """Return whether rows look like a log of metrics, not like predictions or data."""
    steps = [row["step"] for row in rows]
    has_metrics = any(name not in _OF_TIME for row in rows for name in row)
    goes_on = all(a <= b for a, b in pairwise(steps))
    return bool(has_metrics and goes_on and len(rows) <= _ROWS_A_STEP * len(set(steps)))


def with_time(rows: list[Row]) -> list[Row]:
    """Drop the `time` of rows unless it can be seconds since the start."""
    times = [row["time"] for row in rows if "time" in row]
    if len(times) > 1 and all(0 <= a <= b for a, b in pairwise(times)):
        return rows
    return [{name: value for name, value in row.items() if name != "time"} for row in rows]
