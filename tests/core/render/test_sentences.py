"""What the sentence of a verdict says, and in which cases."""

from collections.abc import Sequence
from typing import Any

import pytest

from gitexp.core.analysis.guards import GuardState, GuardVerdict
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import MetricVerdict
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction
from gitexp.core.render.verdict_sentence import (
    alone_sentence,
    guard_words,
    metric_sentence,
    run_sentence,
)
from tests.core.analysis.sample_groups import group_with, seeded

FIVE_EACH: dict[str, Any] = {
    "metric": "acc",
    "value": 0.85,
    "reference_value": 0.8,
    "reference": RunId("1" * 16),
    "difference": 0.05,
    "relative": 0.0625,
    "direction": Direction.MAXIMIZE,
    "answer": Answer.BETTER,
    "basis": Basis.MEASURED,
    "shown": True,
    "low": 0.03,
    "high": 0.07,
    "noise": 0.01,
    "runs": 5,
    "reference_runs": 5,
    "repeats": 5,
    "own": 0.86,
    "total": 5,
}


def verdict(**changes: Any) -> MetricVerdict:
    """Return a verdict on five runs each, with these changes."""
    return MetricVerdict(**{**FIVE_EACH, **changes})


SINGLE: dict[str, Any] = {
    **dict.fromkeys(("low", "high", "noise")),
    **dict.fromkeys(("runs", "reference_runs", "repeats", "total"), 1),
    "basis": Basis.UNKNOWN,
    "shown": False,
}
UNKNOWN = {"answer": Answer.UNKNOWN, "shown": False}
SAME = {"answer": Answer.SAME, "shown": False}
CASES: list[tuple[dict[str, Any], str]] = [
    ({}, " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020)"),
    ({"answer": Answer.WORSE}, " 0.850 (mean of 5): worse than the last, 0.800 (+0.050 ±0.020)"),
    (UNKNOWN, " 0.850 (mean of 5): cannot tell from the last, 0.800 (+0.050 ±0.020)"),
    (SAME, " 0.850 (mean of 5): no difference shown from the last, 0.800 (+0.050 ±0.020)"),
    (
        {**SAME, "min_effect": 0.1},
        " 0.850 (mean of 5): no difference that counts from the last, 0.800 "
        "(+0.050 ±0.020; less than 0.1)",
    ),
    ({"min_effect": 0.01}, " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020)"),
    (
        {**UNKNOWN, "needed": 7, "effect": 0.05},
        " 0.850 (mean of 5): cannot tell from the last, 0.800 "
        "(+0.050 ±0.020; about 7 repeats each would)",
    ),
    (
        {**SAME, "needed": 7, "effect": 0.01234},
        " 0.850 (mean of 5): no difference shown from the last, 0.800 "
        "(+0.050 ±0.020; about 7 repeats each would show 0.012)",
    ),
    (
        {"needed": 7, "effect": 0.05},
        " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020)",
    ),
    (
        {**UNKNOWN, "why": "more of its runs failed or have no number"},
        " 0.850 (mean of 5): cannot tell from the last, 0.800 "
        "(+0.050 ±0.020; more of its runs failed or have no number)",
    ),
    (
        {"basis": Basis.DECLARED},
        " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020; noise as declared)",
    ),
    (
        {"basis": Basis.PAIRED},
        " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020; same seeds)",
    ),
    (
        {"basis": Basis.PAIRED, "in_turns": True},
        " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020; in turns)",
    ),
    (
        {"apart": True},
        " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020; run apart: use --beside)",
    ),
    (
        {"rivals": 2},
        " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020; 2 may be the best)",
    ),
    ({"look": 2}, " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020; second look)"),
    ({"look": 5}, " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020; fifth look)"),
    ({"look": 6}, " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020; look 6)"),
    (
        {"basis": Basis.DETERMINISTIC, "low": None, "high": None},
        " 0.85 (mean of 5): better than the last, 0.80 (+6.25%); repeats agree",
    ),
    ({"value": 0.8523, "runs": 1}, " 0.8523: better than the last, 0.800 (+0.050 ±0.020)"),
    (
        {"low": -1e200, "high": 1e200},
        " 0.85 (mean of 5): better than the last, 0.80 (+0.05 ±1e+200)",
    ),
    (
        {"failed": 1, "total": 6},
        " 0.850 (mean of 5): better than the last, 0.800 (+0.050 ±0.020); 1 of 6 failed",
    ),
    (
        {"failed": 3, "total": 8, "not_numbers": 1, "missing": 1},
        " 0.850 (mean of 5): better than the last, 0.800 "
        "(+0.050 ±0.020); 1 of 8 failed; 1 of 8 not a number; 1 of 8 did not measure it",
    ),
    (
        {"overruled": 0.001},
        " 0.850 (mean of 5): better than the last, 0.800 "
        "(+0.050 ±0.020); repeats show more noise, 0.01, than declared, 0.001",
    ),
    (SINGLE, " 0.85: better than the last, 0.80 (+6.25%); one run each, noise unknown"),
    (
        {**SINGLE, "apart": True, "look": 3},
        " 0.85: better than the last, 0.80 (+6.25%); one run each, noise unknown",
    ),
    (
        {**SINGLE, **SAME, "value": 0.8, "difference": 0.0},
        " 0.8: same as the last, 0.8; one run each, noise unknown",
    ),
    (
        {**SINGLE, **SAME, "min_effect": 0.1},
        " 0.85: no difference that counts from the last, 0.80 "
        "(+6.25%; less than 0.1); one run each, noise unknown",
    ),
    (
        {**SINGLE, "reference_value": 0.0, "relative": None, "difference": 0.85},
        " 0.85: better than the last, 0.00 (+0.85); one run each, noise unknown",
    ),
    (
        {**SINGLE, "runs": 2},
        " 0.85 (mean of 2): better than the last, 0.80 "
        "(+6.25%); repeats agree, too few to know the noise",
    ),
    (
        {**SINGLE, "reference_runs": 2},
        " 0.85: better than the last, 0.80 (+6.25%); repeats agree, too few to know the noise",
    ),
    (
        {**SINGLE, "one_seed": True},
        " 0.85: better than the last, 0.80 (+6.25%); the same seed shows no noise: --seeds 3",
    ),
    ({"value": None, "why": "missing from this run"}, ": missing here, while the last has 0.8"),
    (
        {"value": None, "why": "no run of the trial succeeded", "failed": 5},
        ": here no run of the trial succeeded, while the last has 0.8; 5 of 5 failed",
    ),
    (
        {"value": None, "why": "it is not a number", "failed": 1, "not_numbers": 1, "total": 1},
        ": here it is not a number, while the last has 0.8",
    ),
    (
        {"value": None, "why": "missing from this run", "failed": 1, "missing": 1, "total": 1},
        ": missing here, while the last has 0.8",
    ),
    (
        {"reference_value": None, "why": "missing from the reference"},
        " 0.85 (mean of 5): not measured by the last",
    ),
    (
        {"reference_value": None, "why": "it is not a number"},
        " 0.85 (mean of 5): not comparable with the last: it is not a number",
    ),
    (
        {
            "basis": Basis.MISSING,
            **UNKNOWN,
            "low": None,
            "high": None,
            "difference": None,
            "why": "the units differ: % here, none there",
        },
        " 0.85 (mean of 5): cannot tell from the last, 0.80 (the units differ: % here, none there)",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), CASES)
