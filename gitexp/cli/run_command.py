"""`git exp run`: run a command, record it and print its verdict."""

import os
from dataclasses import replace

import click

from gitexp.adapters.system.command import find_command
from gitexp.cli.output.errors import tell
from gitexp.cli.output.terminal import open_workspace, say
from gitexp.cli.output.verdicts import show_judgement
from gitexp.cli.params.options import Duration, IntegerRange, json_option, metric_pattern_option
from gitexp.cli.params.run_argument import find_entry
from gitexp.cli.params.run_options import RunOptions, Starting, recording_options, run_request
from gitexp.cli.run.start import (
    How,
    exit_code_of,
    is_settled,
    prepare_run,
    print_ended,
    run_prepared,
    tell_problems,
)
from gitexp.core.errors import ExitCode, GitexpError, InvalidInput, NotRunnable
from gitexp.core.model.run import Origin
from gitexp.features.execution.execute import ExecutionResult
from gitexp.features.execution.prepare import RunRequest
from gitexp.features.recording.record import expect_start
from gitexp.features.runs.judge import judge_run
from gitexp.storage.workspace import Workspace


@click.command("run", cls=Starting, context_settings={"allow_interspersed_args": False})
@recording_options
@metric_pattern_option("Reads metrics from the output: NAME=REGEX with one group. Repeatable.")
@click.option("--again", is_flag=True, help="Run it even if this very trial was tried before.")
@click.option("--no-harvest", is_flag=True, help="Pick up nothing from files of frameworks.")
@click.option(
    "--repeat", type=IntegerRange(1), metavar="N", help="Run it N times, to learn its noise."
)
@click.option(
    "--seeds",
    type=IntegerRange(1),
    metavar="N",
    help="Run it with N seeds: fills {seed}, or replaces a given --seed.",
)
@click.option("--beside", metavar="RUN", help="Alternate with RUN, so a drift hits both.")
@click.option("--no-stop", is_flag=True, help="Run all repeats, even if they can hardly win.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    metavar="TIME",
    help="End the command after TIME: 90, 60s, 5m, 2h.",
)
@click.option("--no-inject", is_flag=True, help="Do not read what a Python program parsed.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but problems.")
@json_option
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(
    options: RunOptions,
    metric_patterns: tuple[str, ...],
    again: bool,
    no_harvest: bool,
    repeat: int | None,
    seeds: int | None,
    beside: str | None,
    no_stop: bool,
    timeout_s: float | None,
    no_inject: bool,
    quiet: bool,
    as_json: bool,
    argv: tuple[str, ...],
) -> int:
    """Record parameters, run a command, record its results

    The code, the parameters, the inputs and the environment are on the branch before the command
    starts; its outcome, metrics and last output follow at its end, also if it fails or is killed.
    `{k}` in CMD is replaced by parameter k. Metrics come from files, from printed lines `METRIC
    name=value`, from patterns, from the Python API, and from files of frameworks such as
    TensorBoard, Lightning, MLflow and benchmarks. Ends with the command's own exit code, or with
    124 if `--timeout` ended it.

    Repeats (`--repeat`, `--seeds`) count as one look at the results and are judged once, at their
    end. They stop early when they can hardly become better. With `--json` the command's output goes
    to standard error.

    \b
    git exp run -- python train.py --lr 0.01
    git exp run -S lr=0.1 --repeat 3 -m "faster?" -- python train.py --lr {lr}
    """
    if repeat is not None and seeds is not None:
        raise InvalidInput("choose one of --repeat and --seeds")
    workspace = open_workspace()
    expect_start(workspace)
    if workspace.repo.top is None:
        raise GitexpError(
            "cannot run a command here",
            why="the repository is bare: it has no work tree",
            hints=["`git worktree add PATH` makes one", "`git exp record` needs none"],
        )
    request = run_request(workspace, options, Origin.RUN, argv)
    request = replace(request, timeout_s=timeout_s, metric_patterns=metric_patterns or None)
    policy = "allow" if again else workspace.settings.repeat
    picked = () if no_harvest else None
    how = How(quiet=quiet, as_json=as_json, policy=policy, harvest=picked, inject=not no_inject)
    if repeat is None and seeds is None and beside is None:
        return _run_once(workspace, request, how)
    from gitexp.cli.run.repeat import run_batch

    reference = None if beside is None else find_entry(workspace, beside)
    count = repeat or seeds or 1
    return run_batch(
        *(workspace, request, how),
        count=count,
        with_seeds=seeds is not None,
        reference=reference,
        may_stop=not no_stop,
    )


def _run_once(workspace: Workspace, request: RunRequest, how: How) -> int:
    prepared = prepare_run(workspace, request, how, find=False)
    fault: NotRunnable | None = None
    try:
        find_command(prepared.argv[0], workspace.repo.start, os.environ)
    except NotRunnable as error:  # still recorded; exits with 127 or 126, as a shell
        fault = error
    if is_settled(workspace, prepared, how):
        return ExitCode.DONE
    executed = run_prepared(workspace, prepared, how)
    if fault is None:
        _tell_end(workspace, executed, how)
    else:
        tell(fault)
        others = tuple(w for w in executed.run.warnings if not w.startswith(fault.what))
        shown = replace(executed, run=replace(executed.run, warnings=others))
        _tell_end(workspace, shown, replace(how, quiet=True))
    return exit_code_of(executed)


def _tell_end(workspace: Workspace, executed: ExecutionResult, how: How) -> None:
    if not tell_problems(executed):
        return
    if executed.jobs and not how.quiet:
        short = executed.run.id[:7]
        say(f"{executed.jobs} jobs, each recorded as a run whose parent is {short}")
    try:
        if how.as_json:
            print_ended(workspace, [executed.run])
        elif not how.quiet:
            show_judgement(workspace, judge_run(workspace, executed.run), err=True)
    except GitexpError as problem:  # the run is recorded: keep the command's exit code
        tell(problem)
    if not how.quiet and not executed.run.metrics:
        from gitexp.cli.output.proposals import show_proposals

        show_proposals(workspace, executed.run)
