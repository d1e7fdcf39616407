"""What the doctor says: findings, and which of them can be mended without risk.

Values only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gitexp.core.model.ids import RunId


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """Worth knowing; nothing is lost and nothing is wrong."""
    FAULT = "fault"
    """Something is wrong."""
    UNKNOWN = "unknown"
    """It could not be checked."""


class Mend(StrEnum):
    """What can be done about a finding without risking anything, in the order it is done."""

    CLEAR_LOCKS = "clear locks"
    FETCH_OBJECTS = "fetch objects"
    RESTORE_RECORDS = "restore records"
    KEEP_CODE = "keep code"
    COMPLETE_RUNS = "complete runs"
    DROP_PENDING = "drop pending"
    REBUILD_INDEX = "rebuild index"
    TIDY = "tidy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing the doctor found."""

    check: str
    level: Level
    text: str
    """What was found, one sentence without a full stop; holds text of records."""
    hints: tuple[str, ...] = ()
    """What to type about it."""
    runs: tuple[RunId, ...] = ()
    """The runs it is about."""
    items: tuple[str, ...] = ()
    """Paths, objects or refs it is about."""
    mend: Mend | None = None
    """How `--fix` mends it; absent when only a person can."""


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    def of(self, level: Level) -> tuple[Finding, ...]:
        """The findings of one level."""
        return tuple(finding for finding in self.findings if finding.level is level)

    @property
    def mendable(self) -> tuple[Finding, ...]:
        """Findings that `--fix` can do something about."""
        return tuple(finding for finding in self.findings if finding.mend is not None)


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Names one after the other, the rest counted."""
    shown = list(names)
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def counted(things: Sequence[object] | int, one: str, many: str | None = None) -> str:
    """`1 run`, `2 runs`."""
    count = things if isinstance(things, int) else len(things)
    return f"{count:,} {one if count == 1 else many or one + 's'}"
