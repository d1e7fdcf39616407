"""The state of a search, from runs made up for it."""

from dataclasses import replace
from typing import Any

import pytest

from gitexp.briefing import Brief, Neighbour, make_brief, neighbours
from gitexp.model import Decision, Direction, Entry, Origin, Outcome, Value
from tests.unit.sample_runs import make_annotation, make_run


def entry(
    number: int, accuracy: float | None, *, decided: Decision | None = None, **changes: Any
) -> Entry:
    """A run with parameters `lr` and, when asked, a decision about it."""
    params: dict[str, Value] = changes.pop("params", {"lr": 0.1 * number})
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    said = changes.pop("said", {})
    run = make_run(number, params=params, metrics=metrics, **changes)
    notes = (
        ()
        if decided is None
        else (make_annotation(run=run.id, decision=decided, clock=100 + number, **said),)
    )
    return Entry(run, notes)


def brief_of(*entries: Entry, **changes: Any) -> Brief:
    known: dict[str, Any] = {
        "total": len(entries),
        "outcomes": {},
        "metric": "accuracy",
        "direction": Direction.MAXIMIZE,
        **changes,
    }
    return make_brief(entries, **known)


def numbers(attempts: Any) -> list[int]:
    return [int(attempt.entry.run.id, 16) for attempt in attempts]


def test_nothing() -> None:
    brief = brief_of(metric=None, direction=None)
    assert (brief.best, brief.recent, brief.untried, brief.since_best) == (None, (), (), 0)


def test_the_best_and_what_came_after_it() -> None:
    brief = brief_of(entry(1, 0.7), entry(3, 0.8), entry(2, 0.9), entry(4, 0.9))
    assert brief.best is not None and numbers([brief.best]) == [2]
    assert brief.since_best == 2
    assert [(n, a.standing) for n, a in zip(numbers(brief.recent), brief.recent, strict=True)] == [
        (4, "same"),
        (3, "worse"),
        (2, "better"),
        (1, "first"),
    ]


def test_less_can_be_better() -> None:
    brief = brief_of(entry(1, 0.7), entry(2, 0.9), direction=Direction.MINIMIZE)
    assert brief.best is not None and numbers([brief.best]) == [1]


def test_without_a_direction_nothing_is_best() -> None:
    brief = brief_of(entry(1, 0.7), direction=None)
    assert brief.best is None and brief.recent[0].standing == "unknown"


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
def test_what_is_never_the_best(better: Entry) -> None:
    brief = brief_of(entry(1, 0.7), better)
    assert brief.best is not None and numbers([brief.best]) == [1]
    assert brief.better_rejected == (better.decision is not None)


def test_lists() -> None:
    brief = brief_of(
        entry(1, 0.7, decided=Decision.KEEP),
        entry(2, 0.6),
        entry(3, 0.5, decided=Decision.DISCARD),
        entry(4, 0.4, decided=Decision.STOP),
        entry(5, None, outcome=Outcome.FAILED),
        entry(6, None, outcome=Outcome.RUNNING),
        entry(7, None, outcome=Outcome.INTERRUPTED),
    )
    assert numbers(brief.rejected) == [4, 3]
    assert numbers(brief.undecided) == [2]
    assert numbers(brief.failed) == [5]
    assert numbers(brief.unfinished) == [7, 6]
    assert numbers(brief.recent) == [7, 5, 4, 3, 2, 1]
    assert numbers(brief_of(*[entry(n, 0.1) for n in range(1, 20)], limit=3).recent) == [19, 18, 17]


def test_attempts_tell_only_what_differs_from_the_best() -> None:
    best = entry(1, 0.9, params={"lr": 0.1, "opt": {"name": "adam"}})
    other = entry(2, 0.8, params={"lr": 0.1, "opt": {"name": "sgd"}})
    assert brief_of(best, other).recent[0].params == {"opt.name": "sgd"}


def test_hints_are_open_until_a_run_builds_on_them() -> None:
    hinted = entry(1, 0.7, decided=Decision.IMPROVE, said={"hint": "go lower"})
    again = entry(2, 0.6, decided=Decision.DISCARD, said={"hint": "go lower"})
    silent = entry(3, 0.6, decided=Decision.DISCARD, said={"hint": None})
    brief = brief_of(hinted, again, silent)
    assert [(h.text, int(h.entry.run.id, 16)) for h in brief.hints] == [("go lower", 2)]
    followed = entry(4, 0.8, parent=again.run.id)
    (left,) = brief_of(hinted, again, followed).hints
    assert (int(left.entry.run.id, 16), left.since) == (1, 2)


def test_a_hint_given_after_it_was_followed_is_not_open() -> None:
    hinted = entry(1, 0.7, decided=Decision.IMPROVE, said={"hint": "go lower"})
    by_parent = entry(2, 0.8, parent=hinted.run.id)
    by_reason = entry(2, 0.8, reason="As hinted: go  lower!")
    for follower in (by_parent, by_reason):
        assert brief_of(hinted, follower).hints == ()


def test_only_a_later_run_takes_up_a_hint() -> None:
    before = entry(1, 0.7, reason="go lower")
    hinted = entry(2, 0.7, decided=Decision.IMPROVE, said={"hint": "go lower"})
    other = entry(3, 0.7, reason="go lower-case")
    assert [h.since for h in brief_of(before, hinted).hints] == [0]
    assert brief_of(hinted, other).hints == ()
    assert [h.since for h in brief_of(hinted, entry(3, 0.7, reason="going lower")).hints] == [1]


# --- neighbours -----------------------------------------------------------------------------------


def near(best: dict[str, Value], *others: dict[str, Value]) -> list[tuple[str, Value]]:
    entries = [
        Entry(replace(make_run(n + 1), params=params)) for n, params in enumerate((best, *others))
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
def test_numbers(best: dict[str, Value], others: list[dict[str, Value]], found: list[Any]) -> None:
    assert sorted(v for _, v in near(best, *others)) == pytest.approx(sorted(found))  # type: ignore[type-var]


def test_categories_not_combined_with_the_best() -> None:
    best: dict[str, Value] = {"opt": "adam", "on": True}
    assert near(best, {"opt": "sgd", "on": False}) == [("opt", "sgd"), ("on", False)]
    assert near(best, {"opt": "sgd", "on": True}) == []


def test_labels_and_seeds_are_no_choices() -> None:
    labels: list[dict[str, Value]] = [{"out": f"run-{n}", "seed": n} for n in range(20)]
    assert near(labels[0], *labels[1:]) == []


def test_what_was_tried_with_another_seed_was_tried() -> None:
    best: dict[str, Value] = {"opt": "adam", "seed": 1}
    assert near(best, {"opt": "sgd", "seed": 2}) == []


def test_varied_parameters_come_first_and_in_turn() -> None:
    found = near({"width": 10, "lr": 0.2}, {"width": 10, "lr": 0.1}, {"width": 10, "lr": 0.4})
    assert [name for name, _ in found] == ["lr", "lr", "width", "width"]


def test_a_search_that_was_stopped_has_no_neighbours() -> None:
    brief = brief_of(entry(1, 0.9, decided=Decision.STOP), entry(2, 0.5))
    assert brief.best is not None and brief.untried == ()
    going_on = brief_of(entry(1, 0.9), entry(2, 0.5))
    assert going_on.untried[0] == Neighbour("lr", 0.05, "below every value tried")
    assert going_on.untried[1] == Neighbour("lr", 0.15, "between 0.1 and 0.2")
