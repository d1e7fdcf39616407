"""Print verdicts, in the same form for `run`, `finish`, `record` and `compare`."""

import sys

import click

from gitexp.cli.output.terminal import wants_colour, width
from gitexp.core.analysis.advice import next_step
from gitexp.core.model.run import Outcome, RecordedRun, Run, numbers
from gitexp.core.render.colour import style
from gitexp.core.render.run_detail import TextOptions
from gitexp.core.render.run_table import decision_word
from gitexp.core.render.text import clean, fold, format_duration
from gitexp.core.render.verdict_sentence import alone_sentence, metric_sentence
from gitexp.features.runs.judge import RunVerdict, advised
from gitexp.storage.workspace import Workspace


def show_judgement(workspace: Workspace, judgement: RunVerdict, *, err: bool) -> None:
    """Print how a run ended, its verdict, and the next step."""
    run = judgement.run
    stream = sys.stderr if err else sys.stdout
    short = workspace.index.short([run.id])[run.id]
    click.echo(f"run {short} {clean(run.name)} {ended_words(run)}", file=stream)
    sentence = judgement_sentence(
        workspace, judgement, colour=wants_colour(stream), tell_guess=True
    )
    columns = width() if stream.isatty() else None
    if sentence:
        click.echo(fold(sentence, columns), file=stream)
    click.echo(fold(f"next: {next_step(advised(judgement), short)}", columns), file=stream)


def ended_words(run: Run) -> str:
    """Return the outcome as text: `failed with exit code 2 after 1.5 s`."""
    ended = run.outcome.value
    if run.outcome is Outcome.FAILED and run.command and run.command.exit_code is not None:
        ended += f" with exit code {run.command.exit_code}"
    if run.duration_s is not None:
        ended += f" after {format_duration(run.duration_s)}"
    return ended


def judgement_sentence(
    workspace: Workspace,
    judgement: RunVerdict,
    *,
    colour: bool = False,
    tell_guess: bool = False,
    precision: int = 5,
) -> str:
    """Return `accuracy 0.85: better than the last, 0.80; best so far`; empty without a metric."""
    last, best = judgement.verdict("last"), judgement.verdict("best")
    if last or best:
        parent = judgement.run.parent
        is_parents = judgement.last is not None and judgement.last.against == "parent"
        return metric_sentence(
            last,
            best,
            claim=judgement.claim,
            guards=judgement.guards,
            parent=workspace.index.short([parent])[parent] if parent and is_parents else None,
            is_repeat=judgement.is_repeat,
            precision=precision,
            colour=colour,
            tell_guess=tell_guess,
        )
    value = numbers(judgement.run.metrics).get(judgement.metric or "")
    if value is None:
        return ""
    reproduces = judgement.run.reproduces
    return alone_sentence(
        judgement.metric or "",
        value,
        judgement.group,
        outcome=judgement.run.outcome,
        reproduces=None if reproduces is None else reproduces[:7],
        guards=judgement.guards,
        precision=precision,
    )


def one_line(entry: RecordedRun, view: TextOptions, sentence: str) -> str:
    """Return the line of a run in `git exp log --oneline`."""
    run = entry.run
    short = style(view.ids.get(run.id, run.id[:7]), "id", enabled=view.colour)
    told = sentence or run.outcome.value
    decided = decision_word(entry)
    return f"{short} {clean(run.name)}: {told}" + (f" [{decided}]" if decided else "")
