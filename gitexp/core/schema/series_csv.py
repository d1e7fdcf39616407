"""Convert metric series to CSV and back.

Files of the branch are untrusted: every fault becomes one `UnreadableRecord`.
"""

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from itertools import repeat
from typing import TypeAlias

from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.run import Series

SeriesColumns: TypeAlias = dict[str, list[float | int | str | None]]
"""Values of each name by row, `None` where a row has none."""


def encode_series(rows: Series) -> bytes:
    """Encode a metric series as CSV: `step,time`, then sorted metrics; absent cells are empty."""
    names = sorted({name for row in rows for name in row} - {"step", "time"})
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    columns = ["step", "time", *names]
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if name not in row else _cell(row[name]) for name in columns])
    return out.getvalue().encode()


def decode_series(data: bytes) -> Series:
    """Decode a metric series. Raises `UnreadableRecord`."""
    names, cells = _cells(data)
    columns = [_exact_numbers(column) for column in cells]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*columns, strict=True)
    ]


def decode_columns(data: bytes) -> SeriesColumns:
    """Decode a metric series by its columns, several times faster. Raises `UnreadableRecord`.

    An absent cell is `None`. A column with whole and other numbers has all of them as `float`.
    """
    names, cells = _cells(data)
    return {name: _numbers(column) for name, column in zip(names, cells, strict=True)}


def _cells(data: bytes) -> tuple[list[str], Sequence[Sequence[str]]]:
    """Return the names of a series and its cells by column. Raises `UnreadableRecord`."""
    try:
        text = data.decode()
        names, cells = _plain_cells(text) or _read_cells(text)
        if len(cells) != len(names):
            raise ValueError("the rows have another number of cells than the first line")
        return names, cells
    except (csv.Error, UnicodeDecodeError, ValueError, StopIteration) as error:
        raise UnreadableRecord(
            "cannot read a metric series", why=str(error) or "it is empty"
        ) from error


def _read_cells(text: str) -> tuple[list[str], Sequence[Sequence[str]]]:
    """Return the names of a CSV text and its cells by column."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    names = next(lines)
    rows = list(lines)
    return names, list(zip(*rows, strict=True)) if rows else [()] * len(names)


def _plain_cells(text: str) -> tuple[list[str], Sequence[Sequence[str]]] | None:
    """Return the same in half of the time for a text without quotes; else `None`.

    Each line must have the same number of cells.
    """
    if '"' in text or "\r" in text or not text.endswith("\n"):
        return None
    head, *lines = text[:-1].split("\n")
    names = head.split(",")
    commas = len(names) - 1
    if not commas or not lines or set(map(str.count, lines, repeat(","))) != {commas}:
        return None
    cells = ",".join(lines).split(",")
    return names, [cells[n :: len(names)] for n in range(len(names))]


def _numbers(cells: Sequence[str]) -> list[float | int | str | None]:
    if not any(cells):
        return [None] * len(cells)
    for kind in (int, float):
        with suppress(ValueError):
            return list(map(kind, cells))
    return _exact_numbers(cells)


def _exact_numbers(cells: Sequence[str]) -> list[float | int | str | None]:
    """Return the same with whole numbers as `int`, beside other numbers too."""
    with suppress(ValueError):
        return list(map(int, cells))
    known = {cell: None if cell == "" else _number(cell) for cell in set(cells)}
    return [known[cell] for cell in cells]


def merge_series(*several: Series) -> Series:
    """Merge several series. For a metric in more than one of them, the first one counts.

    Rows of the same step become one row. A row without a step has its position as step.
    """
    filled = [series for series in several if series]
    if len(filled) < 2:
        return [{"step": place, **row} for series in filled for place, row in enumerate(series)]
    taken: set[str] = set()
    merged: dict[float | int | str, dict[str, float | int | str]] = {}
    for series in filled:
        new = {name for row in series for name in row} - {"step", "time"} - taken
        taken |= new
        for place, row in enumerate(series):
            values = {name: value for name, value in row.items() if name in new}
            if values:
                at = row.get("step", place)
                into = merged.setdefault(at, {"step": at})
                if "time" in row:
                    into.setdefault("time", row["time"])
                into.update(values)
    return [merged[at] for at in sorted(merged, key=lambda at: (isinstance(at, str), at))]


def _cell(value: float | str) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _number(cell: str) -> float | int | str:
    try:
        return int(cell)
    except ValueError:
        try:
            return float(cell)
        except ValueError:
            return cell
