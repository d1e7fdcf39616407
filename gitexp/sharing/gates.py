"""The metrics that a push is measured by, as they stand for a pushed commit.

Floor 4. A push waits for this, so it imports as little as it can.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gitexp.ids import ObjectId
from gitexp.model import Direction, Entry, numbers
from gitexp.workspace import Workspace

FindTrial = Callable[[ObjectId, ObjectId], Entry | None]


@dataclass(frozen=True, slots=True)
class Gate:
    """A metric that the user guards, as it stands for a pushed commit."""

    metric: str
    direction: Direction
    slack: float
    """How much worse than the best is let through."""
    best: float | None
    """Of all comparable runs; absent when there is none."""
    value: float | None
    """Of the pushed commit's run; absent when it has none."""


def judge_gate(best: float | None, value: float | None, direction: Direction, slack: float) -> bool:
    """Return whether a push may pass. What cannot be compared (absent, NaN) always may."""
    if best is None or value is None:
        return True
    worse = best - value if direction is Direction.MAXIMIZE else value - best
    return not worse > slack


def find_gates(workspace: Workspace, commit: ObjectId, find_trial: FindTrial) -> list[Gate]:
    """The guarded metrics of a commit, beside the best of all other runs.

    `find_trial` finds the run of the trial that a commit and its tree are; it is slow to import.
    """
    from gitexp.comparison.directions import direction_of  # noqa: PLC0415 - only with a gate

    tree = workspace.repo.resolve(f"{commit}^{{tree}}")
    index = workspace.refreshed()
    if tree is None:
        return []
    found = (e for e in index.entries(index.by_commit(commit)) if is_result(e, tree))
    entry = next(found, None) or find_trial(commit, tree)
    if entry is None:
        return []
    settings = workspace.settings
    values = numbers(entry.run.metrics)
    gates = []
    for metric, slack in settings.gates.items():
        direction, _ = direction_of(metric, {**settings.directions, **entry.run.directions})
        if direction is not None:
            others = [run for run in index.best(metric, direction, 2) if run != entry.run.id]
            best = numbers(index.entry(others[0]).run.metrics).get(metric) if others else None
            gates.append(Gate(metric, direction, slack, best, values.get(metric)))
    return gates


def is_result(entry: Entry, tree: ObjectId) -> bool:
    """Return whether a run has ended with metrics, on exactly this code."""
    return entry.run.code.tree == tree and bool(entry.run.metrics) and entry.run.is_sealed
