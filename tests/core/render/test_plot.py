"""Axes of plots."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.render.plot import Shape, _round_limits, draw

finite = st.floats(-1e12, 1e12)


@given(st.lists(finite, min_size=1), st.integers(20, 200))
def test_every_point_is_drawn(values: list[float], columns: int) -> None:
    low, high = _round_limits(values, columns)
    assert low < high
    assert low <= min(values)
    assert max(values) <= high + 1e-9 * max(map(abs, values))


@pytest.mark.parametrize("last", [4, 99, 1000, 50_000, 0.5])
def test_axis_leaves_little_space_unused(last: float) -> None:
    low, high = _round_limits([0, last], 61)
    assert low == 0
    assert last <= high <= 1.5 * last


def test_numbers_on_the_axis_are_round() -> None:
    pytest.importorskip("plotille")
    points = [(float(n), math.sqrt(n)) for n in range(1001)]
    drawn = draw([Shape("loss", points)], x_label="step", y_label="loss", height=5)
    numbers = drawn.splitlines()[-1].split()[1:]
    assert numbers == ["0", "200", "400", "600", "800", "1000"]
