"""Verdicts on groups: the worked examples of the document, and remarks."""

import math
from dataclasses import dataclass, field, replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.core.analysis.groups import Group, group_of
from gitexp.core.analysis.noise import Basis, Noise, Sample
from gitexp.core.analysis.samples import Answer, is_hopeless
from gitexp.core.analysis.verdicts import (
    ALL_FAILED,
    MISSING_HERE,
    MISSING_THERE,
    MORE_FAILED,
    NO_DIRECTION,
    NO_REFERENCE,
    NO_RULE,
    NOT_A_NUMBER,
    OTHER_UNIT,
    SAME_GROUP,
    MetricVerdict,
    Question,
    judge_metric,
    overall,
)
from gitexp.core.model.run import Direction, MetricRule, Tolerance
from gitexp.core.render.verdict_sentence import change_of, metric_sentence
from tests.core.analysis.sample_groups import group_with, measured, seeded

UP, DOWN = Direction.MAXIMIZE, Direction.MINIMIZE


def batch(values: list[float], group: str, start: int) -> Group:
    """Return a group measured in one batch, which is one look."""
    return group_with(values, group, start=start, batch=f"batch-{group}")


@dataclass
class Example:
    """Worked example of the method and its expected sentence."""

    new: list[float]
    old: list[float]
    answer: Answer
    basis: Basis
    change: str
    needed: int | None = None
    others: list[Sample] = field(default_factory=list)
    direction: Direction = UP
    rule: MetricRule = NO_RULE
    rivals: int = 1
    metric: str = "accuracy"
    is_time_like: bool = False
    sentence: str = ""

    def judged(self) -> MetricVerdict:
        return judge_metric(
            Question(
                metric=self.metric,
                new=batch(self.new, "a", 100),
                old=batch(self.old, "b", 1),
                others=self.others,
                direction=self.direction,
                rule=self.rule,
                is_time_like=self.is_time_like,
                rivals=self.rivals,
            )
        )


BASE = [0.847, 0.851, 0.844, 0.849, 0.846]
HIGHER = [0.858, 0.854, 0.861, 0.856, 0.859]
EQUAL = [0.849, 0.846, 0.852, 0.848, 0.845]
POOL: list[Sample] = [[0.8465, 0.8500, 0.8535], [0.8265, 0.8300, 0.8335]]
"""Two trials with three repeats each, standard deviation 0.0035."""
SINGLES: list[Sample] = [[x] for x in (0.850, 0.851, 0.852, 0.853, 0.854, 0.8505, 0.8515)]

