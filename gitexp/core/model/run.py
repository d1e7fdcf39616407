"""The values gitexp is about: runs, what was added to them later, and their parts.

Frozen dataclasses without behaviour beyond reading themselves; no text, no git, no disk.
"""

from dataclasses import dataclass, field, replace
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
    """How a run ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed out"
    """Its time limit ended it."""
    UNKNOWN = "unknown"


class Origin(StrEnum):
    """By which door a run came in."""

    RUN = "run"
    """`git exp run`: gitexp started the command."""
    API = "api"
    """The Python API."""
    STEPS = "steps"
    """`git exp start` and `finish`, by hand."""
    RECORD = "record"
    """`git exp record`: made elsewhere, recorded afterwards."""
    PUSH = "push"
    """The pre-push hook recorded the results of the pushed commit."""
    REPRODUCTION = "reproduction"
    """`git exp reproduce` ran a recorded run again."""
    IMPORT = "import"
    """Taken over from another tracker."""


class ParentRule(StrEnum):
    """How the parent of a run was found that named none."""

    NEWEST = "newest"
    """The newest run of the session that the code builds on."""
    APPLIED = "applied"
    """The run whose code was put into the work tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The files as they really were when the run started."""

    commit: ObjectId
    """HEAD at the start."""
    tree: ObjectId
    """The tree of all files, uncommitted ones included."""
    dirty: bool = False
    """True when the tree differs from that of the commit."""
    snapshot: ObjectId | None = None
    """The code commit: a commit without parents whose tree is `tree`. In records of branch format
    1: only when dirty, a commit whose parent is `commit`."""
    digest: str = ""
    """Hash of the part of the tree that counts for the fingerprint."""
    branch: str | None = None
    """Short name of the branch, absent on a detached HEAD."""
    remote: str | None = None
    """URL of the remote without credentials, absent when there is none."""
    left_out: tuple[str, ...] = ()
    """What the snapshot does not hold, each as `path (reason)`."""
    hashed: "dict[str, FileState]" = field(default_factory=dict)
    """Of that, what counts for the trial and was hashed, by path; a path that ends in `/` stands
    for all such files below it. Absent in records of older versions."""
    unhashed: tuple[str, ...] = ()
    """Of that, what counts and could not be hashed: with any, no trial is known to be this one."""

    @property
    def revision(self) -> ObjectId:
        """A commit whose tree is what ran: the code commit, in old records maybe the user's."""
        return self.snapshot or self.commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What was executed, as an argument list."""

    argv: tuple[str, ...]
    """The arguments after `{parameter}` was filled in, secrets redacted."""
    template: tuple[str, ...] = ()
    """The arguments as typed, with `{parameter}` left in; empty when equal to `argv`."""
    directory: str = "."
    """Where it ran, relative to the top of the work tree, `/`-separated."""
    exit_code: int | None = None
    """The command's own; minus the signal number when a signal ended it; absent if unknown."""
    metrics_files: tuple[str, ...] = ()
    """The files its metrics were read from, relative to the top of the work tree."""
    timeout_s: float | None = None
    """Its time limit in seconds; absent when it had none."""
    metric_patterns: tuple[str, ...] = ()
    """The patterns that read metrics from its output, as given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """How the project's checks of a run ended."""

    outcome: Outcome
    exit_code: int | None = None
    output: str = ""
    """The end of what they printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A file or folder as an input or output of a run."""

    sha256: str
    """Hex digest of the content; for a folder, of its sorted listing of paths and digests.

    Empty for a named input that was too large to hash."""
    bytes: int
    """Size of the content."""
    named: bool = False
    """True for an input that the command's arguments name and git does not hold."""

    @property
    def digest(self) -> str:
        """What tells its content: the hash, or the size of what was too large to hash."""
        return self.sha256 or f"{self.bytes} bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvested:
    """A file that a framework wrote during the run, and how much was read from it."""

    kind: str
    """The framework or format, as in the setting `harvest`."""
    metrics: int = 0
    """How many metrics came from it."""
    steps: int = 0
    """How many steps its series has."""
    params: tuple[str, ...] = ()
    """Dotted names of the parameters that came from it; `Run.parsed` has their values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """What parsed the program's command line, and what it said about the names."""

    by: str
    """`argparse`, `click`, `absl`, `omegaconf` or `hydra`."""
    given: tuple[str, ...] = ()
    """Dotted names of parsed parameters that the command line set; the others are defaults."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Parameters guessed from the command line that the program calls otherwise: `e` = `epochs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlace:
    """The place of a run in the sweep that started it."""

    id: str
    """The sweep; 16 hex digits."""
    number: int
    """Which of its trials this is, from 1."""
    attempts: int = 1
    """How often the trial was started; the attempts before were interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution and everything recorded about it. Immutable once sealed."""

    id: RunId
    name: str
    """A memorable word pair or the user's own; not unique."""
    outcome: Outcome
    clock: int
    """Logical time: one more than the highest this repository had seen at the start."""
    started: datetime
    """UTC, aware."""
    author: str
    """`Name <email>` of who recorded it."""
    origin: Origin
    code: Code
    fingerprint: str = ""
    """Equal fingerprints mean the same trial: code that counts, command, params, inputs."""
    duration_s: float | None = None
    """Seconds, from a monotonic clock; absent while running or when unknown."""
    reason: str | None = None
    """Why this was tried."""
    parent: RunId | None = None
    """The run this one tries to improve on."""
    parent_rule: ParentRule | None = None
    """How the parent was found; absent when the user named it."""
    reproduces: RunId | None = None
    """The run this one repeats on purpose."""
    batch: str | None = None
    """Equal for runs that one command started together; 16 hex digits."""
    round: int | None = None
    """The turn within the batch, from 1, when it alternates with a reference."""
    sweep: SweepPlace | None = None
    """Absent when no sweep started it."""
    session: str | None = None
    """The work tree it was made in, by a random id, or what `GITEXP_SESSION` said; never a path."""
    source: str | None = None
    """Where an imported run comes from, `tracker:id`; the same source is imported once."""
    tags: tuple[str, ...] = ()
    command: Command | None = None
    params: Table = field(default_factory=dict)
    """What was given or guessed before the start; the fingerprint covers these only."""
    parsed: Table = field(default_factory=dict)
    """What the program's own parser returned, defaults included."""
    parser: Parser | None = None
    metrics: Table = field(default_factory=dict)
    """Last value of each metric."""
    units: dict[str, str] = field(default_factory=dict)
    """Units that metrics were printed with, `%` for example, by dotted metric name."""
    checks: Checks | None = None
    """Absent when the project has none, or they did not run."""
    directions: dict[str, Direction] = field(default_factory=dict)
    """Directions said for this run, by dotted metric name."""
    inputs: dict[str, FileState] = field(default_factory=dict)
    outputs: dict[str, FileState] = field(default_factory=dict)
    reads: dict[str, FileState] = field(default_factory=dict)
    """Files that the program was seen to read and git does not track; never all of them."""
    produced: tuple[str, ...] = ()
    """Paths seen to change while the run went on; they never count as its code."""
    harvested: dict[str, Harvested] = field(default_factory=dict)
    """Files that frameworks wrote and values were picked up from, by path."""
    environment: Table = field(default_factory=dict)
    """What was observed, not chosen: python, platform, the hash of the package list, …"""
    output_tail: str = ""
    """The last lines the command printed."""
    warnings: tuple[str, ...] = ()
    """What could not be recorded as asked, each one sentence."""

    @property
    def is_sealed(self) -> bool:
        """True when the run is final."""
        return self.outcome is not Outcome.RUNNING

    @property
    def ended(self) -> datetime | None:
        """When it ended, by the wall clock; absent when that is not known."""
        if self.duration_s is None:
            return None
        try:
            return self.started + timedelta(seconds=self.duration_s)
        except (OverflowError, ValueError):
            return None

    @property
    def parameters(self) -> Table:
        """The parameters as people see them: given and parsed, the parsed value winning."""
        if not self.parsed:
            return self.params
        renamed = {} if self.parser is None else self.parser.renamed
        given = {name: v for name, v in flatten(self.params) if name not in renamed}
        return nest(given, self.parsed)


