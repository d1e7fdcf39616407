"""Prepare, run and report one run of `git exp run`."""

import json
import os
import shlex
import sys
from dataclasses import dataclass

from gitexp.adapters.system.command import find_command
from gitexp.cli.output.earlier_runs import NOT_COMPARED, changed_lines, show_earlier_runs
from gitexp.cli.output.errors import tell, warn
from gitexp.cli.output.progress import waiting
from gitexp.cli.output.terminal import answer, say
from gitexp.core.analysis.kinship import Kin
from gitexp.core.errors import ExitCode, GitexpError, Refused
from gitexp.core.model.annotations import REJECTED
from gitexp.core.model.run import Outcome, RecordedRun, Run
from gitexp.core.render.harvest import harvest_sentence
from gitexp.core.render.machine_formats import format_json
from gitexp.features.execution.execute import ExecutionResult, execute
from gitexp.features.execution.prepare import PreparedRun, RunRequest, prepare
from gitexp.features.runs.judge import judge_run
from gitexp.features.trials.earlier_runs import EarlierRuns, find_earlier_runs
from gitexp.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """Options for running and reporting."""

    quiet: bool
    as_json: bool
    policy: str
    """The setting `repeat`, or `allow` with `--again`."""
    harvest: tuple[str, ...] | None = None
    """Kinds of files from which to pick up values; `None` means those of the setting."""
    inject: bool = True
    """Whether a Python program reports its parsed arguments and the files it read."""

    @property
    def stdout(self) -> int:
        """The descriptor for the command's standard output; with `--json`, standard error."""
        return 2 if self.as_json else 1


def prepare_run(
    workspace: Workspace, request: RunRequest, how: How, *, find: bool = True
) -> PreparedRun:
    """Prepare a run, and report picked and skipped files and its warnings.

    With `find`, raises `NotRunnable` if the command cannot be started.
    """
    with waiting("reading code and data"):
        prepared = prepare(workspace, request)
    if find:
        find_command(prepared.argv[0], workspace.repo.start, os.environ)
    for note in () if how.quiet else prepared.notes:
        say(note)
    for warning in prepared.run.warnings:
        warn(warning)
    return prepared


def run_prepared(workspace: Workspace, prepared: PreparedRun, how: How) -> ExecutionResult:
    """Execute a prepared run. Report its start and the values picked up from files."""
    executed = execute(
        workspace,
        prepared,
        on_start=lambda run, problem: tell_start(run, problem, quiet=how.quiet),
        stdout=how.stdout,
        harvest=how.harvest,
        inject=how.inject,
    )
    if executed.run.harvested and not how.quiet:
        say(harvest_sentence(executed.run.harvested))
    return executed


def is_settled(workspace: Workspace, prepared: PreparedRun, how: How) -> bool:
    """Look for earlier runs of the trial. Return whether the setting `repeat` skips it.

    Raises `Refused` if the setting is `refuse` and the trial surely was decided discard or stop.
    """
    if how.policy == "allow":
        return False
    tried = find_earlier_runs(
        workspace,
        prepared.run,
        kin=1,
        search=50,
        look=prepared.observe_environment,
        uncompared=prepared.uncompared,
        changed=prepared.changed,
    )
    if not tried.is_known:
        for line in () if how.quiet else changed_lines(workspace, tried):
            say(line)
        if not how.quiet and _is_rejected_twin(tried):
            say("a nearly equal trial was given up:")
            show_earlier_runs(workspace, prepared.run, tried, err=True)
        return False
    if not how.quiet or how.policy == "skip" or tried.is_rejected:
        show_earlier_runs(workspace, prepared.run, tried._replace(kin=()), err=True)
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
            hints=[
                "change the code, a parameter or the data",
                "`--again` runs it anyway",
                NOT_COMPARED,
            ],
        )
    return False


_TWINS = (Kin.CODE, Kin.ENVIRONMENT, Kin.UNTOLD)


def _is_rejected_twin(tried: EarlierRuns) -> bool:
    """Return whether a run with equal parameters was decided discard or stop.

    Such a run differs in code or environment only, or its record lacks the content of a file.
    """
    for how, entry in tried.kin:
        decided = entry.decision.decision if entry.decision else None
        if how.relation in _TWINS and decided in REJECTED:
            return True
    return False


def tell_start(run: Run, problem: GitexpError | None, *, quiet: bool) -> None:
    """Report the start of a run, and the error if its record was not written."""
    if problem is not None:
        tell(problem)
        warn("the run is in the journal only; the next `git exp` command tries again")
    if not quiet and run.command is not None:
        say(f"run {run.id[:7]} {run.name}: {shlex.join(run.command.argv)}")
    sys.stdout.flush()
    sys.stderr.flush()


def tell_problems(executed: ExecutionResult) -> bool:
    """Report warnings and errors of a run's record. Return whether it is on the branch."""
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


def print_ended(workspace: Workspace, runs: list[Run], *, stopped: bool = False) -> None:
    """Print finished runs as JSON, with the verdicts on the last of them."""
    judgement = judge_run(workspace, runs[-1])
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


def _print_settled(
    workspace: Workspace, identical: tuple[RecordedRun, ...], *, refused: bool
) -> None:
    documents = workspace.index.documents([entry.run.id for entry in identical])
    found = [json.loads(text) for text in documents]
    answer(format_json({"schema": 1, "refused": refused, "runs": [], "identical": found}))


def exit_code_of(executed: ExecutionResult) -> int:
    """Return the exit code of `git exp run`: the command's, or 128 plus its signal.

    `FAILED` if the command succeeded without a record on the branch, `TIMED_OUT` after the limit.
    """
    code = executed.exit_code
    if code == 0 and not executed.recorded:
        return ExitCode.FAILED
    if executed.run.outcome is Outcome.TIMED_OUT:
        return ExitCode.TIMED_OUT
    return code if code >= 0 else 128 - code