EXAMPLES = {
    "1: a first user": Example(
        [0.85],
        [0.80],
        Answer.BETTER,
        Basis.UNKNOWN,
        "+6.25%",
        sentence="accuracy 0.85: better than the last, 0.80 (+6.25%); one run each, noise unknown",
    ),
    "2: one run each, noise known": Example(
        [0.853],
        [0.847],
        Answer.UNKNOWN,
        Basis.MEASURED,
        "+0.006 ±0.014",
        7,
        POOL,
        sentence="accuracy 0.853: cannot tell from the last, 0.847 "
        "(+0.006 ±0.014; about 7 repeats each would)",
    ),
    "3: the same noise, far worse": Example(
        [0.800],
        [0.847],
        Answer.WORSE,
        Basis.MEASURED,
        "-0.047 ±0.014",
        None,
        POOL,
        sentence="accuracy 0.800: worse than the last, 0.847 (-0.047 ±0.014)",
    ),
    "4: five each": Example(
        HIGHER,
        BASE,
        Answer.BETTER,
        Basis.MEASURED,
        "+0.0102 ±0.0039",
        sentence="accuracy 0.8576 (mean of 5): better than the last, 0.8474 (+0.0102 ±0.0039)",
    ),
    "5: no difference shown": Example(
        EQUAL,
        BASE,
        Answer.SAME,
        Basis.MEASURED,
        "+0.0006 ±0.0040",
        17,
        sentence="accuracy 0.8480 (mean of 5): no difference shown from the last, 0.8474 "
        "(+0.0006 ±0.0040; about 17 repeats each would show 0.0027)",
    ),
    "6: no difference that counts": Example(
        EQUAL,
        BASE,
        Answer.SAME,
        Basis.MEASURED,
        "+0.0006 ±0.0040",
        rule=MetricRule(min_effect=Tolerance(absolute=0.005)),
        sentence="accuracy 0.8480 (mean of 5): no difference that counts from the last, 0.8474 "
        "(+0.0006 ±0.0040; less than 0.005)",
    ),
    "7: three each": Example(
        [0.8484, 0.8517, 0.8550],
        [0.8440, 0.8473, 0.8506],
        Answer.UNKNOWN,
        Basis.MEASURED,
        "+0.0044 ±0.0075",
        10,
    ),
    "8: deterministic": Example(
        [0.0012],
        [4.0113],
        Answer.BETTER,
        Basis.DETERMINISTIC,
        "-100%",
        None,
        [[0.5, 0.5, 0.5, 0.5]],
        DOWN,
        metric="loss",
        sentence="loss 0.0012: better than the last, 4.0113 (-100%); repeats agree",
    ),
    "8: many digits that agree": Example(
        [0.4123456],
        [0.4123501, 0.4123501],
        Answer.BETTER,
        Basis.DETERMINISTIC,
        "-0.00109%",
        direction=DOWN,
    ),
    "10: against the best of eight": Example(
        [0.843],
        [0.855],
        Answer.UNKNOWN,
        Basis.MEASURED,
        "-0.012 ±0.021",
        3,
        [*SINGLES, [0.8465, 0.85145], [0.8400, 0.84495]],
        rivals=8,
    ),
    "11: declared": Example(
        [0.853],
        [0.847],
        Answer.BETTER,
        Basis.DECLARED,
        "+0.0060 ±0.0055",
        rule=MetricRule(noise=0.002),
        sentence="accuracy 0.853: better than the last, 0.847 (+0.0060 ±0.0055; noise as declared)",
    ),
    "declared to have no noise": Example(
        [0.847], [0.847], Answer.SAME, Basis.DECLARED, "+0 ±0", rule=MetricRule(noise=0.0)
    ),
    "as many repeats for the smallest difference that counts as there are": Example(
        [x + 0.0032 for x in BASE],
        BASE,
        Answer.UNKNOWN,
        Basis.MEASURED,
        "+0.0032 ±0.0039",
        13,
        rule=MetricRule(min_effect=Tolerance(absolute=0.007)),
    ),
    "too many repeats for the smallest difference that counts": Example(
        [0.853],
        [0.847],
        Answer.UNKNOWN,
        Basis.MEASURED,
        "+0.006 ±0.014",
        None,
        POOL,
        rule=MetricRule(min_effect=Tolerance(absolute=0.0001)),
    ),
    "2: repeats for the smallest difference that counts": Example(
        [0.853],
        [0.847],
        Answer.UNKNOWN,
        Basis.MEASURED,
        "+0.006 ±0.014",
        3,
        POOL,
        rule=MetricRule(min_effect=Tolerance(absolute=0.01)),
    ),
    "12: seconds, run apart": Example(
        [41.1, 40.6, 41.6, 40.7, 41.5],
        [42.8, 42.3, 43.3, 42.4, 43.2],
        Answer.SAME,
        Basis.MEASURED,
        "-1.70 ±0.66",
        direction=DOWN,
        metric="seconds",
        is_time_like=True,
        sentence="seconds 41.10 (mean of 5): no difference that counts from the last, 42.80 "
        "(-1.70 ±0.66; less than 2.14; run apart: use --beside)",
    ),
}
"""Numbers 1 to 16 of the document; 9, 12, 13, 15 and 16 have tests below, 14 is in
`test_guards.py`.
"""


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples_of_the_document(name: str) -> None:
    example = EXAMPLES[name]
    verdict = example.judged()
    found = (verdict.answer, verdict.basis, change_of(verdict), verdict.needed)
    assert found == (example.answer, example.basis, example.change, example.needed)
    assert verdict.shown == (
        example.basis is not Basis.UNKNOWN and example.answer in (Answer.BETTER, Answer.WORSE)
    )
    if example.sentence:
        assert metric_sentence(verdict) == example.sentence


