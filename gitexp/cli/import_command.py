"""`git exp import`: import runs of other trackers."""

from collections.abc import Sequence

import click

from gitexp.adapters.trackers.detect import READERS, detect, find_path, read_source
from gitexp.adapters.trackers.source_run import ImportedRun, SkippedRun
from gitexp.adapters.trackers.table_rows import parse_mapping
from gitexp.cli.output.errors import warn
from gitexp.cli.output.progress import waiting
from gitexp.cli.output.terminal import answer, open_workspace, say, width
from gitexp.cli.params.options import dry_run_option, outcome_option
from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import Outcome, flatten
from gitexp.core.render.table import format_table
from gitexp.core.render.text import counted, format_cell, format_moment
from gitexp.features.bridges.import_runs import Selection, record_imported, select_new

_SHOWN_VALUES = 4


@click.command("import")
@click.option(
    "--from",
    "tracker",
    type=click.Choice(list(READERS)),
    metavar="TRACKER",
    help=f"{', '.join(READERS)} [default: found out].",
)
@click.option(
    "--map",
    "mappings",
    multiple=True,
    metavar="TARGET=COLUMN",
    help="What a column of a table is: metrics.NAME, params.NAME, name, id, commit, status, …, or "
    "skip. Repeatable.",
)
@click.option("--unfinished", is_flag=True, help="Also runs that have not ended there.")
@outcome_option("unknown", who="runs ended whose source does not say it")
@dry_run_option
@click.argument("source", metavar="SOURCE")
def command(
    tracker: str | None,
    mappings: tuple[str, ...],
    unfinished: bool,
    outcome: str | None,
    dry_run: bool,
    source: str,
) -> None:
    """Import runs of other trackers

    SOURCE is a file or folder: MLflow's `mlruns` or `mlflow.db`, W&B's `wandb` or a CSV export,
    TensorBoard's log folder, `results.tsv` or the JSON lines of an agent loop, any CSV or JSON
    lines with a run in each row; `.` for the DVC experiments of this repository. The trackers need
    not be installed. A second import adds only new runs. Ends with an error if a run could not be
    imported; the others are.

    \b
    git exp import mlruns --dry-run
    git exp import results.csv --map metrics.acc=test_accuracy --map name=run
    """
    workspace = open_workspace()
    path = find_path(source, workspace.repo.start)
    tracker = tracker or detect(path, workspace.repo)
    with waiting(f"reading {path.name or source}"):
        found = read_source(tracker, path, workspace.repo, mapping=parse_mapping(mappings))
    for remark in found.remarks:
        say(remark)
    said = None if outcome is None else Outcome(outcome)
    selection = select_new(workspace, found.runs, unfinished=unfinished, outcome=said)
    unsaid = 0 if said else sum(not run.is_outcome_said for run in selection.new)
    if unsaid:
        say(f"how {unsaid:,} of them ended is not said there; `--outcome` says it")
    if dry_run:
        if selection.new:
            answer(_table(selection.new))
        say(f"would import {_counted(selection)} from {tracker}")
        _refuse(found.left_out)
        return
    with waiting("importing") as note:
        done = record_imported(
            workspace, selection.new, progress=lambda count: note(f"{count:,} events recorded")
        )
    answer("\n".join(run.id for run in done.runs))
    say(f"imported {_counted(selection, len(done.left_out))} from {tracker}")
    doubtful = sum(any("HEAD's" in warning for warning in run.warnings) for run in done.runs)
    if doubtful:
        say(f"the code of {doubtful:,} of them is unknown here; their records say so")
    _refuse((*found.left_out, *done.left_out))


def _refuse(left_out: Sequence[SkippedRun]) -> None:
    """Report the runs that could not be imported. Raises `InvalidInput` if there are any."""
    for name, why in left_out:
        warn(f"{name} is left out: {why}")
    if left_out:
        count = len(left_out)
        raise InvalidInput(
            f"cannot import {counted(count, 'run')}",
            hints=["the others are imported; importing again adds only new runs"],
        )


def _counted(selection: Selection, left_out: int = 0) -> str:
    count = len(selection.new) - left_out
    text = counted(count, "run")
    if selection.known:
        text += f" ({selection.known:,} here already)"
    if selection.going_on:
        text += f" ({selection.going_on:,} not ended there; `--unfinished` takes them too)"
    return text


def _table(runs: tuple[ImportedRun, ...]) -> str:
    rows = [
        [
            run.source if len(run.source) <= 32 else run.source[:31] + "…",
            run.name or "",
            run.outcome.value if run.outcome else "",
            run.decision.value if run.decision else "",
            format_moment(run.started) if run.started else "",
            (run.commit or "")[:7],
            _values(run.metrics),
            _values(run.params),
        ]
        for run in runs
    ]
    headers = ["source", "name", "outcome", "decision", "started", "commit", "metrics", "params"]
    return format_table(headers, rows, width=width())


def _values(table: object) -> str:
    leaves = list(flatten(table)) if isinstance(table, dict) else []
    shown = [f"{name} {format_cell(value)}" for name, value in leaves[:_SHOWN_VALUES]]
    more = [f"{len(leaves) - _SHOWN_VALUES} more"] if len(leaves) > _SHOWN_VALUES else []
    return ", ".join([*shown, *more])
