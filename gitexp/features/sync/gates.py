"""Compare the metrics of a pushed commit with the gates.

A push waits for this module, so it imports little.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import Direction, RecordedRun, numbers
from gitexp.storage.workspace import Workspace

if TYPE_CHECKING:
    from gitexp.core.analysis.verdicts import MetricVerdict

FindTrial = Callable[[ObjectId, ObjectId], RecordedRun | None]


@dataclass(frozen=True, slots=True)
class Gate:
    """A metric with a gate, and its verdict for a pushed commit."""

    metric: str
    slack: float
    """How much worse than the best the metric may be."""
    verdict: "MetricVerdict"
    """Verdict of the group of the commit's run against the best other group."""

    @property
    def state(self) -> Literal["open", "closed", "unsure"]:
        """State of the gate: a push is rejected only when the metric is shown to be worse.

        A metric that cannot be compared passes. `unsure` also passes: the number is worse, but the
        noise is too large or unknown to show it.
        """
        verdict = self.verdict
        if verdict.difference is None or verdict.direction is None:
            return "open"
        sign = 1 if verdict.direction is Direction.MAXIMIZE else -1
        if not -verdict.difference * sign > self.slack:
            return "open"
        return "closed" if verdict.shown else "unsure"


def find_gates(workspace: Workspace, commit: ObjectId, find_trial: FindTrial) -> list[Gate]:
    """Compare the gated metrics of a commit with the best other group of runs.

    `find_trial` finds the run of the trial of a commit and its tree; its module is slow to import.
    """
    tree = workspace.repo.peel(commit, "tree")
    index = workspace.refreshed()
    if tree is None:
        return []
    found = (e for e in index.entries(index.by_commit(commit)) if is_result(e, tree))
    entry = next(found, None) or find_trial(commit, tree)
    if entry is None:
        return []
    from gitexp.features.runs.judge import trial_of
    from gitexp.features.runs.standings import Standings

    gates = []
    key = trial_of(index, workspace.settings, entry.run)
    for metric, slack in workspace.settings.gates.items():
        if metric not in numbers(entry.metrics):
            continue
        standings = Standings(index, workspace.settings, metric, directions=entry.run.directions)
        ranking = standings.ranking(without=key)
        verdict = standings.compare(
            standings.group(key), ranking.leader, run=entry.run.id, rivals=ranking.contenders
        )
        gates.append(Gate(metric, slack, verdict))
    return gates


def is_result(entry: RecordedRun, tree: ObjectId) -> bool:
    """Return whether a run is sealed, has metrics, and ran exactly this code."""
    return entry.run.code.tree == tree and bool(entry.metrics) and entry.run.is_sealed
