"""Groups: sample, typical run, pairs and looks."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.groups import (
    MIN_PAIRS,
    Group,
    Measurement,
    count_looks,
    group_of,
    groups_of,
    has_one_seed,
    pairs_of,
    took_turns,
)
from tests.core.analysis.sample_groups import group_with, measured, seeded

# --- the numbers that count -----------------------------------------------------------------------


def test_each_run_without_a_seed_counts() -> None:
    group = group_with([0.8, 0.8, 0.9], cell="f")
    assert group.sample == (0.8, 0.8, 0.9)
    assert group.runs == 3
    assert group.mean == pytest.approx(2.5 / 3)
    assert group.sd == pytest.approx(math.sqrt(0.01 / 3))


def test_the_same_seed_with_the_same_number_is_one_measurement() -> None:
    group = group_with([0.8, 0.8, 0.8], cell="f", seeds="seed=0")
    assert group.sample == (0.8,)
    assert (group.runs, group.sd) == (3, None)
    assert has_one_seed(group)


def test_the_same_seed_with_other_numbers_counts_each_run() -> None:
    group = group_with([0.8, 0.81], cell="f", seeds="seed=0")
    assert group.sample == (0.8, 0.81)
    assert has_one_seed(group)


def test_each_seed_is_one_number() -> None:
    runs = [
        measured(0.8, 1, cell="f0", seeds="seed=0"),
        measured(0.9, 2, cell="f0", seeds="seed=0"),
        measured(0.7, 3, cell="f1", seeds="seed=1"),
    ]
    group = group_of(runs)
    assert group.sample == pytest.approx((0.85, 0.7))
    assert group.runs == 3
    assert not has_one_seed(group)


def test_runs_without_a_fingerprint_each_count() -> None:
    assert group_with([0.8, 0.8], cell="", seeds="seed=0").sample == (0.8, 0.8)


def test_failed_runs_are_counted_apart() -> None:
    group = group_with([None, 0.8, None, 0.9])
    assert (group.sample, group.runs, group.failed) == ((0.8, 0.9), 2, 2)
    assert group.newest.value == 0.9
    failed_later = group_with([0.8, None])
    assert failed_later.newest.value == 0.8


def test_a_group_in_which_every_run_failed() -> None:
    group = group_with([None, None])
    assert (group.sample, group.runs, group.failed, group.sd) == ((), 0, 2, None)
    assert math.isnan(group.mean)
    assert group.newest.clock == group.typical.clock == 2
    assert not has_one_seed(group)


def test_the_typical_run_is_near_the_mean_and_early() -> None:
    assert group_with([0.9, 0.8, 0.7]).typical.value == 0.8
    tied = group_with([0.75, 1.0, 0.75, 1.0])
    assert tied.typical.clock == 1
    assert group_with([None, 0.5]).typical.value == 0.5


def test_earlier_of_two_runs_is_typical() -> None:
    assert group_with([0.8, 0.9]).typical.clock == 1


def test_groups_come_newest_first() -> None:
    runs = [measured(1.0, 1, "a"), measured(1.0, 2, "b"), measured(1.0, 3, "a")]
    assert [g.key for g in groups_of(runs)] == ["a", "b"]
    failed_last = [*runs, measured(None, 4, "b")]
    assert [g.key for g in groups_of(failed_last)] == ["a", "b"], "a failed run is no news"
    assert groups_of([]) == []


def test_equal_clocks_are_ordered_by_id() -> None:
    runs = [measured(1.0, 7, "b"), measured(2.0, 7, "a")]
    assert [g.key for g in groups_of(runs)] == [g.key for g in groups_of(runs[::-1])] == ["b", "a"]


def test_the_family_is_that_of_the_newest_run() -> None:
    runs = [measured(1.0, 2, family="new"), measured(1.0, 1, family="old")]
    assert group_of(runs).family == "new"


@given(
    st.lists(
        st.tuples(st.sampled_from([None, 0.8, 0.9, 0.85]), st.sampled_from("xyz")),
        min_size=1,
        max_size=7,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_runs_does_not_matter(
    runs: list[tuple[float | None, str]], rng: random.Random
) -> None:
    members = [
        measured(value, n, cell=seed, seeds=f"seed={seed}") for n, (value, seed) in enumerate(runs)
    ]
    shuffled = rng.sample(members, len(members))
    assert group_of(shuffled) == group_of(members)
    assert group_of(members).failed == sum(value is None for value, _ in runs)
    assert len(group_of(members).sample) <= group_of(members).runs


# --- pairs ----------------------------------------------------------------------------------------


def test_common_seeds_are_pairs() -> None:
    new, old = seeded([1.0, 2.0, 3.0, 4.0, 5.0]), seeded([1.1, 2.1, 3.1, 4.1, 5.1], "b", start=9)
    assert pairs_of(new, old) == list(zip(new.sample, old.sample, strict=True))
    assert pairs_of(old, new) == [(o, n) for n, o in pairs_of(new, old)]


def test_repeats_of_a_seed_are_one_partner() -> None:
    old = seeded([1.0, 2.0, 3.0, 4.0, 5.0], "b")
    again = measured(2.0, 8, "b", cell="b-0", seeds="seed=0")
    old = group_of([*old.measurements, again])
    new = seeded([0.0] * 5)
    assert pairs_of(new, old)[0] == (0.0, 1.5)


def test_few_seeds_are_no_pairs() -> None:
    few = [0.1] * (MIN_PAIRS - 1)
    assert pairs_of(seeded(few), seeded(few, "b")) == []


def test_each_number_of_the_smaller_group_needs_a_partner() -> None:
    six, five = seeded([float(n) for n in range(6)]), seeded([float(n) for n in range(5)], "b")
    assert len(pairs_of(six, five)) == 5
    shifted = group_of(m._replace(seeds=f"seed={n + 1}") for n, m in enumerate(six.measurements))
    assert len(pairs_of(shifted, six)) == 0, "five of six have one"


def test_a_failed_seed_has_no_partner() -> None:
    new, old = seeded([None, 2.0, 3.0, 4.0, 5.0]), seeded([1.0, 2.0, 3.0, 4.0, 5.0], "b")
    assert pairs_of(new, old) == []
    six = seeded([None, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert len(pairs_of(six, seeded([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "b"))) == 5


def turns(values: list[float], group: str, batch: str = "x", start: int = 1) -> Group:
    return group_of(
        measured(v, start + 2 * n, group, batch=batch, round=n) for n, v in enumerate(values)
    )


def test_rounds_of_one_batch_are_pairs() -> None:
    new, old = turns([1.0] * 5, "a"), turns([2.0] * 5, "b", start=2)
    assert pairs_of(new, old) == [(1.0, 2.0)] * 5
    assert took_turns(new, old)


def test_rounds_of_other_batches_are_no_pairs() -> None:
    new, old = turns([1.0] * 5, "a"), turns([2.0] * 5, "b", "y", start=20)
    assert pairs_of(new, old) == []
    assert not took_turns(new, old)


def test_groups_took_turns_if_most_of_their_numbers_did() -> None:
    def with_runs_apart(count: int, group: Group) -> Group:
        apart = group_with([1.0] * count, group.key, start=100)
        return group_of([*group.measurements, *apart.measurements])

    new, old = turns([1.0] * 5, "a"), turns([2.0] * 5, "b", start=2)
    for apart, took in ((1, True), (4, True), (5, False)):
        assert took_turns(with_runs_apart(apart, new), old) is took
        assert took_turns(new, with_runs_apart(apart, old)) is took


def test_a_turn_counts_if_both_sides_have_a_number() -> None:
    numbers = turns([1.0] * 3, "a")
    failed = group_of(m._replace(value=None) for m in turns([1.0] * 2, "b", start=2).measurements)
    other = group_of([*failed.measurements, measured(1.0, 60, "b", batch="x", round=2)])
    assert not took_turns(numbers, failed)
    assert not took_turns(numbers, other)
    assert not took_turns(other, numbers)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (group_with([0.8, 0.8], seeds="seed=0"), True),
        (group_with([0.8], seeds="seed=0"), False),
        (group_with([0.8, None], seeds="seed=0"), False),
        (group_with([0.8, 0.8]), False),
        (seeded([0.8, 0.9]), False),
        (group_of([*seeded([None, 0.8]).measurements, measured(0.7, 9, seeds="seed=1")]), True),
    ],
)
def test_repeats_with_one_seed(group: Group, expected: bool) -> None:
    assert has_one_seed(group) is expected


def test_equal_numbers_without_a_seed_are_measurements() -> None:
    assert group_with([0.8, 0.8, 0.8], cell="f").sample == (0.8, 0.8, 0.8)
    assert group_with([0.8, 0.8, 0.8], cell="f", seeds="seed=0").sample == (0.8,)
    assert group_with([None], cell="f", seeds="seed=0").sample == ()


@pytest.mark.parametrize(
    ("values", "typical"),
    [
        ([1.0, 2.0, 2.9], 1),
        ([-1.0, -2.0, -2.9], 1),
        ([3.0, None, 2.0, 1.0], 2),
        ([0.1 + 0.2, 0.3], 0),
        ([0.0, -1.0, 1.0], 0),
        ([None, None], 1),
    ],
)
def test_typical_run_is_the_nearest_to_the_mean(values: list[float | None], typical: int) -> None:
    group = group_with(values)
    assert group.typical == group.measurements[typical]


def test_spread_of_a_group() -> None:
    assert group_with([1.0, 3.0]).sd == pytest.approx(2**0.5)
    assert group_with([1.0]).sd is None


def test_runs_without_rounds_are_not_alternating() -> None:
    assert not took_turns(group_with([1.0], batch="x"), group_with([1.0], "b", batch="x", start=3))


# --- looks ----------------------------------------------------------------------------------------


def looks(*runs: tuple[str, str | None]) -> int:
    """Return the number of looks after runs in this order, each given as group and batch."""
    members = [measured(1.0, n, group, batch=batch) for n, (group, batch) in enumerate(runs)]
    new, old = ([m for m in members if m.group == key] for key in ("a", "b"))
    return count_looks(group_of(new), group_of(old))


OLD, NEW = ("b", None), ("a", None)
FIVE_OLD, FIVE_NEW = [("b", "x")] * 5, [("a", "y")] * 5

LOOKS: list[tuple[list[tuple[str, str | None]], int]] = [
    ([OLD, NEW], 1),
    ([OLD, NEW, NEW], 1),  # a single number is no look
    ([OLD, NEW, NEW, NEW], 2),
    ([OLD, NEW, NEW, OLD, NEW], 3),
    ([OLD, OLD, OLD, NEW], 1),  # the reference grew before anything could be compared
    ([OLD, OLD, OLD, NEW, NEW], 1),
    ([NEW, OLD, OLD], 1),  # from the other group's view
    ([*FIVE_OLD, *FIVE_NEW], 1),
    ([*FIVE_OLD, *FIVE_NEW, NEW], 2),
    ([*FIVE_OLD, *FIVE_NEW, *FIVE_NEW], 1),  # still the same batch
    ([*FIVE_OLD, *FIVE_NEW, *[("b", "z")] * 3], 2),
    ([*FIVE_OLD, *FIVE_NEW, NEW, NEW, NEW], 4),
    ([("a", "y"), ("b", "y")] * 5, 1),  # alternating
]


@pytest.mark.parametrize(("runs", "expected"), LOOKS)
def test_looks_are_counted(runs: list[tuple[str, str | None]], expected: int) -> None:
    assert looks(*runs) == expected


def test_failed_runs_are_no_looks() -> None:
    old = group_with([1.0] * 5, "b", batch="x")
    new = group_with([1.0, 1.0, None, None], "a", start=6)
    assert count_looks(new, old) == 1
    assert count_looks(group_with([None], start=6), old) == 1


@given(st.lists(st.sampled_from([OLD, NEW, ("a", "x"), ("b", "x"), ("a", "y")]), max_size=12))
def test_one_more_run_is_at_most_one_more_look(runs: list[tuple[str, str | None]]) -> None:
    both = [("b", None), *runs, ("a", None)]
    before = looks(*both)
    after = looks(*both, NEW)
    assert 1 <= before <= len(both)
    assert before <= after <= before + 1


def test_look_is_a_batch_or_a_run() -> None:
    alone = measured(1.0)
    assert alone.occasion == alone.run
    assert measured(1.0, batch="x").occasion == "x"
    assert isinstance(alone, Measurement)
