"""`git exp best`: list the best trials by a metric."""

from typing import Any

import click

from gitexp.cli.output.terminal import answer, open_workspace, say, view_of
from gitexp.cli.params.options import count_option, json_option, precision_option, where_option
from gitexp.cli.params.run_argument import known_metric, needed_direction
from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.ranking import Ranking
from gitexp.core.errors import Undetermined
from gitexp.core.model.run import Direction
from gitexp.core.render.folded_repeats import Row
from gitexp.core.render.machine_formats import format_json
from gitexp.core.render.run_table import LEADING_KEYS, changed_keys, default_keys, run_list
from gitexp.core.render.text import clean
from gitexp.features.runs.judge import standings_by
from gitexp.features.runs.main_metric import main_metric
from gitexp.storage.workspace import Workspace


@click.command("best")
@count_option("At most N", default=5)
@where_option("Only among runs for which EXPR is true.")
@click.option("--maximize", "high", is_flag=True, help="More is better.")
@click.option("--minimize", "low", is_flag=True, help="Less is better.")
@precision_option
@json_option
@click.argument("metric", required=False)
def command(
    count: int,
    where: str | None,
    high: bool,
    low: bool,
    precision: int,
    as_json: bool,
    metric: str | None,
) -> None:
    """Show the best trials by a metric

    Repeats are one trial, ranked by the mean less one standard error, so that a lucky run does not
    lead; the row shows the run nearest to the mean. Trials that cannot be told from the first are
    marked `?`. Discarded trials are left out. METRIC is the main metric by default.

    \b
    git exp best accuracy
    git exp best val_loss -n 3 --where "tag == 'sweep'"
    """
    workspace = open_workspace()
    metric = metric or main_metric(workspace)
    if metric is None:
        raise Undetermined(
            "cannot tell by which metric",
            why="no run measured anything",
            hints=["`git exp run -h` tells how a run measures something"],
        )
    metric = known_metric(workspace, metric)
    said = Direction.MAXIMIZE if high else Direction.MINIMIZE if low else None
    direction = said or needed_direction(workspace, metric)
    ranking = standings_by(workspace, metric, direction).ranking(among=_among(workspace, where))
    groups = ranking.groups[:count]
    if as_json:
        answer(format_json(_document(workspace, metric, direction, ranking, groups)))
    elif groups:
        _print(workspace, metric, ranking, groups, precision)
    else:
        say(f"no successful run has {metric}, discarded runs aside")


def _among(workspace: Workspace, where: str | None) -> set[str] | None:
    """Return the groups with a run that matches the filter; `None` without a filter."""
    if where is None:
        return None
    runs = workspace.index.ids(workspace.query(where))
    return set(workspace.index.groups.of_runs(runs).values())


def _print(
    workspace: Workspace,
    metric: str,
    ranking: Ranking,
    groups: tuple[Group, ...],
    precision: int,
) -> None:
    rows = _rows(workspace, groups)
    runs = [row.entry.run.id for row in rows]
    entries = [row.entry for row in rows]
    changed = changed_keys(entries, default_keys(entries))
    params = [key for key in changed if key.startswith("params.")]
    view = view_of(workspace, runs, precision=precision)
    keys = [*LEADING_KEYS, f"metrics.{metric}", *params]
    answer(
        run_list(
            rows,
            keys,
            now=view.now,
            width=view.width,
            precision=precision,
            ids=view.ids,
            unsure=runs[: ranking.contenders] if ranking.contenders > 1 else (),
            pinned=[f"metrics.{metric}"],
            more="`git exp list --columns`",
        )
    )
    if ranking.contenders > 1:
        say(f"?: {ranking.contenders} trials may be the best; repeats may decide")
    units = {entry.units.get(metric, "none") for row in rows for entry in row.members}
    if len(units) > 1:
        told = clean(", ".join(sorted(units)))
        say(f"the order says nothing: '{metric}' has several units: {told}")


def _rows(workspace: Workspace, groups: tuple[Group, ...]) -> list[Row]:
    """Return a row for each group of its measured runs, led by the run nearest to the mean."""
    rows = []
    for group in groups:
        measured = [m.run for m in group.measurements if m.value is not None]
        members = workspace.index.entries(measured)
        shown = measured.index(group.typical.run)
        rows.append(Row(members[shown], tuple(reversed(members))))
    return rows


def _document(
    workspace: Workspace,
    metric: str,
    direction: Direction,
    ranking: Ranking,
    groups: tuple[Group, ...],
) -> dict[str, Any]:
    import json

    typical = [group.typical.run for group in groups]
    return {
        "schema": 2,
        "metric": metric,
        "direction": direction.value,
        "basis": ranking.noise.basis.value,
        "noise": ranking.noise.sd or None,
        "groups": [
            {
                "group": group.key,
                "run": group.typical.run,
                "runs": [m.run for m in group.measurements],
                "mean": group.mean,
                "sd": group.sd,
                "n": group.counted,
                "failed": group.failed,
                "contender": position < ranking.contenders,
            }
            for position, group in enumerate(groups)
        ],
        "runs": [json.loads(text) for text in workspace.index.documents(typical)],
    }
