"""Comparison of two samples: answers, intervals, levels, sample sizes, early stops."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.noise import Basis, Noise, Sample, comparable, measure_noise
from gitexp.core.analysis.samples import (
    Answer,
    Compared,
    compare_samples,
    is_hopeless,
    level_of,
    repeats_needed,
    standard_error,
)

FLIPPED = {
    Answer.BETTER: Answer.WORSE,
    Answer.WORSE: Answer.BETTER,
    Answer.SAME: Answer.SAME,
    Answer.UNKNOWN: Answer.UNKNOWN,
}
SHOWN = (Answer.BETTER, Answer.WORSE)


def compared(
    new: Sample,
    old: Sample,
    others: Sequence[Sample] = (),
    *,
    declared: float | None = None,
    min_effect: float = 0.0,
    rivals: int = 1,
    look: int = 1,
    gain_sign: int = 1,
) -> Compared:
    """Compare with the noise of these samples."""
    noise = measure_noise(comparable(others, new, old), declared=declared)
    return compare_samples(
        new, old, noise, gain_sign=gain_sign, min_effect=min_effect, rivals=rivals, look=look
    )


World = tuple[list[float], list[float], list[list[float]], float]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw two samples, others of their family, and an effect size, at one level."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    level = draw(st.sampled_from([1.0, 0.8, 100.0, -3.0, 0.01]))
    sd = abs(level) * draw(st.sampled_from([0.001, 0.02, 0.1]))
    shift = sd * draw(st.sampled_from([0, 1, -2, 3, 6]))
    effect = sd * draw(st.sampled_from([0, 1, 3]))

    def sample(size: int, middle: float) -> list[float]:
        return [middle + rng.gauss(0, sd) for _ in range(size)]

    others = [sample(n, level) for n in draw(st.lists(st.integers(1, 4), max_size=5))]
    new = sample(draw(st.integers(1, 6)), level + shift)
    return new, sample(draw(st.integers(1, 6)), level), others, effect


def widths(found: Compared) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.difference - found.low, found.high - found.difference


# --- what holds for all numbers -------------------------------------------------------------------


@given(worlds())
def test_swapping_the_sides_reverses_the_answer(world: World) -> None:
    new, old, others, effect = world
    there = compared(new, old, others, min_effect=effect)
    back = compared(old, new, others, min_effect=effect)
    assert back.answer is FLIPPED[there.answer]
    assert back.difference == pytest.approx(-there.difference, abs=1e-12)
    if there.low is not None and there.high is not None:
        assert back.high == pytest.approx(-there.low, rel=1e-9, abs=1e-12)
        assert back.low == pytest.approx(-there.high, rel=1e-9, abs=1e-12)


@given(worlds())
def test_other_direction_reverses_only_the_answer(world: World) -> None:
    new, old, others, effect = world
    up = compared(new, old, others, min_effect=effect)
    down = compared(new, old, others, min_effect=effect, gain_sign=-1)
    assert down.answer is FLIPPED[up.answer]
    assert (down.low, down.high, down.difference) == (up.low, up.high, up.difference)


@given(worlds())
def test_a_sample_against_itself_is_never_better_or_worse(world: World) -> None:
    new, _, others, effect = world
    found = compared(new, new, others, min_effect=effect)
    assert found.answer in (Answer.SAME, Answer.UNKNOWN)
    assert found.difference == 0


@given(worlds(), st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(world: World, rng: random.Random) -> None:
    new, old, others, effect = world
    shuffled = [rng.sample(s, len(s)) for s in rng.sample(others, len(others))]
    first = compared(new, old, others, min_effect=effect)
    again = compared(
        rng.sample(new, len(new)), rng.sample(old, len(old)), shuffled, min_effect=effect
    )
    assert again.answer is first.answer
    assert again.difference == pytest.approx(first.difference, abs=1e-12)


@given(worlds(), st.sampled_from([1024.0, 0.125]))
def test_unit_does_not_matter(world: World, factor: float) -> None:
    new, old, others, effect = world
    first = compared(new, old, others, min_effect=effect)
    scaled = compared(
        [factor * x for x in new],
        [factor * x for x in old],
        [[factor * x for x in s] for s in others],
        min_effect=factor * effect,
    )
    assert scaled.answer is first.answer
    assert scaled.difference == pytest.approx(factor * first.difference)


@given(worlds())
def test_a_shift_keeps_the_answer_while_all_are_at_one_level(world: World) -> None:
    new, old, others, _ = world
    answers = []
    for shift in (1e4, 2e4):
        moved = [[x + shift for x in s] for s in (new, old, *others)]
        answers.append(compared(moved[0], moved[1], moved[2:]).answer)
    assert answers[0] is answers[1]


@given(worlds())
def test_answer_and_interval_agree(world: World) -> None:
    new, old, others, _ = world
    found = compared(new, old, others)
    if found.low is not None and found.high is not None:
        assert found.low <= found.difference <= found.high
        assert (found.answer is Answer.BETTER) == (found.low > 0)
        assert (found.answer is Answer.WORSE) == (found.high < 0)
        assert found.shown == (found.answer in SHOWN)
        assert found.dof >= 1
    else:
        assert found.basis in (Basis.UNKNOWN, Basis.DETERMINISTIC)


@given(worlds())
def test_stricter_rules_show_no_more(world: World) -> None:
    new, old, others, _ = world
    noise = measure_noise(comparable(others, new, old))
    if noise.basis is not Basis.MEASURED:
        return
    by_look = [compared(new, old, others, look=k).answer in SHOWN for k in (1, 2, 3, 9, 10, 11, 50)]
    assert by_look == sorted(by_look, reverse=True)
    by_rivals = [compared(new, old, others, rivals=k).answer for k in (1, 2, 8, 60)]
    is_worse = [answer is Answer.WORSE for answer in by_rivals]
    assert is_worse == sorted(is_worse, reverse=True)
    assert len({answer is Answer.BETTER for answer in by_rivals}) == 1
    effects = [0, *(k * noise.sd for k in (0.5, 1, 2, 5))]
    by_effect = [compared(new, old, others, min_effect=e).answer in SHOWN for e in effects]
    assert by_effect == sorted(by_effect, reverse=True)
    shares = [compare_samples(new, old, noise, share=s).answer in SHOWN for s in (1, 0.5, 0.1)]
    assert shares == sorted(shares, reverse=True)


@given(worlds())
def test_unknown_noise_shows_nothing(world: World) -> None:
    new, old, _, effect = world
    found = compare_samples(new, old, Noise(Basis.UNKNOWN), min_effect=effect)
    assert (found.shown, found.low, found.high) == (False, None, None)
    assert found.answer is not Answer.UNKNOWN, "the numbers are compared as they are"


@given(worlds())
def test_declared_noise_gives_the_interval_of_the_normal_distribution(world: World) -> None:
    new, old, _, _ = world
    found = compare_samples(new, old, Noise(Basis.DECLARED, 0.5, math.inf))
    half = 1.959963984540054 * 0.5 * math.sqrt(1 / len(new) + 1 / len(old))
    assert widths(found) == pytest.approx((half, half))
    assert math.isinf(found.dof)


@pytest.mark.parametrize("sd", [1e-3, 1.0])
def test_more_repeats_of_equal_spread_narrow_the_interval(sd: float) -> None:
    found = []
    for n in (2, 3, 5, 8, 16, 64):
        around = [sd * (-1) ** i * math.sqrt((n - n % 2) / n) for i in range(n)]
        one = compared([1 + 2 * sd + x for x in around], [1 + x for x in around])
        found.append(sum(widths(one)))
    assert found == sorted(found, reverse=True)


# --- single cases ---------------------------------------------------------------------------------


def test_single_runs_are_compared_as_numbers() -> None:
    found = compared([0.85], [0.80])
    assert (found.answer, found.basis, found.shown) == (Answer.BETTER, Basis.UNKNOWN, False)
    assert compared([0.80], [0.85]).answer is Answer.WORSE
    assert compared([0.80], [0.85], gain_sign=-1).answer is Answer.BETTER
    assert compared([0.3], [0.1 + 0.2]).answer is Answer.SAME
    assert compared([0.85], [0.80], min_effect=0.1).answer is Answer.SAME


SPREAD = [-0.002, -0.001, 0.0, 0.001, 0.002]


@pytest.mark.parametrize(
    ("shift", "min_effect", "expected"),
    [
        (0.01, 0.0, Answer.BETTER),
        (0.01, 0.02, Answer.SAME),  # shown, but it does not count
        (-0.01, 0.02, Answer.SAME),
        (0.0005, 0.0, Answer.SAME),
        (0.0005, 0.01, Answer.SAME),
        (0.0005, 0.001, Answer.UNKNOWN),  # the interval is wider
    ],
)
def test_smallest_difference_that_counts(shift: float, min_effect: float, expected: Answer) -> None:
    new, old = [0.8 + shift + x for x in SPREAD], [0.8 + x for x in SPREAD]
    assert compared(new, old, min_effect=min_effect).answer is expected


def test_deterministic_numbers_are_shown_to_differ() -> None:
    found = compared([0.85], [0.80], [[0.8] * 4])
    assert (found.answer, found.basis, found.shown) == (Answer.BETTER, Basis.DETERMINISTIC, True)
    assert compared([0.1 + 0.2], [0.3], [[0.3] * 4]).answer is Answer.SAME


def test_a_declared_noise_of_zero_shows_every_difference() -> None:
    assert compared([0.85], [0.80], declared=0.0).answer is Answer.BETTER
    assert compared([0.80], [0.80], declared=0.0).answer is Answer.SAME


def test_reference_of_zero() -> None:
    assert compared([0.0, 0.0, 0.0, 0.0], [0.0]).answer is Answer.SAME
    assert compared([1.0, 1.1, 0.9], [0.0, 0.0, 0.0]).answer is Answer.BETTER


@pytest.mark.parametrize("scale", [1e-60, 1e-30, 1e30, 1e60])
def test_tiny_and_huge_numbers(scale: float) -> None:
    found = compared([5 * scale, 5.1 * scale, 4.9 * scale], [scale, 1.1 * scale, 0.9 * scale])
    assert (found.answer, found.shown) == (Answer.BETTER, True)


SQUARES = [
    ([0.5, 1e200], [0.5]),
    ([1e308, 1e308], [1.0]),
    ([1e90, 2e90], [3e90, 5e90]),
    ([1e-100, 2e-100], [3e-100, 1.5e-100]),
    ([1e-170, 2e-170], [3e-170]),
    ([1e-320, 2e-320], [5e-320, 4e-320]),
]


@pytest.mark.parametrize(("new", "old"), SQUARES)
def test_numbers_whose_squares_are_beyond_a_float(new: Sample, old: Sample) -> None:
    """A run that diverged is recorded and compared like others; no exception ends the command."""
    for found in (compared(new, old), compared(old, new), compared(new, old, [[0.5, 0.6]] * 4)):
        assert found.answer in Answer
        assert all(x is None or math.isfinite(x) for x in (found.low, found.high))
    assert not is_hopeless(new, old, measure_noise([new]), planned=len(new))
    widest = measure_noise([new, old])
    assert math.isfinite(widest.sd)


def test_a_diverged_repeat_leaves_its_group_in_doubt_and_the_others_alone() -> None:
    pool = [[0.5, 0.51, 0.49]] * 4
    assert compared([0.5, 1e200], [0.5, 0.51], pool).answer is Answer.UNKNOWN
    assert compared([0.9, 0.91], [0.5, 0.51], [*pool, [0.5, 1e200]]).answer is Answer.BETTER


def test_paired_differences() -> None:
    new, old = [0.912, 0.905, 0.921, 0.899, 0.915], [0.907, 0.901, 0.915, 0.895, 0.910]
    noise = measure_noise([new, old])
    pairs = list(zip(new, old, strict=True))
    paired = compare_samples(new, old, noise, pairs=pairs)
    assert (paired.basis, paired.answer, paired.dof) == (Basis.PAIRED, Answer.BETTER, 4)
    assert compare_samples(new, old, noise).answer is Answer.UNKNOWN
    back = compare_samples(old, new, noise, pairs=[(b, a) for a, b in pairs])
    assert (back.basis, back.answer) == (Basis.PAIRED, Answer.WORSE)
    mixed = list(zip(new, sorted(old), strict=True))
    assert compare_samples(new, old, noise, pairs=mixed).basis is Basis.MEASURED


def test_declared_noise_is_not_paired() -> None:
    new, old = [1.0, 2.0, 3.0, 4.0, 5.0], [1.1, 2.1, 3.1, 4.1, 5.1]
    noise = Noise(Basis.DECLARED, 0.1, math.inf)
    pairs = list(zip(new, old, strict=True))
    assert compare_samples(new, old, noise, pairs=pairs).basis is Basis.DECLARED


def test_equal_variances_give_the_students_interval_of_both() -> None:
    """With only two groups the pool counts for at most 4 of their 8 degrees of freedom."""
    new, old = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 3.0, 4.0, 5.0, 6.0]
    error, dof = standard_error(new, old, measure_noise([new, old]))
    assert error == pytest.approx(math.sqrt(2.5 * 2 / 5))
    assert dof == pytest.approx(8)


def test_an_unsteady_side_widens_the_interval() -> None:
    noise = Noise(Basis.MEASURED, 1.0, 8)
    calm, unsteady = [0.0, 1.0, 2.0], [-9.0, 1.0, 11.0]
    assert standard_error(unsteady, calm, noise)[0] > 2 * standard_error(calm, calm, noise)[0]


def test_degrees_of_freedom_are_those_of_satterthwaite() -> None:
    """The variance is 4 of the pool, 1/9 and 100/9, with 4, 2 and 2 degrees of freedom."""
    noise = Noise(Basis.MEASURED, 3.0, 20)
    error, dof = standard_error([1.0, 2.0, 3.0], [0.0, 10.0, 20.0], noise)
    assert error == pytest.approx(math.sqrt(4 + 101 / 9))
    assert dof == pytest.approx((4 + 101 / 9) ** 2 / (4**2 / 4 + (1 / 81 + 100**2 / 81) / 2))


def test_degrees_of_freedom_are_at_most_those_of_the_pool() -> None:
    assert standard_error([1.0], [2.0], Noise(Basis.MEASURED, 0.1, 1))[1] == 1
    assert standard_error([1.0], [2.0], Noise(Basis.MEASURED, 0.1, 3))[1] == 3
    assert standard_error([1.0], [2.0], Noise(Basis.MEASURED, 0.1, 200))[1] == 4


# --- levels, sample sizes, early stops ------------------------------------------------------------


def test_the_levels_of_looks() -> None:
    found = [level_of(look) for look in (0, 1, 2, 3, 10, 20, 50)]
    assert found == [0.025, 0.025, 0.01, 0.005, 0.005, 0.0025, 0.001]


NEEDED = [(3, 3), (2, 5), (1.5, 8), (1, 17), (0.5, 64), (0.399, 100), (0.397, None), (0, None)]


@pytest.mark.parametrize(("effect", "expected"), NEEDED)
def test_repeats_needed(effect: float, expected: int | None) -> None:
    assert repeats_needed(effect, Noise(Basis.MEASURED, 1.0, 8)) == expected


def test_repeats_needed_with_declared_noise() -> None:
    noise = Noise(Basis.DECLARED, 1.0, math.inf)
    assert [repeats_needed(effect, noise) for effect in (4, 2, 1)] == [1, 4, 16]


def test_repeats_needed_without_any_noise_known() -> None:
    assert repeats_needed(1.0, Noise(Basis.MEASURED, 0.1, 0)) == 2


@given(st.floats(0.01, 10), st.floats(1, 2), st.integers(1, 30))
def test_a_larger_effect_needs_no_more_repeats(effect: float, factor: float, dof: int) -> None:
    noise = Noise(Basis.MEASURED, 1.0, dof)
    small, large = repeats_needed(effect, noise), repeats_needed(effect * factor, noise)
    assert (large or 101) <= (small or 101)


KNOWN = Noise(Basis.MEASURED, 0.01, 8)


def test_a_batch_that_cannot_win_is_hopeless() -> None:
    assert is_hopeless([0.80, 0.81], [0.85, 0.86, 0.84], KNOWN, planned=5)
    assert not is_hopeless([0.87, 0.88], [0.85, 0.86, 0.84], KNOWN, planned=5)
    assert is_hopeless([0.87, 0.88], [0.85, 0.86, 0.84], KNOWN, planned=5, gain_sign=-1)
    assert is_hopeless(
        [0.838, 0.841], [0.85, 0.8537, 0.8574], Noise(Basis.MEASURED, 0.005, 2), planned=5
    )


def test_a_batch_is_hopeless_below_this_difference() -> None:
    """The bound is t(5 %, 7) √(1/2 - 1/5) below t(2.5 %, 10) √(1/5 + 1/3), in deviations."""
    bound = 2.228139 * math.sqrt(8 / 15) - 1.894579 * math.sqrt(3 / 10)
    for factor, expected in ((0.999, True), (1.001, False)):
        mean = 1 + factor * bound * KNOWN.sd
        assert is_hopeless([mean] * 2, [1.0] * 3, KNOWN, planned=5) is expected


@pytest.mark.parametrize("basis", [Basis.UNKNOWN, Basis.DETERMINISTIC])
def test_nothing_is_hopeless_while_the_noise_is_unknown(basis: Basis) -> None:
    assert not is_hopeless([0.1, 0.1], [0.9], Noise(basis), planned=5)


def test_nothing_is_hopeless_too_early_or_too_late() -> None:
    assert not is_hopeless([0.1], [0.9], KNOWN, planned=5)
    assert not is_hopeless([0.1] * 5, [0.9], KNOWN, planned=5)
    assert not is_hopeless([0.1, 0.1], [], KNOWN, planned=5)


@given(worlds(), st.integers(3, 12))
def test_hopeless_batch_stays_hopeless_with_worse_numbers(world: World, planned: int) -> None:
    new, old, others, _ = world
    noise = measure_noise(comparable(others, new, old))
    if is_hopeless(new, old, noise, planned=planned):
        lower = [x - 0.5 * noise.sd for x in new]
        assert is_hopeless(lower, old, noise, planned=planned)


def test_levels_never_rise() -> None:
    assert all(level_of(k) >= level_of(k + 1) for k, _ in pairwise(range(1, 100)))
