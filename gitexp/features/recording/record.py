"""Record a run: write its start, collect what it logs, seal it.

The journal holds a run from before its start is on the branch until after its seal is. If the
process dies in between, `recover` completes the run from the journal.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gitexp.adapters.git.maintenance import start_maintenance
from gitexp.adapters.journal.journal import CommandEnding, Journal, JournalContent
from gitexp.adapters.journal.new_metrics import MetricEvents
from gitexp.adapters.journal.output_archive import read_output
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.core.inputs.redaction import redact_text
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    RecordedRun,
    Run,
    Series,
    Table,
    flatten,
    nest,
)
from gitexp.core.schema import limits
from gitexp.core.schema.toml_codec import encode_run
from gitexp.features.recording.made_here import mark_recorded_here
from gitexp.features.recording.subject import short_value, summary
from gitexp.storage.branch.events import RunEvent, annotated, sealed, started
from gitexp.storage.workspace import Workspace

TAIL_LINES = 40
"""Number of last lines of the output that a record keeps."""

TIMEOUT = "timeout"
"""Journal event: the command reached its time limit, and gitexp is about to end it."""

PRUNED = "pruned"
"""Journal event: the sweep is about to stop the trial, at the step `step`."""


@dataclass(frozen=True, slots=True)
class JournalTotals:
    """Data of a run in its journal, beyond the header."""

    params: Table = field(default_factory=dict)
    metrics: Table = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    series: Series = field(default_factory=list)
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    last_s: float | None = None
    """Seconds from the start to the last sign of life."""
    printed: frozenset[str] = frozenset()
    """Metrics that the command printed and did not log otherwise."""


def record_start(
    workspace: Workspace, run: Run, packages: Table, *, by_hand: bool = False
) -> tuple[Journal, GitexpError | None]:
    """Start a run: write the journal first, then the branch.

    The run exists when this returns. An error of the branch is returned, not raised: the journal
    has the run, so its command may continue. Raises `GitexpError` when the journal cannot be
    written.
    """
    mark_recorded_here(workspace, run.id)
    record = encode_run(run)
    event = started(run, packages, record=record)
    journal = Journal.create(
        workspace.journals,
        run.id,
        record,
        durable=workspace.settings.durable,
        by_hand=by_hand,
        extra={
            "packages": packages,
            "group": os.getpgrp(),
            "top": None if workspace.repo.top is None else str(workspace.repo.top),
        },
    )
    try:
        workspace.record([event])
    except GitexpError as error:
        return journal, error
    _note_start(workspace, run)
    return journal, None


def seal(
    workspace: Workspace,
    journal: Journal,
    run: Run,
    series: Series,
    packages: Table,
    *,
    notes: Sequence[str] = (),
) -> Run:
    """Seal a run: write it to the journal, then to the branch, then delete the journal.

    `series` may come from a file; the journal stores it too. `notes` are those in the journal.

    Returns the run as recorded: a warning names each metric that a record cannot hold. Raises
    `GitexpError` when the branch cannot be written; the journal then has the sealed record, and the
    next command completes it.
    """
    run, record = fit_to_limits(run)
    try:
        journal.seal(record, series=series)
        commit_sealed(workspace, run, series, packages, record=record, notes=notes)
    except BaseException:
        journal.close()  # releases it: other processes may now complete the run
        raise
    journal.remove()
    _note_start(workspace, run)
    start_maintenance(workspace.repo)
    return run


def commit_sealed(
    workspace: Workspace,
    run: Run,
    series: Series,
    packages: Table,
    *,
    record: bytes | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write a sealed run and its notes to the branch in one transaction. Raises `GitexpError`.

    `record` is the encoded record, if the caller has it already.
    """
    is_full = workspace.settings.keep_output == "full"
    output = read_output(kept_path(workspace, run.id)) if is_full else None

    with workspace.reading() as reading:
        said = _subject(reading, run)
        event = sealed(run, series, said, packages, record=record, output=output)
        reading.record([event, *note_events(reading, run, notes)])


def _subject(workspace: Workspace, run: Run) -> str:
    """Return the subject line of a sealed run. A failed comparison never prevents the record."""
    try:
        return summary(workspace, run)
    except Exception:  # noqa: BLE001 - see above
        return run.outcome.value


def fit_to_limits(run: Run) -> tuple[Run, bytes]:
    """Leave out the metrics and outputs that a record cannot hold, each with a warning.

    Returns the run and its encoded record.
    """
    metrics, left_out = limits.fit(run.metrics, "metric")
    warnings = (*run.warnings, *left_out)
    tail = redact_text(run.output_tail)
    run = replace(run, metrics=metrics, output_tail=tail, warnings=warnings)
    record = _encode(run)
    if record is None and run.parsed:
        warnings = (*warnings, "the parsed parameters were too large for the record")
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
    """Encode the record of a run; `None` if it is too large."""
    try:
        return encode_run(run)
    except InvalidInput:
        return None


