"""Curves with few points that still show every peak."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gitexp.core.schema.series_csv import SeriesColumns

POINTS: Final = 500
"""Most points of a curve, unless all are wanted."""

DIGITS: Final = 6
"""Significant digits of a thinned value."""

Curve = dict[str, Any]
"""`x` steps, `t` seconds since the start where known, `y` values; `end`, if the last is not one."""


def curves_of_columns(
    columns: SeriesColumns, *, full: bool = False, most_metrics: int = 40
) -> dict[str, Curve]:
    """Return the curves of a run by metric; those with fewer than two points are left out."""
    count = max(map(len, columns.values()), default=0)
    steps = columns.get("step", [None] * count)
    times = columns.get("time", [None] * count)
    if not _are_finite(steps):
        steps = [place if finite(s) is None else s for place, s in enumerate(steps)]
    if times.count(None) < count and not _are_finite(times):
        times = [finite(time) for time in times]
    found: dict[str, Curve] = {}
    for name, values in columns.items():
        if name in ("step", "time") or (len(found) >= most_metrics and not full):
            continue
        rows: Sequence[int] = range(count)
        if not _are_finite(values):
            rows = [row for row, value in enumerate(values) if finite(value) is not None]
        if len(rows) > 1:
            kept = rows if full else [rows[n] for n in _thinned(values, rows)]
            found[name] = _curve(steps, times, values, kept, full=full)
            if len(rows) < count and (end := _strange_end(values)) is not None:
                found[name]["end"] = end
    return found


def _strange_end(values: Sequence[Any]) -> str | None:
    """Return the last value of a metric if it is NaN or infinite: its curve ends before it."""
    last = next((value for value in reversed(values) if value is not None), None)
    if not isinstance(last, float) or math.isfinite(last):
        return None
    return "NaN" if math.isnan(last) else "Infinity" if last > 0 else "-Infinity"


def _thinned(values: Sequence[Any], rows: Sequence[int]) -> list[int]:
    is_all = len(rows) == len(values)
    return thin(values if is_all else [values[row] for row in rows], POINTS)


def _curve(
    steps: Sequence[Any],
    times: Sequence[Any],
    values: Sequence[Any],
    rows: Sequence[int],
    *,
    full: bool,
) -> Curve:
    curve: Curve = {
        "x": [steps[row] for row in rows],
        "y": [values[row] if full else _short(values[row]) for row in rows],
    }
    if times.count(None) < len(times) and all(times[row] is not None for row in rows):
        curve["t"] = [times[row] if full else _short(times[row]) for row in rows]
    return curve


def thin(values: Sequence[float], most: int) -> list[int]:
    """Return the places of at most `most` values: first, last, and the extremes of stretches."""
    if len(values) <= most:
        return list(range(len(values)))
    stretches = max(1, (most - 2) // 2)
    size = (len(values) - 2) / stretches
    places = {0, len(values) - 1}
    for n in range(stretches):
        start = 1 + int(n * size)
        stretch = values[start : max(start + 1, 1 + int((n + 1) * size))]
        places.add(start + stretch.index(min(stretch)))
        places.add(start + stretch.index(max(stretch)))
    return sorted(places)


def count_points(curves: Iterable[Mapping[str, Curve]]) -> int:
    """Return the number of points of the curves of several runs."""
    return sum(len(curve["y"]) for run in curves for curve in run.values())


def _are_finite(values: Sequence[Any]) -> bool:
    """Return whether all are finite numbers: the usual case, without a look at each in Python."""
    try:
        return set(map(type, values)) <= {int, float} and all(map(math.isfinite, values))
    except OverflowError:  # of an integer with hundreds of digits
        return False


def finite(value: Any) -> float | None:
    """Return the value if it is a finite number, else `None`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")
