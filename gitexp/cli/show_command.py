"""`git exp show`: show a run in full."""

import click

from gitexp.cli.output.tables import print_documents
from gitexp.cli.output.terminal import answer, open_workspace, say, view_of
from gitexp.cli.params.options import json_option
from gitexp.cli.params.run_argument import find_entry
from gitexp.core.model.run import Run
from gitexp.core.render.run_detail import run_detail
from gitexp.features.runs.judge import judge_run
from gitexp.features.trials.earlier_runs import find_kin
from gitexp.storage.workspace import Workspace


@click.command("show")
@json_option
@click.option("--series", is_flag=True, help="The metric series as CSV.")
@click.option("--output", is_flag=True, help="All output of the command that was kept.")
@click.argument("run", metavar="[RUN]", default="last")
def command(as_json: bool, series: bool, output: bool, run: str) -> None:
    """Show a run in full

    Shows decision, verdicts, reproductions, notes and nearest relatives. RUN is an id or its first
    digits, a name, `last`, `best`, `best:METRIC`, `@{n}` (n runs back), or a commit.

    \b
    git exp show last
    git exp show best:accuracy --json
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run)
    if as_json:
        print_documents(workspace.index.documents([entry.run.id]))
        return
    if output:
        _print_output(workspace, entry.run)
        return
    has_series = workspace.index.has_series(entry.run.id)
    rows = workspace.branch.load_series(entry.run.id, entry.run.started) if has_series else []
    if series:
        from gitexp.core.schema.series_csv import encode_series

        answer(encode_series(rows).decode().rstrip("\n") if rows else "")
        return
    judgement = judge_run(workspace, entry.measured, refresh=False)
    kin = [(how.relation, other) for how, other in find_kin(workspace, entry.run)]
    found = [entry.run.id, *(other.run.id for _, other in kin)]
    comparisons = [c for c in (judgement.last, judgement.best) if c is not None]
    found += [v.reference for c in comparisons for v in c.verdicts if v.reference]
    view = view_of(workspace, found)
    answer(run_detail(entry, view=view, comparisons=comparisons, kin=kin, series=rows))


def _print_output(workspace: Workspace, run: Run) -> None:
    """Print the whole output if it is kept or published, else the last lines from the record."""
    from gitexp.adapters.journal.output_archive import lines_of
    from gitexp.core.inputs.metric_lines import plain_line
    from gitexp.core.render.text import clean
    from gitexp.features.recording.add_metrics import load_output

    text = load_output(workspace, run)
    if text is None and not run.output_tail:
        say(f"no output of run {run.id[:7]} {run.name} is kept here")
        return
    if text is None:
        say("the whole output is not kept in this clone; these are the last lines, of the record")
        text = run.output_tail
    lines = lines_of(text.removesuffix("\n"))
    answer("\n".join(clean(plain_line(line.encode(errors="replace"))) for line in lines))
