"""Neighbours: trials next to the best one that were not run.

Their values are tried ones, or lie between or beside tried ones.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.analysis.seeds import without_seeds
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import RecordedRun, Value, flatten

MAX_CATEGORIES: Final = 8
"""A text parameter with more values than this is a label, not a choice."""

MIN_SHARE: Final = 0.02
"""Values closer than this, relative to their size, have no value between them."""

MAX_FACTOR: Final = 10.0
"""Limit of a suggestion, as a factor beyond the tried values."""


@frozen
class Neighbour:
    """Trial next to the best run that was not run: one parameter changed."""

    param: str
    value: Value
    why: str


def neighbours(
    best: RecordedRun, entries: Sequence[RecordedRun], *, are_all: bool = True
) -> Iterator[Neighbour]:
    """Return the trials that differ from the best run in one parameter and were not run.

    `are_all` is False if there are more runs than the entries. Parameters that varied before come
    first; random seeds are never changed.
    """
    usual = dict(flatten(without_seeds(best.run.parameters)))
    tables = [dict(flatten(without_seeds(entry.run.parameters))) for entry in entries]
    made = {canonical(table) for table in tables}
    varied: list[list[Neighbour]] = []
    fixed: list[list[Neighbour]] = []
    for name, value in usual.items():
        tried = list({canonical(t[name]): t[name] for t in tables if name in t}.values())
        found = [
            Neighbour(name, other, why)
            for other, why in _candidates(value, tried, are_all=are_all)
            if canonical({**usual, name: other}) not in made
        ]
        (varied if len(tried) > 1 else fixed).append(found)
    yield from _in_turn(varied)
    yield from _in_turn(fixed)


def _in_turn(groups: Sequence[Sequence[Neighbour]]) -> Iterator[Neighbour]:
    """Yield the first of each, then the second of each, and so on."""
    for n in range(max(map(len, groups), default=0)):
        for group in groups:
            yield from group[n : n + 1]


def _candidates(
    value: Value, tried: Sequence[Value], *, are_all: bool
) -> Iterator[tuple[Value, str]]:
    if isinstance(value, bool | str):
        others = [v for v in tried if isinstance(v, bool | str) and v != value]
        if len(others) < MAX_CATEGORIES:
            yield from ((other, "tried elsewhere, not with the best") for other in others)
    elif isinstance(value, int | float) and math.isfinite(value):
        plain = [v for v in tried if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(tried) > 1:
            why = "no other number was tried"
        else:
            why = "it was never varied" if are_all else "not varied in the runs that were read"
        yield from _numeric_candidates(value, sorted(v for v in plain if math.isfinite(v)), why)


def _numeric_candidates(
    value: float, tried: Sequence[float], unvaried: str
) -> Iterator[tuple[float, str]]:
    """Yield midpoints to the nearest tried values; beyond the last one, an equal step."""
    below = max((v for v in tried if v < value), default=None)
    above = min((v for v in tried if v > value), default=None)
    if below is None and above is None:
        if value > 0:
            yield _like(value, value / 2), f"half; {unvaried}"
            yield _like(value, value * 2), f"double; {unvaried}"
        return
    for near, far, side in ((below, above, "below"), (above, below, "above")):
        if near is not None:
            between = _like(value, _middle(value, near))
            if min(near, value) < between < max(near, value) and not _are_close(near, value):
                yield between, f"between {min(near, value):g} and {max(near, value):g}"
        elif far is not None:
            beyond = _like(value, _beyond(value, far))
            if beyond != value:
                yield beyond, f"{side} every value tried"


def _are_close(a: float, b: float) -> bool:
    return not isinstance(a, int) and abs(a - b) <= MIN_SHARE * max(abs(a), abs(b))


def _middle(a: float, b: float) -> float:
    """Return the midpoint, the geometric one if the values are far apart."""
    return math.sqrt(a * b) if a > 0 and b > 0 and max(a, b) >= 3 * min(a, b) else (a + b) / 2


def _beyond(value: float, far: float) -> float:
    """Return the mirror image of a value on the other side, at most ten times or a tenth."""
    if value <= 0 or far <= 0:
        return 2 * value - far
    return value * min(MAX_FACTOR, max(1 / MAX_FACTOR, value / far))


def _like(value: float, found: float) -> float:
    """Round to three significant digits, enough for a suggestion; integers stay integers."""
    return round(found) if isinstance(value, int) else float(f"{found:.3g}")
