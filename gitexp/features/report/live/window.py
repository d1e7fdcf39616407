"""A page of more runs than a browser holds well: some runs, and others when a reader asks for them.

The page holds the newest runs, the best, those that were the best once, and those that go on. A
filter and an order are answered by the cache, with the first runs that fit.
"""

from typing import Any, Final

from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction
from gitexp.core.query.names import ATTRIBUTES
from gitexp.features.report.payload import rows_document
from gitexp.features.report.standing import best_changes
from gitexp.features.runs.judge import standings_by
from gitexp.features.runs.standings import Standings, discarded_trials
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.workspace import Workspace

MOST_WHOLE: Final = 10_000
"""Maximum number of runs of which a page holds all."""

NEWEST: Final = 1000
RANKED: Final = 100
"""Trials that are held with all their runs, the best first."""

SHOWN: Final = 500
"""Runs that answer a filter at once; the cache is quick up to this limit."""

MOST_GOING_ON: Final = 200
MOST_PARENTS: Final = 200


def is_whole(workspace: Workspace) -> bool:
    """Return whether a page holds all runs."""
    return workspace.index.count() <= MOST_WHOLE


def held_runs(
    workspace: Workspace, metric: str | None, *, is_quick: bool = False
) -> list[RunId] | None:
    """Return the runs that the page holds; `None` when it holds all.

    The quick way leaves out those that led once: for them all values are read.
    """
    if is_whole(workspace):
        return None
    index = workspace.index
    found = dict.fromkeys(index.ids(limit=NEWEST))
    going_on = workspace.query('outcome == "running"')
    found |= dict.fromkeys(index.ids(going_on, limit=MOST_GOING_ON))
    if metric is not None:
        found |= dict.fromkeys(_leading(workspace, metric, is_quick=is_quick))
        key, descending = usual_order(workspace, metric)
        found |= dict.fromkeys(index.ids(None, key, descending=descending, limit=SHOWN))
    trials = index.groups.of_runs(found).values()
    for members in index.groups.members(trials).values():
        found |= dict.fromkeys(members)
    return list(found)


def usual_order(workspace: Workspace, metric: str | None) -> tuple[str | None, bool]:
    """Return the key and the way by which the page sorts at first: the best comes first."""
    if metric is None:
        return None, True
    direction = standings_by(workspace, metric).direction
    return f"metrics.{metric}", direction is not Direction.MINIMIZE


def fitting_runs(
    workspace: Workspace, where: str, key: str | None, *, descending: bool
) -> list[RunId]:
    """Return the first `SHOWN` runs that fit a filter, in an order.

    A key that the cache does not know stands for the newest first. Raises `InvalidQuery`.
    """
    index = workspace.index
    is_known = key in {*ATTRIBUTES, *index.keys()}
    query = workspace.query(where.strip() or None)
    return index.ids(query, key if is_known else None, descending=descending, limit=SHOWN)


def fitting_document(
    workspace: Workspace, metric: str | None, where: str, key: str | None, *, descending: bool
) -> dict[str, Any]:
    """Return the runs that fit, for a page that does not hold them. Raises `InvalidQuery`."""
    index = workspace.index
    fitting = fitting_runs(workspace, where, key, descending=descending)
    trials = index.groups.of_runs(fitting).values()
    others = [run for runs in index.groups.members(trials).values() for run in runs]
    runs = list(dict.fromkeys([*fitting, *others]))
    return {
        **rows_document(workspace, runs, metric),
        "window": window_document(fitting, where, key, descending=descending),
    }


def window_document(
    fitting: list[RunId], where: str, key: str | None, *, descending: bool
) -> dict[str, Any]:
    """Say which runs a page shows in its grid, and by which filter and order."""
    return {
        "where": where.strip(),
        "sort": f"{'-' if descending else ''}{key or ''}",
        "ids": fitting,
        "more": len(fitting) == SHOWN,
    }


def first_window(workspace: Workspace, metric: str | None) -> dict[str, Any]:
    """Return the window of a page that was just opened: the best runs, best first."""
    key, descending = usual_order(workspace, metric)
    fitting = fitting_runs(workspace, "", key, descending=descending)
    return window_document(fitting, "", key, descending=descending)


def _leading(workspace: Workspace, metric: str, *, is_quick: bool) -> list[RunId]:
    """Return the runs of the best trials, those that they build on, and those that led once."""
    standings = standings_by(workspace, metric)
    if standings.direction is None:
        return []
    ranking = standings.ranking()
    found = dict.fromkeys(m.run for group in ranking.groups[:RANKED] for m in group.measurements)
    if ranking.leader is not None:
        found |= dict.fromkeys(_parents(workspace, ranking.leader.typical.run))
    return [*found, *(() if is_quick else _once_best(workspace.index, standings))]


def _parents(workspace: Workspace, run: RunId) -> list[RunId]:
    """Return the runs that a run builds on, the nearest first."""
    found: list[RunId] = []
    parent = workspace.index.column("parent", [run]).get(run)
    while parent is not None and parent not in found and len(found) < MOST_PARENTS:
        found.append(RunId(str(parent)))
        parent = workspace.index.column("parent", found[-1:]).get(found[-1])
    return found


def _once_best(index: CachedRuns, standings: Standings) -> list[RunId]:
    """Return the runs with which the best mean of all before them changed."""
    succeeded = [run for run, value in index.column("outcome").items() if value == "succeeded"]
    trials = dict.fromkeys(index.groups.of_runs(succeeded).values())
    discarded = discarded_trials(index, trials)
    groups = standings.groups(trial for trial in trials if trial not in discarded)
    return [run for run, _ in best_changes(groups, standings.direction)]
