"""Repeats as one row: which runs it stands for, and what of their numbers counts."""

import math
from typing import Any

import pytest

from gitexp.core.model.run import Outcome, RecordedRun, Value
from gitexp.core.render.folded_repeats import (
    Spread,
    fold,
    format_spread,
    spread_of,
    value_of_all,
)
from tests.core.sample_runs import make_run


def entries(count: int, **changes: Any) -> list[RecordedRun]:
    """Return runs 1, 2, … of different trials."""
    return [
        RecordedRun(make_run(n, **{"fingerprint": f"2:{n}", **changes}))
        for n in range(1, count + 1)
    ]


def test_row_of_a_group_shows_its_newest_run_and_has_all_newest_first() -> None:
    one, two, three = entries(3)
    rows = fold([one, three, two], {one.run.id: "a", two.run.id: "b", three.run.id: "a"})
    assert [(row.entry, row.members) for row in rows] == [(three, (three, one)), (two, (two,))]


def test_runs_without_a_group_have_a_row_each() -> None:
    found = entries(2)
    assert [row.members for row in fold(found, {})] == [(entry,) for entry in found]


@pytest.mark.parametrize("bad", [None, "0.5", True, math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_does_not_count_in_a_mean(bad: Value | None) -> None:
    assert spread_of(entries(3), [1.0, bad, 3]) == Spread(2.0, math.sqrt(2))
    assert spread_of(entries(1), [bad]) is None


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.SUCCEEDED])
def test_number_of_a_run_that_did_not_succeed_does_not_count(outcome: Outcome) -> None:
    [good] = entries(1)
    bad = RecordedRun(make_run(2, outcome=outcome))
    assert spread_of([good, bad], [1.0, 9.0]) == Spread(1.0, None)
    assert spread_of([bad], [9.0]) is None


def test_equal_numbers_have_no_spread() -> None:
    assert spread_of(entries(3), [0.5, 0.5, 0.5]) == Spread(0.5, None)
    assert format_spread(Spread(0.5, None), precision=5) == "0.5"
    assert format_spread(Spread(0.85171, 0.00351), precision=4) == "0.8517 ±0.0035"


VALUES: list[tuple[list[Value | None], Value | None]] = [
    ([3, 3], 3),
    ([None, None], None),
    ([10, 9, 100], "9, 10, 100"),
    (["b", "a"], "a, b"),
    ([None, 2], "2"),
]


@pytest.mark.parametrize(("values", "shown"), VALUES)
def test_cell_of_several_runs_has_their_common_value_or_all(
    values: list[Value | None], shown: Value | None
) -> None:
    assert value_of_all(values, precision=5) == shown
