"""Select the groups of repeats that a table shows, and the runs of each."""

from gitexp.core.render.folded_repeats import Row, fold, spread_of
from gitexp.core.render.run_table import value_at
from gitexp.storage.workspace import Workspace

_WINDOW = 4
"""Runs to read at first, as a multiple of the requested rows: a row may stand for several runs."""


def folded_rows(
    workspace: Workspace,
    where: str | None,
    sort_by: str | None,
    *,
    descending: bool,
    limit: int | None,
) -> list[Row]:
    """Return the groups in the order of their runs; when sorted by a metric, of their means.

    With a filter, a group consists of its matching runs.
    """
    index, query = workspace.index, workspace.query(where)
    window = None if limit is None else _WINDOW * max(limit, 1)
    while True:
        chosen = index.ids(query, sort_by, descending=descending, limit=window)
        trials = index.groups.of_runs(chosen)
        order = list(dict.fromkeys(trials[run] for run in chosen))
        if window is None or len(chosen) < window or len(order) >= (limit or 0) * 2:
            break
        window *= 2
    if window is not None and len(chosen) == window:  # older members are not read yet
        members = index.groups.members(order)
        matching = None if query is None else set(index.ids(query))
        everyone = [
            run for key in order for run in members[key] if matching is None or run in matching
        ]
        trials = index.groups.of_runs(everyone)
        chosen = everyone
    rows = fold(index.entries(chosen), trials)
    if sort_by is not None and sort_by.startswith("metrics."):
        rows.sort(key=lambda row: _place(row, sort_by, descending=descending))
    return rows if limit is None else rows[:limit]


def _place(row: Row, key: str, *, descending: bool) -> tuple[bool, float]:
    """Return a sort key: rows with a mean first, in the wanted order of the means."""
    spread = spread_of(row.members, [value_at(entry, key) for entry in row.members])
    if spread is None:
        return True, 0.0
    return False, -spread.mean if descending else spread.mean
