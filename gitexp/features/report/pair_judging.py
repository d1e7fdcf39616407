"""What the page needs to judge the pairs that a reader picks as `git exp compare` judges them.

That is: the project's guards, the trials that a guard may compare with, and which runs that count
are not in the page.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gitexp.core.model.annotations import KEPT
from gitexp.core.model.directions import last_part
from gitexp.core.model.ids import RunId
from gitexp.features.runs.standings import Standings
from gitexp.storage.settings.options import Settings
from gitexp.storage.workspace import Workspace

MOST_JUDGED: Final = 40
"""Metrics by which a page without all runs judges pairs: each costs a query."""


def guarded_metrics(settings: Settings, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the guarded names of the project, each with the recorded metrics that it may mean."""
    return [
        {"name": name, "metrics": [m for m in names if name in (m, last_part(m))]}
        for name, rule in settings.rules.items()
        if rule.is_guarded
    ]


def eligible_trials(standings: Standings, held: set[str]) -> list[tuple[RunId | None, bool]] | None:
    """Return the trials that a guard may compare with: one run of each, and if it was kept.

    The order is that in which they are ranked when they score alike. A trial that is not among the
    `held` ones has no run. Return `None` if the project has no guard.
    """
    rules = standings.settings.rules.values()
    if not any(rule.guard is not None for rule in rules):
        return None
    groups = standings.eligible
    decided = standings.decided(group.key for group in groups)
    return [
        (
            group.newest.run if group.key in held else None,
            any(decision in KEPT for _, decision in decided.get(group.key, ())),
        )
        for group in groups
    ]


def runs_outside(
    workspace: Workspace, held: Iterable[RunId], trials: Sequence[str], metrics: Iterable[str]
) -> tuple[set[str], dict[str, list[str]]]:
    """Return the trials that a page holds in part, and families whose noise it lacks runs of.

    The families are by metric, for the first `MOST_JUDGED` metrics: pairs of these families, and
    pairs by any other metric, are not judged in the page.
    """
    index = workspace.index
    held = set(held)
    members = index.groups.members(dict.fromkeys(trials))
    partial = {trial for trial, runs in members.items() if not held.issuperset(runs)}
    lacking: dict[str, list[str]] = {}
    for metric in list(metrics)[:MOST_JUDGED]:
        recent = Standings(index, workspace.settings, metric).recent
        families = {
            group.family
            for group in recent
            if len(group.sample) > 1 and not held.issuperset(m.run for m in group.measurements)
        }
        lacking[metric] = sorted(families)
    return partial, lacking
