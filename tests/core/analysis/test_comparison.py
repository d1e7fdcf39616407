"""Directions of metrics, verdicts of reproductions, and kinship of runs."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gitexp.core.analysis.kinship import Difference, Kin, Kinship, diff_tables, kinship
from gitexp.core.analysis.reproduction import compare_reproduction, name_faults
from gitexp.core.model.directions import (
    direction_of,
    guess_direction,
    guess_metric,
    is_time_like,
    last_part,
)
from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import (
    Code,
    Command,
    Direction,
    FileState,
    Outcome,
    ReproductionVerdict,
    Run,
    Table,
    Tolerance,
    numbers,
)
from tests.core.sample_runs import make_run

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
def test_words_of_metrics_to_maximize(metric: str) -> None:
    assert guess_direction(metric) is UP


@pytest.mark.parametrize(
    "metric",
    """loss val_loss valLoss train.loss test/error err mse rmse mae perplexity ppl latency
    latency_ms p99_latency time wall_time duration_s seconds memory peak_memory model_size wer cer
    bytes cost regret error_rate time_per_step seconds_per_iter ms_per_token errors_per_second
    negative_log_likelihood nll brier_score cross_entropy kl_divergence RMSE""".split(),
)
def test_words_of_metrics_to_minimize(metric: str) -> None:
    assert guess_direction(metric) is DOWN


@pytest.mark.parametrize(
    "metric",
    """time_to_accuracy accuracy_loss step epoch lr x mapping lossy grad_norm accurate timestamps
    samples_per_class loss.scale costume loss_scale loss_reduction cost_savings time_saved
    saved_bytes inverse_loss accuracy_drop accuracy_std loss_delta memory_free error_free
    target_accuracy loss_weight -loss 1-accuracy""".split(),
)
def test_unclear_names_give_no_direction(metric: str) -> None:
    assert guess_direction(metric) is None


def test_direction_is_guessed_from_the_last_part_of_a_name() -> None:
    assert last_part("val.loss") == "loss"
    assert last_part("val.mAP@0.5:0.95") == "mAP@0.5:0.95"
    assert last_part("loss") == "loss"


def test_a_declared_direction_is_no_guess() -> None:
    assert direction_of("val.loss", {"val.loss": UP}) == (UP, False)
    assert direction_of("val.loss", {"loss": UP}) == (UP, False)
    assert direction_of("val.loss", {"test.loss": UP}) == (DOWN, True)
    assert direction_of("val.loss", {"loss": UP, "val.loss": DOWN}) == (DOWN, False)
    assert direction_of("x", {}) == (None, False)


def test_metrics_of_the_machine_are_recognized() -> None:
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
        ({"results": {"zstd": {"max": 2, "mean": 1, "min": 0}}}, {}, "results.zstd.mean"),
        ({"acc": 1, "val": {"x": 1}}, {"x": UP}, "val.x"),
        ({"acc": 1, "b": 1, "a": 1}, {"missing": UP, "a": UP, "b": UP}, "a"),
        ({"context": {"memory": 8}, "bench": {"x": 1}}, {}, "bench.x"),
        ({"note": "text"}, {}, None),
        ({}, {"x": UP}, None),
    ],
)
def test_main_metric_is_guessed(
    metrics: dict[str, Any], declared: dict[str, Direction], expected: str | None
) -> None:
    assert guess_metric(numbers(metrics), declared) == expected


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
def test_verdicts_of_reproductions(
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


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ({"a": 1, "b": 1}, {"a": 1, "b": 1}, None),
        ({"a": 1, "b": 1}, {"a": 2, "b": 3}, "outside the tolerance: a, b"),
        ({"a": 1, "b": 1}, {"b": 1}, "missing: a"),
        ({"a": 1, "b": 1}, {"a": 2}, "outside the tolerance: a; missing: b"),
    ],
)
def test_reproduction_names_the_metrics_at_fault(
    before: dict[str, Any], after: dict[str, Any], text: str | None
) -> None:
    recorded, again = make_run(1, metrics=before), make_run(2, metrics=after)
    _, matches = compare_reproduction(recorded, again, tolerances={}, default=EXACT)
    assert name_faults(matches) == text


def test_metrics_of_a_reproduction_are_named_down_to_single_values() -> None:
    before: Table = {"m": [{"a": 1.0}, 2.0], "gone": 1.0, "text": "x"}
    after: Table = {"m": [{"a": 1.5}, 2.0], "new": 1.0, "text": 3.0}
    recorded, again = make_run(1, metrics=before), make_run(2, metrics=after)
    _, matches = compare_reproduction(recorded, again, tolerances={}, default=EXACT)
    assert {match.metric: match.difference for match in matches} == {
        "m[0].a": 0.5,
        "m[1]": 0.0,
        "gone": None,
        "new": None,
        "text": None,
    }


def test_own_tolerance_overrides_the_default() -> None:
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
    "other files outside the snapshot": (
        lambda: kin_run(
            code=replace(kin_run().code, hashed={"m.pt": FileState(sha256="a", bytes=1)})
        ),
        Kin.DATA,
    ),
    "no data": (lambda: kin_run(inputs={}), Kin.DATA),
    "other script": (lambda: kin_run(command=Command(argv=("python", "test.py"))), None),
    "another argument": (
        lambda: kin_run(command=Command(argv=("python", "train.py", "--lr", "0.01", "x"))),
        None,
    ),
    "an option that is no parameter": (
        lambda: kin_run(command=Command(argv=("python", "train.py", "--lr", "0.01", "--quiet"))),
        None,
    ),
    "several seeds": (
        lambda: kin_run(params={"lr": 0.01, "seed": 2, "data_seed": 3, "init_seed": 4}),
        Kin.SEED,
    ),
    "three differences, one of them of the command": (
        lambda: kin_run(
            command=Command(argv=("python", "train.py", "--lr", "0.02"), directory="sub"),
            params={"lr": 0.02, "seed": 1, "wd": 0.1},
        ),
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
def test_kinship_of_two_runs(what: str) -> None:
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
        Difference(Kin.PARAMS, "wd", None, 0.1),
        Difference(Kin.COMMAND, "argument", "a.csv", "b.csv"),
    )


def test_arguments_of_kin_are_compared_without_the_values_of_parameters() -> None:
    def run(lr: float, file: str) -> Run:
        words = ("python", "train.py", "{lr}", "a.csv", file)
        argv = tuple(str(lr) if word == "{lr}" else word for word in words)
        return kin_run(command=Command(argv=argv, template=words), params={"lr": lr})

    assert kinship(run(0.1, "b.csv"), run(0.1, "c.csv")) == Kinship(
        Kin.COMMAND, (Difference(Kin.COMMAND, "argument", "c.csv", "b.csv"),)
    )
    assert kinship(run(0.1, "b.csv"), run(0.2, "b.csv")) == Kinship(
        Kin.PARAMS, (Difference(Kin.PARAMS, "lr", 0.2, 0.1),)
    )


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (Difference(Kin.PARAMS, "fast", None, True), True),
        (Difference(Kin.PARAMS, "fast", True, None), True),
        (Difference(Kin.PARAMS, "lr", None, 0.1), False),
        (Difference(Kin.ENVIRONMENT, "variables", None, True), False),
    ],
)
def test_a_flag_is_a_parameter_that_one_side_has(difference: Difference, expected: bool) -> None:
    assert difference.is_flag is expected


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


@pytest.mark.parametrize(
    ("one", "other", "older", "expected"),
    [
        ({"variables": {"X": "1"}}, {"variables": {"X": "1"}}, False, Kin.IDENTICAL),
        ({"variables": {"X": "1"}}, {"variables": {"X": "2"}}, False, Kin.ENVIRONMENT),
        ({"variables": {"X": "1"}}, {}, False, Kin.ENVIRONMENT),
        ({"variables": {"X": "1"}}, {}, True, Kin.IDENTICAL),  # they were not recorded
        ({"variables": {"lr": "1"}}, {"variables": {"lr": "2"}}, False, Kin.IDENTICAL),
        ({"variables": {"lr": "1"}}, {}, False, Kin.IDENTICAL),  # compared as a parameter
        ({"python": "3.11.2"}, {"python": "3.12.1"}, True, Kin.ENVIRONMENT),
    ],
)
def test_recorded_environments_make_kin(
    one: Table, other: Table, older: bool, expected: Kin
) -> None:
    new = kin_run(environment={"host": "x", **one}, fingerprint="2:ab")
    old = kin_run(environment={"host": "y", **other}, fingerprint="ab" if older else "2:ab")
    for ours, theirs in ((new, old), (old, new)):
        found = kinship(ours, theirs)
        assert found is not None
        assert found.relation is expected


def test_fields_missing_in_an_older_record_make_kin() -> None:
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


def test_diff_tables_returns_changed_values() -> None:
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
