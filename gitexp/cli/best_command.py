"""`git exp best`: the best runs by a metric."""

import click

from gitexp.cli.options import count_option, json_option, precision_option, where_option
from gitexp.cli.selection import known_metric, needed_direction
from gitexp.cli.tables import print_documents
from gitexp.cli.terminal import answer, open_workspace, say, view_of
from gitexp.errors import CouldNotTell
from gitexp.model import Direction
from gitexp.render.listing import LEADING_KEYS, changed_keys, default_keys, run_list


@click.command("best")
@count_option("At most so many", default=5)
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
    """Show the best runs by a metric

    \b
    git exp best accuracy
    git exp best val_loss -n 3 --where "tag == 'sweep'"
    """
    workspace = open_workspace()
    metric = metric or workspace.settings.metric or _only_metric(workspace.index.keys("metrics"))
    metric = known_metric(workspace, metric)
    said = Direction.MAXIMIZE if high else Direction.MINIMIZE if low else None
    direction = said or needed_direction(workspace, metric)
    chosen = workspace.index.best(metric, direction, count, where=workspace.query(where))
    if as_json:
        print_documents(workspace.index.documents(chosen))
        return
    if not chosen:
        say(f"no finished run measured {metric}")
        return
    entries = workspace.index.entries(chosen)
    changed = changed_keys(entries, default_keys(entries))
    params = [key for key in changed if key.startswith("params.")]
    view = view_of(workspace, chosen, precision=precision)
    keys = [*LEADING_KEYS, f"metrics.{metric}", *params]
    answer(
        run_list(
            entries,
            keys,
            now=view.now,
            width=view.width,
            precision=precision,
            ids=view.ids,
            pinned=[f"metrics.{metric}"],
            more="`git exp list --columns`",
        )
    )


def _only_metric(keys: list[str]) -> str:
    names = [key.removeprefix("metrics.") for key in keys]
    if len(names) == 1:
        return names[0]
    raise CouldNotTell(
        "cannot tell by which metric",
        why=f"the runs have {', '.join(names[:8])}" if names else "no run measured anything",
        hints=["`git exp best METRIC`", "`git config exp.metric METRIC` makes one the default"]
        if names
        else ["`git exp run -h` tells how a run measures something"],
    )
