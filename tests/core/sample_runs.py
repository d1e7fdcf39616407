"""Runs for unit tests: one with every field, and a builder that changes fields."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gitexp.core.analysis.groups import Group, Measurement, group_of
from gitexp.core.analysis.verdicts import MetricVerdict, Question, judge_metric
from gitexp.core.model.directions import direction_of
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    Code,
    Command,
    Decision,
    Direction,
    FileState,
    Harvested,
    Origin,
    Outcome,
    ParentRule,
    Run,
    SweepPlace,
    numbers,
)

STARTED = datetime(2026, 11, 23, 10, 15, 2, tzinfo=UTC)
COMMIT = ObjectId("c0" * 20)
TREE = ObjectId("7e" * 20)
RUN_ID = RunId("7f3a9c0d5e1b2a48")


def make_run(number: int = 0, **changes: Any) -> Run:
    """Return a small succeeded run; `number` makes its id distinct."""
    run = Run(
        id=RunId(f"{number:016x}") if number else RUN_ID,
        name="brave-otter",
        outcome=Outcome.SUCCEEDED,
        clock=1 + number,
        started=STARTED,
        author="Ada <ada@example.org>",
        origin=Origin.RUN,
        code=Code(commit=COMMIT, tree=TREE, digest="d1"),
        command=Command(argv=("python", "train.py", "--lr", "0.01"), exit_code=0),
    )
    return replace(run, **changes)


def full_run() -> Run:
    """Return a run with a value in nearly every field."""
    return make_run(
        duration_s=12.5,
        fingerprint="f" * 64,
        reason="a lower rate should stop the oscillation",
        parent=RunId("1" * 16),
        parent_rule=ParentRule.APPLIED,
        reproduces=RunId("2" * 16),
        session="9c4f21d07b6e8a35",
        source="mlflow:42",
        tags=("sweep", "baseline"),
        code=Code(
            commit=COMMIT,
            tree=TREE,
            dirty=True,
            snapshot=ObjectId("5a" * 20),
            digest="d1",
            branch="main",
            remote="https://example.org/x.git",
            left_out=("big.bin (20 MiB)",),
        ),
        command=Command(
            argv=("python", "train.py", "--lr", "0.01"),
            template=("python", "train.py", "--lr", "{lr}"),
            directory="sub",
            exit_code=0,
        ),
        params={"lr": 0.01, "model": {"depth": 3, "name": "tiny"}, "layers": [1, 2]},
        metrics={"accuracy": 0.85, "val": {"loss": 0.25}},
        directions={"accuracy": Direction.MAXIMIZE},
        inputs={"data/train.csv": FileState(sha256="ab" * 32, bytes=1234)},
        outputs={"model.bin": FileState(sha256="cd" * 32, bytes=9)},
        produced=("metrics.json",),
        sweep=SweepPlace(id="5" * 16, number=12, attempts=2, pruned_at=3, worker="node7"),
        harvested={"logs/metrics.csv": Harvested(kind="lightning", metrics=1, steps=2)},
        environment={"python": "3.11.7"},
        output_tail="epoch 1\nepoch 2",
        warnings=("cannot read the metrics file",),
    )


def make_annotation(**changes: Any) -> Annotation:
    """Return a decision to keep the sample run."""
    annotation = Annotation(
        id="0123456789abcdef",
        run=RUN_ID,
        kind=AnnotationKind.DECISION,
        clock=7,
        time=STARTED,
        author="Ada <ada@example.org>",
        decision=Decision.KEEP,
        text="good enough",
        hint="try a wider net",
    )
    return replace(annotation, **changes)


def verdicts_between(
    run: Run, reference: Run | None, declared: Mapping[str, Direction] | None = None
) -> list[MetricVerdict]:
    """Return the verdicts on two single runs with unknown noise, by every metric of either."""
    metrics = [*numbers(run.metrics), *(numbers(reference.metrics) if reference else ())]
    found = []
    for metric in dict.fromkeys(metrics):
        direction, guessed = direction_of(metric, {**(declared or {}), **run.directions})
        question = Question(
            metric=metric,
            new=_group(run, metric),
            old=None if reference is None else _group(reference, metric),
            direction=direction,
            guessed=guessed,
        )
        found.append(judge_metric(question))
    return found


def _group(run: Run, metric: str) -> Group:
    value = numbers(run.metrics).get(metric)
    finite = value if value is not None and math.isfinite(value) else None
    lack = None if finite is not None else "missing" if value is None else "not a number"
    return group_of([Measurement(run.id, run.clock, finite, group=run.id, lack=lack)])
