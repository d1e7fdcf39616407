"""Runs that the user starts and ends by hand: `git exp start`, `note -M`, `finish`.

A manual run has no process, so recovery leaves it alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gitexp.adapters.journal.journal import Journal, read_journal
from gitexp.adapters.system import clock
from gitexp.core.errors import NotFound
from gitexp.core.inputs.files import parse_metrics
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome, Run, Table, flatten, nest
from gitexp.core.schema.limits import check_table
from gitexp.core.schema.toml_codec import decode_run
from gitexp.features.recording.record import apply_totals, fold_events, read_file, seal
from gitexp.storage.workspace import Workspace


def log_by_hand(workspace: Workspace, run: RunId, metrics: Table, *, step: int | None) -> None:
    """Add metrics to an open run. Raises `NotFound` when it is not open."""
    check_table(metrics, "metric")
    journal = _open_journal(workspace, run)
    journal.append("metrics", values=dict(flatten(metrics)), step=step)
    journal.close()


def finish_by_hand(
    workspace: Workspace,
    run: RunId,
    metrics: Table,
    *,
    files: Sequence[Path],
    outcome: Outcome,
    exit_code: int | None,
) -> Run:
    """End a manual run. Returns it as recorded. Raises `NotFound`, `InvalidInput`."""
    journal = _open_journal(workspace, run)
    content = read_journal(journal.path)
    found = fold_events(content)
    started_run = decode_run(content.record)
    from_files: Table = {}
    series = found.series
    for file in files:
        values, rows = parse_metrics(read_file(file), file.suffix, name=file.name)
        from_files = nest(from_files, values)
        series = series or rows
    ended = apply_totals(started_run, found)
    command = ended.command
    if command is not None and exit_code is not None:
        command = replace(command, exit_code=exit_code)
    ended = replace(
        ended,
        outcome=outcome,
        duration_s=max(0.0, (clock.now() - ended.started).total_seconds()),
        metrics=nest(ended.metrics, from_files, metrics),
        command=command,
    )
    packages = content.extra.get("packages", {})
    return seal(workspace, journal, ended, series, packages, notes=found.notes)


def _open_journal(workspace: Workspace, run: RunId) -> Journal:
    try:
        return Journal.attach(
            workspace.journals / f"{run}.journal", durable=workspace.settings.durable
        )
    except NotFound as error:
        raise NotFound(
            f"run {run[:7]} is not open here",
            hints=["`git exp start` opens a run; `git exp list` shows which are running"],
        ) from error
