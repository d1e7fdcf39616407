"""`git exp show`: a run in full."""

import click

from gitexp.cli.options import json_option
from gitexp.cli.selection import find_entry
from gitexp.cli.tables import print_documents
from gitexp.cli.terminal import answer, open_workspace, view_of
from gitexp.judgement import find_tried, judge
from gitexp.render.detail import run_detail


@click.command("show")
@json_option
@click.option("--series", is_flag=True, help="The metric series as CSV.")
@click.argument("run", metavar="[RUN]", default="last")
def command(as_json: bool, series: bool, run: str) -> None:
    """Show a run in full

    With its decision, verdicts, reproductions, notes and nearest relatives. RUN is an id or its
    first digits, a name, `last`, `best`, `best:METRIC`, `@{n}` (n runs back), or a commit.

    \b
    git exp show last
    git exp show best:accuracy --json
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run)
    if as_json:
        print_documents(workspace.index.documents([entry.run.id]))
        return
    has_series = workspace.index.has_series(entry.run.id)
    rows = workspace.store.load_series(entry.run.id, entry.run.started) if has_series else []
    if series:
        from gitexp.records.series import encode_series  # noqa: PLC0415 - only when asked

        answer(encode_series(rows).decode().rstrip("\n") if rows else "")
        return
    judgement = judge(workspace, entry.measured, refresh=False)
    kin = find_tried(workspace, entry.run).kin
    found = [entry.run.id, *(other.run.id for _, other in kin)]
    comparisons = [c for c in (judgement.last, judgement.best) if c is not None]
    found += [v.reference for c in comparisons for v in c.verdicts if v.reference]
    view = view_of(workspace, found)
    answer(run_detail(entry, view=view, comparisons=comparisons, kin=kin, series=rows))
