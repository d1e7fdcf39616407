"""Advice after a run: one sentence that fits its verdicts."""

import pytest

from gitexp.core.analysis.advice import Advised, next_step
from gitexp.core.analysis.guards import GuardState, GuardVerdict
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import MORE_FAILED, NO_DIRECTION, NOT_A_NUMBER, MetricVerdict
from gitexp.core.model.run import Outcome


def verdict(answer: Answer, **changes: object) -> MetricVerdict:
    fields: dict[str, object] = {"metric": "accuracy", "value": 0.8, "reference_value": 0.9}
    return MetricVerdict(**{**fields, "answer": answer, "basis": Basis.MEASURED, **changes})  # type: ignore[arg-type]


BETTER, WORSE = verdict(Answer.BETTER), verdict(Answer.WORSE)
SAME, UNSURE = verdict(Answer.SAME), verdict(Answer.UNKNOWN, needed=7)


def advice(**facts: object) -> str:
    known: dict[str, object] = {"outcome": Outcome.SUCCEEDED, "measured": True}
    return next_step(Advised(**{**known, **facts}))  # type: ignore[arg-type]


UNJUDGED = [
    ({"outcome": Outcome.RUNNING}, "wait until the run has ended"),
    ({"outcome": Outcome.FAILED}, "git exp show last"),
    ({"outcome": Outcome.TIMED_OUT}, "git exp show last"),
    ({"outcome": Outcome.INTERRUPTED}, "says nothing about its trial"),
    ({"reproduction": True}, "git exp diff last"),
    ({"measured": False}, "--metrics"),
]


@pytest.mark.parametrize(("facts", "words"), UNJUDGED)
def test_advice_for_runs_without_comparison(facts: dict[str, object], words: str) -> None:
    assert words in advice(**facts)
    assert words in advice(**facts, last=BETTER, best=BETTER, unknown_noise=False)


def test_first_trial_should_be_repeated() -> None:
    assert "`--repeat 5`" in advice()
    assert "`--seeds 5`" in advice(seeded=True)
    assert "another trial" in advice(runs=2)


def test_unknown_direction_should_be_declared() -> None:
    asked = advice(last=verdict(Answer.UNKNOWN, why=NO_DIRECTION))
    assert "'accuracy'" in asked
    assert "gitexp.toml" in asked


def test_a_metric_that_is_not_a_number_should_be_looked_into() -> None:
    broken = verdict(Answer.UNKNOWN, value=None, why=NOT_A_NUMBER)
    for unknown_noise in (True, False):
        told = advice(last=broken, best=broken, unknown_noise=unknown_noise)
        assert told.startswith("find out why 'accuracy' is not a number")
        there = verdict(Answer.UNKNOWN, reference_value=None, why=NOT_A_NUMBER)
        assert "one side has no number" in advice(last=there, unknown_noise=unknown_noise)


BROKEN_GUARD = GuardVerdict(metric="loss5", state=GuardState.BROKEN, bound="guard 2 %", value=1.0)


@pytest.mark.parametrize("unknown_noise", [True, False])
def test_a_broken_guard_comes_first(unknown_noise: bool) -> None:
    told = advice(last=BETTER, best=BETTER, guards=[BROKEN_GUARD], claim="best",
                  unknown_noise=unknown_noise)  # fmt: skip
    assert "guard is broken" in told
    assert "--force" in told


ANSWERS = {answer.value: verdict(answer, basis=Basis.UNKNOWN) for answer in Answer}


@pytest.mark.parametrize("last", ANSWERS)
@pytest.mark.parametrize("best", [None, *ANSWERS])
@pytest.mark.parametrize("claim", ["", "best"])
def test_no_discard_is_advised_while_the_noise_is_unknown(
    last: str, best: str | None, claim: str
) -> None:
    told = advice(last=ANSWERS[last], best=None if best is None else ANSWERS[best], claim=claim)
    assert "discard" not in told
    if (best or last) != "same":
        assert "--repeat 3" in told


def test_advice_for_a_small_loss_with_unknown_noise() -> None:
    told = advice(last=verdict(Answer.BETTER, basis=Basis.UNKNOWN), claim="best")
    assert told == "continue improving from here; `--repeat 3` measures the noise"


