"""Guards: kept, broken, or unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.guards import GuardState, GuardVerdict, judge_checks, judge_guards
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.verdicts import MetricVerdict, Question, judge_metric
from gitexp.core.model.run import Checks, Direction, MetricRule, Outcome, Tolerance
from gitexp.core.render.verdict_sentence import guard_words
from tests.core.analysis.sample_groups import group_with

UP, DOWN = Direction.MAXIMIZE, Direction.MINIMIZE
KEPT, BROKEN, UNKNOWN = GuardState.KEPT, GuardState.BROKEN, GuardState.UNKNOWN


def verdict_of(
    new: list[float] | None,
    old: list[float] | None,
    direction: Direction | None = DOWN,
    noise: float | None = None,
) -> MetricVerdict:
    return judge_metric(
        Question(
            metric="latency",
            new=None if new is None else group_with(new, "a", start=9, batch="a"),
            old=None if old is None else group_with(old, "b", batch="b"),
            direction=direction,
            rule=MetricRule(noise=noise),
        )
    )


def test_numbers_in_different_units_neither_break_nor_keep_a_guard() -> None:
    ours, theirs = group_with([0.9], "a", start=9), group_with([85.0], "b")
    for new, old in ((ours, theirs), (theirs, ours)):
        question = Question(metric="accuracy", new=new, old=old, direction=UP, units=(None, "%"))
        guard = guard_of(judge_metric(question), Tolerance(relative=0.02))
        assert (guard.state, guard.difference) == (UNKNOWN, None)
        assert "the units differ" in (guard.why or "")


def guard_of(verdict: MetricVerdict, guard: Tolerance) -> GuardVerdict:
    (found,) = judge_guards(verdict, MetricRule(guard=guard))
    return found


LATENCY = verdict_of([103.0, 104.0, 105.0], [99.0, 100.0, 101.0])
"""Compare 104 with 100 ±2.3."""

FOURTEEN = [
    (Tolerance(relative=0.08), KEPT, "guard 8 %", 8),
    (Tolerance(relative=0.05), UNKNOWN, "guard 5 %", 5),
    (Tolerance(relative=0.03), BROKEN, "guard 3 %", 3),
    (Tolerance(absolute=8), KEPT, "guard 8", 8),
    (Tolerance(relative=0.03, absolute=8), KEPT, "guard 3 % or 8", 8),
    (Tolerance(absolute=0), BROKEN, "guard 0", 0),
]


@pytest.mark.parametrize(("rule", "state", "bound", "allowed"), FOURTEEN)
def test_14_latency(rule: Tolerance, state: GuardState, bound: str, allowed: float) -> None:
    guard = guard_of(LATENCY, rule)
    assert (guard.state, guard.bound) == (state, bound)
    assert guard.allowed == pytest.approx(allowed)
    assert guard.half == pytest.approx(2.3, abs=0.05)
    assert (guard.difference, guard.relative) == (4.0, 0.04)


def test_guard_is_worded_as_the_project_wrote_it() -> None:
    broken = guard_of(LATENCY, Tolerance(relative=0.03))
    assert guard_words(broken) == "latency +4%, guard 3 %"
    unsure = guard_of(LATENCY, Tolerance(relative=0.05))
    assert guard_words(unsure) == "latency +4%, guard 5 %, cannot tell"


def test_an_improvement_keeps_every_guard() -> None:
    better = verdict_of([95.0, 96.0, 97.0], [99.0, 100.0, 101.0])
    assert guard_of(better, Tolerance(absolute=0)).state is KEPT
    more = verdict_of([104.0, 105.0, 106.0], [99.0, 100.0, 101.0], UP)
    assert guard_of(more, Tolerance(absolute=0)).state is KEPT


def test_while_the_noise_is_unknown_the_number_decides() -> None:
    single = verdict_of([104.0], [100.0])
    assert guard_of(single, Tolerance(relative=0.05)).state is KEPT
    assert guard_of(single, Tolerance(relative=0.03)).state is BROKEN
    assert guard_of(single, Tolerance(relative=0.04)).state is KEPT, "what is allowed is kept"


def test_guard_with_declared_noise_may_be_unknown() -> None:
    assert (
        guard_of(verdict_of([104.0], [100.0], noise=3.0), Tolerance(relative=0.03)).state is UNKNOWN
    )
    assert (
        guard_of(verdict_of([120.0], [100.0], noise=3.0), Tolerance(relative=0.03)).state is BROKEN
    )


@pytest.mark.parametrize(
    ("allowed", "noise", "state"),
    [(5, 0.1, KEPT), (3, 0.1, BROKEN), (3, 1.65, UNKNOWN), (3, None, BROKEN), (4, None, KEPT)],
)
def test_guard_judges_both_directions_alike(
    allowed: float, noise: float | None, state: GuardState
) -> None:
    """A loss of 4, with a half interval of 4.57 for a noise of 1.65."""
    for verdict in (
        verdict_of([104.0], [100.0], DOWN, noise),
        verdict_of([96.0], [100.0], UP, noise),
    ):
        assert guard_of(verdict, Tolerance(absolute=allowed)).state is state


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT])
def test_checks_of_a_run_are_a_guard(outcome: Outcome) -> None:
    (guard,) = judge_checks(Checks(outcome=outcome, output="x" * 100 + "y" * 200))
    assert guard.state is (KEPT if outcome is Outcome.SUCCEEDED else BROKEN)
    assert (guard.bound, guard.why) == (f"checks {outcome.value}", "y" * 200)
    assert judge_checks(Checks(outcome=outcome))[0].why is None
    assert judge_checks(None) == []


def test_guard_on_an_unmeasured_metric_is_unknown() -> None:
    for new, old in ((None, [1.0]), (None, None), ([1.0], None)):
        guard = guard_of(verdict_of(new, old), Tolerance(relative=0.05))
        assert guard.state is UNKNOWN
        assert guard.why
        assert "is not known" in guard_words(guard)


def test_guard_on_numbers_in_different_units_is_unknown() -> None:
    new, old = group_with([0.85], "a", start=9), group_with([82.0], "b")
    question = Question(metric="acc", new=new, old=old, direction=UP, units=(None, "%"))
    guard = guard_of(judge_metric(question), Tolerance(relative=0.02))
    assert guard.state is UNKNOWN
    assert guard_words(guard) == (
        "acc is not known (the units differ: none here, % there), guard 2 %"
    )


def test_guard_is_unknown_while_a_diverged_run_hides_the_noise() -> None:
    steady, diverged = group_with([1.0, 1.1], "a", start=9), group_with([1.0, 1e200], "b")
    others = [[1e200, 1.1e200], [1.0, 1.2], [1.1, 1.0]]
    for new, old in ((steady, diverged), (diverged, steady)):
        verdict = judge_metric(
            Question(metric="loss", new=new, old=old, others=others, direction=DOWN)
        )
        assert (verdict.basis, verdict.half) == (Basis.MEASURED, None)
        assert guard_of(verdict, Tolerance(relative=0.02)).state is UNKNOWN


def test_guard_without_direction_is_unknown() -> None:
    guard = guard_of(verdict_of([104.0], [100.0], None), Tolerance(relative=0.05))
    assert (guard.state, guard.why) == (UNKNOWN, "which way it is better is not known")


def test_a_relative_guard_on_a_reference_of_zero_allows_nothing() -> None:
    verdict = verdict_of([1.0], [0.0])
    guard = guard_of(verdict, Tolerance(relative=0.05))
    assert (guard.state, guard.allowed, guard.relative) == (BROKEN, 0.0, None)
    assert guard_of(verdict, Tolerance(absolute=1.0)).state is KEPT


def test_only_absolute_limits_apply_without_a_reference() -> None:
    rule = MetricRule(guard=Tolerance(relative=0.05), least=0.5, most=2.0)
    found = judge_guards(verdict_of([1.0], None), rule, has_reference=False)
    assert [(g.bound, g.state) for g in found] == [("at least 0.5", KEPT), ("at most 2", KEPT)]
    assert judge_guards(verdict_of([1.0], None), MetricRule()) == []


BOUNDS = [(0.4, BROKEN, KEPT), (0.5, KEPT, KEPT), (2.0, KEPT, KEPT), (2.1, KEPT, BROKEN)]


@pytest.mark.parametrize(("value", "least", "most"), BOUNDS)
def test_absolute_limits_of_a_guard(value: float, least: GuardState, most: GuardState) -> None:
    found = judge_guards(verdict_of([value], [1.0]), MetricRule(least=0.5, most=2.0))
    assert [g.state for g in found] == [least, most]


def test_absolute_limits_on_a_missing_metric() -> None:
    (guard,) = judge_guards(verdict_of(None, [1.0]), MetricRule(least=0.5))
    assert (guard.state, guard.value) == (UNKNOWN, None)
    assert guard.why


values = st.lists(st.integers(80, 120).map(float), min_size=1, max_size=5)


@given(values, values, st.sampled_from([UP, DOWN]))
def test_larger_allowance_is_never_stricter(
    new: list[float], old: list[float], direction: Direction
) -> None:
    verdict = verdict_of(new, old, direction)
    sizes = (0, 0.1, 1, 3, 10, 30, 100)
    states = [guard_of(verdict, Tolerance(absolute=size)).state for size in sizes]
    order = [(BROKEN, UNKNOWN, KEPT).index(state) for state in states]
    assert order == sorted(order)
    assert states[-1] is KEPT or verdict.half is not None