def test_9_five_common_seeds() -> None:
    old = seeded([0.907, 0.901, 0.915, 0.895, 0.910], "b", batch="x")
    new = seeded([0.912, 0.905, 0.921, 0.899, 0.915], "a", start=9, batch="y")
    question = Question(metric="accuracy", new=new, old=old, direction=UP)
    verdict = judge_metric(question)
    assert (verdict.answer, verdict.basis) == (Answer.BETTER, Basis.PAIRED)
    assert (verdict.runs, verdict.reference_runs, verdict.dof) == (5, 5, 4)
    assert change_of(verdict) == "+0.0048 ±0.0011"
    apart = group_of(m._replace(seeds=f"{m.seeds}0") for m in new.measurements)
    unpaired = judge_metric(Question(metric="accuracy", new=apart, old=old, direction=UP))
    assert (unpaired.answer, unpaired.basis) == (Answer.UNKNOWN, Basis.MEASURED)
    assert unpaired.half == pytest.approx(0.012, abs=0.0005)


def turns(values: list[float], group: str, start: int) -> Group:
    """Return a group of a batch that alternated with another."""
    return group_of(
        measured(v, start + 2 * n, group, batch="x", round=n) for n, v in enumerate(values)
    )


def test_12_seconds_in_turns() -> None:
    new = turns([41.1, 40.6, 41.6, 40.7, 41.5], "a", 1)
    old = turns([42.8, 42.3, 43.3, 42.4, 43.2], "b", 2)
    verdict = judge_metric(
        Question(metric="seconds", new=new, old=old, direction=DOWN, is_time_like=True)
    )
    assert (verdict.answer, verdict.in_turns, verdict.apart) == (Answer.BETTER, True, False)
    assert verdict.min_effect is None


def test_pairs_of_turns_are_not_said_to_have_the_same_seeds() -> None:
    new = turns([0.912, 0.905, 0.921, 0.899, 0.915], "a", 1)
    old = turns([0.907, 0.901, 0.915, 0.895, 0.910], "b", 2)
    verdict = judged(new, old)
    assert (verdict.basis, verdict.in_turns, verdict.apart) == (Basis.PAIRED, True, False)
    assert "in turns" in metric_sentence(verdict)
    assert "same seeds" not in metric_sentence(verdict)


def test_13_two_of_five_can_not_win_any_more() -> None:
    noise = Noise(Basis.MEASURED, 0.005, 4)
    assert is_hopeless([0.838, 0.841], [0.8487, 0.8537, 0.8587], noise, planned=5)


def test_15_a_third_look_needs_more() -> None:
    old = batch(BASE, "b", 1)
    first = judge_metric(
        Question(metric="accuracy", new=batch(HIGHER[:4], "a", 9), old=old, direction=UP)
    )
    one_by_one = group_with(HIGHER[:4], "a", start=9)
    third = judge_metric(Question(metric="accuracy", new=one_by_one, old=old, direction=UP))
    assert (first.look, third.look) == (1, 3)
    assert first.answer is third.answer is Answer.BETTER
    assert first.half is not None
    assert third.half is not None
    assert change_of(third) == "+0.0098 ±0.0067"
    assert (round(first.half, 4), round(third.half, 4)) == (0.0045, 0.0067)


