"""A series of numbers as a short row of bars."""

import math
from collections.abc import Sequence

from gitexp.core.model.run import Series

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], *, columns: int = 24) -> str:
    """Return the values as bars between minimum and maximum, at most `columns`.

    Empty for fewer than two values. Of a longer series each bar shows the last value of its part;
    infinite values and NaN are gaps.
    """
    shown = _sampled(values, columns)
    finite = [value for value in shown if math.isfinite(value)]
    if len(values) < 2 or not finite:
        return ""
    low, high = min(finite), max(finite)
    return "".join(_bar(value, low, high) for value in shown)


def _sampled(values: Sequence[float], columns: int) -> Sequence[float]:
    count = len(values)
    if count <= columns:
        return values
    return [values[(n + 1) * count // columns - 1] for n in range(columns)]


def _bar(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return " "
    if low == high:
        return BARS[len(BARS) // 2]
    share = (value / 2 - low / 2) / (high / 2 - low / 2)  # halves, because the span may overflow
    return BARS[min(len(BARS) - 1, int(share * len(BARS)))]


def series_values(series: Series, metric: str) -> list[float]:
    """Return the numbers of one metric, in logged order."""
    found = (row.get(metric) for row in series)
    return [float(value) for value in found if isinstance(value, int | float)]
