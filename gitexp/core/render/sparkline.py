"""A series of numbers as one short word of bars."""

import math
from collections.abc import Sequence

from gitexp.core.model.run import Series

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], *, columns: int = 24) -> str:
    """The values as bars from the lowest to the highest, at most `columns`; empty below two values.

    A longer series is shown by the last value of each part; what is not finite is a gap.
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
    share = (value / 2 - low / 2) / (high / 2 - low / 2)  # halves, or the span may overflow
    return BARS[min(len(BARS) - 1, int(share * len(BARS)))]


def series_values(series: Series, metric: str) -> list[float]:
    """The numbers of one metric, in the order logged."""
    found = (row.get(metric) for row in series)
    return [float(value) for value in found if isinstance(value, int | float)]