def test_verdict_against_the_last(changes: dict[str, Any], sentence: str) -> None:
    assert metric_sentence(verdict(**changes)) == f"acc{sentence}"
    against = run_sentence(verdict(**changes), against="7f3a9c0")
    assert against == f"acc{sentence}".replace("the last", "7f3a9c0")


BEST = {"reference": RunId("2" * 16), "reference_value": 0.84, "difference": 0.01, "low": -0.01}
WORSE = {**BEST, "answer": Answer.WORSE, "reference_value": 0.9, "difference": -0.05}
SAME_RUN = {"reference": FIVE_EACH["reference"]}


@pytest.mark.parametrize(
    ("last", "best", "claim", "sentence"),
    [
        (
            {},
            BEST,
            "best",
            "better than the last, 0.800 (+0.050 ±0.020); best so far, before 0.84",
        ),
        ({}, BEST, "group", "better than the last, 0.800 (+0.050 ±0.020); its trial is the best"),
        (
            {},
            {**BEST, "answer": Answer.UNKNOWN},
            "leads",
            "better than the last, 0.800 (+0.050 ±0.020); leads, not shown; "
            "cannot tell from the best other, 0.840 (+0.010 ±0.040)",
        ),
        (
            {},
            {**WORSE, "rivals": 3},
            "",
            "better than the last, 0.800 (+0.050 ±0.020); "
            "worse than the best?, 0.900 (-0.050 ±0.040; 3 may be the best)",
        ),
        (
            {},
            {**SAME_RUN, "rivals": 2},
            "best",
            "better than the last, 0.800 (+0.050 ±0.020); best so far",
        ),
        (
            {},
            BEST,
            "",
            "better than the last, 0.800 (+0.050 ±0.020); "
            "better than the best, 0.840 (+0.010 ±0.040)",
        ),
        (
            {"answer": Answer.WORSE},
            {**SAME_RUN, "answer": Answer.WORSE, "rivals": 2},
            "",
            "worse than the last, which is the best?, 0.800 (+0.050 ±0.020; 2 may be the best)",
        ),
        (
            {"answer": Answer.UNKNOWN},
            {**SAME_RUN, "answer": Answer.UNKNOWN},
            "leads",
            "cannot tell from the last, which is the best other, 0.800 (+0.050 ±0.020); "
            "leads, not shown",
        ),
        (None, WORSE, "", "worse than the best, 0.900 (-0.050 ±0.040)"),
        (None, {}, "best", "better than the best, 0.800 (+0.050 ±0.020); best so far"),
    ],
)
def test_verdict_against_the_last_and_the_best(
    last: dict[str, Any] | None, best: dict[str, Any], claim: str, sentence: str
) -> None:
    told = metric_sentence(None if last is None else verdict(**last), verdict(**best), claim=claim)
    assert told == f"acc 0.850 (mean of 5): {sentence}"


