"""Whether a trial was run before: its earlier runs, and the runs that are nearly the same.

Floor 4. What makes two runs the same trial, and how near two trials are, is pure (`fingerprint`,
`comparison.kin`); this module asks the run index.
"""

from typing import NamedTuple

from gitexp.comparison import Kin, kinship
from gitexp.errors import CommandFailed
from gitexp.model import Decision, Entry, Origin, Outcome, Run
from gitexp.workspace import Workspace

_CHUNK = 20
"""Runs read at once in the search for kin: most searches end within the first chunk."""


class Tried(NamedTuple):
    """What is known of a trial before it runs."""

    identical: tuple[Entry, ...] = ()
    """Runs of this very trial that came to an end, newest first."""
    kin: tuple[tuple[Kin, Entry], ...] = ()
    """The nearest relatives, newest first."""

    @property
    def decided(self) -> Entry | None:
        """The newest identical run that was decided."""
        return next((entry for entry in self.identical if entry.decision is not None), None)

    @property
    def is_rejected(self) -> bool:
        """True when the decision in force says that this is not worth doing again."""
        decided = self.decided
        verdict = None if decided is None or decided.decision is None else decided.decision.decision
        return verdict in (Decision.DISCARD, Decision.STOP)


def differing_code(workspace: Workspace, run: Run, other: Run) -> list[str]:
    """The paths that count as code and differ between two runs; empty when it cannot be told."""
    settings = workspace.settings
    from gitexp.fingerprint import DEFAULT_EXCLUDE, path_matcher  # noqa: PLC0415 - rarely needed

    left_out = path_matcher((*DEFAULT_EXCLUDE, *settings.code_exclude))
    written = {*run.produced, *other.produced}
    try:
        changes = list(workspace.repo.diff_trees(other.code.tree, run.code.tree))
    except CommandFailed:
        return []  # the other's code is not in this repository
    return [c.path for c in changes if c.path not in written and not left_out(c.path)]


def find_tried(workspace: Workspace, run: Run, *, kin: int = 3, search: int = 200) -> Tried:
    """Look for earlier runs of this trial and its kin among the newest `search` runs.

    Interrupted and unfinished runs do not count as tried, nor do reproductions.
    """
    index = workspace.index
    counted = (Outcome.SUCCEEDED, Outcome.FAILED)
    identical = tuple(
        entry
        for entry in index.by_fingerprint(run.fingerprint)
        if entry.run.outcome in counted
        and entry.run.origin is not Origin.REPRODUCTION
        and entry.run.id != run.id
    )
    related: list[tuple[Kin, Entry]] = []
    if kin:
        newest = index.ids(limit=search)
        few = (newest[start : start + _CHUNK] for start in range(0, len(newest), _CHUNK))
        for entry in (entry for ids in few for entry in index.entries(ids)):
            relation = kinship(run, entry.run)
            if relation not in (None, Kin.IDENTICAL) and entry.run.id != run.id:
                related.append((relation, entry))
            if len(related) == kin:
                break
    return Tried(identical, tuple(related))
