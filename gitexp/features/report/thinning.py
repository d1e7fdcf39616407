"""Curves with few points that still show every peak."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gitexp.core.model.run import Series

POINTS: Final = 500
"""Most points of a curve, unless all are wanted."""

DIGITS: Final = 6
"""Significant digits of a thinned value."""

Curve = dict[str, list[Any]]
"""`x` steps, `t` seconds since the start where known, `y` values."""


def curves_of(series: Series, *, full: bool = False, most_metrics: int = 40) -> dict[str, Curve]:
    """The curves of a run by metric; those with fewer than two points are left out."""
    points: dict[str, list[tuple[float, float | None, float]]] = {}
    for place, row in enumerate(series):
        step = _finite(row.get("step", place))
        time = _finite(row.get("time"))
        for name, value in row.items():
            number = _finite(value)
            if name not in ("step", "time") and number is not None:
                points.setdefault(name, []).append((place if step is None else step, time, number))
    found = {name: found for name, found in points.items() if len(found) > 1}
    kept = found if full else dict(list(found.items())[:most_metrics])
    return {name: _curve(several, full=full) for name, several in kept.items()}


def _curve(points: Sequence[tuple[float, float | None, float]], *, full: bool) -> Curve:
    kept = points if full else [points[n] for n in thin([y for _, _, y in points], POINTS)]
    curve: Curve = {
        "x": [step for step, _, _ in kept],
        "y": [y if full else _short(y) for _, _, y in kept],
    }
    if all(time is not None for _, time, _ in kept):
        curve["t"] = [time if full else _short(time or 0.0) for _, time, _ in kept]
    return curve


def thin(values: Sequence[float], most: int) -> list[int]:
    """The places of at most `most` values: the first, the last, and each stretch's extremes."""
    if len(values) <= most:
        return list(range(len(values)))
    stretches = max(1, (most - 2) // 2)
    size = (len(values) - 2) / stretches
    places = {0, len(values) - 1}
    for n in range(stretches):
        stretch = range(1 + int(n * size), max(2 + int(n * size), 1 + int((n + 1) * size)))
        places.add(min(stretch, key=values.__getitem__))
        places.add(max(stretch, key=values.__getitem__))
    return sorted(places)


def count_points(curves: Iterable[Mapping[str, Curve]]) -> int:
    """All points of the curves of several runs."""
    return sum(len(curve["y"]) for run in curves for curve in run.values())


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")