def test_16_the_same_seed_again_tells_nothing() -> None:
    new = group_with([0.927, 0.927], cell="f", seeds="seed=0", start=9)
    old = group_with([0.934], "b", seeds="seed=0")
    verdict = judge_metric(Question(metric="accuracy", new=new, old=old, direction=UP))
    assert (verdict.answer, verdict.basis, verdict.shown) == (Answer.WORSE, Basis.UNKNOWN, False)
    assert verdict.one_seed
    assert "the same seed shows no noise: --seeds 3" in metric_sentence(verdict)
    assert judged(old, new).one_seed
    assert not judged(group_with([0.934, 0.934], "b"), new).one_seed
    three = seeded([0.92714, 0.93429, 0.92143], start=9, batch="x")
    one = seeded([0.918], "b")
    wide = judge_metric(Question(metric="accuracy", new=three, old=one, direction=UP))
    assert (wide.answer, change_of(wide)) == (Answer.UNKNOWN, "+0.010 ±0.032")


# --- what a plain answer would hide ---------------------------------------------------------------


def judged(new: Group | None, old: Group | None, direction: Direction | None = UP) -> MetricVerdict:
    return judge_metric(Question(metric="accuracy", new=new, old=old, direction=direction))


def test_verdict_without_a_reference() -> None:
    verdict = judged(batch([0.8], "a", 1), None)
    assert (verdict.answer, verdict.basis) == (Answer.UNKNOWN, Basis.MISSING)
    assert (verdict.why, verdict.value, verdict.reference_value) == (NO_REFERENCE, 0.8, None)


@pytest.mark.parametrize("old", [None, batch([0.8], "b", 1), group_with([None], "b")])
def test_verdict_of_a_group_without_numbers(old: Group | None) -> None:
    for new in (None, group_with([None, None], start=9)):
        verdict = judged(new, old)
        assert (verdict.answer, verdict.basis) == (Answer.UNKNOWN, Basis.MISSING)
        assert verdict.why == (NO_REFERENCE if old is None else MISSING_HERE)
        assert (verdict.value, verdict.difference) == (None, None)
        assert (verdict.runs, verdict.total, verdict.failed) == (0, 2 * bool(new), 2 * bool(new))
        assert verdict.repeats == verdict.reference_runs == (old is not None and old.counted)


def lacking(*lacks: str, group: str = "a") -> Group:
    """Return a group without numbers, for these reasons."""
    return group_of(measured(None, 9 + n, group, lack=lack) for n, lack in enumerate(lacks))


@pytest.mark.parametrize(
    ("lacks", "here", "there"),
    [
        (["failed", "failed"], ALL_FAILED, ALL_FAILED),
        (["failed", "missing"], MISSING_HERE, MISSING_THERE),
        (["missing", "failed"], MISSING_HERE, MISSING_THERE),
        (["not a number", "missing"], MISSING_HERE, MISSING_THERE),
        (["missing", "not a number"], NOT_A_NUMBER, NOT_A_NUMBER),
        (["not a number", "failed"], NOT_A_NUMBER, NOT_A_NUMBER),
    ],
)
def test_verdict_says_why_a_group_has_no_number(lacks: list[str], here: str, there: str) -> None:
    number = batch([0.8], "b", 1)
    assert judged(lacking(*lacks), number).why == here
    verdict = judged(number, lacking(*lacks))
    assert (verdict.answer, verdict.why) == (Answer.UNKNOWN, there)
    assert verdict.reference_failed == 2


def test_runs_without_the_metric_did_not_fail() -> None:
    lacks = lacking("failed", "not a number", "missing", "missing")
    new = group_of([*group_with([0.8, 0.8], start=20).measurements, *lacks.measurements])
    verdict = judged(new, batch([0.7], "b", 1))
    assert (verdict.failed, verdict.not_numbers, verdict.missing) == (4, 1, 2)
    told = "1 of 6 failed; 1 of 6 not a number; 2 of 6 did not measure it"
    assert told in metric_sentence(verdict)


def test_a_group_against_itself_is_the_same_trial() -> None:
    group = batch(BASE, "a", 1)
    verdict = judged(group, group)
    assert (verdict.answer, verdict.why, verdict.difference) == (Answer.SAME, SAME_GROUP, 0)


