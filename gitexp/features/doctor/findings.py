"""Findings of the doctor, and the safe fix of each.

Values only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gitexp.core.model.ids import RunId


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    """Worth knowing; no data is lost and nothing is wrong."""
    FAULT = "fault"
    """Something is wrong."""
    UNKNOWN = "unknown"
    """gitexp could not check it."""


class Fix(StrEnum):
    """Safe fixes, in the order in which gitexp applies them."""

    CLEAR_LOCKS = "clear locks"
    FETCH_OBJECTS = "fetch objects"
    RESTORE_RECORDS = "restore records"
    KEEP_CODE = "keep code"
    COMPLETE_RUNS = "complete runs"
    DROP_PENDING = "drop pending"
    REBUILD_INDEX = "rebuild index"
    DELETE_LEFTOVERS = "delete leftovers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of a check."""

    level: Level
    text: str
    """One sentence without a full stop; may contain text from records."""
    hints: tuple[str, ...] = ()
    """What the user can do about it."""
    runs: tuple[RunId, ...] = ()
    """Runs concerned."""
    items: tuple[str, ...] = ()
    """Paths, objects or refs concerned."""
    check: str = ""
    """Name of the check; `run_checks` sets it."""
    fix: Fix | None = None
    """The fix that `--fix` applies; `None` if a person must act."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    def of(self, level: Level) -> tuple[Finding, ...]:
        """Return the findings of one level."""
        return tuple(finding for finding in self.findings if finding.level is level)

    @property
    def fixable(self) -> tuple[Finding, ...]:
        """Findings that `--fix` can fix."""
        return tuple(finding for finding in self.findings if finding.fix is not None)


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Join the first names with commas and count the rest."""
    shown = list(names)
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
