"""The life of a run on its way to the branch: start, what is logged, seal, annotations.

Floor 4. The journal has a run from before its start is recorded until after its seal is; what dies
in between is completed from it (`recovery`).
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gitexp.comparison import compare_runs, primary_metric
from gitexp.errors import GitexpError, InvalidInput
from gitexp.formats import redact_text
from gitexp.ids import RunId
from gitexp.journal import Ending, Journal, JournalContent
from gitexp.machine import clock
from gitexp.model import (
    Annotation,
    AnnotationKind,
    Entry,
    Outcome,
    Run,
    Series,
    Table,
    Value,
    flatten,
    nest,
)
from gitexp.records import bounds
from gitexp.records.codec import encode_run
from gitexp.store import Event, annotated, sealed, started
from gitexp.upkeep.maintenance import start_maintenance
from gitexp.workspace import Workspace

RUN_VARIABLE = "GITEXP_RUN"
"""Tells a command, and the Python API in it, which run it belongs to."""

TAIL_LINES = 40
"""How many of the last lines of output a record keeps."""

RECORDED_HERE = "recorded-here"
"""File in our local state: one id a line."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a run's journal tells beyond its header."""

    params: Table = field(default_factory=dict)
    metrics: Table = field(default_factory=dict)
    series: Series = field(default_factory=list)
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    last_s: float | None = None
    """Seconds from the start to the last sign of life."""


def begin(
    workspace: Workspace, run: Run, packages: Table, *, by_hand: bool = False
) -> tuple[Journal, GitexpError | None]:
    """Start a run: journal first, then the branch.

    The run exists when this returns. A failure to reach the branch is returned, not raised: the
    journal has the run, and its command may go on. Raises `GitexpError` when not even the journal
    can be written.
    """
    remember(workspace, run.id)
    record = encode_run(run)
    event = started(run, packages, record=record)
    with workspace.repo.session():
        workspace.store.expect(event)
        journal = Journal.create(
            workspace.journals,
            run.id,
            record,
            durable=workspace.settings.durable,
            by_hand=by_hand,
            extra={"packages": packages, "group": os.getpgrp() if hasattr(os, "getpgrp") else 0},
        )
        try:
            workspace.store.write([event], identity=workspace.identity, moment=clock.now())
        except GitexpError as error:
            return journal, error
    return journal, None


def seal(workspace: Workspace, journal: Journal, run: Run, series: Series, packages: Table) -> Run:
    """Make a run final: into the journal, onto the branch, then drop the journal.

    `series` may come from a file; the journal is told it too.

    Returns the run as recorded: metrics that a record cannot hold are left out with a warning.
    Raises `GitexpError` when the branch cannot be written; then the journal has the sealed record,
    and the next command completes it.
    """
    run, record = recordable(run)
    with workspace.repo.session():  # git ends while we tidy up
        try:
            journal.seal(record, series=series)
            write_sealed(workspace, run, series, packages, record=record)
        except BaseException:
            journal.close()  # from now on others may complete it
            raise
        journal.remove()
    start_maintenance(workspace.repo)
    return run


def write_sealed(
    workspace: Workspace,
    run: Run,
    series: Series,
    packages: Table,
    *,
    record: bytes | None = None,
) -> None:
    """Put a final run onto the branch, its record made already or not. Raises `GitexpError`."""

    def events() -> list[Event]:
        return [sealed(run, series, summary(workspace, run), packages, record=record)]

    with workspace.repo.session():
        identity, moment = workspace.identity, clock.now()
        workspace.store.write(
            events(),
            identity=identity,
            moment=moment,
            anew=events,
            following=workspace.following,
        )


def recordable(run: Run) -> tuple[Run, bytes]:
    """The run without metrics and outputs that a record cannot hold, each named in a warning.

    With it comes its record.
    """
    metrics, left_out = bounds.recordable(run.metrics, "metric")
    warnings = (*run.warnings, *left_out)
    tail = redact_text(run.output_tail)
    run = replace(run, metrics=metrics, output_tail=tail, warnings=warnings)
    record = _encode(run)
    if record is None and run.parsed:
        warnings = (*warnings, "what the program's parser returned was too much for the record")
        run = replace(run, parsed={}, parser=None, warnings=warnings)
        record = _encode(run)
    if record is None and run.output_tail:
        warnings = (*warnings, "the output's tail was too long")
        run = replace(run, output_tail="", warnings=warnings)
        record = _encode(run)
    named = list(flatten(run.metrics))
    few = len(named)
    while record is None and few:
        few >>= 1
        said = (*warnings, f"the record is full: {few:,} of {len(named):,} metrics are kept")
        run = replace(run, metrics=nest(dict(named[:few])), warnings=said)
        record = _encode(run)
    return run, encode_run(run) if record is None else record


def _encode(run: Run) -> bytes | None:
    """The record of a run; `None` when it would be too large."""
    try:
        return encode_run(run)
    except InvalidInput:
        return None


