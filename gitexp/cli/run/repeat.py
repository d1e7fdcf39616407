"""The repeats of `git exp run`: run one after the other, with one verdict at the end."""

from dataclasses import replace

from gitexp.cli.output.errors import tell
from gitexp.cli.output.terminal import say, width
from gitexp.cli.output.verdicts import ended_words, show_judgement
from gitexp.cli.run.start import (
    How,
    exit_code_of,
    is_settled,
    prepare_run,
    print_ended,
    run_prepared,
    tell_problems,
    tell_start,
)
from gitexp.core.errors import ExitCode, GitexpError
from gitexp.core.model.run import Outcome, RecordedRun, Run, Tolerance, numbers
from gitexp.core.render.text import clean, fold, format_cell, format_number
from gitexp.core.render.verdict_sentence import run_sentence
from gitexp.features.execution.execute import ExecutionResult
from gitexp.features.execution.prepare import RunRequest
from gitexp.features.execution.repeats import (
    Batch,
    Turn,
    hopeless_against,
    new_batch,
    plan_repeats,
    plan_seeds,
)
from gitexp.features.execution.reproduce import reproduce
from gitexp.features.runs.judge import compare_pair, judge_run
from gitexp.features.runs.main_metric import choose_metric, metric_of
from gitexp.storage.workspace import Workspace


def run_batch(
    workspace: Workspace,
    request: RunRequest,
    how: How,
    *,
    count: int,
    with_seeds: bool,
    reference: RecordedRun | None,
    may_stop: bool,
) -> int:
    """Run a trial several times, in turns with a reference if there is one.

    Return the exit code of the first run that failed, else 0.
    """
    if with_seeds:
        turns = plan_seeds(workspace, request, count, reference)
    else:
        turns = plan_repeats(request, count)
    batch = new_batch(len(turns))
    ended: list[ExecutionResult] = []
    stopped = False
    for turn in turns:
        if reference is not None:  # before the trial, so that `last` is a run of the trial
            _reference_turn(workspace, batch, turn, reference, how)
        executed = _take_turn(workspace, batch, turn, how, is_first=not ended)
        if executed is None:
            return ExitCode.DONE
        ended.append(executed)
        _tell_turn(workspace, executed, turn, len(turns), how)
        if executed.run.outcome is Outcome.INTERRUPTED or not executed.recorded:
            break
        if turn.round == 1 and exit_code_of(executed) and len(turns) > 1:
            say(f"the first run did not succeed, so the other {len(turns) - 1} were not started")
            break
        if may_stop and turn.round < len(turns):
            stopped = _is_lost(workspace, executed.run, turn, len(turns), reference, how)
            if stopped:
                break
    _tell_batch(workspace, ended, reference, how, stopped=stopped)
    return next((code for code in map(exit_code_of, ended) if code), ExitCode.DONE)


def _take_turn(
    workspace: Workspace, batch: Batch, turn: Turn, how: How, *, is_first: bool
) -> ExecutionResult | None:
    """Run the trial once. Return `None` if the setting `repeat` skips it as already recorded."""
    prepared = prepare_run(workspace, turn.request, how if is_first else replace(how, quiet=True))
    if is_first and is_settled(workspace, prepared, how):
        return None
    prepared = prepared._replace(run=batch.mark(prepared.run, turn))
    return run_prepared(workspace, prepared, how)


def _tell_turn(
    workspace: Workspace, executed: ExecutionResult, turn: Turn, count: int, how: How
) -> None:
    if not tell_problems(executed) or how.quiet:
        return
    run = executed.run
    text = f"{turn.round} of {count}: {run.id[:7]} {ended_words(run)}"
    metric = choose_metric(workspace.settings, run)
    if metric is not None:
        text += f", {clean(metric)} {format_cell(numbers(run.metrics)[metric])}"
    say(text)


def _reference_turn(
    workspace: Workspace, batch: Batch, turn: Turn, reference: RecordedRun, how: How
) -> None:
    """Run the recorded code of the reference. An error of gitexp is reported, not raised."""
    try:
        reproduce(
            workspace,
            reference,
            tolerances={},
            default=Tolerance(),
            on_start=lambda run, problem: tell_start(run, problem, quiet=how.quiet),
            stdout=how.stdout,
            mark=lambda run: batch.mark(run, turn),
            is_verdict=False,
        )
    except GitexpError as problem:
        tell(problem)


def _is_lost(
    workspace: Workspace, run: Run, turn: Turn, count: int, reference: RecordedRun | None, how: How
) -> bool:
    """Return whether the other repeats can hardly show an improvement any more, and report it.

    An improvement over the reference, else over the best other trial.
    """
    found = hopeless_against(workspace, run, count, reference)
    if found is not None and not how.quiet:
        own, other = found
        say(
            f"stopped after {turn.round} of {count}: {format_number(own.mean)} can hardly beat "
            f"{format_number(other.mean)} any more"
        )
    return found is not None


def _tell_batch(
    workspace: Workspace,
    ended: list[ExecutionResult],
    reference: RecordedRun | None,
    how: How,
    *,
    stopped: bool,
) -> None:
    """Print one verdict on the whole batch: a verdict after each run would test several times."""
    recorded = [executed.run for executed in ended if executed.recorded]
    succeeded = [run for run in recorded if run.outcome is Outcome.SUCCEEDED]
    if not recorded:
        return
    run = (succeeded or recorded)[-1]
    try:
        if how.as_json:
            print_ended(workspace, [*[r for r in recorded if r is not run], run], stopped=stopped)
        elif not how.quiet:
            show_judgement(workspace, judge_run(workspace, run), err=True)
            if reference is not None:
                _tell_reference(workspace, run, reference)
    except GitexpError as problem:  # the runs are recorded: keep the command's exit code
        tell(problem)


def _tell_reference(workspace: Workspace, run: Run, reference: RecordedRun) -> None:
    metric = metric_of(workspace, run)
    comparison = compare_pair(workspace, run, reference.measured, main=metric)
    for verdict in comparison.verdicts:
        if verdict.metric == metric:
            against = f"{reference.run.id[:7]} {reference.run.name}"
            say(fold(run_sentence(verdict, against=against), width()))
