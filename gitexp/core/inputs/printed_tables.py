"""Find printed tables, a heading above rows of numbers, and patterns for their columns."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gitexp.core.inputs.metric_lines import Number, to_quantity
from gitexp.core.model.directions import guess_direction

_GAP: Final = r"[\s|,;]"
_CELL: Final = r"[^\s|,;]"
_HEADING: Final = re.compile(r"[A-Za-z][\w./@%()-]{0,60}")
_RULE: Final = re.compile(r"[-=+:|\s─━┼│]+")
_STEPS: Final = frozenset("epoch global_step iter iteration round step".split())
_MAX_COLUMNS: Final = 40
_MAX_TABLES: Final = 5


class Column(NamedTuple):
    """Column of a printed table."""

    heading: str
    expression: str
    """Pattern that reads its value from a row, and the step if the first column has it."""
    values: tuple[Number, ...]
    """Values in the rows right below the heading; the pattern may match further rows."""


def columns_of(lines: Sequence[str]) -> list[Column]:
    """Return the numeric columns of the first tables whose heading names a metric."""
    found: list[Column] = []
    count = 0
    for number, line in enumerate(lines):
        headings = _cells(line)
        if count == _MAX_TABLES or not _is_heading(headings):
            continue
        rows = list(_rows(lines, number + 1, len(headings)))
        if rows:
            count += 1
            found += _columns(headings, rows)
    return found


def _cells(line: str) -> list[str]:
    cells = [cell for cell in re.split(f"{_GAP}+", line) if cell]
    return cells if 2 <= len(cells) <= _MAX_COLUMNS else []


def _is_heading(cells: Sequence[str]) -> bool:
    named = all(map(_HEADING.fullmatch, cells))
    return bool(cells) and named and any(guess_direction(cell.lower()) for cell in cells)


def _rows(lines: Sequence[str], start: int, width: int) -> Iterator[list[str]]:
    """Yield the rows right below a heading; separator lines may be between."""
    for line in lines[start:]:
        if _RULE.fullmatch(line):
            continue
        cells = _cells(line)
        if len(cells) != width or not any(to_quantity(cell) for cell in cells):
            return
        yield cells


def _columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Column]:
    is_step = headings[0].lower() in _STEPS and all(row[0].isdigit() for row in rows)
    for at, heading in enumerate(headings):
        quantities = [to_quantity(row[at]) for row in rows]
        values = tuple(quantity[0] for quantity in quantities if quantity is not None)
        if len(values) < len(rows) or (at == 0 and is_step):
            continue
        first = rf"(?P<step>\d+){_GAP}+" if is_step and at else ""
        skipped = at - 1 if first else at
        before = rf"(?:{_CELL}+{_GAP}+){{{skipped}}}" if skipped else ""
        rest = len(headings) - at - 1
        after = rf"(?:{_GAP}+{_CELL}+){{{rest}}}" if rest else ""
        yield Column(heading, rf"^{_GAP}*{first}{before}([-+\d.e]+)%?{after}{_GAP}*$", values)
