"""Add metrics to a sealed run as annotations, so that its record does not change."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gitexp.adapters.journal.output_archive import MAX_BYTES, lines_of, read_output
from gitexp.adapters.system.line_matcher import Matcher
from gitexp.core.errors import Undetermined
from gitexp.core.inputs.metric_lines import plain_line, to_quantity
from gitexp.core.inputs.patterns import MetricPattern, reading_of
from gitexp.core.inputs.redaction import redact_table
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    RecordedRun,
    Run,
    Table,
    Value,
    flatten,
    nest,
)
from gitexp.core.schema.layout import output_path
from gitexp.features.recording.record import annotate, kept_path
from gitexp.storage.workspace import Workspace

_MAX_FAULTS: Final = 5


def add_metrics(
    workspace: Workspace,
    entry: RecordedRun,
    metrics: Mapping[str, Value],
    *,
    units: Mapping[str, str] | None = None,
    text: str | None = None,
) -> Annotation:
    """Annotate a sealed run with metrics. Returns the annotation.

    A text value with a unit, `97.3%`, becomes a number and that unit. `text` names the source of
    the values. Raises `InvalidInput` for values that no record can hold.
    """
    values: Table = {}
    found_units = dict(units or {})
    for name, value in flatten(metrics):
        quantity = to_quantity(value) if isinstance(value, str) else None
        values[name] = value if quantity is None else quantity[0]
        if quantity is not None and quantity[1]:
            found_units[name] = quantity[1]
    return annotate(
        workspace,
        entry,
        AnnotationKind.METRICS,
        metrics=nest(redact_table(values)),
        units=found_units,
        text=text,
    )


class Reread(NamedTuple):
    """Values that patterns found in the kept output of a run."""

    metrics: Table
    """Last value of each metric."""
    units: dict[str, str]
    counts: dict[str, int]
    """Number of values of each metric."""
    is_whole: bool
    """False when this clone keeps only the last lines of the output."""
    faults: tuple[str, ...] = ()


def load_output(workspace: Workspace, run: Run) -> str | None:
    """Load the output of a run that this clone keeps or that was published with the run.

    `None` when there is none, or it cannot be read.
    """
    text = read_output(kept_path(workspace, run.id))
    if text is not None:
        return text
    repo = workspace.repo
    oid = repo.resolve(f"{workspace.branch.run_ref}:{output_path(run.id, run.started)}")
    if oid is None:
        return None
    _, data = next(iter(repo.read_blobs([oid], max_bytes=MAX_BYTES)))
    return None if data is None else data.decode(errors="replace")


def read_again(
    workspace: Workspace, run: Run, patterns: Sequence[MetricPattern], *, patience_s: float = 60.0
) -> Reread:
    """Search the kept output of a run for patterns. Raises `GitexpError` if this cannot start."""
    text = load_output(workspace, run)
    metrics: Table = {}
    units: dict[str, str] = {}
    counts: dict[str, int] = {}
    faults: dict[str, None] = {}

    def on_found(_time_s: float, found: dict[str, str], line: str) -> None:
        reading = reading_of(found, line)
        if reading.fault is not None and len(faults) < _MAX_FAULTS:
            faults[reading.fault] = None
        for name, value in reading.values.items():
            metrics[name] = value
            counts[name] = counts.get(name, 0) + 1
            units.pop(name, None)
        units.update(reading.units)

    matcher = Matcher([(p.expression, p.name) for p in patterns], on_found)
    for line in lines_of(run.output_tail if text is None else text):
        matcher.feed(plain_line(line.encode(errors="replace")), 0.0, wait_s=patience_s)
    searched = matcher.close(patience_s)
    for number in searched.slow:
        faults[f"the metric pattern '{patterns[number].text}' is too slow"] = None
    if searched.unsearched:
        faults[f"{searched.unsearched:,} lines of the output were not searched"] = None
    return Reread(metrics, units, counts, text is not None, tuple(faults))


def add_read_again(
    workspace: Workspace, entry: RecordedRun, patterns: Sequence[MetricPattern]
) -> tuple[Annotation, Reread]:
    """Add the metrics found in a run's kept output. Raises `Undetermined` when there are none."""
    found = read_again(workspace, entry.run, patterns)
    if not found.metrics:
        hints = ["`git exp show RUN --output` shows it"]
        if not found.is_whole:
            hints = ["only the last lines of the output are kept here, in the record"]
        raise Undetermined(
            f"cannot read a metric of run {entry.run.id[:7]}",
            why="; ".join(found.faults) or "the patterns find no number in its output",
            hints=hints,
        )
    texts = ", ".join(f"'{pattern.text}'" for pattern in patterns)
    text = f"read from its output with {texts}"
    return add_metrics(workspace, entry, found.metrics, units=found.units, text=text), found
