"""Runs with values of every kind, for the table of filters in `filter_cases.json`."""

import math
from datetime import UTC, datetime, timedelta

from gitexp.core.model.annotations import Annotation, AnnotationKind, Decision
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    Code,
    Command,
    Origin,
    Outcome,
    RecordedRun,
    Run,
    SweepPlace,
    Table,
)

STARTED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)

TABLES: dict[str, tuple[Table, Table]] = {
    "one": (
        {"lr": 0.1, "depth": 3, "name": "tiny", "on": True},
        {"acc": 0.5, "val": {"loss": 1.0}},
    ),
    "two": (
        {"lr": 1, "depth": 3.0, "name": "Tiny", "on": False},
        {"acc": 1, "val": {"loss": 0.25}},
    ),
    "nan": ({"lr": math.nan, "name": "NaN", "on": "true"}, {"acc": math.nan}),
    "inf": ({"lr": math.inf, "name": "Infinity"}, {"acc": -math.inf, "val": {"loss": math.inf}}),
    "big": ({"lr": 2**53 + 1, "depth": -(2**63), "name": ""}, {"acc": 2**53}),
    "list": ({"layers": [1, 2.5, "x"], "when": STARTED.date()}, {"top-1": 0.75, "a/b": 2}),
    "odd": ({"lr": "0.1", "name": "\U0001f600 é \ue000", "class": 1}, {"acc": 0, "lr": 7}),
    "bare": ({}, {}),
}


def entries() -> list[RecordedRun]:
    """The runs, oldest first."""
    return [_entry(number, name) for number, name in enumerate(TABLES)]


def _entry(number: int, name: str) -> RecordedRun:
    params, metrics = TABLES[name]
    run_id = RunId(f"{number + 10:016x}")
    run = Run(
        id=run_id,
        name=name,
        outcome=Outcome.FAILED if name == "bare" else Outcome.SUCCEEDED,
        clock=number + 1,
        started=STARTED + timedelta(days=number, microseconds=number % 3 * 500),
        author="Ada <ada@example.org>" if number % 2 else "Ben <ben@example.org>",
        origin=Origin.RUN,
        code=Code(
            commit=ObjectId(f"{number % 2:040x}"),
            tree=ObjectId("7e" * 20),
            dirty=number % 2 == 0,
            branch=None if number == 3 else "main",
        ),
        fingerprint="" if number == 4 else f"2:{number:064x}",
        duration_s=None if name == "bare" else 1.5 * number,
        reason={"one": "a lower rate", "two": "mixup 0.2", "odd": "0"}.get(name),
        parent=RunId(f"{number + 9:016x}") if number else None,
        tags={"one": ("sweep", "paper"), "two": ("sweep",), "odd": ("7",)}.get(name, ()),
        command=None if name == "bare" else Command(argv=("python", "x.py"), exit_code=number % 2),
        sweep=SweepPlace(id="5eed" * 4, number=1) if name == "two" else None,
        params=params,
        metrics=metrics,
        environment={"python": "3.12", "cpus": 8},
    )
    return RecordedRun(run, _said(run))


def _said(run: Run) -> tuple[Annotation, ...]:
    if run.name not in ("one", "two"):
        return ()
    decision = Decision.KEEP if run.name == "one" else Decision.DISCARD
    return (
        Annotation(
            id=f"{run.clock:016x}",
            run=run.id,
            kind=AnnotationKind.DECISION,
            clock=100 + run.clock,
            time=STARTED,
            author=run.author,
            decision=decision,
        ),
    )
