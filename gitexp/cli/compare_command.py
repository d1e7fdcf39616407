"""`git exp compare`: compare trials."""

import click

from gitexp.cli.output.terminal import answer, open_workspace, view_of, wants_colour, width
from gitexp.cli.output.verdicts import judgement_sentence
from gitexp.cli.params.options import deciding_option, json_option, precision_option
from gitexp.cli.params.run_argument import find_entries, known_metric
from gitexp.core.analysis.advice import next_step
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import Comparison, MetricVerdict, overall
from gitexp.core.errors import ExitCode, InvalidInput, Undetermined
from gitexp.core.model.run import RecordedRun
from gitexp.core.render.machine_formats import format_json
from gitexp.core.render.text import clean, fold
from gitexp.core.render.verdict import comparison_heading, comparison_table
from gitexp.core.render.verdict_sentence import is_one_reference, run_sentence
from gitexp.features.runs.judge import (
    RunVerdict,
    advised,
    compare_pair,
    judge_run,
    judge_run_guards,
    with_guards,
)
from gitexp.features.runs.main_metric import metric_of
from gitexp.storage.workspace import Workspace

EXIT = {
    Answer.BETTER: ExitCode.DONE,
    Answer.SAME: ExitCode.DONE,
    Answer.WORSE: ExitCode.NO,
    Answer.UNKNOWN: ExitCode.UNKNOWN,
}


@click.command("compare")
@deciding_option
@click.option("--single", is_flag=True, help="Compare single runs as numbers, without repeats.")
@click.option("--strict", is_flag=True, help="Cannot tell (125) while the noise is unknown.")
@precision_option
@json_option
@click.argument("runs", nargs=-1, metavar="[RUN [OTHER]...]")
def command(
    metric: str | None,
    single: bool,
    strict: bool,
    precision: int,
    as_json: bool,
    runs: tuple[str, ...],
) -> int:
    """Say which trial is better

    Repeats of a trial, whatever their seeds, form one group. Groups are compared by their means
    against the noise of the repeats. Without arguments: the last run's group against the previous
    group and the best one; with one RUN: that run's group; with more: the first against each of the
    others. Exit code 0: not worse; 1: worse, or a guard is broken; 125: cannot tell.

    \b
    git exp compare
    git exp compare last best:accuracy
    """
    workspace = open_workspace()
    entries = find_entries(workspace, runs or ("last",))
    if metric is not None:
        metric = known_metric(workspace, metric)
    if single and len(entries) < 2:
        raise InvalidInput(
            "`--single` compares two runs",
            hints=["name both: `git exp compare --single RUN OTHER`"],
        )
    if not as_json and _is_itself(entries):
        answer(f"{entries[0].run.id[:7]} {clean(entries[0].run.name)} is that run itself")
        return ExitCode.DONE
    run = entries[0].measured
    decisive = metric or metric_of(workspace, run)
    judgement = _judgement(workspace, entries, decisive, single=single)
    comparisons = _comparisons(workspace, entries, judgement, decisive, single=single)
    if not comparisons:
        raise _nothing(judgement)
    answers = [
        _answer(comparison, decisive, judgement, strict=strict) for comparison in comparisons
    ]
    if as_json:
        answer(format_json(_document(judgement, decisive, answers[0], comparisons)))
    elif len(entries) == 1:
        _print_judgement(workspace, judgement, comparisons, precision)
    else:
        _print_pairs(workspace, judgement, comparisons, precision)
    return EXIT[answers[0]]


def _is_itself(entries: list[RecordedRun]) -> bool:
    return len(entries) > 1 and all(e.run.id == entries[0].run.id for e in entries[1:])


def _judgement(
    workspace: Workspace, entries: list[RecordedRun], metric: str | None, *, single: bool
) -> RunVerdict:
    """Judge the first run against the last and the best.

    With other runs named, return a judgement of the guards only; with `single`, an empty one.
    """
    run = entries[0].measured
    if single:
        return RunVerdict(run=run, metric=metric)
    if len(entries) > 1:
        guards = judge_run_guards(workspace, run, metric)
        return RunVerdict(run=run, metric=metric, guards=tuple(guards))
    return judge_run(workspace, run, metric=metric, refresh=False, every_metric=True)


