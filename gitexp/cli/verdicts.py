"""How verdicts and repeats are told, by `run`, `finish`, `record`, `compare` and `tried` alike.

Floor 6.
"""

import sys

import click

from gitexp.cli.terminal import wants_colour
from gitexp.comparison import Kin
from gitexp.judgement import Judgement, Tried, choose_metric, differing_code
from gitexp.machine import clock
from gitexp.model import Entry, Outcome, Run, numbers
from gitexp.render.colour import style
from gitexp.render.detail import View
from gitexp.render.listing import value_at
from gitexp.render.text import clean, format_age, format_cell, format_duration, shorten
from gitexp.render.verdict import metric_sentence
from gitexp.workspace import Workspace


def show_judgement(workspace: Workspace, judgement: Judgement, *, err: bool) -> None:
    """Say how a run ended, whether it is better, and what to do next."""
    run = judgement.run
    stream = sys.stderr if err else sys.stdout
    short = workspace.index.short([run.id])[run.id]
    ended = run.outcome.value
    if run.outcome is Outcome.FAILED and run.command and run.command.exit_code is not None:
        ended += f" with exit code {run.command.exit_code}"
    if run.duration_s is not None:
        ended += f" after {format_duration(run.duration_s)}"
    click.echo(f"run {short} {clean(run.name)} {ended}", file=stream)
    sentence = judgement_sentence(judgement, colour=wants_colour(stream), tell_guess=True)
    if sentence:
        click.echo(sentence, file=stream)
    click.echo(f"next: {judgement.advice.replace('last', short, 1)}", file=stream)


def judgement_sentence(
    judgement: Judgement, *, colour: bool = False, tell_guess: bool = False
) -> str:
    """`accuracy 0.85: better than the last, 0.80; best so far`; empty when nothing was measured."""
    last, best = judgement.verdict("last"), judgement.verdict("best")
    if last or best:
        return metric_sentence(last, best, colour=colour, tell_guess=tell_guess)
    value = numbers(judgement.run.metrics).get(judgement.metric or "")
    if value is None:
        return ""
    return f"{clean(judgement.metric or '')} {format_cell(value)}: nothing to compare with yet"


def show_tried(workspace: Workspace, run: Run, tried: Tried, *, err: bool) -> None:
    """Show the past runs of a trial with what was decided, and its nearest relatives."""
    entries = [*tried.identical[:3], *(entry for _, entry in tried.kin)]
    ids = workspace.index.short([entry.run.id for entry in entries])
    lines = changed_lines(workspace, tried)
    if tried.identical:
        lines.append("this very trial was run before:")
        lines += [_line(workspace, entry, ids[entry.run.id]) for entry in tried.identical[:3]]
        if len(tried.identical) > 3:
            lines.append(f"  and {len(tried.identical) - 3} more")
    if tried.kin:
        lines.append("related runs:")
        lines += [
            f"{_line(workspace, entry, ids[entry.run.id])} "
            f"({_difference(workspace, run, relation, entry.run)})"
            for relation, entry in tried.kin
        ]
    for line in lines:
        click.echo(line, err=err)


def changed_lines(workspace: Workspace, tried: Tried) -> list[str]:
    """`not a repeat of 0f54d60 brave-otter: data.csv, which it read, has changed since …`."""
    few = tried.changed[:3]
    ids = workspace.index.short([entry.run.id for entry, _ in few])
    return [
        f"not a repeat of {ids[entry.run.id]} {clean(entry.run.name)}: {clean(path)}, "
        "which it read and git does not track, has changed since"
        for entry, path in few
    ]


def _difference(workspace: Workspace, run: Run, relation: Kin, other: Run) -> str:
    """`other params`, or `other code: train.py and 2 more`."""
    paths = differing_code(workspace, run, other) if relation is Kin.CODE else []
    if not paths:
        return relation.value
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    return f"{relation.value}: {clean(', '.join(paths[:2]))}{more}"


def _line(workspace: Workspace, entry: Entry, short: str) -> str:
    """`  7f3a9c0 brave-otter, 2 days ago: succeeded, accuracy 0.85; decided discard: too slow`."""
    run = entry.run
    metric = choose_metric(workspace.settings, run)
    told = run.outcome.value
    if metric is not None:
        told += f", {clean(metric)} {format_cell(value_at(entry, f'metrics.{metric}'))}"
    if entry.decision is not None and entry.decision.decision is not None:
        why = f": {shorten(clean(entry.decision.text), 80)}" if entry.decision.text else ""
        told += f"; decided {entry.decision.decision.value}{why}"
        if entry.decision.hint:
            told += f"; next: {shorten(clean(entry.decision.hint), 80)}"
    age = format_age(run.started, now=clock.now())
    return f"  {short} {clean(run.name)}, {age}: {told}"


def one_line(entry: Entry, view: View, sentence: str) -> str:
    """A run on one line of `git exp log --oneline`."""
    run = entry.run
    short = style(view.ids.get(run.id, run.id[:7]), "id", enabled=view.colour)
    told = sentence or run.outcome.value
    decided = entry.decision.decision if entry.decision else None
    return f"{short} {clean(run.name)}: {told}" + (f" [{decided.value}]" if decided else "")
