"""Runs with their parts and annotations, as frozen dataclasses.

They compute values from their own fields only: no text output, no git, no files.
"""

from dataclasses import field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from gitexp.core.model.annotations import (
    Annotation,
    AnnotationKind,
    Decision,
    ReproductionVerdict,
    annotation_order,
    caution,
    decisions_in_force,
)
from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.metric_rules import Direction, MetricRule, Tolerance
from gitexp.core.model.tables import (
    MAX_NESTING,
    Scalar,
    Table,
    Value,
    flatten,
    name_parts,
    nest,
    numbers,
)

__all__ = ["MAX_NESTING", "Scalar", "Table", "Value", "flatten", "name_parts", "nest", "numbers"]
__all__ += ["Annotation", "AnnotationKind", "Decision", "ReproductionVerdict", "annotation_order"]
__all__ += ["Direction", "MetricRule", "Tolerance", "decisions_in_force"]


class Outcome(StrEnum):
    """State or result of a run."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed out"
    """The time limit ended the command."""
    UNKNOWN = "unknown"


class Origin(StrEnum):
    """Way in which a run was recorded."""

    RUN = "run"
    """`git exp run`: gitexp started the command."""
    API = "api"
    """The Python API."""
    STEPS = "steps"
    """`git exp start` and `git exp finish`, by hand."""
    RECORD = "record"
    """`git exp record`: executed elsewhere, recorded afterwards."""
    PUSH = "push"
    """The pre-push hook recorded the results of the pushed commit."""
    REPRODUCTION = "reproduction"
    """`git exp reproduce` ran a recorded run again."""
    IMPORT = "import"
    """Imported from another tracker."""


class ParentRule(StrEnum):
    """Rule that chose the parent of a run if the user named none."""

    NEWEST = "newest"
    """The newest run of the session on whose code this code builds."""
    APPLIED = "applied"
    """The run whose code `git exp apply` wrote to the work tree."""


@frozen(kw_only=True)
class Code:
    """State of the files when the run started."""

    commit: ObjectId
    """HEAD at the start."""
    tree: ObjectId
    """Tree of all files, uncommitted ones included."""
    dirty: bool = False
    """True if the tree differs from that of the commit."""
    snapshot: ObjectId | None = None
    """The code commit: a commit without parents whose tree is `tree`.

    In records of branch format 1: a commit whose parent is `commit`, present only if dirty.
    """
    digest: str = ""
    """Hash of the part of the tree that counts for the fingerprint."""
    branch: str | None = None
    """Short name of the branch; `None` on a detached HEAD."""
    remote: str | None = None
    """URL of the remote without credentials; `None` without a remote."""
    left_out: tuple[str, ...] = ()
    """Files that the snapshot does not hold, each as `path (reason)`."""
    hashed: "dict[str, FileState]" = field(default_factory=dict)
    """Those of them that count for the trial and were hashed, by path.

    A path that ends with `/` represents all such files below it. Absent in records of older
    versions.
    """
    unhashed: tuple[str, ...] = ()
    """Those of them that count but were not hashed: with any, no other trial equals this one."""

    @property
    def revision(self) -> ObjectId:
        """Commit whose tree ran: the code commit, or in old records possibly the user's commit."""
        return self.snapshot or self.commit


@frozen(kw_only=True)
class Command:
    """Executed command, as an argument list."""

    argv: tuple[str, ...]
    """Arguments with values in place of `{parameter}`, secrets redacted."""
    template: tuple[str, ...] = ()
    """Arguments as typed, with `{parameter}`; empty if equal to `argv`."""
    directory: str = "."
    """Working directory relative to the top of the work tree, `/`-separated."""
    exit_code: int | None = None
    """Exit code of the command; minus the signal number if a signal ended it; `None` if unknown."""
    metrics_files: tuple[str, ...] = ()
    """Files from which metrics were read, relative to the top of the work tree."""
    timeout_s: float | None = None
    """Time limit in seconds; `None` without one."""
    metric_patterns: tuple[str, ...] = ()
    """Patterns that read metrics from the output, as given."""


@frozen(kw_only=True)
class Checks:
    """Result of the project's checks of a run."""

    outcome: Outcome
    exit_code: int | None = None
    output: str = ""
    """End of their output."""


