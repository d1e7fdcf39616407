"""The subject line of a sealed run in the history of the run branch.

Written once, from what is known at that moment.
"""

from typing import Final

from gitexp.core.analysis.grouping import keys_of
from gitexp.core.analysis.groups import Group, Measurement
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import MetricVerdict
from gitexp.core.model.run import Outcome, Run, Value, numbers
from gitexp.features.runs.judge import is_repeat, last_group
from gitexp.features.runs.main_metric import metric_of
from gitexp.features.runs.standings import Standings
from gitexp.storage.workspace import Workspace

WIDTH: Final = 72
"""Columns of a subject that git and forges show."""

_WORDS: Final = {
    Answer.BETTER: "better than",
    Answer.WORSE: "worse than",
    Answer.SAME: "no difference from",
    Answer.UNKNOWN: "cannot tell from",
}


def summary(workspace: Workspace, run: Run) -> str:
    """Return the main metric and the verdict of the run's group against the last one."""
    if run.outcome is not Outcome.SUCCEEDED:
        return run.outcome.value
    index = workspace.refreshed()
    metric = metric_of(workspace, run)
    value = numbers(run.metrics).get(metric or "")
    if metric is None or value is None:
        return run.outcome.value
    text = f"{metric} {value:.6g}"
    if run.reproduces is not None:
        return text
    keys = keys_of(run, workspace.settings.seed_params)
    standings = Standings(
        index,
        workspace.settings,
        metric,
        directions=run.directions,
        extra=Measurement(
            run=run.id,
            clock=run.clock,
            value=value if value - value == 0 else None,
            group=keys.group,
            family=keys.family,
            cell=run.fingerprint,
            seeds=keys.seeds,
            batch=run.batch,
            round=run.round,
        ),
        units={run.id: run.units},
    )
    own = standings.group(keys.group)
    last = None if own is None else last_group(index, standings, run, own)
    if own is None or last is None:
        return text
    verdict = standings.compare(own, last, run=run.id)
    if verdict.basis is Basis.UNKNOWN and is_repeat(own, run):
        return f"{text}, a repeat"
    return _with_verdict(run, text, own, verdict)


def _with_verdict(run: Run, text: str, own: Group, verdict: MetricVerdict) -> str:
    """Return the text with the mean of its group and the verdict, as far as they fit."""
    room = WIDTH - len(f"run {run.id[:7]} {run.name}: ")
    of_several = f", of {own.counted} {own.mean:.4g}" if own.counted > 1 else ""
    if verdict.reference_value is None:
        return text + of_several
    words = _WORDS[verdict.answer]
    for told in (
        f"{text}{of_several} ({words} {verdict.reference_value:.4g})",
        f"{text} ({words} {verdict.reference_value:.4g})",
        f"{text} ({words})",
    ):
        if len(told) <= room:
            return told
    return text


def short_value(value: Value) -> str:
    """Format a metric or parameter for a subject line."""
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)[:60]
