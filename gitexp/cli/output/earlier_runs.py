"""Text about earlier runs of a trial and its kin, for `tried`, `run` and `start`."""

from collections.abc import Mapping

import click

from gitexp.adapters.system import clock
from gitexp.core.analysis.kinship import Difference, Kin, Kinship, diff_tables
from gitexp.core.model.run import Origin, RecordedRun, Run, Value, flatten
from gitexp.core.render.run_table import decision_word, value_at
from gitexp.core.render.text import (
    clean,
    format_age,
    format_cell,
    format_duration,
    format_param,
    shorten,
)
from gitexp.features.runs.main_metric import metric_of
from gitexp.features.trials.earlier_runs import EarlierRuns, Running, differing_code
from gitexp.storage.workspace import Workspace

NOT_COMPARED = (
    "not compared: other environment variables, and files that git ignores and no argument names; "
    "settings `env-params` and `inputs` add them"
)
"""Printed with every refusal: differences that gitexp does not detect."""


def show_earlier_runs(workspace: Workspace, run: Run, tried: EarlierRuns, *, err: bool) -> None:
    """Print the earlier runs of a trial with their decisions, and the nearest kin."""
    running = [found.entry for found in tried.running]
    entries = [*tried.identical[:3], *running, *(entry for _, entry in tried.kin)]
    ids = workspace.index.short([entry.run.id for entry in entries])
    lines = changed_lines(workspace, tried)
    if tried.identical:
        lines.append("this very trial was run before:")
        lines += [_line(workspace, entry, ids[entry.run.id]) for entry in tried.identical[:3]]
        if len(tried.identical) > 3:
            lines.append(f"  and {len(tried.identical) - 3} more")
        lines += [f"  perhaps not the same: {clean(doubt)}" for doubt in tried.doubts]
    if tried.running:
        lines.append("this very trial is running now:")
        lines += [
            f"  {ids[run.id]} {clean(run.name)}: {_running(workspace, found)}"
            for found in tried.running
            for run in (found.entry.run,)
        ]
    if tried.kin:
        lines.append("related runs:")
        lines += [
            f"{_line(workspace, entry, ids[entry.run.id])} "
            f"({_differences(workspace, run, how, entry.run)})"
            for how, entry in tried.kin
        ]
    for line in lines:
        click.echo(line, err=err)


def changed_lines(workspace: Workspace, tried: EarlierRuns) -> list[str]:
    """Return lines `not a repeat of 0f54d60 brave-otter: data.csv, which it read, has changed …`.

    At most three.
    """
    few = tried.changed[:3]
    ids = workspace.index.short([entry.run.id for entry, _ in few])
    return [
        f"not a repeat of {ids[entry.run.id]} {clean(entry.run.name)}: {clean(path)}, "
        "which it read and git does not track, has changed since"
        for entry, path in few
    ]


def _running(workspace: Workspace, found: Running) -> str:
    """Return `running in work tree b since 12 s`."""
    run, top = found.entry.run, workspace.repo.top
    place = ""
    if found.work_tree is not None and found.work_tree != top:
        place = f" in work tree {clean(found.work_tree.name)}"
    seconds = max(0.0, (clock.now() - run.started).total_seconds())
    text = f"running{place} since {format_duration(round(seconds))}"
    if found.is_alive is None:
        by_hand = run.origin is Origin.STEPS
        text += ", begun by hand" if by_hand else ", as far as is known: it was not started here"
    return text


def _differences(workspace: Workspace, run: Run, how: Kinship, other: Run) -> str:
    """Return `lr 0.1 → 0.2; other code: train.py and 2 more`, from the other run to this one."""
    parts = [_difference(workspace, run, difference, other) for difference in how.differences]
    return "; ".join(parts) or how.relation.value


def _difference(workspace: Workspace, run: Run, found: Difference, other: Run) -> str:
    if found.kind in (Kin.SEED, Kin.PARAMS, Kin.COMMAND):
        return _changed_value(found, dict(flatten(other.parsed)))
    if found.kind is Kin.UNTOLD:
        return f"its record does not have the content of {clean(found.name)}"
    names = clean(found.name)
    if found.kind is Kin.CODE:
        paths = differing_code(workspace, run, other)
        more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
        names = f"{clean(', '.join(paths[:2]))}{more}"
    elif found.kind is Kin.ENVIRONMENT:
        names = _changed_environment(found)
    return f"{found.kind.value}: {names}" if names else found.kind.value


def _changed_value(found: Difference, parsed: Mapping[str, Value]) -> str:
    """Return `lr 0.1 → 0.2`; `parsed` has the values that the other run did not get as options."""
    name, before, after = clean(found.name), _value(found.before), _value(found.after)
    if found.is_flag:
        return f"{'with' if found.after is None else 'without'} --{name.replace('_', '-')}"
    if found.before is None and found.name in parsed:
        default = _value(parsed[found.name])
        return (
            f"{name} {default}, the default{', now given' if default == after else f' → {after}'}"
        )
    if found.before is None:
        return f"without {name}, now {after}"
    if found.after is None:
        return f"{name} {before}, now without"
    return f"{name} {before} → {after}"


def _changed_environment(found: Difference) -> str:
    if found.name == "python":
        return f"Python {_value(found.before)} → {_value(found.after)}"
    before, after = (v if isinstance(v, dict) else {} for v in (found.before, found.after))
    variables = diff_tables(before, after)
    parts = [f"{clean(n)} {_value(old)} → {_value(new)}" for n, old, new in variables]
    return ", ".join(parts) or clean(found.name.replace("_", " "))


def _value(value: Value | None) -> str:
    return "unset" if value is None else clean(format_param(value))


def _line(workspace: Workspace, entry: RecordedRun, short: str) -> str:
    """Return one line: `7f3a9c0 brave-otter, 2 days ago: succeeded, accuracy 0.85; decided …`."""
    run = entry.run
    metric = metric_of(workspace, entry.measured)
    told = run.outcome.value
    if metric is not None:
        told += f", {clean(metric)} {format_cell(value_at(entry, f'metrics.{metric}'))}"
    if entry.decision is not None and entry.decision.decision is not None:
        why = f": {shorten(clean(entry.decision.text), 80)}" if entry.decision.text else ""
        told += f"; decided {decision_word(entry)}{why}"
        if entry.decision.hint:
            told += f"; next: {shorten(clean(entry.decision.hint), 80)}"
    age = format_age(run.started, now=clock.now())
    return f"  {short} {clean(run.name)}, {age}: {told}"
