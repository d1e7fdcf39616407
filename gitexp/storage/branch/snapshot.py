"""The state of the run branch and the keep branch at one moment."""

from dataclasses import field

from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import ObjectId


@frozen
class Snapshot:
    """Both branches at one moment. `RunBranch.snapshot` reads it; nothing changes it afterwards."""

    tip: ObjectId | None = None
    """Newest commit of the run branch, `None` before the first run."""
    keep_tip: ObjectId | None = None
    """Newest commit of the keep branch."""
    kept: frozenset[str] = field(default_factory=frozenset)
    """Code commits that the newest keep commits name."""
    deleted: frozenset[str] = field(default_factory=frozenset)
    """Runs with a tombstone, of those that the reader asked about."""
    is_foreign: bool = False
    """True if gitexp did not make the newest commit of the run branch."""