def test_an_unknown_direction_says_neither_better_nor_worse() -> None:
    verdict = judged(batch(HIGHER, "a", 9), batch(BASE, "b", 1), None)
    assert (verdict.answer, verdict.why) == (Answer.UNKNOWN, NO_DIRECTION)
    assert not verdict.shown
    assert judged(batch([0.8], "a", 9), batch([0.8], "b", 1), None).answer is Answer.SAME


@pytest.mark.parametrize("direction", [UP, None])
@pytest.mark.parametrize(("new", "old"), [([85.0], [0.82]), (HIGHER, BASE), ([0.5], [0.5])])
def test_numbers_in_different_units_are_not_judged(
    new: list[float], old: list[float], direction: Direction | None
) -> None:
    ours, theirs = batch(new, "a", 100), batch(old, "b", 1)
    question = Question(
        metric="accuracy", new=ours, old=theirs, direction=direction, units=("%", None)
    )
    verdict = judge_metric(question)
    assert (verdict.answer, verdict.shown) == (Answer.UNKNOWN, False)
    assert verdict.why == f"{OTHER_UNIT}: % here, none there"
    assert (verdict.difference, verdict.relative, verdict.basis) == (None, None, Basis.MISSING)
    assert verdict.difference is None
    assert judge_metric(replace(question, units=(None, "%"))).why == (
        f"{OTHER_UNIT}: none here, % there"
    )
    alike = Question(metric="accuracy", new=ours, old=theirs, direction=UP, units=("%", "%"))
    assert judge_metric(alike) == judged(ours, theirs)


def test_group_with_more_failures_is_never_better() -> None:
    new, old = group_with([*HIGHER, None], "a", start=9, batch="x"), batch(BASE, "b", 1)
    verdict = judged(new, old)
    assert (verdict.answer, verdict.why, verdict.failed) == (Answer.UNKNOWN, MORE_FAILED, 1)
    assert not verdict.shown
    as_many = group_with([*BASE, None], "b", batch="y")
    assert judged(new, as_many).answer is Answer.BETTER
    twice = group_with([*HIGHER, None, None], "a", start=9, batch="x")
    assert judged(twice, as_many).why == MORE_FAILED
    assert (
        judged(old, group_with([*HIGHER, None], "b2", batch="z", start=20)).answer is Answer.WORSE
    )


def test_group_with_more_failures_can_be_worse() -> None:
    new, old = group_with([*BASE, None], "a", start=9, batch="x"), batch(HIGHER, "b", 1)
    assert judged(new, old).answer is Answer.WORSE


def test_a_reference_of_zero_has_no_relative_difference() -> None:
    verdict = judged(batch([0.5], "a", 9), batch([0.0], "b", 1))
    assert (verdict.answer, verdict.relative, verdict.difference) == (Answer.BETTER, None, 0.5)
    assert change_of(verdict) == "+0.5"
    assert (verdict.noise, verdict.min_effect) == (None, None)


def test_relative_difference_from_a_negative_reference_keeps_its_sign() -> None:
    verdict = judged(batch([-0.4], "a", 9), batch([-0.5], "b", 1))
    assert verdict.relative == pytest.approx(0.2)


def test_one_of_several_metrics_gets_its_share_of_the_level() -> None:
    question = Question(metric="x", new=batch(HIGHER, "a", 9), old=batch(BASE, "b", 1))
    alone, of_five = (judge_metric(replace(question, metrics=n)).half for n in (1, 5))
    assert alone is not None
    assert of_five is not None
    assert of_five > alone


def test_mean_counts_a_seed_that_ran_several_times_once() -> None:
    again = [measured(0.8, n, cell="f1", seeds="1", group="a") for n in (11, 12, 13)]
    others = [measured(0.9, 20 + n, cell=f"g{n}", seeds=str(n), group="a") for n in (2, 3)]
    failed = measured(None, 30, cell="g4", seeds="4", group="a")
    new = group_of([*again, *others, failed])
    verdict = judged(new, batch(BASE, "b", 1))
    assert (new.runs, verdict.runs, verdict.total, verdict.failed) == (5, 3, 6, 1)
    assert verdict.value == pytest.approx((0.8 + 0.9 + 0.9) / 3)
    sentence = metric_sentence(verdict)
    assert "(mean of 3)" in sentence
    assert "1 of 6 failed" in sentence


