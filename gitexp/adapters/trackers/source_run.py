"""The common form of imported runs, and functions that several readers share."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias, TypeVar

from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.argv import parse_value
from gitexp.core.model.run import Decision, Direction, Outcome, Series, Table, Value, nest

Point: TypeAlias = tuple[int, float | None, float]
"""One logged value: step, seconds since the start if known, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRun:
    """A run of another tracker; a field is absent when the source does not have it."""

    source: str
    """`tracker:id`, the same each time the source is read."""
    outcome: Outcome | None
    """`None` while the run is running in the source."""
    is_outcome_said: bool = True
    """False when the source has no outcome of the run; `outcome` is then a guess or unknown."""
    name: str | None = None
    started: datetime | None = None
    duration_s: float | None = None
    reason: str | None = None
    commit: str | None = None
    """The code commit as in the source, maybe abbreviated."""
    snapshot: str | None = None
    """A commit on top of `commit` with exactly the files that ran."""
    original: str | None = None
    """The run's id in gitexp, when gitexp exported the run to the source."""
    is_exact: bool = False
    """True when the source guarantees that the run used the commit's files."""
    branch: str | None = None
    remote: str | None = None
    argv: tuple[str, ...] = ()
    params: Table = field(default_factory=dict)
    metrics: Table = field(default_factory=dict)
    series: Series = field(default_factory=list)
    directions: dict[str, Direction] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    environment: Table = field(default_factory=dict)
    decision: Decision | None = None
    why: str | None = None
    hint: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class SkippedRun(NamedTuple):
    """A run that cannot be imported."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The runs of a source."""

    runs: tuple[ImportedRun, ...] = ()
    remarks: tuple[str, ...] = ()
    """Skipped or guessed values, one sentence each."""
    left_out: tuple[SkippedRun, ...] = ()


MAX_POINTS: Final = 2_000_000
"""Limit of logged values in a run, to bound memory; larger runs are left out."""


def refuse_many(points: int) -> None:
    """Refuse a run with too many logged values. Raises `InvalidInput`."""
    if points > MAX_POINTS:
        raise InvalidInput(f"it logged more than {MAX_POINTS:,} values")


Tick: TypeAlias = Callable[[int], None]
"""Called by a reader with the number of values read from one run so far. Raises to stop it."""

T = TypeVar("T")


def read_each(
    things: Iterable[T], read: Callable[[T], ImportedRun], name_of: Callable[[T], str]
) -> tuple[tuple[ImportedRun, ...], tuple[SkippedRun, ...]]:
    """Read runs one by one; an unreadable one is left out and does not stop the others."""
    runs: list[ImportedRun] = []
    left_out: list[SkippedRun] = []
    for thing in things:
        try:
            runs.append(read(thing))
        except InvalidInput as fault:
            why = "; ".join(text for text in (fault.what, fault.why) if text)
            left_out.append(SkippedRun(name_of(thing), why))
    return tuple(runs), tuple(left_out)


# --- conversions ----------------------------------------------------------------------------------

_SUCCEEDED = "finished success succeeded successful completed complete done ok passed".split()
_FAILED = "failed failure error errored crash crashed".split()
_INTERRUPTED = "killed interrupted cancelled canceled stopped aborted preempted".split()
_TIMED_OUT = "timeout timed_out".split()
_GOING_ON = "running pending queued scheduled active".split()
_STATUS: Mapping[str, tuple[Outcome | None, Decision | None]] = {
    **dict.fromkeys(_SUCCEEDED, (Outcome.SUCCEEDED, None)),
    **dict.fromkeys(_FAILED, (Outcome.FAILED, None)),
    **dict.fromkeys(_INTERRUPTED, (Outcome.INTERRUPTED, None)),
    **dict.fromkeys(_TIMED_OUT, (Outcome.TIMED_OUT, None)),
    **dict.fromkeys(_GOING_ON, (None, None)),
    "keep": (Outcome.SUCCEEDED, Decision.KEEP),
    "kept": (Outcome.SUCCEEDED, Decision.KEEP),
    "discard": (Outcome.SUCCEEDED, Decision.DISCARD),
    "discarded": (Outcome.SUCCEEDED, Decision.DISCARD),
    "checks_failed": (Outcome.FAILED, Decision.DISCARD),
    "unknown": (Outcome.UNKNOWN, None),
}


def parse_status(text: str) -> tuple[Outcome | None, Decision | None]:
    """Return the outcome and decision for a status word of other tools.

    No outcome means that the run is running. Raises `InvalidInput` on an unknown word.
    """
    word = text.strip().lower().replace(" ", "_").replace("-", "_")
    if word not in _STATUS:
        raise InvalidInput(f"'{text[:40]}' is no status we know")
    return _STATUS[word]


def parse_moment(value: Value) -> datetime | None:
    """Parse a time, ISO 8601 text or (milli)seconds since the epoch; `None` for anything else.

    Text without a time zone is UTC.
    """
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        elif isinstance(value, datetime):
            found = value
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


def typed(text: str) -> Value:
    """Convert a value that its source keeps as text: numbers and booleans; all else stays text."""
    value = parse_value(text)
    return value if isinstance(value, bool | int | float) else text


# --- metrics --------------------------------------------------------------------------------------


def fold_points(points: Mapping[str, list[Point]]) -> tuple[Table, Series]:
    """Return the last value of each metric, and a series if any metric has several values.

    The last value is that of the highest step, then of the latest time. A metric that always has
    the same step gets a count of its values as steps.
    """
    last: Table = {}
    rows: dict[int, dict[str, float | int | str]] = {}
    for name, logged in points.items():
        if not logged:
            continue
        ordered = sorted(logged, key=lambda point: (point[0], point[1] or 0.0))
        last[name] = ordered[-1][2]
        if len(ordered) > 1 and len({step for step, _, _ in ordered}) == 1:
            ordered = [(n, time, value) for n, (_, time, value) in enumerate(ordered)]
        for step, time, value in ordered:
            row = rows.setdefault(step, {"step": step})
            if time is not None and math.isfinite(time):
                row["time"] = round(time, 3)
            row[name] = value
    longest = max((len(logged) for logged in points.values()), default=0)
    return nest(last), [rows[step] for step in sorted(rows)] if longest > 1 else []


def distinct(sources: Iterable[str]) -> list[str]:
    """Return the sources with a suffix for repeated ones: `name#2`, `name#3`."""
    seen: dict[str, int] = {}
    named = []
    for source in sources:
        seen[source] = seen.get(source, 0) + 1
        named.append(source if seen[source] == 1 else f"{source}#{seen[source]}")
    return named
