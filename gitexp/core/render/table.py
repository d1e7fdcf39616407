"""Tables: aligned for the terminal, Markdown for forges, CSV for programs, LaTeX for papers.

Cleans every cell, also cells that are clean already.
"""

import re
from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

from gitexp.core.render.text import clean, shorten, width_of

TableStyle: TypeAlias = Literal["plain", "md", "csv", "latex"]

MIN_TEXT_COLUMNS = 8
"""Minimum width of a text column."""

GAP = "  "
_NUMBER = re.compile(r"[+-]?(?:\d[\d,]*\.?\d*(?:e[+-]?\d+)?%?|inf|nan)\Z|-\Z", re.IGNORECASE)
_ID = re.compile(r"[0-9a-f]{7,64}\Z")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~])")


def format_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    style: TableStyle = "plain",
    width: int | None = None,
    fixed: Collection[str] = (),
) -> str:
    """Return the table as text without a final line end.

    With `width`, long text columns are shortened to fit. Numbers, ids and columns whose headers are
    in `fixed` are never cut, even if the table is then too wide. `plain` omits columns without any
    value.
    """
    headers = [clean(header) for header in headers]
    cells = [[clean(cell) for cell in row] for row in rows]
    if style == "csv":
        return _csv([headers, *cells])
    if style == "md":
        return _markdown(headers, cells)
    if style == "latex":
        return _latex(headers, cells)
    return _plain(headers, cells, width, fixed)


def _plain(
    headers: Sequence[str], rows: list[list[str]], width: int | None, fixed: Collection[str]
) -> str:
    every = range(len(headers))
    kept = [i for i in every if any(row[i] for row in rows)] or list(every)
    columns = [[headers[i], *(row[i] for row in rows)] for i in kept]
    right = [column[0] not in fixed and _is_numeric(column[1:]) for column in columns]
    widths = [max(map(width_of, column)) for column in columns]
    if width is not None:
        rigid = [is_rigid(headers[i], columns[n][1:], fixed) for n, i in enumerate(kept)]
        widths = _fit(widths, rigid, width)
    aligned = [
        [_pad(shorten(cell, size), size, right=numeric) for cell in column]
        for column, size, numeric in zip(columns, widths, right, strict=True)
    ]
    return "\n".join(GAP.join(line).rstrip() for line in zip(*aligned, strict=True))


def _fit(widths: list[int], rigid: Sequence[bool], width: int) -> list[int]:
    """Shorten the widest text columns until all columns fit or none can be shortened further."""
    widths = list(widths)
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    while excess > 0:
        loose = [i for i, held in enumerate(rigid) if not held and widths[i] > MIN_TEXT_COLUMNS]
        if not loose:
            break
        widths[max(loose, key=lambda i: widths[i])] -= 1
        excess -= 1
    return widths


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - width_of(text))
    return space + text if right else text + space


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(_NUMBER.match(cell) for cell in filled)


def is_rigid(header: str, cells: Sequence[str], fixed: Collection[str]) -> bool:
    """Return whether a column is never cut: numbers, ids, and headers that are in `fixed`."""
    return header in fixed or _is_numeric(cells) or _is_ids(cells)


def _is_ids(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(_ID.match(cell) for cell in filled)


def _markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a GitHub table; characters with a meaning in Markdown or HTML are escaped."""
    from tabulate import tabulate  # 70 ms, which other styles do not need

    escaped = [[_escape_markdown(cell) for cell in row] for row in rows]
    return tabulate(
        escaped,
        headers=[_escape_markdown(header) for header in headers],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=_alignment(headers, rows),
    )


def _latex(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Return a `booktabs` table with everything escaped; it needs `\usepackage{booktabs}`."""
    from tabulate import tabulate  # 70 ms, which other styles do not need

    return tabulate(
        rows,
        headers=headers,
        tablefmt="latex_booktabs",
        disable_numparse=True,
        colalign=_alignment(headers, rows),
    )


def _alignment(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Align numbers to the right; tabulate accepts no alignment for a table without rows."""
    columns = [[row[i] for row in rows] for i in range(len(headers))]
    return ["right" if _is_numeric(column) else "left" for column in columns] if rows else None


def _escape_markdown(text: str) -> str:
    # An underscore inside a word is no emphasis, so `val_loss` stays readable.
    return _MARKDOWN.sub(r"\\\1", text) if re.search(r"[\\`*\[\]<>|~]|\b_|_\b", text) else text


def _csv(rows: Sequence[Sequence[str]]) -> str:
    import csv
    import io

    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().rstrip("\n")
