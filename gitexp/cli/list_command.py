"""`git exp list`: list runs as a table."""

from typing import TYPE_CHECKING

import click

from gitexp.adapters.system import clock
from gitexp.cli.output.folded_repeats import folded_rows
from gitexp.cli.output.tables import choose_columns, print_documents
from gitexp.cli.output.terminal import answer, open_workspace, say, width
from gitexp.cli.params.options import (
    count_option,
    json_option,
    precision_option,
    view_option,
    where_option,
)
from gitexp.core.errors import ExitCode, InvalidInput
from gitexp.core.render.folded_repeats import single

if TYPE_CHECKING:
    from gitexp.core.model.ids import RunId
    from gitexp.core.render.folded_repeats import Row
    from gitexp.features.runs.views import View
    from gitexp.storage.workspace import Workspace


@click.command("list")
@where_option()
@view_option("Columns, filter and order of a view of gitexp.toml.")
@click.option("--sort-by", metavar="KEY", help="A metric, a parameter, or a field.")
@click.option(
    "--sort-order",
    type=click.Choice(["asc", "desc"]),
    help="Missing values always come last [default: best first for metrics, else asc].",
)
@count_option("At most N")
@click.option("--only-changed", is_flag=True, help="Leave out columns that never change.")
@click.option("--columns", is_flag=True, help="List all columns and their values instead.")
@click.option("--keep", multiple=True, metavar="REGEX", help="Only columns that match. Repeatable.")
@click.option("--drop", multiple=True, metavar="REGEX", help="No columns that match. Repeatable.")
@precision_option
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values, exact numbers.")
@click.option("--md", "as_markdown", is_flag=True, help="A Markdown table.")
@click.option("--porcelain", is_flag=True, help="Tab-separated lines that stay as they are.")
@click.option("--runs", "unfolded", is_flag=True, help="One row a run, repeats too.")
@click.option("--name-only", is_flag=True, help="Only the ids.")
def command(
    where: str | None,
    view_name: str | None,
    sort_by: str | None,
    sort_order: str | None,
    count: int | None,
    only_changed: bool,
    columns: bool,
    keep: tuple[str, ...],
    drop: tuple[str, ...],
    precision: int,
    as_json: bool,
    as_csv: bool,
    as_markdown: bool,
    porcelain: bool,
    unfolded: bool,
    name_only: bool,
) -> int:
    """Show the runs as a table

    Repeats of a trial, whatever their seeds, are one row with means and standard deviations; with
    --runs, and in the formats for programs, each run has a row. Newest first, unless sorted. EXPR
    is Python-like: `accuracy > 0.8 and (params.lr < 0.1 or tag == "sweep")`; a name needs no prefix
    while it is unambiguous.

    \b
    git exp list -n 20 --sort-by accuracy
    git exp list --where "accuracy > 0.8 and lr < 0.1" --only-changed
    """
    if as_json + as_csv + as_markdown + porcelain + name_only + columns > 1:
        forms = "--json, --csv, --md, --porcelain, --columns and --name-only"
        raise InvalidInput(f"choose one of {forms}")
    workspace = open_workspace()
    view = _view(workspace, view_name)
    where = _filter(workspace, view, where)
    sort_by, descending = _order(workspace, view, sort_by, sort_order)
    is_table = not (as_json or as_csv or porcelain or name_only)
    if is_table and not unfolded:
        rows = folded_rows(workspace, where, sort_by, descending=descending, limit=count)
        chosen = [row.entry.run.id for row in rows]
    else:
        query = workspace.query(where)
        chosen = workspace.index.ids(query, sort_by, descending=descending, limit=count)
        rows = single(workspace.index.entries(chosen)) if is_table else []
    if as_json:
        everything = where is None and sort_by is None and count is None
        print_documents(workspace.index.documents(None if everything else chosen))
    elif name_only:
        answer("\n".join(chosen))
    elif porcelain or as_csv:
        _print_exact(workspace, chosen, view, porcelain=porcelain)
    elif chosen:
        _print_table(
            workspace,
            rows,
            view,
            only_changed=only_changed,
            keep=keep,
            drop=drop,
            sort_by=sort_by,
            precision=precision,
            markdown=as_markdown,
            columns=columns,
        )
    else:
        say_empty(workspace, where)
    return _tell_broken(workspace)


def _view(workspace: "Workspace", name: str | None) -> "View | None":
    if name is None:
        return None
    from gitexp.features.runs.views import find_view

    return find_view(workspace, name)


def _filter(workspace: "Workspace", view: "View | None", where: str | None) -> str | None:
    """Return the view's filter and the user's as one."""
    if view is None or view.filter is None or where is None:
        return where if view is None or view.filter is None else view.filter
    workspace.query(where)  # an error names the column in the user's own text
    return f"({where}) and ({view.filter})"


