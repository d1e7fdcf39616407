"""`git exp run`: record, run, record, judge."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

import click

from gitexp.cli.options import Duration, metric_pattern_option
from gitexp.cli.progress import waiting
from gitexp.cli.recording import Said, Starting, recording_options, trial_of
from gitexp.cli.report import tell, warn
from gitexp.cli.terminal import open_workspace, say
from gitexp.cli.trials import changed_lines, show_tried
from gitexp.cli.verdicts import show_judgement
from gitexp.comparison import Kin
from gitexp.errors import ExitCode, GitexpError, Refused
from gitexp.judgement import judge
from gitexp.machine.process import find_command
from gitexp.model import Decision, Origin, Outcome, Run
from gitexp.running.execution import Executed, execute
from gitexp.running.lifecycle import expect_start
from gitexp.running.preparation import Prepared, prepare
from gitexp.trials import Tried, find_tried
from gitexp.workspace import Workspace


@click.command("run", cls=Starting, context_settings={"allow_interspersed_args": False})
@recording_options
@metric_pattern_option("Reads metrics from the output: NAME=REGEX with one group. Repeatable.")
@click.option("--again", is_flag=True, help="Run it even if this very trial was tried before.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    metavar="TIME",
    help="End the command after TIME: 90, 60s, 5m, 2h.",
)
@click.option("--no-inject", is_flag=True, help="Do not ask a Python program what it parsed.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but problems.")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(
    said: Said,
    metric_patterns: tuple[str, ...],
    again: bool,
    timeout_s: float | None,
    no_inject: bool,
    quiet: bool,
    argv: tuple[str, ...],
) -> int:
    """Record parameters, run a command, record its results

    The code, the parameters, the inputs and the environment are on the branch before the command
    starts; its outcome, metrics and last output afterwards, also when it fails or is killed. `{k}`
    in CMD is replaced by parameter k. Metrics are taken from files, from printed lines
    `METRIC name=value`, by patterns and from the Python API. Ends with the command's own exit
    code, or with 124 when `--timeout` ended it.

    \b
    git exp run -- python train.py --lr 0.01
    git exp run -S lr=0.1 -m "faster?" -- python train.py --lr {lr}
    """
    workspace = open_workspace()
    expect_start(workspace)
    directory = workspace.repo.start
    if workspace.repo.top is None:
        raise GitexpError(
            "cannot run a command here",
            why="the repository is bare: it has no work tree",
            hints=["`git worktree add PATH` makes one", "`git exp record` needs none"],
        )
    with waiting("reading code and data"):
        trial = trial_of(workspace, said, Origin.RUN, argv)
        trial = replace(trial, timeout_s=timeout_s, metric_patterns=metric_patterns or None)
        prepared = prepare(workspace, trial)
    find_command(prepared.argv[0], directory, os.environ)
    for note in () if quiet else prepared.notes:
        say(note)
    for warning in prepared.run.warnings:
        warn(warning)
    policy = "allow" if again else workspace.settings.repeat
    if _is_settled(workspace, prepared, policy, quiet=quiet):
        return ExitCode.DONE
    executed = execute(
        workspace,
        prepared,
        on_start=lambda run, problem: _tell_start(run, problem, quiet=quiet),
        inject=not no_inject,
    )
    _tell_end(workspace, executed, prepared.run.warnings, quiet=quiet)
    return _exit_code(executed)


def _is_settled(workspace: Workspace, prepared: Prepared, policy: str, *, quiet: bool) -> bool:
    """Look for the same trial in the past. True when it need not run; raises `Refused`."""
    if policy == "allow":
        return False
    tried = find_tried(workspace, prepared.run, kin=1, search=50, look=prepared.look_around)
    if not tried.is_known:
        for line in () if quiet else changed_lines(workspace, tried):
            say(line)
        if not quiet and _is_rejected_twin(tried):
            say("not quite this trial, but nearly, was given up:")
            show_tried(workspace, prepared.run, tried, err=True)
        return False
    if not quiet or policy == "skip" or tried.is_rejected:
        show_tried(workspace, prepared.run, tried._replace(kin=()), err=True)
    if policy == "skip":
        say("skipped: this very trial was run before, or is running now")
        return True
    if tried.is_refused(policy):
        decided = tried.decided
        word = decided.decision.decision if decided and decided.decision else "discard"
        raise Refused(
            "not run: this very trial was tried before",
            why=f"it was decided: {word}",
            hints=["change the code, a parameter or the data", "`--again` runs it all the same"],
        )
    return False


_TWINS = (Kin.CODE, Kin.ENVIRONMENT, Kin.UNTOLD)


def _is_rejected_twin(tried: Tried) -> bool:
    """True when a run that differs in no parameter was decided discard or stop."""
    for how, entry in tried.kin:
        decided = entry.decision.decision if entry.decision else None
        if how.relation in _TWINS and decided in (Decision.DISCARD, Decision.STOP):
            return True
    return False


def _tell_start(run: Run, problem: GitexpError | None, *, quiet: bool) -> None:
    if problem is not None:
        tell(problem)
        warn("the run is in the journal only; the next `git exp` command tries again")
    if not quiet and run.command is not None:
        say(f"run {run.id[:7]} {run.name}: {shlex.join(run.command.argv)}")
    sys.stdout.flush()
    sys.stderr.flush()


def _tell_end(
    workspace: Workspace, executed: Executed, told: Sequence[str], *, quiet: bool
) -> None:
    for warning in executed.run.warnings[len(told) :]:
        warn(warning)
    if not executed.recorded:
        for problem in executed.problems:
            tell(problem)
        warn(
            f"run {executed.run.id[:7]} is not on the branch yet; its journal is kept, and the "
            "next `git exp` command completes it"
        )
        return
    if not quiet:
        try:
            show_judgement(workspace, judge(workspace, executed.run), err=True)
        except GitexpError as problem:  # it is recorded; the command's exit code still counts
            tell(problem)
        if not executed.run.metrics:
            from gitexp.cli.proposing import show_proposals  # noqa: PLC0415 - seldom

            show_proposals(workspace, executed.run)


def _exit_code(executed: Executed) -> int:
    code = executed.exit_code
    if code == 0 and not executed.recorded:
        return ExitCode.FAILED
    if executed.run.outcome is Outcome.TIMED_OUT:
        return ExitCode.TIMED_OUT
    return code if code >= 0 else 128 - code
