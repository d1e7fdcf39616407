"""`git exp record`: a run that was made elsewhere."""

from dataclasses import replace

import click

from gitexp.bounds import check_table
from gitexp.cli.options import directions, nested, pairs, recording_options
from gitexp.cli.report import warn
from gitexp.cli.selection import find_id
from gitexp.cli.terminal import answer, open_workspace
from gitexp.cli.verdicts import show_judgement
from gitexp.errors import InvalidInput
from gitexp.execution import gather_metrics
from gitexp.judgement import judge
from gitexp.lifecycle import record_whole
from gitexp.model import Origin, Outcome
from gitexp.preparation import Trial, prepare


@click.command("record", context_settings={"allow_interspersed_args": False})
@recording_options
@click.option(
    "-M",
    "--metric",
    "measured",
    multiple=True,
    metavar="NAME=VALUE",
    help="A metric; dotted names nest. Repeatable.",
)
@click.option(
    "--outcome",
    type=click.Choice([o.value for o in Outcome if o is not Outcome.RUNNING]),
    default=Outcome.SUCCEEDED.value,
    show_default=True,
    help="How it ended.",
)
@click.option("--duration", type=click.FloatRange(min=0), help="How long it took, in seconds.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the run's id.")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD [ARG]...]")
def command(
    assignments: tuple[str, ...],
    name: str | None,
    reason: str | None,
    tags: tuple[str, ...],
    params_files: tuple[str, ...],
    metrics_files: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    parent: str | None,
    maximize: tuple[str, ...],
    minimize: tuple[str, ...],
    measured: tuple[str, ...],
    outcome: str,
    duration: float | None,
    quiet: bool,
    argv: tuple[str, ...],
) -> None:
    """Record a run that was made elsewhere

    Its code is what the work tree holds now. CMD, when given, is recorded and not started. Prints
    the id of the run.

    \b
    git exp record -S lr=0.1 -M accuracy=0.85
    git exp record --params params.toml --metrics metrics.json -- python train.py
    """
    workspace = open_workspace()
    metrics = nested(measured)
    check_table(metrics, "metric")
    if not metrics_files and not metrics and not assignments and not params_files:
        raise InvalidInput(
            "there is nothing to record",
            hints=["give metrics with `-M accuracy=0.85` or `--metrics FILE`"],
        )
    trial = Trial(
        origin=Origin.RECORD,
        argv=argv,
        directory=workspace.repo.start,
        assignments=pairs(assignments),
        params_files=params_files,
        metrics_files=metrics_files,
        inputs=inputs,
        outputs=outputs,
        name=name,
        reason=reason,
        tags=tags,
        parent=None if parent is None else find_id(workspace, parent),
        directions=directions(maximize, minimize),
    )
    prepared = prepare(workspace, trial)
    wanted = prepared.metrics_files if metrics_files else ()
    _, from_files, series, faults = gather_metrics(wanted, {})
    missing = [file.name for file in wanted if not file.exists()]
    if faults or missing:
        raise InvalidInput(
            "cannot take the metrics", why="; ".join([*faults, *(f"no {m}" for m in missing)])
        )
    run = replace(
        prepared.run,
        outcome=Outcome(outcome),
        duration_s=duration,
        metrics={**from_files, **metrics},
    )
    run = record_whole(workspace, run, series, prepared.packages)
    for warning in run.warnings:
        warn(warning)
    if not quiet:
        show_judgement(workspace, judge(workspace, run), err=True)
    answer(run.id)
