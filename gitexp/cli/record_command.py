"""`git exp record`: record a run of another program."""

from dataclasses import replace

import click

from gitexp.cli.output.errors import warn
from gitexp.cli.output.terminal import answer, open_workspace
from gitexp.cli.output.verdicts import show_judgement
from gitexp.cli.params.options import Seconds, measured_option, nested, outcome_option
from gitexp.cli.params.run_options import RunOptions, Starting, recording_options, run_request
from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import Origin, Outcome, nest
from gitexp.core.schema.limits import check_table
from gitexp.features.execution.prepare import prepare
from gitexp.features.harvest.metrics_files import gather_metrics
from gitexp.features.recording.record import expect_start, record_finished
from gitexp.features.runs.judge import judge_run


@click.command("record", cls=Starting, context_settings={"allow_interspersed_args": False})
@recording_options
@measured_option()
@outcome_option("succeeded", default=Outcome.SUCCEEDED.value)
@click.option("--duration", type=Seconds(), metavar="SECONDS", help="Duration.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the run's id.")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD [ARG]...]")
def command(
    options: RunOptions,
    measured: tuple[str, ...],
    outcome: str,
    duration: float | None,
    quiet: bool,
    argv: tuple[str, ...],
) -> None:
    """Record a run that was made elsewhere

    Its code is the current content of the work tree. CMD, if given, is recorded and not started.
    Prints the id of the run.

    \b
    git exp record -S lr=0.1 -M accuracy=0.85
    git exp record --params params.toml --metrics metrics.json -- python train.py
    """
    workspace = open_workspace()
    expect_start(workspace)
    metrics = nested(measured)
    check_table(metrics, "metric")
    if not (metrics or options.metrics_files or options.assignments or options.params_files):
        raise InvalidInput(
            "there is nothing to record",
            hints=["give metrics with `-M accuracy=0.85` or `--metrics FILE`"],
        )
    prepared = prepare(workspace, run_request(workspace, options, Origin.RECORD, argv))
    wanted = prepared.metrics_files if options.metrics_files else ()
    _, from_files, series, faults = gather_metrics(wanted, {})
    if faults:
        raise InvalidInput("cannot take the metrics", why="; ".join(faults))
    run = replace(
        prepared.run,
        outcome=Outcome(outcome),
        duration_s=duration,
        metrics=nest(from_files, metrics),
    )
    run = record_finished(workspace, run, series, prepared.packages)
    for warning in run.warnings:
        warn(warning)
    if not quiet:
        show_judgement(workspace, judge_run(workspace, run), err=True)
    answer(run.id)
