"""The values gitexp is about: runs, what was added to them later, and their parts.

Floor 0. Frozen dataclasses without behaviour beyond reading themselves; no text, no git, no disk.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from enum import StrEnum
from typing import TypeAlias, cast

from gitexp.ids import ObjectId, RunId

Scalar: TypeAlias = bool | int | float | str | datetime | date | time
Value: TypeAlias = Scalar | list["Value"] | dict[str, "Value"]
Table: TypeAlias = dict[str, Value]
"""A nested table of parameters or metrics, as TOML can carry it."""


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


class Direction(StrEnum):
    """Which way a metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class ParentRule(StrEnum):
    """How the parent of a run was found that named none."""

    NEWEST = "newest"
    """The newest run of the session that the code builds on."""
    APPLIED = "applied"
    """The run whose code was put into the work tree."""


class Decision(StrEnum):
    """What a person or an agent decided after seeing a run."""

    IMPROVE = "improve"
    KEEP = "keep"
    DISCARD = "discard"
    STOP = "stop"


class ReproductionVerdict(StrEnum):
    """How a run made again compares with the recorded one."""

    REPRODUCED = "reproduced"
    WITHIN_TOLERANCE = "within tolerance"
    DRIFTED = "drifted"
    FAILED = "failed"


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
    params: int = 0


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
    session: str | None = None
    """The work tree it was made in, by a random id, or what `GITEXP_SESSION` said; never a path."""
    source: str | None = None
    """Where an imported run comes from, `tracker:id`; the same source is imported once."""
    tags: tuple[str, ...] = ()
    command: Command | None = None
    params: Table = field(default_factory=dict)
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


Series: TypeAlias = list[dict[str, float | int | str]]
"""Rows of a metric series in the order logged; keys `step`, `time` (s since start), metrics."""


class AnnotationKind(StrEnum):
    """What was added to a run after it was made."""

    DECISION = "decision"
    NOTE = "note"
    TAG = "tag"
    UNTAG = "untag"
    DELETE = "delete"
    REPRODUCTION = "reproduction"
    METRICS = "metrics"
    """Metrics that were added after the run was sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """Something said about a run later; supersedes earlier ones, never edits the record."""

    id: str
    """16 hex digits; `delete` for a tombstone."""
    run: RunId
    kind: AnnotationKind
    clock: int
    """Logical time, one more than the highest seen: the only order there is."""
    time: datetime
    author: str
    decision: Decision | None = None
    text: str | None = None
    """Why (decision), the note itself, or the reproduction's summary."""
    hint: str | None = None
    """What to try next."""
    tags: tuple[str, ...] = ()
    verdict: ReproductionVerdict | None = None
    by: RunId | None = None
    """The linked run a reproduction verdict comes from."""
    saw: tuple[str, ...] | None = None
    """Decision: ids of the decisions that were known when it was made; absent in old ones."""
    metrics: Table = field(default_factory=dict)
    """Metrics added later; of two values of one name the later annotation's counts."""
    units: dict[str, str] = field(default_factory=dict)
    """Units of those metrics, by dotted metric name."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a metric may move when a run is made again; the wider of the two bounds holds."""

    absolute: float = 0.0
    """In the metric's own unit."""
    relative: float = 0.0
    """As a share of the recorded value."""

    def allowed(self, recorded: float) -> float:
        """The largest difference that is still within tolerance."""
        if not math.isfinite(recorded):
            return 0.0
        return max(self.absolute, self.relative * abs(recorded))


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """What a project declares about how a metric is judged."""

    noise: float | None = None
    """Standard deviation of one run, in the metric's unit."""
    min_effect: Tolerance | None = None
    """The smallest difference that counts."""
    guard: Tolerance | None = None
    """How much worse than the best kept group it may be."""
    least: float | None = None
    """Its value may not be lower."""
    most: float | None = None
    """Its value may not be higher."""

    @property
    def is_guarded(self) -> bool:
        """True when it may break a guard."""
        return any(bound is not None for bound in (self.guard, self.least, self.most))


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
        return tuple(sorted(latest_first, key=_caution, reverse=True))

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


def annotation_order(annotation: Annotation) -> tuple[int, str]:
    """Sort key of annotations: logical clock, then id, so that every machine agrees."""
    return annotation.clock, annotation.id


def decisions_in_force(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """The decisions that no other supersedes, in logical order.

    A decision supersedes those that it saw. One without `saw` was made by a gitexp that knew only
    the logical clock: between it and any other, the later one counts. The answer depends on the
    set of annotations alone, so that all machines that have the same ones agree.
    """
    made = sorted(
        (a for a in annotations if a.kind is AnnotationKind.DECISION), key=annotation_order
    )
    seen = {other for a in made for other in a.saw or () if other != a.id}
    left = [a for a in made if a.id not in seen] or made[-1:]  # they can see each other by malice
    old = [number for number, a in enumerate(left) if a.saw is None]
    if not old:
        return tuple(left)
    return tuple(left[old[-1] + 1 :] or left[-1:])


_CAUTION = (None, Decision.KEEP, Decision.IMPROVE, Decision.DISCARD, Decision.STOP)


def _caution(annotation: Annotation) -> int:
    return _CAUTION.index(annotation.decision)


def run_order(run: Run) -> tuple[int, str]:
    """Sort key of runs, oldest first: logical clock, then id."""
    return run.clock, run.id


def flatten(table: Mapping[str, Value], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield every leaf with its dotted name, in the table's order; lists are leaves.

    The key `val.loss` and the key `loss` in the table `val` have the same name; `nest` makes one
    of them.
    """
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")


def name_parts(name: str) -> list[str]:
    """A dotted name at its dots: `val.mAP@0.5` is `val`, `mAP@0.5`.

    A dot between digits is a decimal point; a name with an empty part is one part.
    """
    parts = _DOT.split(name)
    return parts if all(parts) else [name]


MAX_NESTING = 16
"""`nest` makes so many tables within each other; what is left of a longer name is one key."""


def nest(*tables: Mapping[str, Value]) -> Table:
    """All values of the tables in the one form that records have: names nest at their dots.

    Of a name that is there twice the later value counts. Where a value is in the way of a table
    (`val` beside `val.loss`), the rest of the name stays together as one key, so that nothing is
    lost; likewise names with an empty part. The order of names makes no difference.
    """
    leaves: dict[str, Value] = {}
    for table in tables:
        leaves.update(flatten(table))
    nested: Table = {}
    for name, value in leaves.items():
        first, *rest = name_parts(name)
        inner, key, above, depth = nested, first, first, 1
        for part in rest:
            if above in leaves or depth == MAX_NESTING:
                key = f"{key}.{part}"
            else:
                inner = cast(Table, inner.setdefault(key, {}))
                key, depth = part, depth + 1
            above = f"{above}.{part}"
        inner[key] = value
    return nested


def numbers(table: Mapping[str, Value]) -> dict[str, float]:
    """The numeric leaves by dotted name; booleans count as numbers 0 and 1."""
    return {
        name: float(value)
        for name, value in flatten(table)
        if isinstance(value, bool | int | float)
    }
