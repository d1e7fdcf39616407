"""Annotations, which users and gitexp add to a run later, and the rule for decisions in force.

Annotations are decisions, notes, tags, verdicts of reproductions, and metrics.
"""

from collections.abc import Iterable
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Final

from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import RunId
from gitexp.core.model.tables import Table


class Decision(StrEnum):
    """Decision of a person or an agent about a run."""

    IMPROVE = "improve"
    KEEP = "keep"
    DISCARD = "discard"
    STOP = "stop"


KEPT: Final = frozenset((Decision.KEEP, Decision.IMPROVE))
"""Decisions after which a trial stays in use. Equal to their texts, too."""

REJECTED: Final = frozenset((Decision.DISCARD, Decision.STOP))
"""Decisions after which a trial is neither repeated nor continued."""


class ReproductionVerdict(StrEnum):
    """Result of comparing a reproduction with the recorded run."""

    REPRODUCED = "reproduced"
    WITHIN_TOLERANCE = "within tolerance"
    DRIFTED = "drifted"
    FAILED = "failed"


class AnnotationKind(StrEnum):
    """Kind of an annotation."""

    DECISION = "decision"
    NOTE = "note"
    TAG = "tag"
    UNTAG = "untag"
    DELETE = "delete"
    REPRODUCTION = "reproduction"
    METRICS = "metrics"
    """Metrics added after the run was sealed."""


@frozen(kw_only=True)
class Annotation:
    """Addition to a run. May supersede earlier annotations; never changes the record."""

    id: str
    """16 hex digits, or `delete` for a tombstone."""
    run: RunId
    kind: AnnotationKind
    clock: int
    """Logical time, one more than the highest one before: the order of annotations."""
    time: datetime
    author: str
    decision: Decision | None = None
    text: str | None = None
    """Reason of a decision, text of a note, or summary of a reproduction."""
    hint: str | None = None
    """Suggestion for the next run."""
    tags: tuple[str, ...] = ()
    verdict: ReproductionVerdict | None = None
    by: RunId | None = None
    """Reproduction run that the verdict is about."""
    saw: tuple[str, ...] | None = None
    """Ids of the decisions known when a decision was made; `None` in old ones."""
    metrics: Table = field(default_factory=dict)
    """Metrics added later. Of two values of one name, the later annotation's counts."""
    units: dict[str, str] = field(default_factory=dict)
    """Units of those metrics, by dotted metric name."""


def annotation_order(annotation: Annotation) -> tuple[int, str]:
    """Return the sort key of annotations: logical clock, then id, so that all machines agree."""
    return annotation.clock, annotation.id


def decisions_in_force(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Return the decisions that no other one supersedes, in logical order.

    A decision supersedes the decisions in its `saw`. An old gitexp, which knew only the logical
    clock, made decisions without `saw`: between one of these and any other, the later one counts.
    The result depends only on the set of annotations, so that all machines with the same set agree.
    """
    made = sorted(
        (a for a in annotations if a.kind is AnnotationKind.DECISION), key=annotation_order
    )
    seen = {other for a in made for other in a.saw or () if other != a.id}
    left = [a for a in made if a.id not in seen] or made[-1:]  # forged ones can form a cycle
    old = [number for number, a in enumerate(left) if a.saw is None]
    if not old:
        return tuple(left)
    return tuple(left[old[-1] + 1 :] or left[-1:])


def is_discarded(decisions: Iterable[Annotation]) -> bool:
    """Return whether a trial is discarded: the newest decision in force on its runs says so."""
    newest = max(decisions, key=annotation_order, default=None)
    return newest is not None and newest.decision is Decision.DISCARD


_CAUTION = (None, Decision.KEEP, Decision.IMPROVE, Decision.DISCARD, Decision.STOP)


def caution(annotation: Annotation) -> int:
    """Return the rank of a decision by caution: stop is highest, keep is lowest."""
    return _CAUTION.index(annotation.decision)
