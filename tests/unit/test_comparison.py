"""Better or worse, reproduced or drifted, kin or stranger."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitexp.comparison import (
    Answer,
    Difference,
    Kin,
    Kinship,
    MetricVerdict,
    Tolerance,
    compare_reproduction,
    compare_runs,
    diff_tables,
    direction_of,
    guess_direction,
    is_time_like,
    kinship,
    last_part,
    next_step,
    overall,
    primary_metric,
)
from gitexp.ids import ObjectId
from gitexp.model import (
    Code,
    Command,
    Direction,
    FileState,
    Outcome,
    ReproductionVerdict,
    Run,
    Table,
)
from tests.unit.sample_runs import make_run

UP, DOWN = Direction.MAXIMIZE, Direction.MINIMIZE

# --- which way is better --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric",
    """accuracy acc Accuracy val_acc test/acc val.accuracy top1-accuracy f1 f1_score macro_f1 auc
    roc_auc r2 r2_score precision recall recall@5 score bleu rouge rougeL iou mIoU map mAP ndcg@10
    throughput tokens_per_s tokens_per_second speedup episode_reward reward
    bytes_per_s neg_log_loss neg_mean_squared_error log_likelihood val.top_1.acc success_rate fps
    throughput_bytes f1.score""".split(),
)
def test_more_is_better(metric: str) -> None:
    assert guess_direction(metric) is UP


@pytest.mark.parametrize(
    "metric",
    """loss val_loss valLoss train.loss test/error err mse rmse mae perplexity ppl latency
    latency_ms p99_latency time wall_time duration_s seconds memory peak_memory model_size wer cer
    bytes cost regret error_rate time_per_step seconds_per_iter ms_per_token errors_per_second
    negative_log_likelihood nll brier_score cross_entropy kl_divergence RMSE""".split(),
)
def test_less_is_better(metric: str) -> None:
    assert guess_direction(metric) is DOWN


@pytest.mark.parametrize(
    "metric",
    """time_to_accuracy accuracy_loss step epoch lr x mapping lossy grad_norm accurate timestamps
    samples_per_class loss.scale costume""".split(),
)
def test_no_guess_is_better_than_a_wrong_one(metric: str) -> None:
    assert guess_direction(metric) is None


def test_old_records_with_a_dot_in_a_key_are_compared_under_the_same_name() -> None:
    old = make_run(1, metrics={"val.loss": 0.5, "val.mAP@0.5": 0.5})
    new = make_run(2, metrics={"val": {"loss": 0.25, "mAP@0.5": 0.75}})
    for before, after in ((old, new), (new, old)):
        metrics = [verdict.metric for verdict in compare_runs(after, before, declared={})]
        assert metrics == ["val.loss", "val.mAP@0.5"]


def test_the_last_part_of_a_dotted_name() -> None:
    assert last_part("val.loss") == "loss"
    assert last_part("val.mAP@0.5:0.95") == "mAP@0.5:0.95"
    assert last_part("loss") == "loss"


def test_a_declared_direction_is_no_guess() -> None:
    assert direction_of("val.loss", {"val.loss": UP}) == (UP, False)
    assert direction_of("val.loss", {"loss": UP}) == (UP, False)
    assert direction_of("val.loss", {"test.loss": UP}) == (DOWN, True)
    assert direction_of("val.loss", {"loss": UP, "val.loss": DOWN}) == (DOWN, False)
    assert direction_of("x", {}) == (None, False)


def test_what_measures_the_machine() -> None:
    assert all(map(is_time_like, ["time_s", "train.duration", "latency_ms", "tokens_per_s"]))
    assert all(map(is_time_like, ["peak_memory", "throughput", "wall_seconds"]))
    assert not any(map(is_time_like, ["loss", "accuracy", "timestamps", "samples_per_class"]))


@pytest.mark.parametrize(
    ("metrics", "declared", "expected"),
    [
        ({"loss": 1, "acc": 1}, {}, "acc"),
        ({"time_s": 1, "loss": 1}, {}, "loss"),
        ({"throughput": 1, "loss": 1}, {}, "loss"),
        ({"time_s": 1, "x": 1}, {}, "time_s"),
        ({"x": 1, "y": 1}, {}, "x"),
        ({"acc": 1, "val": {"x": 1}}, {"x": UP}, "val.x"),
        ({"acc": 1, "b": 1, "a": 1}, {"missing": UP, "a": UP, "b": UP}, "a"),
        ({"note": "text"}, {}, None),
        ({}, {"x": UP}, None),
    ],
)
def test_the_primary_metric(
    metrics: dict[str, Any], declared: dict[str, Direction], expected: str | None
) -> None:
    assert primary_metric(make_run(metrics=metrics), declared) == expected


def test_what_the_run_declares_comes_first() -> None:
    run = make_run(metrics={"a": 1, "b": 2}, directions={"b": DOWN})
    assert primary_metric(run, {"a": UP}) == "b"


# --- one run against another ----------------------------------------------------------------------


def trial(number: int, fingerprint: str = "", **metrics: Any) -> Run:
    return make_run(number, fingerprint=fingerprint, metrics=metrics)


def verdict_of(run: Run, reference: Run | None, *repeats: Run, **declared: Direction) -> Any:
    (verdict,) = compare_runs(run, reference, declared=declared, repeats=repeats)
    return verdict


@pytest.mark.parametrize(
    ("metric", "value", "old", "answer", "why"),
    [
        ("accuracy", 0.85, 0.80, Answer.BETTER, None),
        ("accuracy", 0.80, 0.85, Answer.WORSE, None),
        ("loss", 0.2, 0.3, Answer.BETTER, None),
        ("loss", 0.3, 0.2, Answer.WORSE, None),
        ("loss", 0.2, 0.2, Answer.SAME, None),
        ("loss", 0.1 + 0.2, 0.3, Answer.SAME, None),
        ("loss", math.inf, 0.3, Answer.WORSE, None),
        ("loss", math.inf, math.inf, Answer.SAME, None),
        ("loss", math.nan, 0.3, Answer.UNKNOWN, "not a number"),
        ("loss", 0.3, math.nan, Answer.UNKNOWN, "not a number"),
        ("loss", math.nan, math.nan, Answer.UNKNOWN, "not a number"),
        ("colour", 1, 2, Answer.UNKNOWN, "no direction known"),
        ("colour", 2, 2, Answer.SAME, None),
        ("passed", True, False, Answer.UNKNOWN, "no direction known"),
    ],
)
def test_a_plain_verdict(
    metric: str, value: float, old: float, answer: Answer, why: str | None
) -> None:
    verdict = verdict_of(trial(1, "a", **{metric: value}), trial(2, "b", **{metric: old}))
    assert (verdict.answer, verdict.why) == (answer, why)


def test_the_difference_is_signed_and_relative_to_the_reference() -> None:
    verdict = verdict_of(trial(1, accuracy=0.5), trial(2, accuracy=-2.0))
    assert (verdict.difference, verdict.relative) == (2.5, 1.25)
    assert verdict.reference == trial(2).id
    assert verdict.guessed is True
    assert verdict_of(trial(1, accuracy=0.5), trial(2, accuracy=0.0)).relative is None


def test_directions_said_for_the_run_win() -> None:
    run = replace(trial(1, accuracy=0.9), directions={"accuracy": DOWN})
    verdict = verdict_of(run, trial(2, accuracy=0.8), accuracy=UP)
    assert (verdict.answer, verdict.guessed) == (Answer.WORSE, False)


def test_metrics_of_only_one_run_are_missing() -> None:
    verdicts = compare_runs(trial(1, acc=1, new=2), trial(2, acc=1, old=3), declared={})
    assert [(v.metric, v.why, v.difference) for v in verdicts] == [
        ("acc", None, 0.0),
        ("new", "missing from the reference", None),
        ("old", "missing from this run", None),
    ]


def test_a_first_run_has_nothing_to_compare_with() -> None:
    verdict = verdict_of(trial(1, acc=1), None)
    assert (verdict.answer, verdict.why) == (Answer.UNKNOWN, "nothing to compare with")
    assert verdict.reference is None


def test_repeats_tell_the_noise() -> None:
    repeats = [trial(n, "ref", loss=v) for n, v in ((3, 0.50), (4, 0.52), (5, 0.48))]
    near = verdict_of(trial(1, "new", loss=0.47), repeats[0], *repeats)
    assert (near.answer, near.why, near.repeats) == (Answer.SAME, "within the noise", 3)
    assert near.noise == pytest.approx(1.4826 * 0.02)
    far = verdict_of(trial(1, "new", loss=0.40), repeats[0], *repeats)
    assert (far.answer, far.why) == (Answer.BETTER, None)


def test_the_noise_of_either_trial_counts() -> None:
    repeats = [trial(n, "new", loss=v) for n, v in ((3, 0.50), (4, 0.52), (5, 0.48))]
    assert verdict_of(repeats[0], trial(1, "old", loss=0.53), *repeats).answer is Answer.SAME


def test_repeats_without_any_noise_take_every_difference_seriously() -> None:
    repeats = [trial(n, "ref", loss=0.5) for n in (3, 4, 5)]
    verdict = verdict_of(trial(1, "new", loss=0.5001), repeats[0], *repeats)
    assert (verdict.answer, verdict.noise) == (Answer.WORSE, 0.0)


def test_one_odd_repeat_among_equal_ones_is_noise_too() -> None:
    repeats = [trial(n, "ref", loss=v) for n, v in ((3, 0.5), (4, 0.5), (5, 0.8))]
    assert verdict_of(trial(1, "new", loss=0.45), repeats[0], *repeats).answer is Answer.SAME


@pytest.mark.parametrize(
    ("pair", "answer", "why"),
    [
        ((0.50, 0.60), Answer.UNKNOWN, "too few repeats to tell"),
        ((0.50, 0.51), Answer.BETTER, None),
    ],
)
def test_a_pair_of_repeats(pair: tuple[float, float], answer: Answer, why: str | None) -> None:
    repeats = [trial(n, "ref", loss=value) for n, value in enumerate(pair, start=3)]
    verdict = verdict_of(trial(1, "new", loss=0.45), repeats[0], *repeats)
    assert (verdict.answer, verdict.why, verdict.noise) == (answer, why, None)


def test_a_repeat_of_the_reference_is_never_just_better() -> None:
    verdict = verdict_of(trial(1, "same", loss=0.4), trial(2, "same", loss=0.5))
    why = "the same trial, whose noise is not known yet"
    assert (verdict.answer, verdict.why) == (Answer.BETTER, why)


def test_runs_without_fingerprint_are_no_repeats_of_each_other() -> None:
    verdict = verdict_of(trial(1, "", loss=0.4), trial(2, "", loss=0.5), trial(3, "", loss=0.9))
    assert (verdict.answer, verdict.repeats) == (Answer.BETTER, 1)


def test_a_run_given_twice_is_one_repeat() -> None:
    run, reference = trial(1, "a", loss=0.4), trial(2, "b", loss=0.5)
    assert verdict_of(run, reference, run, reference, run).repeats == 1


@given(st.floats(), st.floats(), st.lists(st.floats(), max_size=4))
def test_every_pair_of_numbers_gets_a_verdict(
    value: float, old: float, others: list[float]
) -> None:
    repeats = [trial(n, "b", loss=other) for n, other in enumerate(others, start=3)]
    verdict = verdict_of(trial(1, "a", loss=value), trial(2, "b", loss=old), *repeats)
    mirrored = verdict_of(trial(1, "a", loss=old), trial(2, "b", loss=value))
    assert isinstance(verdict, MetricVerdict)
    if not repeats:
        opposite = {Answer.BETTER: Answer.WORSE, Answer.WORSE: Answer.BETTER}
        assert mirrored.answer is opposite.get(verdict.answer, verdict.answer)


def verdict(metric: str, answer: Answer, why: str | None = None) -> MetricVerdict:
    return MetricVerdict(
        metric=metric, value=1, reference_value=1, reference=None, answer=answer, why=why
    )


def test_the_primary_metric_decides() -> None:
    verdicts = [verdict("acc", Answer.BETTER), verdict("time", Answer.WORSE)]
    assert overall(verdicts, "acc") is Answer.BETTER
    assert overall(verdicts) is Answer.WORSE
    assert overall(verdicts, "missing") is Answer.WORSE


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([Answer.BETTER, Answer.UNKNOWN, Answer.WORSE], Answer.WORSE),
        ([Answer.BETTER, Answer.UNKNOWN], Answer.UNKNOWN),
        ([Answer.BETTER, Answer.SAME], Answer.BETTER),
        ([Answer.SAME], Answer.SAME),
        ([], Answer.UNKNOWN),
    ],
)
def test_the_worst_answer_stands_for_all(answers: list[Answer], expected: Answer) -> None:
    assert overall([verdict(f"m{n}", answer) for n, answer in enumerate(answers)]) is expected


def test_a_metric_without_direction_has_no_vote() -> None:
    silent = verdict("x", Answer.UNKNOWN, "no direction known")
    assert overall([silent, verdict("acc", Answer.BETTER)]) is Answer.BETTER
    assert overall([silent]) is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("last", "best", "words"),
    [
        (None, None, "record a second run"),
        (Answer.BETTER, Answer.BETTER, "continue improving from here"),
        (Answer.BETTER, None, "continue improving from here"),
        (Answer.BETTER, Answer.WORSE, "not the best"),
        (Answer.WORSE, Answer.WORSE, "discard or revise"),
        (Answer.SAME, Answer.WORSE, "discard or revise"),
        (Answer.UNKNOWN, Answer.UNKNOWN, "--again"),
        (Answer.SAME, Answer.SAME, "bolder change"),
    ],
)
def test_the_next_step(last: Answer | None, best: Answer | None, words: str) -> None:
    assert words in next_step(make_run(metrics={"acc": 1}), last=last, best=best)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.FAILED, "git exp show 7f3a9c0"),
        (Outcome.INTERRUPTED, "fix the cause"),
        (Outcome.RUNNING, "wait"),
    ],
)
def test_the_next_step_after_a_run_that_did_not_succeed(outcome: Outcome, words: str) -> None:
    run = make_run(outcome=outcome, metrics={"acc": 1})
    assert words in next_step(run, last=Answer.BETTER, selector="7f3a9c0")


def test_the_next_step_without_metrics() -> None:
    assert "METRIC name=value" in next_step(make_run())


# --- a run made again -----------------------------------------------------------------------------

EXACT = Tolerance()
REPRODUCED, WITHIN = ReproductionVerdict.REPRODUCED, ReproductionVerdict.WITHIN_TOLERANCE
DRIFTED, FAILED = ReproductionVerdict.DRIFTED, ReproductionVerdict.FAILED


@pytest.mark.parametrize(
    ("before", "after", "tolerance", "expected", "states"),
    [
        ({"a": 1.0}, {"a": 1.0}, EXACT, REPRODUCED, ["equal"]),
        ({"a": 0.3}, {"a": 0.1 + 0.2}, EXACT, REPRODUCED, ["equal"]),
        ({"a": math.nan}, {"a": math.nan}, EXACT, REPRODUCED, ["equal"]),
        ({"a": math.inf}, {"a": math.inf}, EXACT, REPRODUCED, ["equal"]),
        ({"a": math.inf}, {"a": 1.0}, Tolerance(relative=1), DRIFTED, ["outside"]),
        ({"a": math.nan}, {"a": 1.0}, Tolerance(absolute=9), DRIFTED, ["outside"]),
        ({"a": 1.0}, {"a": 1.1}, EXACT, DRIFTED, ["outside"]),
        ({"a": 1.0}, {"a": 1.1}, Tolerance(absolute=0.2), WITHIN, ["within"]),
        ({"a": -10.0}, {"a": -9.0}, Tolerance(relative=0.1), WITHIN, ["within"]),
        ({"a": 1.0}, {}, Tolerance(absolute=9), DRIFTED, ["missing"]),
        ({}, {"a": 1.0}, EXACT, REPRODUCED, ["informative"]),
        ({}, {}, EXACT, REPRODUCED, []),
        ({"a": 1.0, "time_s": 9.0}, {"a": 1.0, "time_s": 7.0}, EXACT, REPRODUCED, None),
        ({"hash": "x"}, {"hash": "x"}, EXACT, REPRODUCED, ["equal"]),
        ({"hash": "x"}, {"hash": "y"}, Tolerance(absolute=9), DRIFTED, ["outside"]),
        ({"a": 1.0}, {"a": "1.0"}, EXACT, DRIFTED, ["outside"]),
        ({"m": [1.0, [2.0]]}, {"m": [1.0, [2.5]]}, EXACT, DRIFTED, ["equal", "outside"]),
        ({"m": [1.0]}, {"m": [1.0, 2.0]}, EXACT, REPRODUCED, ["equal", "informative"]),
    ],
)
def test_a_reproduction(
    before: dict[str, Any],
    after: dict[str, Any],
    tolerance: Tolerance,
    expected: ReproductionVerdict,
    states: list[str] | None,
) -> None:
    found, matches = compare_reproduction(
        make_run(1, metrics=before), make_run(2, metrics=after), tolerances={}, default=tolerance
    )
    assert found is expected
    if states is not None:
        assert [match.state for match in matches] == states


def test_a_tolerance_of_its_own_comes_before_the_default() -> None:
    def judge(**tolerances: Tolerance) -> ReproductionVerdict:
        recorded = make_run(1, metrics={"val": {"time_s": 10.0}})
        again = make_run(2, metrics={"val": {"time_s": 12.0}})
        return compare_reproduction(
            recorded, again, tolerances=tolerances, default=Tolerance(absolute=5)
        )[0]

    assert judge() is REPRODUCED
    assert judge(time_s=Tolerance(absolute=1)) is DRIFTED
    assert judge(time_s=Tolerance(absolute=3)) is WITHIN
    assert judge(**{"val.time_s": Tolerance(absolute=3), "time_s": Tolerance()}) is WITHIN


@pytest.mark.parametrize(
    ("recorded", "again", "expected"),
    [
        (Outcome.SUCCEEDED, Outcome.SUCCEEDED, REPRODUCED),
        (Outcome.SUCCEEDED, Outcome.FAILED, FAILED),
        (Outcome.FAILED, Outcome.FAILED, REPRODUCED),
        (Outcome.FAILED, Outcome.SUCCEEDED, FAILED),
        (Outcome.UNKNOWN, Outcome.SUCCEEDED, REPRODUCED),
        (Outcome.UNKNOWN, Outcome.FAILED, FAILED),
        (Outcome.SUCCEEDED, Outcome.INTERRUPTED, FAILED),
    ],
)
def test_the_outcome_comes_first(
    recorded: Outcome, again: Outcome, expected: ReproductionVerdict
) -> None:
    found, _ = compare_reproduction(
        make_run(1, outcome=recorded, metrics={"a": 1}),
        make_run(2, outcome=again, metrics={"a": 1}),
        tolerances={},
        default=EXACT,
    )
    assert found is expected


@pytest.mark.parametrize(
    ("before", "after", "expected"), [(1, 1, REPRODUCED), (1, 2, DRIFTED), (None, 2, REPRODUCED)]
)
def test_without_metrics_the_exit_code_decides(
    before: int | None, after: int, expected: ReproductionVerdict
) -> None:
    def ended(code: int | None) -> Run:
        return make_run(outcome=Outcome.FAILED, command=Command(argv=("x",), exit_code=code))

    assert (
        compare_reproduction(ended(before), ended(after), tolerances={}, default=EXACT)[0]
        is expected
    )


# --- kin ------------------------------------------------------------------------------------------


def kin_run(**changes: Any) -> Run:
    run = make_run(
        params={"lr": 0.01, "seed": 1},
        command=Command(argv=("python", "train.py", "--lr", "0.01")),
        inputs={"data.csv": FileState(sha256="ab", bytes=1)},
    )
    return replace(run, **changes)


OTHER_CODE = Code(commit=ObjectId("0" * 40), tree=ObjectId("1" * 40), digest="other")
KIN: dict[str, tuple[Callable[[], Run], Kin | None]] = {
    "identical": (kin_run, Kin.IDENTICAL),
    "same digest from another commit": (
        lambda: kin_run(code=replace(OTHER_CODE, digest="d1")),
        Kin.IDENTICAL,
    ),
    "other seed": (lambda: kin_run(params={"lr": 0.01, "seed": 2}), Kin.SEED),
    "no seed": (lambda: kin_run(params={"lr": 0.01}), Kin.SEED),
    "other params": (lambda: kin_run(params={"lr": 0.01, "seed": 1, "depth": 4}), Kin.PARAMS),
    "other params in the command as well": (
        lambda: kin_run(
            params={"lr": 0.1, "seed": 1},
            command=Command(argv=("python", "train.py", "--lr", "0.1")),
        ),
        Kin.PARAMS,
    ),
    "the same from a template": (
        lambda: kin_run(
            command=Command(
                argv=("python", "train.py", "--lr", "0.01"),
                template=("python", "train.py", "--lr={lr}"),
            )
        ),
        Kin.IDENTICAL,
    ),
    "other code": (lambda: kin_run(code=OTHER_CODE), Kin.CODE),
    "other code and params": (
        lambda: kin_run(code=OTHER_CODE, params={"lr": 0.01, "seed": 1, "a": 1}),
        Kin.SEVERAL,
    ),
    "other code and seed": (
        lambda: kin_run(code=OTHER_CODE, params={"lr": 0.01, "seed": 2}),
        Kin.SEVERAL,
    ),
    "two params": (lambda: kin_run(params={"lr": 0.01, "seed": 1, "a": 4, "b": 1}), Kin.PARAMS),
    "three params": (
        lambda: kin_run(params={"lr": 0.01, "seed": 1, **dict.fromkeys("abc", 1)}),
        None,
    ),
    "other data": (
        lambda: kin_run(inputs={"data.csv": FileState(sha256="cd", bytes=1)}),
        Kin.DATA,
    ),
    "no data": (lambda: kin_run(inputs={}), Kin.DATA),
    "other script": (lambda: kin_run(command=Command(argv=("python", "test.py"))), None),
    "another argument": (
        lambda: kin_run(command=Command(argv=("python", "train.py", "--lr", "0.01", "x"))),
        None,
    ),
    "no command": (lambda: kin_run(command=None), None),
    "elsewhere": (
        lambda: kin_run(
            command=Command(argv=("python", "train.py", "--lr", "0.01"), directory="sub")
        ),
        Kin.COMMAND,
    ),
}


@pytest.mark.parametrize("what", KIN)
def test_kinship(what: str) -> None:
    make, expected = KIN[what]
    for one, other in ((kin_run(), make()), (make(), kin_run())):
        found = kinship(one, other)
        assert (None if found is None else found.relation) is expected


def test_the_differences_of_kin_are_named() -> None:
    words = ("python", "train.py", "a.csv", "--lr", "0.01")
    old = kin_run(command=Command(argv=words))
    new = kin_run(
        command=Command(argv=("python3", "train.py", "b.csv", "--wd", "0.1", "--lr=0.01")),
        params={"lr": 0.01, "seed": 1, "wd": 0.1},
    )
    found = kinship(new, old)
    assert found is not None
    assert found.differences == (
        Difference(Kin.COMMAND, "argument", "a.csv", "b.csv"),
        Difference(Kin.PARAMS, "wd", None, 0.1),
    )


def test_an_added_flag_is_one_difference() -> None:
    new = kin_run(
        command=Command(argv=("python", "train.py", "--fast", "--lr", "0.01")),
        params={"lr": 0.01, "seed": 1, "fast": True},
    )
    found = kinship(new, kin_run())
    assert found is not None
    assert [(d.name, d.is_flag) for d in found.differences] == [("fast", True)]


def test_another_environment_is_one_difference() -> None:
    old = kin_run(environment={"python": "3.11.2", "packages": "aa", "host": "x"})
    new = kin_run(environment={"python": "3.12.1", "packages": "bb", "host": "y"})
    assert kinship(new, old) == Kinship(
        Kin.ENVIRONMENT, (Difference(Kin.ENVIRONMENT, "python", "3.11.2", "3.12.1"),)
    )
    assert kinship(new, kin_run()) == Kinship(Kin.IDENTICAL)


def test_what_an_older_record_does_not_tell_makes_kin() -> None:
    named = {**kin_run().inputs, "raw.bin": FileState(sha256="ef", bytes=1, named=True)}
    new = kin_run(inputs=named, fingerprint="2:ab")
    found = kinship(new, kin_run(fingerprint="ab"))
    assert found == Kinship(Kin.UNTOLD, (Difference(Kin.UNTOLD, "raw.bin"),))
    found = kinship(new, kin_run(fingerprint="2:cd"))
    assert found is not None and found.relation is Kin.DATA


def test_nearer_kin_come_first() -> None:
    old = kin_run()
    others = [
        kin_run(params={"lr": 0.01, "seed": 1, "a": 1, "b": 2}),
        kin_run(code=OTHER_CODE),
        kin_run(params={"lr": 0.01, "seed": 1, "a": 1}),
        kin_run(params={"lr": 0.01, "seed": 3}),
    ]
    found = [how for other in others if (how := kinship(old, other))]
    assert [how.relation for how in sorted(found, key=lambda how: how.distance)] == [
        Kin.SEED,
        Kin.PARAMS,
        Kin.CODE,
        Kin.PARAMS,
    ]


def test_the_difference_of_two_tables() -> None:
    before: Table = {"same": 1, "lr": 0.1, "gone": "x", "nest": {"a": 1, "b": 2}, "n": math.nan}
    after: Table = {"same": 1.0, "lr": 0.2, "new": True, "nest": {"a": 1, "b": 3}, "n": math.nan}
    assert diff_tables(before, after) == [
        ("gone", "x", None),
        ("lr", 0.1, 0.2),
        ("nest.b", 2, 3),
        ("new", None, True),
    ]
    assert diff_tables({"a": 1}, {"a": True}) == [("a", 1, True)]
    assert diff_tables({"a": 1}, {"a": "1"}) == [("a", 1, "1")]