def test_the_same_seed_again_is_no_further_number_of_the_mean() -> None:
    new = group_of([measured(0.8, n, cell="f1", seeds="1", group="a") for n in (11, 12, 13)])
    verdict = judged(new, batch(BASE, "b", 1))
    assert (new.runs, verdict.runs, verdict.total) == (3, 1, 3)
    assert "mean of" not in metric_sentence(verdict).partition(":")[0]
    alone = judged(new, group_with([0.7], "b", start=1))
    assert metric_sentence(alone).endswith("the same seed shows no noise: --seeds 3")


def test_verdict_names_the_number_of_the_run() -> None:
    new = group_with([0.8, 0.9], "a", start=9)
    question = Question(metric="accuracy", new=new, old=None, run=new.measurements[0].run)
    verdict = judge_metric(question)
    assert verdict.own == 0.8
    assert verdict.value == pytest.approx(0.85)
    assert judge_metric(replace(question, run=None)).own == 0.9


def test_repeats_overrule_a_declared_noise_that_is_too_small() -> None:
    rule = MetricRule(noise=0.0001)
    question = Question(
        metric="accuracy",
        new=batch(EQUAL, "a", 9),
        old=batch(BASE, "b", 1),
        direction=UP,
        rule=rule,
    )
    verdict = judge_metric(question)
    assert (verdict.basis, verdict.overruled) == (Basis.MEASURED, 0.0001)
    assert "repeats show more noise, 0.0027, than declared, 0.0001" in metric_sentence(verdict)


def test_the_main_metric_decides() -> None:
    better = judged(batch(HIGHER, "a", 9), batch(BASE, "b", 1))
    other = judged(batch(BASE, "a", 9), batch(HIGHER, "b", 1))
    verdicts = [MetricVerdict(metric="x", value=1, reference_value=2, answer=other.answer), better]
    assert overall(verdicts, "accuracy") is Answer.BETTER
    assert overall(verdicts, "x") is Answer.WORSE
    assert overall(verdicts, "none") is overall([], "x") is overall(verdicts) is Answer.UNKNOWN


numbers = st.lists(
    st.one_of(st.none(), st.floats(0.1, 2).map(lambda x: round(x, 2))), min_size=1, max_size=5
)


@given(numbers, numbers, st.sampled_from([UP, DOWN, None]), st.integers(1, 5), st.integers(1, 9))
def test_a_verdict_agrees_with_itself(
    new: list[float | None],
    old: list[float | None],
    direction: Direction | None,
    metrics: int,
    rivals: int,
) -> None:
    ours, theirs = group_with(new, "a", start=9), group_with(old, "b")
    question = Question(
        metric="accuracy",
        new=ours,
        old=theirs,
        direction=direction,
        metrics=metrics,
        rivals=rivals,
    )
    verdict = judge_metric(question)
    assert verdict.runs + verdict.failed == len(new)
    assert verdict.reference_runs + verdict.reference_failed == len(old)
    if verdict.basis is not Basis.DETERMINISTIC:
        assert verdict.shown <= (verdict.answer in (Answer.BETTER, Answer.WORSE))
    if verdict.shown and verdict.basis is Basis.MEASURED:
        assert verdict.difference is not None
        assert (verdict.difference > 0) == ((verdict.answer is Answer.BETTER) == (direction is UP))
    if verdict.basis in (Basis.UNKNOWN, Basis.MISSING):
        assert not verdict.shown
        assert verdict.low is verdict.high is verdict.half is None
    finite = (verdict.value, verdict.reference_value, verdict.difference, verdict.low, verdict.high)
    assert all(x is None or math.isfinite(x) for x in chain(finite, [verdict.dof]))
    assert metric_sentence(verdict)
