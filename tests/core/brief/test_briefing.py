"""Briefs of synthetic runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gitexp.core.analysis.grouping import keys_of
from gitexp.core.analysis.groups import Measurement, groups_of
from gitexp.core.analysis.ranking import rank
from gitexp.core.brief.budget import fit
from gitexp.core.brief.causes import Cause, alone, changed_params, shared_params
from gitexp.core.brief.neighbours import Neighbour, neighbours
from gitexp.core.brief.summary import Brief, make_brief
from gitexp.core.brief.trials import Attempt
from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import Command, Decision, Direction, Origin, Outcome, RecordedRun, Value
from gitexp.core.model.run import numbers as numbers_of
from tests.core.sample_runs import make_annotation, make_run


def entry(
    number: int, accuracy: float | None, *, decided: Decision | None = None, **changes: Any
) -> RecordedRun:
    """Return a run with parameter `lr` and, on request, a decision about it."""
    params: dict[str, Value] = changes.pop("params", {"lr": 0.1 * number})
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    said = changes.pop("said", {})
    made = {"fingerprint": f"1:{number}", "params": params, "metrics": metrics, **changes}
    run = make_run(number, **made)
    notes = (
        ()
        if decided is None
        else (make_annotation(run=run.id, decision=decided, clock=100 + number, **said),)
    )
    return RecordedRun(run, notes)


def measurement(entry: RecordedRun) -> Measurement:
    """Return the data that the run index has about it."""
    run, keys = entry.run, keys_of(entry.run)
    value = numbers_of(entry.metrics).get("accuracy")
    counts = run.outcome is Outcome.SUCCEEDED and value == value
    return Measurement(
        *(run.id, run.clock, value if counts else None, keys.group),
        family=keys.family,
        seeds=keys.seeds,
        cell=str(run.fingerprint) + keys.seeds,
    )


def brief_of(*entries: RecordedRun, declared: float | None = None, **changes: Any) -> Brief:
    """Return the brief of runs; `declared` is the noise."""
    direction = changes.get("direction", Direction.MAXIMIZE)
    trial_of = {e.run.id: keys_of(e.run).group for e in entries}
    ended = [e for e in entries if e.run.is_sealed and e.run.origin is not Origin.REPRODUCTION]
    groups = groups_of(map(measurement, ended))
    discarded = {
        trial_of[e.run.id]
        for e in entries
        if e.decision is not None and e.decision.decision is Decision.DISCARD
    }
    eligible = [group for group in groups if group.sample and group.key not in discarded]
    ranking = None if direction is None else rank(eligible, direction=direction, declared=declared)
    known: dict[str, Any] = {
        "total": len(entries),
        "outcomes": {},
        "metric": "accuracy",
        "direction": direction,
        "trial_of": trial_of,
        "groups": {group.key: group for group in groups},
        "ranking": ranking,
        **changes,
    }
    return make_brief(entries, **known)


def numbers(attempts: Sequence[Attempt]) -> list[int]:
    """Return the runs shown."""
    return [int(attempt.entry.run.id, 16) for attempt in attempts]


def causes(found: Sequence[Cause]) -> list[tuple[str, str, list[int]]]:
    """Return the text of each cause and its runs."""
    return [(cause.text, cause.word, numbers(cause.attempts)) for cause in found]


def seeded(number: int, accuracy: float, lr: float, **changes: Any) -> RecordedRun:
    """Return a run of a trial with seeds."""
    return entry(number, accuracy, params={"lr": lr, "seed": number}, **changes)


def test_brief_of_no_runs() -> None:
    brief = brief_of(metric=None, direction=None)
    assert (brief.best, brief.attempts, brief.untried, brief.since_best) == (None, (), (), 0)


def test_brief_names_the_best_and_counts_later_trials() -> None:
    brief = brief_of(entry(1, 0.7), entry(3, 0.8), entry(2, 0.9), entry(4, 0.9))
    assert brief.best is not None and brief.by_numbers
    found = {n: a.standing for n, a in zip(numbers(brief.attempts), brief.attempts, strict=True)}
    assert found == {4: "same", 3: "worse", 2: "same", 1: "worse"}
    assert (numbers([brief.best]), brief.since_best) == ([4], 0)
    earlier = brief_of(entry(1, 0.7), entry(3, 0.8), entry(2, 0.9), entry(4, 0.85))
    assert earlier.best is not None
    assert (numbers([earlier.best]), earlier.since_best) == ([2], 2)


def test_best_of_a_metric_to_minimize() -> None:
    brief = brief_of(entry(1, 0.7), entry(2, 0.9), direction=Direction.MINIMIZE)
    assert brief.best is not None and numbers([brief.best]) == [1]


def test_no_trial_is_best_without_a_direction() -> None:
    brief = brief_of(entry(1, 0.7), direction=None)
    assert brief.best is None and brief.undecided[0].standing == "unknown"


@pytest.mark.parametrize(
    "better",
    [
        entry(9, 0.99, decided=Decision.DISCARD),
        entry(9, 0.99, outcome=Outcome.FAILED),
        entry(9, 0.99, outcome=Outcome.RUNNING),
        entry(9, float("nan")),
        entry(9, 0.99, origin=Origin.REPRODUCTION),
    ],
    ids=["discarded", "failed", "running", "nan", "reproduction"],
)
def test_failed_and_discarded_trials_are_never_best(better: RecordedRun) -> None:
    brief = brief_of(entry(1, 0.7), better)
    assert brief.best is not None and numbers([brief.best]) == [1]
    assert brief.better_rejected == (better.decision is not None)


def test_every_trial_is_in_one_list() -> None:
    brief = brief_of(
        entry(1, 0.7, decided=Decision.KEEP),
        entry(2, 0.6),
        entry(3, 0.5, decided=Decision.DISCARD),
        entry(4, 0.4, decided=Decision.STOP),
        entry(5, None, outcome=Outcome.FAILED),
        entry(6, None, outcome=Outcome.RUNNING),
        entry(7, None, outcome=Outcome.INTERRUPTED),
        entry(8, None, outcome=Outcome.TIMED_OUT),
        entry(9, 0.5, decided=Decision.IMPROVE),
    )
    assert brief.best is not None and numbers([brief.best]) == [1]
    assert numbers(brief.running) == [6]
    assert numbers(brief.undecided) == [2]
    assert numbers(brief.kept) == [9]
    assert numbers(brief.interrupted) == [7]
    assert [word for _, word, _ in causes(brief.rejected)] == ["stop", "discard"]
    assert [word for _, word, _ in causes(brief.failed)] == ["timed out", "failed"]
    assert sorted(numbers(brief.attempts)) == [*range(1, 10)]


def test_trials_show_only_differences_from_the_best() -> None:
    best = entry(1, 0.9, params={"lr": 0.1, "opt": {"name": "adam"}})
    other = entry(2, 0.8, params={"lr": 0.1, "opt": {"name": "sgd"}})
    assert brief_of(best, other).undecided[0].params == {"opt.name": "sgd"}


# --- repeats and noise ----------------------------------------------------------------------------


def test_runs_that_differ_by_their_seed_are_one_trial() -> None:
    brief = brief_of(
        *[seeded(n, value, 0.1) for n, value in ((1, 0.90), (2, 0.80), (3, 0.86))],
        *[seeded(n, value, 0.2) for n, value in ((4, 0.50), (5, 0.52))],
    )
    assert brief.best is not None and brief.trials == 2
    assert brief.best.runs == 3 and brief.best.value == pytest.approx((0.9 + 0.8 + 0.86) / 3)
    assert numbers([brief.best]) == [3], "the run nearest to the mean stands for it"
    assert [a.standing for a in brief.undecided] == ["worse"] and brief.contenders == 0


def test_differences_within_the_noise_are_not_claimed() -> None:
    tried = [seeded(n, value, 0.1) for n, value in ((1, 0.90), (2, 0.80), (3, 0.86))]
    brief = brief_of(*tried, entry(4, 0.84), entry(5, 0.1))
    assert brief.best is not None and brief.contenders == 1 and not brief.by_numbers
    assert [a.standing for a in brief.undecided] == ["unknown", "worse"]


def test_discarded_trial_has_no_result_with_known_noise() -> None:
    tried = [seeded(n, value, 0.1) for n, value in ((1, 0.90), (2, 0.80), (3, 0.86))]
    (cause,) = brief_of(*tried, entry(4, 0.84, decided=Decision.DISCARD)).rejected
    assert [attempt.standing for attempt in cause.attempts] == ["unknown"]


def test_trials_say_whether_their_code_is_that_of_the_best() -> None:
    best = entry(1, 0.9)
    other = entry(2, 0.8, code=replace(best.run.code, tree=ObjectId("9" * 40), digest="d2"))
    same = entry(3, 0.7, code=replace(best.run.code, tree=ObjectId("8" * 40)))
    assert [a.has_other_code for a in brief_of(best, other, same).undecided] == [False, True]


def test_trials_that_may_be_the_best_come_first() -> None:
    brief = brief_of(entry(1, 0.9), entry(2, 0.89), entry(3, 0.1), declared=0.1)
    assert brief.contenders == 1
    assert numbers(brief.undecided) == [2, 3]


def test_the_last_decision_about_any_run_of_a_trial_counts() -> None:
    brief = brief_of(
        entry(1, 0.95, params={"lr": 1.0}),
        seeded(2, 0.9, 0.1, decided=Decision.KEEP),
        seeded(3, 0.8, 0.1, decided=Decision.DISCARD, said={"text": "too slow"}),
    )
    assert [(cause.text, cause.word) for cause in brief.rejected] == [("too slow", "discard")]
    assert brief.kept == ()


# --- causes ---------------------------------------------------------------------------------------


def test_rejected_trials_are_grouped_by_cause() -> None:
    brief = brief_of(
        entry(1, 0.9),
        entry(2, 0.8, decided=Decision.DISCARD, said={"text": "OOM"}),
        entry(3, 0.8, decided=Decision.DISCARD, said={"text": "too slow: 3.5 s"}),
        entry(4, 0.8, decided=Decision.DISCARD, said={"text": "oom!"}),
        entry(5, 0.8, decided=Decision.DISCARD, said={"text": "too slow: 12 s"}),
        entry(6, 0.8, decided=Decision.STOP, said={"text": "OOM"}),
        entry(7, 0.8, decided=Decision.DISCARD, said={"text": None}),
        entry(8, 0.8, decided=Decision.DISCARD, said={"text": None}, reason="GeLU"),
    )
    assert causes(brief.rejected) == [
        ("GeLU", "discard", [8]),
        ("no reason given", "discard", [7]),
        ("OOM", "stop", [6]),
        ("too slow: … s", "discard", [5, 3]),
        ("oom!", "discard", [4, 2]),
    ]


def test_without_a_reason_the_last_line_of_a_failure_is_the_cause() -> None:
    failed: dict[str, Any] = {
        "outcome": Outcome.FAILED,
        "output_tail": "epoch 1\nRuntimeError: boom\n\n",
    }
    brief = brief_of(
        entry(1, None, decided=Decision.DISCARD, said={"text": None}, **failed),
        entry(2, None, decided=Decision.DISCARD, said={"text": "unstable"}, **failed),
        entry(3, None, **failed),
        entry(4, None, outcome=Outcome.TIMED_OUT, output_tail="step 7"),
        entry(5, None, outcome=Outcome.FAILED),
        entry(6, None, outcome=Outcome.TIMED_OUT, command=Command(argv=("x",), timeout_s=90.0)),
    )
    assert causes(brief.rejected) == [
        ("unstable", "discard", [2]),
        ("RuntimeError: boom", "discard", [1]),
    ]
    assert [cause.output for cause in brief.rejected] == ["RuntimeError: boom", ""]
    assert causes(brief.failed) == [
        ("no output within 90 s", "timed out", [6]),
        ("no output, exit code 0", "failed", [5]),
        ("step 7", "timed out", [4]),
        ("RuntimeError: boom", "failed", [3]),
    ]


def test_common_changes_of_a_cause_are_found() -> None:
    given: list[dict[str, Value]] = [
        {"hidden": 16384, "opt": "adam", "seed": 1},
        {"hidden": 8192, "opt": "sgd", "seed": 2},
        {"hidden": 16384, "opt": "sgd", "seed": 3},
    ]
    gone = [
        entry(n + 2, 0.1, params=params, decided=Decision.DISCARD, said={"text": f"OOM at {n}"})
        for n, params in enumerate(given)
    ]
    (cause,) = brief_of(entry(1, 0.9, params={"hidden": 64, "opt": "adam"}), *gone).rejected
    shared = shared_params(cause.attempts)
    assert (cause.text, shared.params, shared.varied) == (
        "OOM at …",
        {"hidden": [8192, 16384]},
        ["opt"],
    )


def test_changes_are_relative_to_the_nearest_kept_trial() -> None:
    """After two kept changes, an earlier trial differs from the best in three parameters."""
    start = entry(1, 0.5, params={"lr": 0.1, "hidden": 64, "opt": "sgd"}, decided=Decision.KEEP)
    lone = entry(2, 0.4, params={"lr": 1.0, "hidden": 64, "opt": "sgd"}, decided=Decision.DISCARD)
    step = entry(3, 0.6, params={"lr": 0.1, "hidden": 128, "opt": "sgd"}, decided=Decision.KEEP)
    best = entry(4, 0.7, params={"lr": 0.1, "hidden": 128, "opt": "adam"}, decided=Decision.KEEP)
    late = entry(5, 0.6, params={"lr": 0.1, "hidden": 512, "opt": "adam"}, decided=Decision.DISCARD)
    ((cause,),) = (brief_of(start, lone, step, best, late).rejected,)
    assert numbers(cause.attempts) == [5, 2]
    assert [changed_params(a) for a in cause.attempts] == [{"hidden": 512}, {"lr": 1.0}]
    assert [a.near and int(a.near.run.id, 16) for a in cause.attempts] == [None, 1]
    assert alone(cause.attempts) == ({"hidden": [512], "lr": [1.0]}, [])


def test_undecided_trial_is_no_reference_for_changes() -> None:
    lone = entry(1, 0.5, params={"lr": 0.1, "hidden": 64})
    gone = entry(2, 0.4, params={"lr": 1.0, "hidden": 64}, decided=Decision.DISCARD)
    best = entry(3, 0.7, params={"lr": 0.1, "hidden": 128}, decided=Decision.KEEP)
    ((cause,),) = (brief_of(lone, gone, best).rejected,)
    assert changed_params(cause.attempts[0]) == {"lr": 1.0, "hidden": 64}


def test_a_trial_with_other_code_did_not_change_a_parameter_alone() -> None:
    best = entry(1, 0.9)
    code = replace(best.run.code, tree=ObjectId("9" * 40), digest="d2")
    gone = [
        entry(2, 0.1, decided=Decision.DISCARD, code=code),
        entry(3, 0.1, decided=Decision.DISCARD),
    ]
    ((cause,),) = (brief_of(best, *gone).rejected,)
    single, others = alone(cause.attempts)
    assert (list(single), numbers(others)) == (["lr"], [2])


# --- budget ---------------------------------------------------------------------------------------


def items(brief: Brief) -> int:
    """Return the number of lines in the lists."""
    lists = (brief.hints, brief.rejected, brief.undecided, brief.untried, brief.failed)
    return sum(map(len, lists))


def test_entries_beyond_the_budget_are_counted() -> None:
    brief = brief_of(
        entry(1, 0.99),
        *[entry(n, 0.5) for n in range(2, 12)],
        *[
            entry(n, 0.5, decided=Decision.DISCARD, said={"text": f"cause {chr(60 + n)}"})
            for n in range(12, 22)
        ],
    )
    whole = fit(brief, items, 1000)
    assert whole.left_out == {} and whole == brief
    cut = fit(brief, items, 8)
    assert items(cut) == 8
    assert len(cut.hints) == 1
    assert (len(cut.undecided), len(cut.rejected), len(cut.untried)) == (2, 3, 2)
    assert cut.left_out == {"rejected": 7, "undecided": 8}
    assert fit(brief, items, 1000, most=1).left_out["undecided"] == 9
    none = fit(brief, items, 0)
    assert items(none) == 0 and none.best == brief.best


def test_all_trials_of_a_cause_that_is_left_out_are_counted() -> None:
    brief = brief_of(
        *[entry(n, 0.5, decided=Decision.DISCARD, said={"text": "OOM"}) for n in range(1, 5)]
    )
    assert len(brief.rejected) == 1
    assert fit(brief, items, 0).left_out["rejected"] == 4


def test_a_cause_that_is_too_long_shows_its_newest_trials() -> None:
    brief = brief_of(*[entry(n, 0.5, decided=Decision.DISCARD) for n in range(1, 41)])
    trials = lambda cut: sum(len(c.attempts) for c in cut.rejected)  # noqa: E731
    cut = fit(brief, trials, 12)
    (cause,) = cut.rejected
    assert numbers(cause.attempts) == [*range(40, 30, -1)]
    assert (cause.more, cause.count, cut.left_out["rejected"]) == (30, 40, 30)
    assert fit(brief, trials, 0).left_out["rejected"] == 40
    assert fit(brief, trials, 40).rejected == brief.rejected


def test_since_lists_only_newer_trials() -> None:
    old, then = entry(1, 0.9), entry(2, 0.5)
    said_since = RecordedRun(then.run, (make_annotation(run=then.run.id, clock=50, hint="go on"),))
    later = entry(9, 0.4)
    brief = brief_of(old, entry(3, 0.3), said_since, later, since=entry(3, 0.3).run)
    assert brief.best is not None and numbers([brief.best]) == [1]
    assert numbers(brief.undecided) == [9]
    assert numbers(brief.kept) == [2], "it was decided since"
    assert [hint.text for hint in brief.hints] == ["go on"] and brief.untried == ()
    assert numbers(brief_of(old, later, since=later.run).attempts) == [1]


# --- hints ----------------------------------------------------------------------------------------


def decided(number: int, *hints: str | None, **changes: Any) -> RecordedRun:
    """Return a run with a decision for each hint, each superseding the earlier ones."""
    run = make_run(number, **changes)
    made = [
        make_annotation(run=run.id, id=f"{k:016x}", clock=100 + 10 * number + k, hint=hint)
        for k, hint in enumerate(hints)
    ]
    return RecordedRun(run, tuple(made))


def hints(*entries: RecordedRun) -> list[str]:
    """Return the texts of the open hints."""
    return [hint.text for hint in brief_of(*entries).hints]


def test_hints_are_open_until_a_run_builds_on_them() -> None:
    hinted, again, silent = decided(1, "go lower"), decided(2, "go lower"), decided(3, None)
    brief = brief_of(hinted, again, silent)
    assert [(h.text, int(h.entry.run.id, 16)) for h in brief.hints] == [("go lower", 2)]
    followed = entry(4, 0.8, parent=again.run.id)
    (left,) = brief_of(hinted, again, followed).hints
    assert (int(left.entry.run.id, 16), left.since) == (1, 2)


def test_hint_that_was_followed_before_is_not_open() -> None:
    hinted = decided(1, "go lower")
    by_parent = entry(2, 0.8, parent=hinted.run.id)
    by_reason = entry(2, 0.8, reason="As hinted: go  lower!")
    for follower in (by_parent, by_reason):
        assert hints(hinted, follower) == []


def test_only_a_later_run_takes_up_a_hint() -> None:
    before = entry(1, 0.7, reason="go lower")
    hinted = decided(2, "go lower")
    assert [h.since for h in brief_of(before, hinted).hints] == [0]
    assert hints(hinted, entry(3, 0.7, reason="go lower-case")) == []
    assert [h.since for h in brief_of(hinted, entry(3, 0.7, reason="going lower")).hints] == [1]


def test_several_hints_of_a_run_are_open_at_once() -> None:
    assert hints(decided(1, "go lower", None, "try adam")) == ["try adam", "go lower"]


@pytest.mark.parametrize("drop", ["-", "", " - "])
def test_a_later_decision_drops_the_hints_of_its_run(drop: str) -> None:
    other = decided(2, "wider")
    assert hints(decided(1, "go lower", "try adam", drop), other) == ["wider"]
    assert hints(decided(1, "go lower", drop, "try adam"), other) == ["wider", "try adam"]


def test_child_that_names_its_hint_leaves_the_others_open() -> None:
    hinted = decided(1, "go lower", "try adam")
    assert hints(hinted, entry(2, 0.8, parent=hinted.run.id, reason="now try adam")) == ["go lower"]
    assert hints(hinted, entry(2, 0.8, parent=hinted.run.id, reason="something else")) == []


# --- neighbours -----------------------------------------------------------------------------------


def near(best: dict[str, Value], *others: dict[str, Value]) -> list[tuple[str, Value]]:
    entries = [
        RecordedRun(replace(make_run(n + 1), params=params))
        for n, params in enumerate((best, *others))
    ]
    return [(n.param, n.value) for n in neighbours(entries[0], entries)]


@pytest.mark.parametrize(
    ("best", "others", "found"),
    [
        ({"lr": 0.2}, [{"lr": 0.1}, {"lr": 0.4}], [0.15, 0.3]),
        ({"lr": 0.1}, [{"lr": 0.001}], [0.01, 1.0]),
        ({"lr": 0.001}, [{"lr": 0.1}], [0.01, 0.0001]),
        ({"depth": 4}, [{"depth": 2}, {"depth": 8}], [3, 6]),
        ({"depth": 3}, [{"depth": 2}, {"depth": 4}], []),
        ({"depth": 3}, [{"depth": 2}], [4]),
        ({"shift": 0.0}, [{"shift": -1.0}], [-0.5, 1.0]),
        ({"depth": 3}, [], [2, 6]),
        ({"opt": "adam"}, [], []),
        ({"lr": float("nan")}, [{"lr": 1.0}], []),
        ({"lr": 0.9144}, [{"lr": 0.914}, {"lr": 0.9155}], []),
        ({"lr": 0.333}, [{"lr": 0.32}, {"lr": 0.333333}], [0.327]),
    ],
)
def test_neighbours_of_numbers(
    best: dict[str, Value], others: list[dict[str, Value]], found: list[Any]
) -> None:
    assert sorted(v for _, v in near(best, *others)) == pytest.approx(sorted(found))  # type: ignore[type-var]


def test_neighbours_of_categories() -> None:
    best: dict[str, Value] = {"opt": "adam", "on": True}
    assert near(best, {"opt": "sgd", "on": False}) == [("opt", "sgd"), ("on", False)]
    assert near(best, {"opt": "sgd", "on": True}) == []


def test_labels_and_seeds_have_no_neighbours() -> None:
    labels: list[dict[str, Value]] = [{"out": f"run-{n}", "seed": n} for n in range(20)]
    assert near(labels[0], *labels[1:]) == []


def test_trial_with_another_seed_counts_as_tried() -> None:
    best: dict[str, Value] = {"opt": "adam", "seed": 1}
    assert near(best, {"opt": "sgd", "seed": 2}) == []


def test_varied_parameters_come_first_and_alternate() -> None:
    found = near({"width": 10, "lr": 0.2}, {"width": 10, "lr": 0.1}, {"width": 10, "lr": 0.4})
    assert [name for name, _ in found] == ["lr", "lr", "width", "width"]


def test_a_search_that_was_stopped_has_no_neighbours() -> None:
    brief = brief_of(entry(1, 0.9, decided=Decision.STOP), entry(2, 0.5))
    assert brief.best is not None and brief.untried == ()
    going_on = brief_of(entry(1, 0.9), entry(2, 0.5))
    assert going_on.untried[0] == Neighbour("lr", 0.05, "below every value tried")
    assert going_on.untried[1] == Neighbour("lr", 0.15, "between 0.1 and 0.2")
