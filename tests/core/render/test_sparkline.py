"""Sparklines: a series as a short row of bars."""

import math

import pytest

from gitexp.core.errors import GitexpError
from gitexp.core.render.sparkline import BARS, series_values, sparkline


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([1.0], ""),
        ([math.nan, math.nan], ""),
        ([0.0, 1.0], "▁█"),
        ([1.0, 1.0], "▅▅"),
        ([0.0, math.nan, 1.0], "▁ █"),
        ([-1e308, 1e308], "▁█"),
        (list(range(8)), BARS),
    ],
)
def test_sparkline_bars(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars


def test_a_long_series_is_shortened_and_ends_with_its_end() -> None:
    bars = sparkline([*[0.0] * 1000, 1.0], columns=10)
    assert len(bars) == 10 and bars == "▁" * 9 + "█"


def test_values_of_one_metric() -> None:
    rows: list[dict[str, float | int | str]] = [{"step": 0, "a": 1}, {"b": 2}, {"a": "x"}]
    assert series_values(rows, "a") == [1.0]


def test_sparkline_without_values_is_empty() -> None:
    pytest.importorskip("plotille")
    from gitexp.core.render.plot import Shape, draw

    with pytest.raises(GitexpError, match="nothing to draw"):
        draw([Shape("a", [(0.0, math.nan)])], x_label="x", y_label="y")
    drawn = draw([Shape("a\x1b[31m", [(1.0, 5.0)])], x_label="x\x1b", y_label="y", log_x=True)
    assert "\x1b" not in drawn and "o" not in drawn.replace("(x", "")