def summary(workspace: Workspace, run: Run) -> str:
    """One line for the history: the metric that matters and how it compares with the last run."""
    settings = workspace.settings
    metric = settings.metric or primary_metric(run, {**settings.directions, **run.directions})
    value = dict(flatten(run.metrics)).get(metric or "")
    if run.outcome is not Outcome.SUCCEEDED or metric is None or value is None:
        return run.outcome.value
    text = f"{metric} {_short(value)}"
    last = workspace.others().newest(1, with_metric=metric, before=run)
    if last:
        verdicts = compare_runs(
            run, workspace.index.entry(last[0]).run, declared=settings.directions
        )
        found = next((v for v in verdicts if v.metric == metric), None)
        if found is not None and found.answer in ("better", "worse") and found.reference_value:
            text += f" ({found.answer} than {_short(found.reference_value)})"
    return text


def _short(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)[:60]


def collect(content: JournalContent) -> Collected:
    """Fold a journal's events: last value of each metric, series, added parameters and tags.

    A value logged without a step gets the number of values its metric had before. A series where
    no metric has two values says nothing that the metrics do not, and is left out.
    """
    found = _Fold()
    for event in content.events:
        seconds = event.get("time")
        if isinstance(seconds, int | float):
            found.last_s = max(found.last_s or 0.0, float(seconds))
        match event.get("event"):
            case "metrics":
                found.add_metrics(event.get("values", {}), event.get("step"), seconds)
            case "params":
                found.params = nest(found.params, event.get("values", {}))
            case "tags":
                found.tags += event.get("tags", [])
            case "note":
                found.notes.append(str(event.get("text", "")))
    series = [row for _, row in sorted(found.rows.items())] if len(found.rows) > 1 else []
    return Collected(
        found.params,
        found.metrics,
        series,
        tuple(found.tags),
        tuple(found.notes),
        found.last_s,
    )


@dataclass(slots=True)
class _Fold:
    params: Table = field(default_factory=dict)
    metrics: Table = field(default_factory=dict)
    rows: dict[float, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    last_s: float | None = None

    def add_metrics(self, values: Mapping[str, Any], step: float | None, seconds: Any) -> None:
        self.metrics.update(values)
        for name, value in values.items():
            at = self.counts.get(name, 0) if step is None else step
            self.counts[name] = self.counts.get(name, 0) + 1
            row = self.rows.setdefault(at, {"step": at})
            row[name] = value
            if seconds is not None:
                row["time"] = seconds


def with_collected(run: Run, found: Collected) -> Run:
    """The run with what its journal tells added."""
    return replace(
        run,
        params=nest(run.params, found.params) if found.params else run.params,
        metrics=nest(run.metrics, found.metrics),
        tags=tuple(sorted({*run.tags, *found.tags})),
    )


def with_ending(run: Run, ending: Ending) -> Run:
    """The run with how its command ended."""
    return replace(
        run,
        outcome=ending.outcome,
        duration_s=ending.duration_s,
        command=run.command and replace(run.command, exit_code=ending.exit_code),
    )


def note_events(workspace: Workspace, run: Run, texts: Sequence[str]) -> list[Event]:
    """Notes logged while the run went on, as annotations."""
    return [
        annotated(
            run,
            Annotation(
                id=clock.new_id(),
                run=run.id,
                kind=AnnotationKind.NOTE,
                clock=workspace.next_clock(n),
                time=clock.now(),
                author=run.author,
                text=text,
            ),
            text,
        )
        for n, text in enumerate(texts)
    ]


def annotate(workspace: Workspace, entry: Entry, kind: AnnotationKind, **fields: Any) -> Annotation:
    """Say something about a run: one more annotation on the branch. Returns it."""
    for name in ("text", "hint"):
        if fields.get(name):
            fields[name] = redact_text(fields[name])
    annotation = Annotation(
        id=clock.new_id(),
        run=entry.run.id,
        kind=kind,
        clock=workspace.next_clock(),
        time=clock.now(),
        author=workspace.settings.author,
        **fields,
    )
    said = annotation.decision or annotation.verdict or ", ".join(annotation.tags) or ""
    text = ", ".join(part for part in (str(said), annotation.text or "") if part)
    event = annotated(entry.run, annotation, text)
    workspace.store.write([event], identity=workspace.identity, moment=clock.now())
    return annotation


def record_whole(workspace: Workspace, run: Run, series: Series, packages: Table) -> Run:
    """Record a run that has already ended, in one go. Returns it as recorded.

    Raises `GitexpError` when the branch cannot be written; nothing is kept then.
    """
    run, record = recordable(run)
    remember(workspace, run.id)
    write_sealed(workspace, run, series, packages, record=record)
    start_maintenance(workspace.repo)
    return run


# --- whose runs -----------------------------------------------------------------------------------


def remember(workspace: Workspace, run: RunId) -> None:
    """Note that a run was made here; only such runs are run again without asking."""
    with suppress(OSError):
        path = workspace.repo.state_dir / RECORDED_HERE
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as known:
            known.write(f"{run}\n")


def is_recorded_here(workspace: Workspace, run: RunId) -> bool:
    """Tell whether a run was made in this clone; the author in a record proves nothing."""
    try:
        return f"{run}\n" in (workspace.repo.state_dir / RECORDED_HERE).read_text()
    except OSError:
        return False


def read_file(path: Path) -> bytes:
    """The content of a file the user named. Raises `InvalidInput`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read '{path}'", why=error.strerror) from error
