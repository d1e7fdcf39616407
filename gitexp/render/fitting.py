"""Which columns of a table a narrow terminal gets, and the lines that name the others.

Floor 5, pure. Nothing is left out in silence: a column that is not shown is named below the table.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gitexp.render.table import GAP, is_rigid
from gitexp.render.text import clean, shorten, width_of

READABLE = 14
"""Columns of text are not cut shorter to make room for more; most run names are whole then."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The columns left, and what to say about the rest."""

    kept: tuple[int, ...]
    """Numbers of the columns to show, in order."""
    notes: tuple[str, ...] = ()
    """Lines for below the table."""


def fit_columns(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    fixed: Collection[str] = (),
    pinned: Collection[str] = (),
    kinds: Sequence[str] = (),
) -> Fitted:
    """Choose columns such that the table fits into so many terminal columns.

    A table that fits as it is stays whole. Else the columns that are the same in every row go, and
    then, if shortening texts is not enough, always the last one of the kind that has most; columns
    without a kind go at the very end. Headers in `pinned` never go.
    """
    kinds = kinds or ["any"] * len(headers)
    filled = [n for n in range(len(headers)) if any(row[n] for row in rows)]
    wide = {n: _width(headers, rows, n) for n in filled}
    if _total(wide[n] for n in filled) <= width:
        return Fitted(tuple(filled))
    same = [n for n in filled if headers[n] not in pinned and _is_same(rows, n)]
    kept = [n for n in filled if n not in same]
    least = {
        n: wide[n]
        if is_rigid(headers[n], [row[n] for row in rows], fixed)
        # The table cuts texts to fit, never numbers and ids.
        else min(wide[n], READABLE)
        for n in kept
    }
    cut: list[int] = []
    while _total(least[n] for n in kept) > width:
        loose = [n for n in kept if headers[n] not in pinned]
        if not loose:
            break
        counts = Counter(kinds[n] for n in loose if kinds[n])
        last = max(loose, key=lambda n: (counts[kinds[n]], n))
        cut.append(last)
        kept.remove(last)
    return Fitted(tuple(kept), tuple(_notes(headers, rows, width, same, sorted(cut))))


def _width(headers: Sequence[str], rows: Sequence[Sequence[str]], n: int) -> int:
    return max(width_of(clean(cell)) for cell in (headers[n], *(row[n] for row in rows)))


def _total(widths: Iterable[int]) -> int:
    sizes = list(widths)
    return sum(sizes) + len(GAP) * (len(sizes) - 1)


def _is_same(rows: Sequence[Sequence[str]], n: int) -> bool:
    return len(rows) > 1 and len({row[n] for row in rows}) == 1


def _notes(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    same: Sequence[int],
    cut: Sequence[int],
) -> list[str]:
    notes = []
    if same:
        pairs = "same in all: " + ", ".join(clean(f"{headers[n]} {rows[0][n]}") for n in same)
        names = "same in all: " + ", ".join(clean(headers[n]) for n in same)
        notes.append(shorten(pairs if width_of(pairs) <= width else names, width))
    if cut:
        names = ", ".join(clean(headers[n]) for n in cut)
        notes.append(shorten(f"no room for {len(cut)}: {names}", width))
    return notes