def test_verdict_against_the_parent_names_it() -> None:
    told = metric_sentence(verdict(), parent="7f3a9c0")
    assert told.partition(": ")[2] == "better than its parent 7f3a9c0, 0.800 (+0.050 ±0.020)"


def test_verdict_of_a_repeat_tells_its_own_number() -> None:
    told = metric_sentence(verdict(), is_repeat=True)
    assert told.startswith("acc 0.86, mean of 5 0.850: better")
    assert metric_sentence(verdict(own=None), is_repeat=True).startswith("acc 0.850 (mean of 5): ")
    assert metric_sentence(verdict(runs=1), is_repeat=True).startswith("acc 0.85: ")


def test_sentence_says_that_a_direction_is_a_guess() -> None:
    for direction, word in ((Direction.MAXIMIZE, "higher"), (Direction.MINIMIZE, "lower")):
        guessed = verdict(direction=direction, guessed=True)
        assert metric_sentence(guessed).endswith(f"; {word} is better (a guess)")
        assert "guess" not in metric_sentence(guessed, tell_guess=False)


def test_colour_shows_how_sure_a_rank_is() -> None:
    leads = metric_sentence(verdict(), verdict(**WORSE), claim="leads", colour=True)
    assert "\x1b[35mleads, not shown\x1b[0m" in leads
    best = metric_sentence(verdict(), verdict(), claim="best", colour=True)
    assert "\x1b[32mbest so far\x1b[0m" in best


# --- guards ---------------------------------------------------------------------------------------


def guard(state: GuardState, **changes: Any) -> GuardVerdict:
    return GuardVerdict(
        **{"metric": "loss", "state": state, "bound": "guard 2 %", "value": 2.0, **changes}
    )


KEPT, BROKEN, UNKNOWN_GUARD = GuardState.KEPT, GuardState.BROKEN, GuardState.UNKNOWN
CHECKS = guard(BROKEN, metric="checks", bound="checks failed", value=None)
LOSS = guard(BROKEN, difference=0.5, relative=0.25)
GUARDS = [
    (LOSS, "loss +25%, guard 2 %"),
    (guard(BROKEN, difference=0.5), "loss +0.5, guard 2 %"),
    (guard(BROKEN, bound="at most 1"), "loss 2, at most 1"),
    (CHECKS, "checks failed"),
    (guard(UNKNOWN_GUARD, difference=0.5, relative=0.25), "loss +25%, guard 2 %, cannot tell"),
    (guard(UNKNOWN_GUARD, difference=0.5, why="no way"), "loss +0.5, guard 2 %, no way"),
    (guard(UNKNOWN_GUARD, value=None, why="missing"), "loss is not known (missing), guard 2 %"),
]


@pytest.mark.parametrize(("one", "words"), GUARDS)
def test_words_of_a_guard(one: GuardVerdict, words: str) -> None:
    assert guard_words(one) == words


@pytest.mark.parametrize(
    ("answer", "guards", "words"),
    [
        (Answer.BETTER, [], ""),
        (Answer.BETTER, [guard(KEPT)], ""),
        (Answer.BETTER, [guard(KEPT), LOSS], ", but loss +25%, guard 2 %"),
        (Answer.WORSE, [LOSS, CHECKS], ", and loss +25%, guard 2 % and checks failed"),
    ],
)
def test_sentence_tells_the_guards_that_are_not_kept(
    answer: Answer, guards: Sequence[GuardVerdict], words: str
) -> None:
    judged = verdict(answer=answer)
    plain = metric_sentence(judged)
    assert metric_sentence(judged, guards=guards) == plain + words
    named = run_sentence(judged, against="b")
    assert run_sentence(judged, against="b", guards=guards) == named + words


# --- alone ----------------------------------------------------------------------------------------


def test_sentence_of_a_trial_without_another() -> None:
    alone = "repeats of one trial; no other trial to compare with yet"
    several = group_with([0.8, 0.9])
    assert alone_sentence("acc", 0.9, several) == f"acc 0.9, mean of 2 0.85: {alone}"
    one_seed = group_with([0.9, 0.9], cell="f", seeds="seed=0")
    assert alone_sentence("acc", 0.9, one_seed) == f"acc 0.9: {alone}"
    for group in (None, seeded([0.9])):
        told = alone_sentence("acc", 0.9, group, guards=[guard(KEPT), LOSS, CHECKS])
        assert told == ("acc 0.9: nothing to compare with yet; loss +25%, guard 2 %; checks failed")
    again = alone_sentence("acc", 0.9, several, reproduces="7f3a9c0")
    assert again == "acc 0.9: a reproduction of 7f3a9c0, so no improvement"


def test_names_of_others_cannot_change_the_terminal() -> None:
    evil = "acc\x1b[31m"
    for told in (
        metric_sentence(verdict(metric=evil)),
        run_sentence(verdict(metric=evil), against=evil),
        alone_sentence(evil, 0.9, None),
        guard_words(guard(BROKEN, metric=evil)),
    ):
        assert "\x1b" not in told