GUESSES = [
    ("better", None, "", "continue improving from here;"),
    ("better", "better", "best", "continue improving from here;"),
    ("better", "worse", "", "continue improving from here or from `best`;"),
    ("worse", "better", "", "try something else"),
    ("worse", None, "", "try something else"),
    ("worse", "worse", "", "try something else"),
    ("same", None, "", "the same result"),
    ("worse", "same", "", "the same result"),
    ("unknown", None, "", "repeat the trial to be able to tell"),
    ("worse", "unknown", "", "repeat the trial to be able to tell"),
]
"""Answers against the last and the best, claim, and advice while the noise is unknown."""


@pytest.mark.parametrize(("last", "best", "claim", "words"), GUESSES)
def test_advice_while_the_noise_is_unknown(
    last: str, best: str | None, claim: str, words: str
) -> None:
    told = advice(last=ANSWERS[last], best=None if best is None else ANSWERS[best], claim=claim)
    assert told.startswith(words)


def test_leader_is_repeated_when_the_best_other_has_as_many_runs() -> None:
    even = verdict(Answer.UNKNOWN, reference="7f3a9c0d5e1b2a48", runs=5, reference_runs=5, needed=9)
    told = advice(last=even, best=even, claim="leads", unknown_noise=False)
    assert told == "repeat it before building on it: `--repeat 9`"


def test_advice_says_that_one_seed_shows_no_noise() -> None:
    one_seed = verdict(Answer.WORSE, basis=Basis.UNKNOWN, one_seed=True)
    told = advice(last=one_seed, best=one_seed, seeded=True, is_repeat=True)
    assert "the same seed shows no noise: `--seeds 3` does" in told
    assert "discard" not in told


SURE = [
    ({"last": BETTER, "best": BETTER, "claim": "best"}, "improve -m WHY"),
    ({"last": BETTER}, "improve -m WHY"),
    ({"last": BETTER, "best": BETTER, "claim": "group"}, "it stays the best"),
    ({"last": UNSURE, "best": UNSURE, "claim": "leads"}, "before building on it: `--repeat 7`"),
    (
        {"last": UNSURE, "best": UNSURE, "claim": "leads", "seeded": True},
        "before building on it: `--seeds 7`",
    ),
    ({"last": WORSE, "best": WORSE}, "discard -m WHY"),
    ({"last": UNSURE, "best": WORSE}, "discard -m WHY"),
    ({"last": BETTER, "best": WORSE}, "better than the last, not the best"),
    ({"last": BETTER, "best": UNSURE}, "better than the last, not shown to be the best"),
    ({"last": SAME, "best": SAME}, "no difference that counts"),
    ({"last": UNSURE, "best": UNSURE}, "`--repeat 7` would probably tell"),
    ({"last": UNSURE, "best": UNSURE, "seeded": True}, "`--seeds 7` would probably tell"),
    ({"last": UNSURE, "best": verdict(Answer.UNKNOWN)}, "too small to show with 100 repeats"),
    (
        {"last": UNSURE, "best": verdict(Answer.UNKNOWN, basis=Basis.PAIRED)},
        "more seeds, or more turns, may tell",
    ),
]


@pytest.mark.parametrize(("facts", "words"), SURE)
def test_advice_with_known_noise(facts: dict[str, object], words: str) -> None:
    assert words in advice(**facts, unknown_noise=False)


def test_group_with_fewer_runs_should_be_repeated() -> None:
    lone = verdict(Answer.UNKNOWN, reference="7f3a9c0d5e1b2a48", runs=5, reference_runs=1, needed=9)
    told = advice(last=lone, best=lone, claim="leads", unknown_noise=False)
    assert told == ("repeat the best other, 7f3a9c0, which has 1 run, before building on this one")


def test_a_trial_that_is_not_shown_worse_is_not_discarded() -> None:
    for best in (SAME, UNSURE, BETTER):
        assert "discard" not in advice(last=WORSE, best=best, unknown_noise=False)


def test_advice_uses_the_given_selector() -> None:
    facts = Advised(outcome=Outcome.FAILED, measured=False)
    assert "git exp show 7f3a9c0" in next_step(facts, "7f3a9c0")


def test_failed_repeats_are_not_called_a_small_difference() -> None:
    told = advice(last=verdict(Answer.UNKNOWN, why=MORE_FAILED), unknown_noise=False)
    assert "more of its runs failed" in told
    assert "too small" not in told
