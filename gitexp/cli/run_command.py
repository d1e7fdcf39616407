"""`git exp run`: record, run, record, judge."""

import os
import shlex
import sys
from dataclasses import dataclass, replace

import click

from gitexp.cli.options import Duration, Whole, json_option, metric_pattern_option
from gitexp.cli.progress import waiting
from gitexp.cli.recording import Said, Starting, recording_options, trial_of
from gitexp.cli.report import tell, warn
from gitexp.cli.selection import find_entry
from gitexp.cli.terminal import answer, open_workspace, say
from gitexp.cli.trials import changed_lines, show_tried
from gitexp.cli.verdicts import show_judgement
from gitexp.comparison import Kin
from gitexp.errors import ExitCode, GitexpError, InvalidInput, Refused
from gitexp.judgement import judge
from gitexp.machine.process import find_command
from gitexp.model import Decision, Entry, Origin, Outcome, Run
from gitexp.running.execution import Executed, execute
from gitexp.running.lifecycle import expect_start
from gitexp.running.preparation import Prepared, Trial, prepare
from gitexp.trials import Tried, find_tried
from gitexp.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How runs are started and told of."""

    quiet: bool
    as_json: bool
    policy: str
    """The setting `repeat`, or `allow` with `--again`."""
    inject: bool = True
    """Whether a Python program reports what it parsed and read."""

    @property
    def stdout(self) -> int:
        """Where the command's standard output goes: with `--json` it makes room for the answer."""
        return 2 if self.as_json else 1


