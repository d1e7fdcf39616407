"""Resolve the RUN arguments of all commands to entries."""

import os
from collections.abc import Sequence

from gitexp.cli.output.terminal import say
from gitexp.core.errors import NotFound, Undetermined
from gitexp.core.model.directions import direction_of, last_part
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction, RecordedRun
from gitexp.features.runs.judge import standings_by
from gitexp.features.runs.main_metric import main_metric
from gitexp.features.runs.select import Own, select_run
from gitexp.storage.sessions import VARIABLE
from gitexp.storage.workspace import Workspace


def find_id(workspace: Workspace, text: str, *, to_change: bool = False) -> RunId:
    """Return the id of the run a selector names.

    `last` is the newest run of this session. Without one it is the newest of the repository, and a
    note says so. Raises `NotFound`, `Ambiguous`, `InvalidInput`; and `Refused` when the session has
    no run and the command is going `to_change` the run.
    """
    session = workspace.session
    own = Own(
        session=None if session is None else session.id,
        is_named=bool(os.environ.get(VARIABLE)),
        to_change=to_change,
        has_failed_start=session is not None and session.has_failed_start,
        on_others=say,
    )
    return select_run(
        text,
        workspace.repo,
        workspace.index,
        metric=main_metric(workspace) if text == "best" else None,
        best_run=lambda metric: _best_run(workspace, metric),
        own=own,
    )


def _best_run(workspace: Workspace, metric: str) -> RunId | None:
    """Return the run of the best group nearest to the group's mean, not its luckiest run."""
    needed_direction(workspace, metric)
    leader = standings_by(workspace, metric).ranking().leader
    return None if leader is None else leader.typical.run


def find_entry(workspace: Workspace, text: str, *, to_change: bool = False) -> RecordedRun:
    """Return the entry a selector names; see `find_id`."""
    return workspace.index.entry(find_id(workspace, text, to_change=to_change))


def find_entries(workspace: Workspace, texts: Sequence[str]) -> list[RecordedRun]:
    """Return the entries of several selectors, in the same order."""
    return [find_entry(workspace, text) for text in texts]


def needed_direction(workspace: Workspace, metric: str) -> Direction:
    """Return the direction of a metric. Raises `Undetermined`: how to declare it."""
    declared = dict(workspace.settings.directions)
    newest = workspace.index.newest(1, with_metric=metric)
    if newest:
        declared = {**declared, **workspace.index.entry(newest[0]).run.directions}
    direction, _ = direction_of(metric, declared)
    if direction is None:
        raise Undetermined(
            f"cannot tell which way '{metric}' is better",
            hints=[
                f'declare it in gitexp.toml: `[metrics."{last_part(metric)}"]` with '
                '`direction = "maximize"`, or pass `--maximize`/`--minimize`'
            ],
        )
    return direction


def known_metric(workspace: Workspace, metric: str) -> str:
    """Return the full name of a metric, without `metrics.`. Its last part is enough when unique.

    Raises `NotFound` with similar names.
    """
    import difflib

    names = [key.removeprefix("metrics.") for key in workspace.index.keys("metrics")]
    wanted = metric.removeprefix("metrics.")
    ends = [name for name in names if last_part(name) == wanted]
    if wanted in names or len(ends) == 1:
        return wanted if wanted in names else ends[0]
    shown = sorted(names)
    hints = [f"known metrics: {', '.join(shown[:10])}"]
    raise NotFound(
        f"no run has a metric '{wanted}'",
        near=difflib.get_close_matches(wanted, shown, n=3),
        hints=hints if shown else ["`git exp run -h` tells how a run measures something"],
    )
