"""The metrics that a push is measured by, as they stand for a pushed commit.

A push waits for this, so it imports as little as it can.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import Direction, Entry, numbers
from gitexp.storage.workspace import Workspace

if TYPE_CHECKING:
    from gitexp.core.analysis.verdicts import MetricVerdict

FindTrial = Callable[[ObjectId, ObjectId], Entry | None]


@dataclass(frozen=True, slots=True)
class Gate:
    """A metric that the user guards, as it stands for a pushed commit."""

    metric: str
    slack: float
    """How much worse than the best is let through."""
    verdict: "MetricVerdict"
    """The group of the commit's run against the best other group."""

    @property
    def state(self) -> Literal["open", "closed", "unsure"]:
        """Whether the push may pass; it is refused only for what is shown to be worse.

        What cannot be compared passes. `unsure`: it is worse by the numbers, and the noise does not
        let that be shown; it passes too.
        """
        verdict = self.verdict
        if verdict.difference is None or verdict.direction is None:
            return "open"
        sign = 1 if verdict.direction is Direction.MAXIMIZE else -1
        if not -verdict.difference * sign > self.slack:
            return "open"
        return "closed" if verdict.shown else "unsure"


def find_gates(workspace: Workspace, commit: ObjectId, find_trial: FindTrial) -> list[Gate]:
    """The guarded metrics of a commit, against the best other group of runs.

    `find_trial` finds the run of the trial that a commit and its tree are; it is slow to import.
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


def is_result(entry: Entry, tree: ObjectId) -> bool:
    """Return whether a run has ended with metrics, on exactly this code."""
    return entry.run.code.tree == tree and bool(entry.metrics) and entry.run.is_sealed
