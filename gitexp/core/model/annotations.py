"""What was added to a run after it was made: decisions, notes, tags, verdicts, later metrics.

Frozen dataclasses, and which of several decisions are in force.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gitexp.core.model.ids import RunId
from gitexp.core.model.tables import Table


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


def caution(annotation: Annotation) -> int:
    """How much a decision advises against going on: stop most, keep least."""
    return _CAUTION.index(annotation.decision)
