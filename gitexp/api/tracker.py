"""`gitexp.Tracker`: record each finished run as a dictionary and compare it with earlier runs."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitexp.core.analysis.samples import Answer
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.python_values import as_outcome, as_table, as_tags, own_argv
from gitexp.core.model.run import Origin, Run, numbers
from gitexp.core.render.verdict_sentence import alone_sentence, metric_sentence
from gitexp.core.schema.limits import check_table
from gitexp.features.execution.prepare import RunRequest, prepare
from gitexp.features.recording.record import record_finished
from gitexp.features.runs.judge import RunVerdict, judge_run
from gitexp.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Report:
    """The result of `Tracker.compare`. `str` gives the sentence for a reader."""

    text: str
    answer: Answer
    """The verdict against the last run."""
    advice: str
    metric: str | None = None
    value: float | None = None
    last: float | None = None
    """The value of the last run; `None` when there is no last run."""
    best: float | None = None

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class Tracker:
    """A recorder of finished runs, given as dictionaries.

    `tracker.log({"params": {...}, "metrics": {...}})`, `tracker.compare()`, `tracker.history`.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self._directory = Path.cwd() if directory is None else Path(directory).resolve()
        self._workspace = Workspace.open(None if directory is None else self._directory)
        self._runs: list[Run] = []

    @property
    def history(self) -> list[Run]:
        """The runs this tracker logged, oldest first."""
        return list(self._runs)

    def log(self, results: Mapping[str, Any]) -> Run:
        """Record a finished run and return it.

        Keys: the tables `params` and `metrics`, and `name`, `reason`, `tags`, `outcome`; all are
        optional. Raises `InvalidInput` for another key or a wrong value.
        """
        unknown = set(results) - {"params", "metrics", "name", "reason", "tags", "outcome"}
        if unknown or not isinstance(results.get("metrics", {}), Mapping):
            raise InvalidInput(
                "cannot log this",
                why=f"unknown: {', '.join(sorted(map(str, unknown)))}"
                if unknown
                else "`metrics` is not a table",
                hints=["log({'params': {...}, 'metrics': {...}})"],
            )
        metrics = as_table(results.get("metrics", {}))
        check_table(metrics, "metric")
        request = RunRequest(
            origin=Origin.API,
            argv=own_argv(sys.argv, Path.cwd()),
            directory=self._directory,
            params=as_table(results.get("params", {})),
            name=results.get("name"),
            reason=results.get("reason"),
            tags=as_tags(results.get("tags", ())),
        )
        outcome = as_outcome(results.get("outcome", "succeeded"))
        with self._workspace.reading() as workspace:
            prepared = prepare(workspace, request)
            run = replace(prepared.run, outcome=outcome, metrics=metrics)
            recorded = record_finished(workspace, run, [], prepared.packages)
        self._runs.append(recorded)
        return recorded

    def compare(self) -> Report:
        """Compare the newest run with the last and the best before it.

        Prints the sentence. An interactive prompt shows the returned report itself, so nothing is
        printed there.
        """
        report = self._compare()
        if not hasattr(sys, "ps1"):
            sys.stdout.write(f"{report}\n")
        return report

    def _compare(self) -> Report:
        if not self._runs:
            return Report("nothing was logged yet", Answer.UNKNOWN, "log a run first")
        judgement = judge_run(self._workspace, self._runs[-1])
        last, best = judgement.verdict("last"), judgement.verdict("best")
        sentence = _sentence(judgement)
        return Report(
            text=f"{sentence}\nnext: {judgement.advice}" if sentence else judgement.advice,
            answer=judgement.last_answer or Answer.UNKNOWN,
            advice=judgement.advice,
            metric=judgement.metric,
            value=None if last is None else last.value,
            last=None if last is None else last.reference_value,
            best=None if best is None else best.reference_value,
        )


def verdict_on(workspace: Workspace, run: Run) -> str:
    """Return the sentence that compares a recorded run with the last and the best before it."""
    return _sentence(judge_run(workspace, run))


def _sentence(judgement: RunVerdict) -> str:
    last, best = judgement.verdict("last"), judgement.verdict("best")
    if not (last or best):
        return _alone(judgement)
    return metric_sentence(
        *(last, best),
        claim=judgement.claim,
        guards=judgement.guards,
        is_repeat=judgement.is_repeat,
    )


def _alone(judgement: RunVerdict) -> str:
    value = numbers(judgement.run.metrics).get(judgement.metric or "")
    if value is None or judgement.metric is None:
        return ""
    return alone_sentence(
        *(judgement.metric, value, judgement.group),
        outcome=judgement.run.outcome,
        guards=judgement.guards,
    )
