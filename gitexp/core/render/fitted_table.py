"""Fit tables into a narrow terminal: choose columns, and name the others below the table."""

from collections.abc import Collection, Sequence
from enum import IntEnum

from gitexp.core.model.frozen import frozen
from gitexp.core.render.table import GAP, MIN_TEXT_COLUMNS, format_table, is_rigid
from gitexp.core.render.text import clean, shorten, width_of

READABLE = 14
"""Minimum width to which text columns are cut for more columns; it shows most run names in full."""


class Rank(IntEnum):
    """Importance of a column: if space is short, the lowest rank is left out first."""

    DETAIL = 0
    """Columns that others imply, and metrics with unknown direction."""
    AGE = 1
    METRIC = 2
    """Metrics other than the main one."""
    OUTCOME = 3
    PARAMETER = 4
    DECISION = 5
    MAIN = 6
    """Main columns, left out last."""


@frozen
class FittedColumns:
    """Chosen columns, and the names of the others."""

    kept: tuple[int, ...]
    """Numbers of the columns to show, in order."""
    same: tuple[int, ...] = ()
    """Columns left out because all rows have the same value."""
    cut: tuple[int, ...] = ()
    """Columns left out because they do not fit."""
    notes: tuple[str, ...] = ()
    """Lines for below the table."""


def fitted_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    ranks: Sequence[Rank],
    fixed: Collection[str] = (),
    more: str = "",
) -> str:
    """Return the table of the columns that fit into `width`, and lines with the names of the
    others.

    `more` names the option that lists the others in full, such as `--columns`. Without `width` all
    columns are shown.
    """
    if width is None or not rows:
        return format_table(headers, rows, width=width, fixed=fixed)
    fitted = fit_columns(headers, rows, width, ranks=ranks, fixed=fixed, more=more)
    table = format_table(
        [headers[n] for n in fitted.kept],
        [[row[n] for n in fitted.kept] for row in rows],
        width=width,
        fixed=fixed,
    )
    return "\n".join([table, *fitted.notes])


def fit_columns(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    ranks: Sequence[Rank],
    fixed: Collection[str] = (),
    more: str = "",
) -> FittedColumns:
    """Choose columns so that the table fits into `width` terminal columns.

    If it does not fit, columns with equal values in all rows are left out. If shorter texts are not
    enough either, columns of the lowest rank follow: first those with the fewest values, then the
    last ones. The first column and those of `Rank.MAIN` are left out last.
    """
    filled = [n for n in range(len(headers)) if any(row[n] for row in rows)]
    wide = {n: _width(headers, rows, n) for n in filled}
    if _total(wide, filled) <= width:
        return FittedColumns(tuple(filled))
    same = [n for n in filled[1:] if ranks[n] is not Rank.MAIN and _is_same(rows, n)]
    kept = [n for n in filled if n not in same]
    rigid = {n for n in kept if is_rigid(headers[n], [row[n] for row in rows], fixed)}
    least = {n: wide[n] if n in rigid else min(wide[n], READABLE) for n in kept}
    values = {n: len({row[n] for row in rows}) for n in kept}
    order = sorted(kept[1:], key=lambda n: (ranks[n], values[n], -n))
    cut: list[int] = []
    for n in order:
        if _total(least, kept) <= width:
            break
        if ranks[n] is Rank.MAIN:  # no column is left to drop: shorten the texts
            least = {m: w if m in rigid else min(w, MIN_TEXT_COLUMNS) for m, w in least.items()}
            if _total(least, kept) <= width:
                break
        cut.append(n)
        kept.remove(n)
    for n in reversed(cut):  # a narrower column may fit where a wider one did not
        if _total(least, [*kept, n]) <= width:
            kept.append(n)
    kept.sort()
    cut = sorted(set(cut) - set(kept))
    notes = _notes(headers, rows, width, same, cut, more)
    return FittedColumns(tuple(kept), tuple(same), tuple(cut), tuple(notes))


def _width(headers: Sequence[str], rows: Sequence[Sequence[str]], n: int) -> int:
    return max(width_of(clean(cell)) for cell in (headers[n], *(row[n] for row in rows)))


def _total(widths: dict[int, int], columns: Collection[int]) -> int:
    return sum(widths[n] for n in columns) + len(GAP) * (len(columns) - 1)


def _is_same(rows: Sequence[Sequence[str]], n: int) -> bool:
    return len(rows) > 1 and len({row[n] for row in rows}) == 1


def _notes(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    same: Sequence[int],
    cut: Sequence[int],
    more: str,
) -> list[str]:
    notes = []
    if same:
        pairs = ", ".join(clean(f"{headers[n]} {rows[0][n]}") for n in same)
        names = ", ".join(clean(headers[n]) for n in same)
        is_short = width_of(f"same in all: {pairs}") <= width
        notes.append(_note("same in all", pairs if is_short else names, width, more))
    if cut:
        names = ", ".join(clean(headers[n]) for n in cut)
        notes.append(_note(f"no room for {len(cut)}", names, width, more))
    return notes


def _note(what: str, names: str, width: int, more: str) -> str:
    """Return all names, or as many as fit and the option that lists the others."""
    whole = f"{what}: {names}"
    if width_of(whole) <= width or not more:
        return shorten(whole, width)
    return shorten(f"{what} ({more} lists them): {names}", width)
