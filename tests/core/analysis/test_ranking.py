"""Ranking: the best of several groups, and those that may be the best."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.noise import Basis, comparable, measure_noise
from gitexp.core.analysis.ranking import rank
from gitexp.core.analysis.samples import Answer, compare_samples
from gitexp.core.model.run import Direction
from tests.core.analysis.sample_groups import group_with

UP, DOWN = Direction.MAXIMIZE, Direction.MINIMIZE


def made(*samples: list[float]) -> list[Group]:
    return [group_with(s, f"g{n}", start=100 * n) for n, s in enumerate(samples)]


def keys(groups: tuple[Group, ...]) -> list[str]:
    return [group.key for group in groups]


def test_no_groups_have_no_leader() -> None:
    for groups in ([], [group_with([None], "a")]):
        ranking = rank(groups, direction=UP)
        assert (ranking.groups, ranking.contenders, ranking.leader) == ((), 0, None)
        assert ranking.rivals == ()


def test_one_group_leads_alone() -> None:
    ranking = rank(made([0.8, 0.9]), direction=UP)
    assert (ranking.contenders, ranking.rivals) == (1, ())
    assert ranking.leader is not None


def test_while_the_noise_is_unknown_the_numbers_rank() -> None:
    ranking = rank(made([0.8], [0.9], [0.85]), direction=UP)
    assert keys(ranking.groups) == ["g1", "g2", "g0"]
    assert ranking.noise.basis is Basis.UNKNOWN
    assert ranking.contenders == 1
    assert keys(rank(made([0.8], [0.9], [0.85]), direction=DOWN).groups) == ["g0", "g2", "g1"]


def test_deterministic_numbers_rank_by_value() -> None:
    ranking = rank(made([0.8] * 4, [0.9]), direction=UP)
    assert ranking.noise.basis is Basis.DETERMINISTIC
    assert (keys(ranking.groups), ranking.contenders) == (["g1", "g0"], 1)


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_equal_groups_keep_their_order(direction: Direction) -> None:
    for samples in ([[0.8], [0.8], [0.8]], [[0.8] * 4, [0.8] * 4]):
        groups = made(*samples)
        ranking = rank(groups, direction=direction)
        assert (list(ranking.groups), ranking.contenders) == (groups, 1)


def test_one_lucky_run_does_not_lead() -> None:
    steady, lucky = [0.80, 0.81, 0.79, 0.80, 0.80], [0.803]
    ranking = rank(made(lucky, steady), direction=UP)
    assert keys(ranking.groups) == ["g1", "g0"]
    assert ranking.contenders == 2
    assert keys(ranking.rivals) == ["g0"]


def test_groups_shown_worse_are_no_contenders() -> None:
    ranking = rank(made([0.80, 0.81, 0.79], [0.90, 0.91, 0.89], [0.904], [0.70]), direction=UP)
    assert keys(ranking.groups[: ranking.contenders]) == ["g1", "g2"]
    assert keys(ranking.groups[ranking.contenders :]) == ["g0", "g3"]


@pytest.mark.parametrize(
    "values",
    [
        [[0.8]],
        [[0.8], [0.9], [0.85]],
        [[0.8] * 4, [0.9], [0.7]],
        [[0.8, 0.8], [0.9], [0.7]],
        [[0.80, 0.81, 0.79], [0.805], [0.6]],
    ],
)
def test_a_ranking_without_a_group_is_that_of_the_others(values: list[list[float]]) -> None:
    groups = made(*values)
    ranking = rank(groups, direction=UP)
    assert ranking.without(None) == ranking
    for group in groups:
        left = ranking.without(group.key)
        assert (left is None) is (ranking.noise.sd > 0 or len(group.sample) > 1)
        assert left in (None, rank([g for g in groups if g is not group], direction=UP))


def test_groups_without_numbers_are_not_ranked() -> None:
    groups = [*made([0.8, 0.9]), group_with([None, None], "failed")]
    assert keys(rank(groups, direction=UP).groups) == ["g0"]


def test_declared_noise_ranks_single_runs() -> None:
    ranking = rank(made([0.80], [0.81], [0.70]), direction=UP, declared=0.01)
    assert ranking.noise.basis is Basis.DECLARED
    assert (keys(ranking.groups), ranking.contenders) == (["g1", "g0", "g2"], 2)


def test_noise_comes_from_other_samples_of_the_family() -> None:
    groups = made([0.80], [0.81])
    assert rank(groups, direction=UP).contenders == 1
    ranking = rank(groups, direction=UP, others=[[0.5, 0.53], [0.7, 0.68]])
    assert (ranking.noise.basis, ranking.contenders) == (Basis.MEASURED, 2)


def test_time_that_always_agrees_is_of_unknown_noise() -> None:
    ranking = rank(made([2.0] * 4, [2.0]), direction=DOWN, is_time_like=True)
    assert ranking.noise.basis is Basis.UNKNOWN


def test_single_runs_are_ranked_by_the_noise_of_their_level() -> None:
    """Noise grows with the value: steady groups at a low level say nothing about a high one."""
    low = [[0.01, 0.0101]] * 20
    groups = made([4.0], [3.9], [3.5, 3.38], *low)
    ranking = rank(groups, direction=UP)
    assert {"g0", "g1"} <= set(keys(ranking.groups[: ranking.contenders]))


def test_where_no_repeats_tell_the_noise_of_a_level_its_numbers_rank() -> None:
    ranking = rank(made([4.0], [3.9], [4.0 * (1 + 1e-14)], [0.01, 0.0101]), direction=UP)
    assert ranking.noise.basis is Basis.MEASURED
    assert set(keys(ranking.groups[: ranking.contenders])) == {"g0", "g2"}


def test_a_metric_declared_to_have_no_noise_ranks_by_its_numbers() -> None:
    ranking = rank(made([0.80], [0.81], [0.81]), direction=UP, declared=0.0)
    assert (keys(ranking.groups), ranking.contenders) == (["g1", "g2", "g0"], 2)


samples = st.lists(
    st.lists(st.integers(700, 900).map(lambda x: x / 1000), min_size=1, max_size=5),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(samples)
def test_the_leader_is_the_first_contender(values: list[list[float]]) -> None:
    ranking = rank(made(*values), direction=UP)
    assert len(ranking.groups) == len(values)
    assert 1 <= ranking.contenders <= len(values)
    assert ranking.leader is ranking.groups[0]
    assert len(ranking.rivals) == ranking.contenders - 1


@given(samples, st.sampled_from([None, 0.0, 0.01]))
def test_a_rival_is_a_group_that_a_comparison_does_not_call_worse(
    values: list[list[float]], declared: float | None
) -> None:
    ranking = rank(made(*values), direction=UP, declared=declared)
    if ranking.noise.basis in (Basis.UNKNOWN, Basis.DETERMINISTIC):
        assert ranking.contenders == 1
        return
    leader, *others = [group.sample for group in ranking.groups]
    for place, sample in enumerate(others):
        rest = others[:place] + others[place + 1 :]
        noise = measure_noise(comparable(rest, sample, leader), declared=declared)
        is_worse = compare_samples(sample, leader, noise).answer is Answer.WORSE
        assert is_worse is (place + 1 >= ranking.contenders)


@given(samples)
def test_negated_values_and_direction_change_nothing(values: list[list[float]]) -> None:
    there = rank(made(*values), direction=UP)
    negated = [[-x for x in sample] for sample in values]
    back = rank(made(*negated), direction=DOWN)
    assert keys(back.groups) == keys(there.groups)
    assert back.contenders == there.contenders


@given(samples, st.randoms(use_true_random=False))
def test_the_order_of_groups_only_settles_ties(
    values: list[list[float]], rng: random.Random
) -> None:
    groups = made(*values)
    there = rank(groups, direction=UP)
    again = rank(rng.sample(groups, len(groups)), direction=UP)
    assert again.contenders == there.contenders or there.leader is not again.leader
    assert again.noise.basis is there.noise.basis
    assert again.leader is not None
    assert there.leader is not None

    def score(group: Group) -> float:
        return group.mean - there.noise.sd / math.sqrt(len(group.sample))

    assert score(again.leader) == pytest.approx(score(there.leader), abs=1e-12)
