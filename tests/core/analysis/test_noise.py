"""Noise: unknown, declared, measured, deterministic."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.noise import (
    OUTLIER,
    Basis,
    Noise,
    NoiseByLevel,
    Sample,
    are_equal,
    comparable,
    mean,
    measure_noise,
    variance,
)

values = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 6))
samples = st.lists(values, min_size=1, max_size=6)
levels = st.one_of(st.floats(0.1, 10), st.floats(-10, -0.1), st.integers(-3, 3).map(float))
families = st.lists(samples, max_size=6)

EQUAL = [
    (0.1 + 0.2, 0.3, True),
    (math.nan, math.nan, True),
    (math.inf, math.inf, True),
    (math.inf, -math.inf, False),
    (math.nan, 0.0, False),
    (0.0, math.nan, False),
    (0.0, 1e-300, False),
    (0.0, -0.0, True),
    (1.0, 1.0 + 1e-11, False),
    (1e300, 1e300 * (1 + 1e-13), True),
]


@pytest.mark.parametrize(("value", "other", "expected"), EQUAL)
def test_numbers_equal_except_for_rounding(value: float, other: float, expected: bool) -> None:
    assert are_equal(value, other) is expected


def test_mean_and_variance() -> None:
    assert mean([0.847, 0.851, 0.844, 0.849, 0.846]) == pytest.approx(0.8474, rel=1e-15)
    assert variance([0.847, 0.851, 0.844, 0.849, 0.846]) == pytest.approx(7.3e-6, rel=1e-9)
    assert variance([0.3, 0.1 + 0.2]) == 0
    assert mean([0.9] * 41) == 0.9 != math.fsum([0.9] * 41) / 41
    assert mean([1e308, 1.5e308]) == pytest.approx(1.25e308)
    assert variance([5.0]) == 0
    assert variance([1e9 + 1, 1e9 + 2, 1e9 + 3]) == pytest.approx(1)


# --- the four states ------------------------------------------------------------------------------

STATES: list[tuple[list[Sample], Basis, float]] = [
    ([], Basis.UNKNOWN, 0),
    ([[0.85], [0.80], [0.70]], Basis.UNKNOWN, 0),
    ([[0.85, 0.85]], Basis.UNKNOWN, 1),  # coarse numbers agree by chance
    ([[0.85, 0.85], [0.80, 0.80]], Basis.UNKNOWN, 2),
    ([[0.85, 0.85, 0.85, 0.85]], Basis.DETERMINISTIC, 3),
    ([[0.85, 0.85], [0.8, 0.8], [0.7, 0.7]], Basis.DETERMINISTIC, 3),
    ([[0.4123501, 0.4123501]], Basis.DETERMINISTIC, 1),  # numbers with more digits do not
    ([[0.412351, 0.412351]], Basis.DETERMINISTIC, 1),
    ([[-0.41235, -0.41235]], Basis.UNKNOWN, 1),
    ([[0.041235, 0.041235]], Basis.UNKNOWN, 1),
    ([[41235.0, 41235.0]], Basis.UNKNOWN, 1),
    ([[1.2345e-9, 1.2345e-9]], Basis.UNKNOWN, 1),
    ([[0.8] * 9, [0.7, 0.71]], Basis.MEASURED, 9),  # one different repeat ends it
    ([[0.85, 0.86]], Basis.MEASURED, 1),
    ([[0.85, 0.85], [0.80, 0.81]], Basis.MEASURED, 2),
]


@pytest.mark.parametrize(("family", "basis", "dof"), STATES)
def test_noise_of_repeats(family: list[Sample], basis: Basis, dof: float) -> None:
    noise = measure_noise(family)
    assert (noise.basis, noise.dof) == (basis, dof)
    assert (noise.sd > 0) == (basis is Basis.MEASURED)
    assert noise.is_known == (basis is not Basis.UNKNOWN)


def test_time_is_never_deterministic() -> None:
    assert measure_noise([[2.0] * 9], is_time_like=True).basis is Basis.UNKNOWN
    assert measure_noise([[2.123456] * 2], is_time_like=True).basis is Basis.UNKNOWN
    assert measure_noise([[2.0, 2.1]], is_time_like=True).basis is Basis.MEASURED


def test_noise_is_pooled_by_degrees_of_freedom() -> None:
    noise = measure_noise([[1.0, 3.0], [10.0, 11.0, 12.0], [7.0]])
    assert noise.sd == pytest.approx(math.sqrt((1 * 2 + 2 * 1) / 3))
    assert (noise.dof, noise.groups) == (3, 2)


def test_one_diverged_group_does_not_hide_all_differences() -> None:
    calm: list[Sample] = [[1.0, 1.01, 0.99], [1.1, 1.11, 1.1], [1.2, 1.19, 1.21]]
    assert measure_noise([*calm, [1.0, 1.9]]).sd < 0.05
    assert measure_noise([*calm, [1.0, 1e9]]).sd < 0.05


@pytest.mark.parametrize(
    ("variances", "median"), [([1, 4, 1e6], 4), ([1, 4, 6, 1e6], 5), ([1, 2, 4, 6, 1e6], 4)]
)
def test_a_variance_in_the_pool_is_limited_by_the_median_of_all(
    variances: list[float], median: float
) -> None:
    noise = measure_noise([[0.0, math.sqrt(2 * v)] for v in variances])
    limited = [*variances[:-1], OUTLIER * median]
    assert noise.sd == pytest.approx(math.sqrt(sum(limited) / len(limited)))


def test_no_variance_is_limited_when_most_groups_agree() -> None:
    noise = measure_noise([[0.8, 0.8]] * 8 + [[0.8, 0.81]])
    assert noise.basis is Basis.MEASURED
    assert noise.sd == pytest.approx(0.005), "at least half of a step"


def test_two_groups_have_no_median() -> None:
    noise = measure_noise([[0.0, 0.002], [0.0, 2.0]])
    assert noise.sd == pytest.approx(math.sqrt((2e-6 + 2) / 2))


def test_a_coarse_metric_is_no_finer_than_half_its_step() -> None:
    family = [[0.70, 0.70, 0.70, 0.71], [0.72] * 20, [0.74] * 20]
    pooled = math.sqrt(3 * variance(family[0]) / (3 + 19 + 19))
    assert pooled < 0.005
    assert measure_noise(family).sd == pytest.approx(0.005)
    unordered = [0.70, 0.71, 0.70, 0.70], [0.72] * 20, [0.74] * 20
    assert measure_noise(unordered).sd == pytest.approx(0.005)
    several_steps = [[0.0] * 50 + [1.0, 11.0]]
    assert measure_noise(several_steps).sd == pytest.approx(math.sqrt(variance(several_steps[0])))


# --- declared noise -------------------------------------------------------------------------------

CONTRADICTIONS: list[tuple[list[Sample], float, Basis]] = [
    ([], 0.004, Basis.DECLARED),
    ([[0.8, 0.9]], 0.004, Basis.DECLARED),  # too few repeats to override the declared noise
    ([[0.8, 0.9, 0.7, 0.8]], 0.004, Basis.DECLARED),
    ([[0.8, 0.9, 0.7, 0.8, 0.85]], 0.004, Basis.MEASURED),
    ([[0.8, 0.9], [0.8, 0.9], [0.7, 0.8], [0.6, 0.7]], 0.004, Basis.MEASURED),
    (
        [[0.8, 0.9, 0.7, 0.8, 0.85]],
        0.5,
        Basis.DECLARED,
    ),  # repeats with less noise do not override it
    ([[0.8, 0.8, 0.8, 0.8, 0.8]], 0.004, Basis.DECLARED),
    ([[0.8, 0.8, 0.8, 0.8, 0.8]], 0.0, Basis.DECLARED),
]


@pytest.mark.parametrize(("family", "declared", "basis"), CONTRADICTIONS)
def test_declared_noise_wins_unless_repeats_show_more(
    family: list[Sample], declared: float, basis: Basis
) -> None:
    noise = measure_noise(family, declared=declared)
    assert noise.basis is basis
    if basis is Basis.DECLARED:
        assert (noise.sd, noise.dof, noise.overruled) == (declared, math.inf, None)
    else:
        assert noise.sd > declared
        assert noise.overruled == declared


# --- what is comparable ---------------------------------------------------------------------------


def test_groups_at_another_level_are_left_out() -> None:
    others = [[0.4], [0.5], [0.6, 0.7], [1.9, 2.1], [2.5, 2.5], []]
    near = [[0.5], [0.6, 0.7], [1.9, 2.1], [1.0], [1.0]]
    assert comparable(others, [1.0], [1.0]) == near
    below = [[-x for x in sample] for sample in others]
    assert comparable(below, [-1.0], [-1.0]) == [[-x for x in sample] for sample in near]


def test_all_groups_count_where_signs_differ() -> None:
    others = [[0.001, 0.002], [100.0, 101.0], [-1.0]]
    assert comparable(others, [1.0], [1.0]) == [*others, [1.0], [1.0]]
    assert comparable([[5.0, 6.0]], [0.0], [1.0]) == [[5.0, 6.0], [0.0], [1.0]]


@given(st.lists(st.lists(levels, min_size=1, max_size=3), min_size=2, max_size=8), st.booleans())
def test_the_noise_by_level_is_that_of_comparable_samples(
    family: list[list[float]], is_time_like: bool
) -> None:
    near = NoiseByLevel(family, is_time_like=is_time_like)
    new, old, *rest = family
    expected = measure_noise(comparable(rest, new, old), is_time_like=is_time_like)
    assert near.between(mean(new), mean(old)) == expected


# --- whatever the numbers are ---------------------------------------------------------------------


@given(families, st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(family: list[list[float]], rng: random.Random) -> None:
    shuffled = [rng.sample(s, len(s)) for s in rng.sample(family, len(family))]
    first, second = measure_noise(family), measure_noise(shuffled)
    assert (first.basis, first.dof, first.groups) == (second.basis, second.dof, second.groups)
    assert first.sd == pytest.approx(second.sd, rel=1e-12)


@given(families, st.sampled_from([1024.0, 0.125, -1.0]))
def test_noise_scales_with_the_unit(family: list[list[float]], factor: float) -> None:
    # Six digits of a value may be more in another unit, so repeats that all agree are left out.
    first = measure_noise(family)
    scaled = measure_noise([[factor * x for x in sample] for sample in family])
    if first.basis is Basis.MEASURED:
        assert scaled.basis is Basis.MEASURED
        assert scaled.sd == pytest.approx(abs(factor) * first.sd, rel=1e-12)


@given(families, samples)
def test_single_runs_show_no_noise(family: list[list[float]], more: list[float]) -> None:
    assert measure_noise([*family, *([x] for x in more)]) == measure_noise(family)


@given(st.lists(st.lists(values, min_size=2, max_size=5), min_size=4, max_size=8), values)
def test_group_variance_is_limited_to_thirty_medians(
    family: list[list[float]], diverged: float
) -> None:
    variances = sorted(variance(s) for s in family)
    middle = variances[len(variances) // 2 - 1]  # a lower bound of the median with one more group
    if middle > 0:
        noise = measure_noise([*family, [0.0, diverged]])
        most = OUTLIER * variances[-1]
        smallest = min(
            (b - a for s in (*map(sorted, family),) for a, b in pairwise(s)),
            default=0.0,
        )
        assert noise.sd**2 <= max(most, smallest**2, abs(diverged) ** 2 / 4) * (1 + 1e-9)


@given(families, st.floats(0, 1e6), st.booleans())
def test_basis_and_figures_agree(
    family: list[list[float]], declared: float, is_time_like: bool
) -> None:
    for said in (None, declared):
        noise = measure_noise(family, declared=said, is_time_like=is_time_like)
        assert noise.sd >= 0
        assert noise.groups == sum(len(s) > 1 for s in family)
        assert (noise.basis is Basis.DECLARED) <= (said is not None)
        if noise.basis is Basis.DETERMINISTIC:
            assert all(variance(s) == 0 for s in family)
            assert not is_time_like
        if noise.basis is Basis.UNKNOWN:
            assert noise == Noise(Basis.UNKNOWN, 0.0, noise.dof, noise.groups)