@click.command("run", cls=Starting, context_settings={"allow_interspersed_args": False})
@recording_options
@metric_pattern_option("Reads metrics from the output: NAME=REGEX with one group. Repeatable.")
@click.option("--again", is_flag=True, help="Run it even if this very trial was tried before.")
@click.option("--repeat", type=Whole(1), metavar="N", help="Run it N times, to learn its noise.")
@click.option(
    "--seeds",
    type=Whole(1),
    metavar="N",
    help="Run it with N seeds: fills {seed}, or replaces a given --seed.",
)
@click.option("--beside", metavar="RUN", help="Take turns with RUN, where the machine drifts.")
@click.option("--no-stop", is_flag=True, help="Go on with repeats that cannot win any more.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    metavar="TIME",
    help="End the command after TIME: 90, 60s, 5m, 2h.",
)
@click.option("--no-inject", is_flag=True, help="Do not ask a Python program what it parsed.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but problems.")
@json_option
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(
    said: Said,
    metric_patterns: tuple[str, ...],
    again: bool,
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
    starts; its outcome, metrics and last output afterwards, also when it fails or is killed. `{k}`
    in CMD is replaced by parameter k. Metrics are taken from files, from printed lines
    `METRIC name=value`, by patterns and from the Python API. Ends with the command's own exit
    code, or with 124 when `--timeout` ended it.

    Repeats (`--repeat`, `--seeds`) count as one look at the results and are judged once, at their
    end. They stop early when they cannot come out better any more. With `--json` the command's
    output goes to standard error.

    \b
    git exp run -- python train.py --lr 0.01
    git exp run -S lr=0.1 -m "faster?" -- python train.py --lr {lr}
    git exp run --seeds 5 -- python train.py --seed {seed}
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
    trial = trial_of(workspace, said, Origin.RUN, argv)
    trial = replace(trial, timeout_s=timeout_s, metric_patterns=metric_patterns or None)
    policy = "allow" if again else workspace.settings.repeat
    how = How(quiet=quiet, as_json=as_json, policy=policy, inject=not no_inject)
    if repeat is None and seeds is None and beside is None:
        return _run_once(workspace, trial, how)
    from gitexp.cli.repeating import run_batch  # noqa: PLC0415 - only for repeats

    reference = None if beside is None else find_entry(workspace, beside)
    count = repeat or seeds or 1
    return run_batch(
        *(workspace, trial, how),
        count=count,
        with_seeds=seeds is not None,
        reference=reference,
        may_stop=not no_stop,
    )


def _run_once(workspace: Workspace, trial: Trial, how: How) -> int:
    prepared = prepare_run(workspace, trial, how)
    if is_settled(workspace, prepared, how):
        return ExitCode.DONE
    executed = run_prepared(workspace, prepared, how)
    _tell_end(workspace, executed, how)
    return exit_code_of(executed)


def prepare_run(workspace: Workspace, trial: Trial, how: How) -> Prepared:
    """Make a run ready, and say what was picked up or left out."""
    with waiting("reading code and data"):
        prepared = prepare(workspace, trial)
    find_command(prepared.argv[0], workspace.repo.start, os.environ)
    for note in () if how.quiet else prepared.notes:
        say(note)
    for warning in prepared.run.warnings:
        warn(warning)
    return prepared


def run_prepared(workspace: Workspace, prepared: Prepared, how: How) -> Executed:
    """Run what is ready; its start is told."""
    return execute(
        workspace,
        prepared,
        on_start=lambda run, problem: tell_start(run, problem, quiet=how.quiet),
        stdout=how.stdout,
        inject=how.inject,
    )


def is_settled(workspace: Workspace, prepared: Prepared, how: How) -> bool:
    """Look for the same trial in the past. True when it need not run; raises `Refused`."""
    if how.policy == "allow":
        return False
    tried = find_tried(workspace, prepared.run, kin=1, search=50, look=prepared.look_around)
    if not tried.is_known:
        for line in () if how.quiet else changed_lines(workspace, tried):
            say(line)
        if not how.quiet and _is_rejected_twin(tried):
            say("not quite this trial, but nearly, was given up:")
            show_tried(workspace, prepared.run, tried, err=True)
        return False
    if not how.quiet or how.policy == "skip" or tried.is_rejected:
        show_tried(workspace, prepared.run, tried._replace(kin=()), err=True)
    if how.policy == "skip":
        say("skipped: this very trial was run before, or is running now")
        if how.as_json:
            _print_settled(workspace, tried.identical, refused=False)
        return True
    if tried.is_refused(how.policy):
        decided = tried.decided
        word = decided.decision.decision if decided and decided.decision else "discard"
        if how.as_json:
            _print_settled(workspace, tried.identical, refused=True)
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


def tell_start(run: Run, problem: GitexpError | None, *, quiet: bool) -> None:
    """Say that a run starts, and what went wrong with the record of its start."""
    if problem is not None:
        tell(problem)
        warn("the run is in the journal only; the next `git exp` command tries again")
    if not quiet and run.command is not None:
        say(f"run {run.id[:7]} {run.name}: {shlex.join(run.command.argv)}")
    sys.stdout.flush()
    sys.stderr.flush()


def tell_problems(executed: Executed) -> bool:
    """Say what went wrong with the record of a run; returns whether it is on the branch."""
    for warning in executed.run.warnings[executed.told :]:
        warn(warning)
    if not executed.recorded:
        for problem in executed.problems:
            tell(problem)
        warn(
            f"run {executed.run.id[:7]} is not on the branch yet; its journal is kept, and the "
            "next `git exp` command completes it"
        )
    return executed.recorded


def _tell_end(workspace: Workspace, executed: Executed, how: How) -> None:
    if not tell_problems(executed):
        return
    if executed.jobs and not how.quiet:
        short = executed.run.id[:7]
        say(f"{executed.jobs} jobs, each recorded as a run whose parent is {short}")
    try:
        if how.as_json:
            print_ended(workspace, [executed.run])
        elif not how.quiet:
            show_judgement(workspace, judge(workspace, executed.run), err=True)
    except GitexpError as problem:  # it is recorded; the command's exit code still counts
        tell(problem)
    if not how.quiet and not executed.run.metrics:
        from gitexp.cli.proposing import show_proposals  # noqa: PLC0415 - seldom

        show_proposals(workspace, executed.run)


def print_ended(workspace: Workspace, runs: list[Run], *, stopped: bool = False) -> None:
    """Print the document of runs that ended, with the verdicts on the last of them."""
    import json  # noqa: PLC0415 - one form of two

    from gitexp.render.machine import format_json  # noqa: PLC0415 - one form of two

    judgement = judge(workspace, runs[-1])
    documents = workspace.index.documents([run.id for run in runs])
    comparisons = [c for c in (judgement.last, judgement.best) if c is not None]
    document = {
        "schema": 1,
        "refused": False,
        "runs": [json.loads(text) for text in documents],
        "metric": judgement.metric,
        "answer": None if judgement.last_answer is None else judgement.last_answer.value,
        "comparisons": comparisons,
        "guards": judgement.guards,
        "next": judgement.advice,
    }
    answer(format_json({**document, "stopped": True} if stopped else document))


def _print_settled(workspace: Workspace, identical: tuple[Entry, ...], *, refused: bool) -> None:
    import json  # noqa: PLC0415 - one form of two

    from gitexp.render.machine import format_json  # noqa: PLC0415 - one form of two

    documents = workspace.index.documents([entry.run.id for entry in identical])
    found = [json.loads(text) for text in documents]
    answer(format_json({"schema": 1, "refused": refused, "runs": [], "identical": found}))


def exit_code_of(executed: Executed) -> int:
    """The command's own exit code, as a shell has it."""
    code = executed.exit_code
    if code == 0 and not executed.recorded:
        return ExitCode.FAILED
    if executed.run.outcome is Outcome.TIMED_OUT:
        return ExitCode.TIMED_OUT
    return code if code >= 0 else 128 - code