def fold_events(content: JournalContent) -> JournalTotals:
    """Fold a journal's events: last value of each metric, series, added parameters and tags.

    A value logged without a step gets the number of earlier values of its metric as step. A series
    in which every metric has one value adds nothing to the metrics, and is left out.
    """
    found = _Totals()
    counted = MetricEvents()
    counted.expect(content.events)
    for event in content.events:
        seconds = event.get("time")
        if isinstance(seconds, int | float):
            found.last_s = max(found.last_s or 0.0, float(seconds))
        match event.get("event"):
            case "metrics":
                for name, value, step in counted.take(event):
                    found.add_metric(name, value, step, seconds)
                    if event.get("printed"):
                        found.printed.add(name)
            case "units":
                found.units.update(event.get("units", {}))
            case "params":
                found.params = nest(found.params, event.get("values", {}))
            case "tags":
                found.tags += event.get("tags", [])
            case "note":
                found.notes.append(str(event.get("text", "")))
    series = [row for _, row in sorted(found.rows.items())] if len(found.rows) > 1 else []
    return JournalTotals(
        found.params,
        found.metrics,
        found.units,
        series,
        tuple(found.tags),
        tuple(found.notes),
        found.last_s,
        frozenset(found.printed),
    )


@dataclass(slots=True)
class _Totals:
    params: Table = field(default_factory=dict)
    metrics: Table = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    rows: dict[float, dict[str, Any]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    last_s: float | None = None
    printed: set[str] = field(default_factory=set)

    def add_metric(self, name: str, value: Any, step: float, seconds: Any) -> None:
        self.metrics[name] = value
        row = self.rows.setdefault(step, {"step": step})
        row[name] = value
        if seconds is not None:
            row["time"] = seconds


def apply_totals(run: Run, found: JournalTotals) -> Run:
    """Return the run with the data collected from its journal."""
    return replace(
        run,
        params=nest(run.params, found.params) if found.params else run.params,
        metrics=nest(run.metrics, found.metrics),
        units={**run.units, **found.units},
        tags=tuple(sorted({*run.tags, *found.tags})),
    )


def apply_ending(run: Run, ending: CommandEnding) -> Run:
    """Return the run with the end of its command."""
    return replace(
        run,
        outcome=ending.outcome,
        duration_s=ending.duration_s,
        command=run.command and replace(run.command, exit_code=ending.exit_code),
    )


def note_events(workspace: Workspace, run: Run, texts: Sequence[str]) -> list[RunEvent]:
    """Return annotations for the notes logged during the run."""
    if not texts:
        return []
    first = max(workspace.next_clock(), run.clock + 1)
    return [
        annotated(
            run,
            Annotation(
                id=clock.new_id(),
                run=run.id,
                kind=AnnotationKind.NOTE,
                clock=min(first + n, limits.MAX_CLOCK),
                time=clock.now(),
                author=run.author,
                text=text,
            ),
            text,
        )
        for n, text in enumerate(texts)
    ]


MAX_SAW = 100
"""Most earlier decisions that a decision names; a run has one or two."""


def known_decisions(entry: RecordedRun) -> tuple[str, ...]:
    """Return the ids of all decisions on a run: those in force first, then the newest."""
    before = [a for a in reversed(entry.annotations) if a.kind is AnnotationKind.DECISION]
    ids = dict.fromkeys(a.id for a in (*entry.decisions, *before))
    return tuple(sorted(list(ids)[:MAX_SAW]))


def annotate(
    workspace: Workspace, entry: RecordedRun, kind: AnnotationKind, **fields: Any
) -> Annotation:
    """Add an annotation to a run on the branch. Returns the annotation."""
    for name in ("text", "hint"):
        if fields.get(name):
            fields[name] = redact_text(fields[name])
    if kind is AnnotationKind.DECISION:
        fields["saw"] = known_decisions(entry)
    annotation = Annotation(
        id=clock.new_id(),
        run=entry.run.id,
        kind=kind,
        clock=workspace.next_clock(),
        time=clock.now(),
        author=workspace.settings.author,
        **fields,
    )
    measured = ", ".join(f"{n} {short_value(v)}" for n, v in [*flatten(annotation.metrics)][:5])
    said = annotation.decision or annotation.verdict or ", ".join(annotation.tags) or measured
    text = ", ".join(part for part in (str(said), annotation.text or "") if part)
    event = annotated(entry.run, annotation, text)
    workspace.record([event])
    return annotation


def record_finished(workspace: Workspace, run: Run, series: Series, packages: Table) -> Run:
    """Record a run that has already ended, in one step. Returns it as recorded.

    Raises `GitexpError` when the branch cannot be written; then no journal holds the run.
    """
    run, record = fit_to_limits(run)
    mark_recorded_here(workspace, run.id)
    commit_sealed(workspace, run, series, packages, record=record)
    _note_start(workspace, run)
    start_maintenance(workspace.repo)
    return run


def kept_path(workspace: Workspace, run: RunId) -> Path:
    """Return the path at which this clone keeps a run's output, redacted and limited in size."""
    return workspace.repo.state_dir / "output" / f"{run}.txt"


def expect_start(workspace: Workspace) -> None:
    """Note that the user wants to start a run; until one starts, `last` may name the wrong run."""
    if workspace.new_session() is not None and workspace.session is not None:
        workspace.session.expect_start()


def _note_start(workspace: Workspace, run: Run) -> None:
    """Note in the session that its newest run is on the branch. Runs of the push hook have none."""
    session = workspace.session
    if session is not None and session.id == run.session:
        session.note_start()


def read_file(path: Path) -> bytes:
    """Read a file that the user named. Raises `InvalidInput`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read '{path}'", why=error.strerror) from error