@frozen(kw_only=True)
class FileState:
    """File or directory as an input or output of a run."""

    sha256: str
    """Hex digest of the content; for a directory, of its sorted listing of paths and digests.

    Empty for a named input that was too large to hash."""
    bytes: int
    """Size of the content."""
    named: bool = False
    """True for an input that the command's arguments name and git does not track."""

    @property
    def digest(self) -> str:
        """Hash of the content, or its size if it was too large to hash."""
        return self.sha256 or f"{self.bytes} bytes"


@frozen(kw_only=True)
class Harvested:
    """File that a framework wrote during the run, with counts of the values read from it."""

    kind: str
    """Framework or format, as in the setting `harvest`."""
    metrics: int = 0
    """Number of metrics from the file."""
    steps: int = 0
    """Number of steps of its series."""
    params: tuple[str, ...] = ()
    """Dotted names of the parameters from the file; `Run.parsed` has their values."""


@frozen(kw_only=True)
class Parser:
    """Library that parsed the program's command line, and its names of parameters."""

    by: str
    """`argparse`, `click`, `absl`, `omegaconf` or `hydra`."""
    given: tuple[str, ...] = ()
    """Dotted names of parsed parameters that the command line set; the others are defaults."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Program's names of guessed parameters, if they differ: `e` = `epochs`."""


@frozen(kw_only=True)
class SweepPlace:
    """Place of a run in the sweep that started it."""

    id: str
    """Id of the sweep; 16 hex digits."""
    number: int
    """Number of the trial in the sweep, from 1."""
    attempts: int = 1
    """Number of starts of the trial; earlier attempts were interrupted."""
    pruned_at: int | None = None
    """The step at which the sweep stopped the trial, because it was worse than the others there."""
    worker: str | None = None
    """The host that ran it, when that was another machine of an engine."""


@frozen(kw_only=True)
class Run:
    """One execution with all recorded data. Immutable once sealed."""

    id: RunId
    name: str
    """Memorable word pair, or a name from the user; not unique."""
    outcome: Outcome
    clock: int
    """Logical time: one more than the highest in this repository at the start."""
    started: datetime
    """UTC, with time zone."""
    author: str
    """`Name <email>` of the user who recorded it."""
    origin: Origin
    code: Code
    fingerprint: str = ""
    """Equal for runs of the same trial: same code that counts, command, parameters and inputs."""
    duration_s: float | None = None
    """Seconds, from a monotonic clock; `None` while running or if unknown."""
    reason: str | None = None
    """Reason of the user for this run."""
    parent: RunId | None = None
    """Run that this one tries to improve."""
    parent_rule: ParentRule | None = None
    """Rule that chose the parent; `None` if the user named it."""
    reproduces: RunId | None = None
    """Run that this one reproduces."""
    batch: str | None = None
    """Id shared by the runs that one command started; 16 hex digits."""
    round: int | None = None
    """Round in the batch, from 1, if the batch alternates with a reference."""
    sweep: SweepPlace | None = None
    """`None` if no sweep started it."""
    session: str | None = None
    """Random id of the work tree, or the value of `GITEXP_SESSION`; never a path."""
    source: str | None = None
    """Source of an imported run, `tracker:id`; a source is imported only once."""
    tags: tuple[str, ...] = ()
    command: Command | None = None
    params: Table = field(default_factory=dict)
    """Parameters given or guessed before the start; the fingerprint covers only these."""
    parsed: Table = field(default_factory=dict)
    """Parameters that the program's own parser returned, defaults included."""
    parser: Parser | None = None
    metrics: Table = field(default_factory=dict)
    """Last value of each metric."""
    units: dict[str, str] = field(default_factory=dict)
    """Units with which metrics were printed, such as `%`, by dotted metric name."""
    checks: Checks | None = None
    """`None` if the project has no checks or they did not run."""
    directions: dict[str, Direction] = field(default_factory=dict)
    """Directions declared for this run, by dotted metric name."""
    inputs: dict[str, FileState] = field(default_factory=dict)
    outputs: dict[str, FileState] = field(default_factory=dict)
    reads: dict[str, FileState] = field(default_factory=dict)
    """Untracked files that gitexp saw the program read; the list may be incomplete."""
    changed_reads: dict[str, FileState] = field(default_factory=dict)
    """Files that earlier runs of the trial read, with other content; the fingerprint covers them.

    Known before the start, so that runs on other data are not repeats."""
    produced: tuple[str, ...] = ()
    """Paths that changed during the run; they never count as its code."""
    harvested: dict[str, Harvested] = field(default_factory=dict)
    """Files of frameworks from which values were read, by path."""
    environment: Table = field(default_factory=dict)
    """Observed, not chosen: Python, platform, the hash of the package list, …"""
    output_tail: str = ""
    """Last lines of the command's output."""
    warnings: tuple[str, ...] = ()
    """Data that could not be recorded as requested, one sentence each."""

    @property
    def is_sealed(self) -> bool:
        """True if the run is final."""
        return self.outcome is not Outcome.RUNNING

    @property
    def ended(self) -> datetime | None:
        """End of the run by the wall clock; `None` if unknown."""
        if self.duration_s is None:
            return None
        try:
            return self.started + timedelta(seconds=self.duration_s)
        except (OverflowError, ValueError):
            return None

    @property
    def parameters(self) -> Table:
        """Parameters for display: given and parsed ones; a parsed value replaces a given one."""
        if not self.parsed:
            return self.params
        renamed = {} if self.parser is None else self.parser.renamed
        given = {name: v for name, v in flatten(self.params) if name not in renamed}
        return nest(given, self.parsed)