Series: TypeAlias = list[dict[str, float | int | str]]
"""Rows of a metric series in the order logged; keys `step`, `time` (s since start), metrics."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run with all that was added to it later."""

    run: Run
    annotations: tuple[Annotation, ...] = ()
    """In logical order."""

    @property
    def decisions(self) -> tuple[Annotation, ...]:
        """The decisions in force, several when they were made apart; the most cautious first.

        Stop is more cautious than discard, discard than improve, improve than keep. Of those that
        agree the latest comes first.
        """
        latest_first = reversed(decisions_in_force(self.annotations))
        return tuple(sorted(latest_first, key=caution, reverse=True))

    @property
    def decision(self) -> Annotation | None:
        """The decision in force; of several made apart the most cautious."""
        return next(iter(self.decisions), None)

    @property
    def disputed(self) -> tuple[Decision, ...]:
        """What was decided apart and differs, most cautious first; empty when all agree."""
        words = tuple(dict.fromkeys(a.decision for a in self.decisions if a.decision is not None))
        return words if len(words) > 1 else ()

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags in force, sorted: those of the start, plus added, minus removed."""
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
        """The metrics in force: the record's, then those added later; the latest value counts."""
        added = [a.metrics for a in self.annotations if a.kind is AnnotationKind.METRICS]
        return nest(self.run.metrics, *added) if added else self.run.metrics

    @property
    def units(self) -> dict[str, str]:
        """The units of the metrics in force."""
        units = dict(self.run.units)
        for a in self.annotations:
            if a.kind is AnnotationKind.METRICS:
                for name, _ in flatten(a.metrics):
                    units.pop(name, None)
                units.update(a.units)
        return units

    @property
    def added_metrics(self) -> "dict[str, Annotation]":
        """By dotted name, the annotation that each metric added later comes from."""
        return {
            name: a
            for a in self.annotations
            if a.kind is AnnotationKind.METRICS
            for name, _ in flatten(a.metrics)
        }

    @property
    def measured(self) -> Run:
        """The run with the metrics and units in force, to compare and judge it by."""
        if not any(a.kind is AnnotationKind.METRICS for a in self.annotations):
            return self.run
        return replace(self.run, metrics=self.metrics, units=self.units)


def run_order(run: Run) -> tuple[int, str]:
    """Sort key of runs, oldest first: logical clock, then id."""
    return run.clock, run.id
