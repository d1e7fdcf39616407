"""`git exp finish`: end a manual run."""

import click

from gitexp.cli.output.errors import warn
from gitexp.cli.output.terminal import answer, open_workspace
from gitexp.cli.output.verdicts import show_judgement
from gitexp.cli.params.options import measured_option, nested, outcome_option
from gitexp.cli.params.run_argument import find_entry
from gitexp.core.model.run import Outcome
from gitexp.core.schema.limits import check_table
from gitexp.features.recording.manual import finish_by_hand
from gitexp.features.runs.judge import judge_run


@click.command("finish")
@click.argument("run", metavar="[RUN]", default="last")
@measured_option()
@click.option(
    "--metrics",
    "metrics_files",
    multiple=True,
    metavar="FILE",
    help="Metrics from a file. Repeatable.",
)
@outcome_option("by the exit code, else succeeded")
@click.option("--exit-code", type=int, metavar="N", help="The exit code of what was run.")
def command(
    run: str,
    measured: tuple[str, ...],
    metrics_files: tuple[str, ...],
    outcome: str | None,
    exit_code: int | None,
) -> None:
    """End a run begun by hand

    \b
    git exp finish $RUN -M accuracy=0.9
    git exp finish $RUN --metrics metrics.json --exit-code $?
    """
    workspace = open_workspace()
    metrics = nested(measured)
    check_table(metrics, "metric")
    entry = find_entry(workspace, run, to_change=True)
    ended = outcome or (Outcome.FAILED if exit_code else Outcome.SUCCEEDED).value
    sealed = finish_by_hand(
        workspace,
        entry.run.id,
        metrics,
        files=[workspace.repo.start / name for name in metrics_files],
        outcome=Outcome(ended),
        exit_code=exit_code,
    )
    for warning in sealed.warnings:
        warn(warning)
    show_judgement(workspace, judge_run(workspace, sealed), err=True)
    answer(sealed.id)
