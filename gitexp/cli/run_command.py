"""`git exp run`: record, run, record, judge."""

import os
import shlex
import sys
from collections.abc import Sequence

import click

from gitexp.cli.progress import waiting
from gitexp.cli.recording import Said, recording_options, trial_of
from gitexp.cli.report import tell, warn
from gitexp.cli.terminal import open_workspace, say
from gitexp.cli.verdicts import changed_lines, show_judgement, show_tried
from gitexp.comparison import Kin
from gitexp.errors import ExitCode, GitexpError, Refused
from gitexp.judgement import Tried, find_tried, judge
from gitexp.machine.process import find_command
from gitexp.model import Decision, Origin, Run
from gitexp.running.execution import Executed, execute
from gitexp.running.preparation import Prepared, prepare
from gitexp.workspace import Workspace


@click.command("run", context_settings={"allow_interspersed_args": False})
@recording_options
@click.option("--again", is_flag=True, help="Run it even if this very trial was tried before.")
@click.option("--no-inject", is_flag=True, help="Do not ask a Python program what it parsed.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but problems.")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(
    said: Said,
    again: bool,
    no_inject: bool,
    quiet: bool,
    argv: tuple[str, ...],
) -> int:
    """Record parameters, run a command, record its results

    The code, the parameters, the inputs and the environment are on the branch before the command
    starts; its outcome, metrics and last output afterwards, also when it fails or is killed. `{k}`
    in CMD is replaced by parameter k. Metrics are taken from files, from printed lines
    `METRIC name=value` and from the Python API. Ends with the command's own exit code.

    \b
    git exp run -- python train.py --lr 0.01
    git exp run -S lr=0.1 -m "faster?" -- python train.py --lr {lr}
    """
    workspace = open_workspace()
    directory = workspace.repo.start
    if workspace.repo.top is None:
        raise GitexpError(
            "cannot run a command here",
            why="the repository is bare: it has no work tree",
            hints=["`git worktree add PATH` makes one", "`git exp record` needs none"],
        )
    with waiting("reading code and data"):
        prepared = prepare(workspace, trial_of(workspace, said, Origin.RUN, argv))
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
    tried = find_tried(workspace, prepared.run, kin=1, search=50)
    if not tried.identical:
        for line in () if quiet else changed_lines(workspace, tried):
            say(line)
        if not quiet and _is_rejected_twin(tried):
            say("not quite this trial, but nearly, was given up:")
            show_tried(workspace, prepared.run, tried, err=True)
        return False
    if not quiet or policy == "skip" or tried.is_rejected:
        show_tried(workspace, prepared.run, tried._replace(kin=()), err=True)
    if policy == "skip":
        say("skipped: this very trial was run before")
        return True
    if policy == "refuse" and tried.is_rejected:
        decided = tried.decided
        word = decided.decision.decision if decided and decided.decision else "discard"
        raise Refused(
            "not run: this very trial was tried before",
            why=f"it was decided: {word}",
            hints=["change the code, a parameter or the data", "`--again` runs it all the same"],
        )
    return False


def _is_rejected_twin(tried: Tried) -> bool:
    """True when the nearest relative differs in code only and was decided discard or stop."""
    for relation, entry in tried.kin:
        decided = entry.decision.decision if entry.decision else None
        if relation is Kin.CODE and decided in (Decision.DISCARD, Decision.STOP):
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


def _exit_code(executed: Executed) -> int:
    code = executed.exit_code
    if code == 0 and not executed.recorded:
        return ExitCode.FAILED
    return code if code >= 0 else 128 - code