Series: TypeAlias = list[dict[str, float | int | str]]
"""Rows of a metric series in logged order; keys `step`, `time` (s since start), metric names."""


@frozen
class RecordedRun:
    """Run with its annotations."""

    run: Run
    annotations: tuple[Annotation, ...] = ()
    """In logical order."""

    @property
    def decisions(self) -> tuple[Annotation, ...]:
        """Decisions in force, most cautious first; several if they were made independently.

        Stop is more cautious than discard, discard than improve, improve than keep. Of equal
        decisions the latest comes first.
        """
        latest_first = reversed(decisions_in_force(self.annotations))
        return tuple(sorted(latest_first, key=caution, reverse=True))

    @property
    def decision(self) -> Annotation | None:
        """Decision in force; of several made independently the most cautious."""
        return next(iter(self.decisions), None)

    @property
    def disputed(self) -> tuple[Decision, ...]:
        """Independent decisions that differ, most cautious first; empty if all agree."""
        words = tuple(dict.fromkeys(a.decision for a in self.decisions if a.decision is not None))
        return words if len(words) > 1 else ()

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags in force, sorted: those of the start, plus added, minus removed ones."""
        tags = set(self.run.tags)
        for a in self.annotations:
            if a.kind is AnnotationKind.TAG:
                tags.update(a.tags)
            elif a.kind is AnnotationKind.UNTAG:
                tags.difference_update(a.tags)
        return tuple(sorted(tags))

    @property
    def reproductions(self) -> tuple[Annotation, ...]:
        """Reproduction verdicts, oldest first."""
        return tuple(a for a in self.annotations if a.kind is AnnotationKind.REPRODUCTION)

    @property
    def metrics(self) -> Table:
        """Metrics in force: those of the record and those added later; the latest value counts."""
        added = [a.metrics for a in self.annotations if a.kind is AnnotationKind.METRICS]
        return nest(self.run.metrics, *added) if added else self.run.metrics

    @property
    def units(self) -> dict[str, str]:
        """Units of the metrics in force."""
        units = dict(self.run.units)
        for a in self.annotations:
            if a.kind is AnnotationKind.METRICS:
                for name, _ in flatten(a.metrics):
                    units.pop(name, None)
                units.update(a.units)
        return units

    @property
    def added_metrics(self) -> "dict[str, Annotation]":
        """Annotation of each metric that was added later, by dotted name."""
        return {
            name: a
            for a in self.annotations
            if a.kind is AnnotationKind.METRICS
            for name, _ in flatten(a.metrics)
        }

    @property
    def measured(self) -> Run:
        """Run with the metrics and units in force, for comparisons and verdicts."""
        if not any(a.kind is AnnotationKind.METRICS for a in self.annotations):
            return self.run
        return replace(self.run, metrics=self.metrics, units=self.units)


def run_order(run: Run) -> tuple[int, str]:
    """Return the sort key of runs, oldest first: logical clock, then id."""
    return run.clock, run.id
