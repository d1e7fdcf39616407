"""`git exp compare`: which run is better."""

import click

from gitexp.cli.options import deciding_option, json_option, precision_option
from gitexp.cli.selection import find_entries, known_metric
from gitexp.cli.terminal import answer, open_workspace, view_of, wants_colour
from gitexp.comparison import Answer, Comparison, compare_runs, next_step, overall
from gitexp.errors import CouldNotTell, ExitCode
from gitexp.judgement import choose_metric, judge, repeats_of
from gitexp.model import Entry
from gitexp.render.machine import format_json
from gitexp.render.text import clean
from gitexp.render.verdict import comparison_heading, comparison_table, metric_sentence
from gitexp.workspace import Workspace

EXIT = {
    Answer.BETTER: ExitCode.DONE,
    Answer.SAME: ExitCode.DONE,
    Answer.WORSE: ExitCode.NO,
    Answer.UNKNOWN: ExitCode.UNKNOWN,
}


@click.command("compare")
@deciding_option
@precision_option
@json_option
@click.argument("runs", nargs=-1, metavar="[RUN [OTHER]...]")
def command(metric: str | None, precision: int, as_json: bool, runs: tuple[str, ...]) -> int:
    """Say which run is better

    Without arguments the last run against the one before it and against the best; with one, that
    run; with more, the first against each of the others. Exit code 0: not worse; 1: worse; 125:
    could not tell.

    \b
    git exp compare
    git exp compare last best:accuracy
    """
    workspace = open_workspace()
    entries = find_entries(workspace, runs or ("last",))
    if metric is not None:
        metric = known_metric(workspace, metric)
    if not as_json and _is_itself(entries):
        answer(f"{entries[0].run.id[:7]} {clean(entries[0].run.name)} is that run itself")
        return ExitCode.DONE
    comparisons = _comparisons(workspace, entries, metric)
    run = entries[0].measured
    decisive = metric or choose_metric(workspace.settings, run)
    if not comparisons:
        raise CouldNotTell(
            f"there is nothing to compare run {run.id[:7]} with",
            why="no earlier run measured the same" if decisive else "it measured nothing",
            hints=["record a second run: `git exp run -- CMD`"]
            if decisive
            else ["let the command print `METRIC name=value`, or name its metrics file"],
        )
    answers = [overall(c.verdicts, decisive) for c in comparisons]
    if as_json:
        answer(
            format_json(
                {
                    "schema": 1,
                    "run": run.id,
                    "metric": decisive,
                    "answer": answers[0].value,
                    "comparisons": comparisons,
                }
            )
        )
    else:
        _print(workspace, comparisons, decisive, precision)
        last = answers[0] if comparisons[0].against != "best" else None
        best = answers[-1] if comparisons[-1].against == "best" else None
        answer(f"next: {next_step(run, last=last, best=best, selector=run.id[:7])}")
    return EXIT[answers[0]]


def _is_itself(entries: list[Entry]) -> bool:
    return len(entries) > 1 and all(e.run.id == entries[0].run.id for e in entries[1:])


def _comparisons(
    workspace: Workspace, entries: list[Entry], metric: str | None
) -> list[Comparison]:
    if len(entries) == 1:
        judgement = judge(workspace, entries[0].measured, metric=metric, refresh=False)
        return [c for c in (judgement.last, judgement.best) if c is not None]
    run, index = entries[0].measured, workspace.index
    found = []
    for other in entries[1:]:
        repeats = [e.measured for e in repeats_of(index, run) + repeats_of(index, other.run)]
        declared = workspace.settings.directions
        verdicts = compare_runs(run, other.measured, declared=declared, repeats=repeats)
        found.append(Comparison(run=run.id, against="run", verdicts=tuple(verdicts)))
    return found


def _print(
    workspace: Workspace, comparisons: list[Comparison], decisive: str | None, precision: int
) -> None:
    ids = [v.reference for c in comparisons for v in c.verdicts if v.reference]
    view = view_of(workspace, [comparisons[0].run, *ids], precision=precision)
    for comparison in comparisons:
        verdict = next((v for v in comparison.verdicts if v.metric == decisive), None)
        if verdict is not None and comparison.against != "run":
            pair = (None, verdict) if comparison.against == "best" else (verdict, None)
            answer(metric_sentence(*pair, precision=precision, colour=wants_colour()))
        answer(comparison_heading(comparison, ids=view.ids))
        answer(comparison_table(comparison, width=view.width, precision=precision))
        click.echo()