def _comparisons(
    workspace: Workspace,
    entries: list[RecordedRun],
    judgement: RunVerdict,
    metric: str | None,
    *,
    single: bool,
) -> list[Comparison]:
    if len(entries) == 1:
        return [c for c in (judgement.last, judgement.best) if c is not None]
    run = entries[0].measured
    return [
        compare_pair(workspace, run, other.measured, main=metric, single=single)
        for other in entries[1:]
    ]


def _nothing(judgement: RunVerdict) -> Undetermined:
    short = judgement.run.id[:7]
    if judgement.run.reproduces is not None:
        return Undetermined(
            f"run {short} is not compared with others",
            why=f"it reproduces {judgement.run.reproduces[:7]}, and a repeat is no improvement",
            hints=[f"`git exp compare {judgement.run.reproduces[:7]}` compares that one"],
        )
    if judgement.metric is None:
        return Undetermined(
            f"there is nothing to compare run {short} with",
            why="it measured nothing",
            hints=["let the command print `METRIC name=value`, or name its metrics file"],
        )
    return Undetermined(
        f"there is nothing to compare run {short} with",
        why="no other trial measured the same",
        hints=["change one thing and record a second trial: `git exp run -- CMD`"],
    )


def _answer(
    comparison: Comparison, metric: str | None, judgement: RunVerdict, *, strict: bool
) -> Answer:
    """Combine the verdict of the main metric with the guards.

    If `strict`, the answer is unknown while the noise is unknown, and for a metric of the machine,
    such as a duration, unless the runs alternated.
    """
    found = overall(comparison.verdicts, metric)
    verdict = _main(comparison, metric)
    if strict and verdict is not None and (verdict.basis is Basis.UNKNOWN or verdict.apart):
        found = Answer.UNKNOWN
    return with_guards(found, judgement.guards)


def _main(comparison: Comparison, metric: str | None) -> MetricVerdict | None:
    return next((v for v in comparison.verdicts if v.metric == metric), None)


def _document(
    judgement: RunVerdict, metric: str | None, found: Answer, comparisons: list[Comparison]
) -> dict[str, object]:
    return {
        "schema": 2,
        "run": judgement.run.id,
        "group": None if judgement.group is None else judgement.group.key,
        "metric": metric,
        "answer": found.value,
        "comparisons": comparisons,
        "guards": judgement.guards,
    }


def _print_judgement(
    workspace: Workspace, judgement: RunVerdict, comparisons: list[Comparison], precision: int
) -> None:
    sentence = judgement_sentence(
        workspace, judgement, colour=wants_colour(), tell_guess=True, precision=precision
    )
    answer(fold(sentence, width()))
    last, best = judgement.verdict("last"), judgement.verdict("best")
    shown = comparisons[1:] if is_one_reference(last, best) else comparisons
    _print_tables(workspace, shown, precision)
    answer(fold(f"next: {next_step(advised(judgement), judgement.run.id[:7])}", width()))


def _print_pairs(
    workspace: Workspace, judgement: RunVerdict, comparisons: list[Comparison], precision: int
) -> None:
    short = workspace.index.short(
        [v.reference for c in comparisons for v in c.verdicts if v.reference]
    )
    for comparison in comparisons:
        verdict = _main(comparison, judgement.metric)
        if verdict is not None and verdict.reference is not None:
            sentence = run_sentence(
                verdict,
                against=short[verdict.reference],
                guards=judgement.guards,
                precision=precision,
            )
            answer(fold(sentence, width()))
    _print_tables(workspace, comparisons, precision)


def _print_tables(workspace: Workspace, comparisons: list[Comparison], precision: int) -> None:
    ids = [v.reference for c in comparisons for v in c.verdicts if v.reference]
    view = view_of(workspace, [comparisons[0].run, *ids], precision=precision)
    for comparison in comparisons:
        answer(comparison_heading(comparison, ids=view.ids))
        answer(comparison_table(comparison, width=view.width, precision=precision))
        click.echo()