def _order(
    workspace: "Workspace", view: "View | None", sort_by: str | None, sort_order: str | None
) -> tuple[str | None, bool]:
    """Return the full name of the sort key, and whether to sort in descending order."""
    if sort_by is None and view is not None and view.sort is not None:
        sort_by = view.sort
        if sort_order is None and view.descending is not None:
            sort_order = "desc" if view.descending else "asc"
    descending = sort_order == "desc"
    if sort_by is not None:
        from gitexp.core.query.names import parse_sort

        sort_by = parse_sort(sort_by, workspace.index.keys())
        if sort_order is None:
            descending = _best_is_high(workspace, sort_by)
    return sort_by, descending


def _best_is_high(workspace: "Workspace", key: str) -> bool:
    if not key.startswith("metrics."):
        return False
    from gitexp.core.model.directions import direction_of
    from gitexp.core.model.run import Direction

    metric = key.removeprefix("metrics.")
    return direction_of(metric, workspace.settings.directions)[0] is Direction.MAXIMIZE


def _print_exact(
    workspace: "Workspace", chosen: "list[RunId]", view: "View | None", *, porcelain: bool
) -> None:
    import json

    from gitexp.core.render.machine_formats import format_csv, format_porcelain

    documents = [json.loads(text) for text in workspace.index.documents(chosen)]
    if porcelain:
        answer(format_porcelain(documents))
    elif view is None or view.columns is None:
        answer(format_csv(documents))
    else:
        from gitexp.cli.output.view_columns import document_keys

        if "why" in view.columns:
            for document, entry in zip(documents, workspace.index.entries(chosen), strict=True):
                document["why"] = entry.decision.text if entry.decision else None
        answer(format_csv(documents, document_keys(view.columns)))


def _print_table(
    workspace: "Workspace",
    rows: "list[Row]",
    view: "View | None",
    *,
    only_changed: bool,
    keep: tuple[str, ...],
    drop: tuple[str, ...],
    sort_by: str | None,
    precision: int,
    markdown: bool,
    columns: bool,
) -> None:
    from gitexp.core.render.run_table import (
        changed_keys,
        column_table,
        default_keys,
        run_list,
        unchanged_line,
    )
    from gitexp.features.runs.main_metric import main_metric

    entries = [entry for row in rows for entry in row.members]
    metric = main_metric(workspace)
    usual = _columns_of(view) or default_keys(entries, metric)
    every = choose_columns(usual, keep, drop)
    keys = changed_keys(entries, every) if only_changed else every
    wide = None if markdown else width()
    if columns:
        answer(column_table(entries, keys, width=wide, precision=precision))
        return
    is_chosen = bool(keep) or _columns_of(view) is not None
    asked_for = keys if is_chosen else [k for k in keys if sort_by in (k, k.partition(".")[2])]
    table = run_list(
        rows,
        keys,
        now=clock.now(),
        style="md" if markdown else "plain",
        width=wide,
        precision=precision,
        ids=workspace.index.short([entry.run.id for entry in entries]),
        pinned=[f"metrics.{metric}", *asked_for],
        more="--columns",
    )
    hidden = [key for key in every if key not in keys]
    named = unchanged_line(entries, hidden, width=wide) if wide is not None else ""
    answer(f"{table}\n{named}" if named else table)


def _columns_of(view: "View | None") -> list[str] | None:
    if view is None or view.columns is None:
        return None
    from gitexp.cli.output.view_columns import table_keys

    return table_keys(view.columns)


def say_empty(workspace: "Workspace", where: str | None) -> None:
    """Explain why the list is empty, with a hint."""
    count = workspace.index.count()
    if where and count:
        from gitexp.core.render.text import no_match

        say(no_match(count, where))
    elif count:
        who = "the only run is not" if count == 1 else f"none of the {count:,} runs is"
        say(f"{who} shown")
    elif workspace.index.tip is None and _has_remote_runs(workspace):
        say("there are no runs here yet; `git exp fetch` brings those of the remote")
    else:
        say("there are no runs yet; `git exp run -- CMD` records the first")


def _has_remote_runs(workspace: "Workspace") -> bool:
    """Return whether a tracking ref of a remote's run branch exists, from a clone or fetch."""
    return bool(workspace.repo.read_refs(f"refs/remotes/*/{workspace.settings.branch}"))


def _tell_broken(workspace: "Workspace") -> int:
    from gitexp.cli.output.errors import warn

    broken = workspace.index.broken
    for path, why in broken[:5]:
        warn(f"cannot read {path}: {why}")
    if broken:
        warn(f"{len(broken)} files on the run branch are unreadable; see `git exp doctor`")
    return ExitCode.UNKNOWN if broken else ExitCode.DONE
