"""Whether a trial was run before: its earlier runs, and the runs that are nearly the same.

Floor 4. What makes two runs the same trial, and how near two trials are, is pure (`fingerprint`,
`comparison.kin`); this module asks the run index, and the journals for runs that go on now.
"""

from pathlib import Path
from typing import NamedTuple

from gitexp.comparison import Kin, kinship
from gitexp.errors import CommandFailed, Unreadable
from gitexp.model import Decision, Entry, Origin, Outcome, Run
from gitexp.workspace import Workspace

_CHUNK = 20
"""Runs read at once in the search for kin: most searches end within the first chunk."""

_ENDED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT)
"""A run that ended so is an answer; one that ended otherwise only when someone decided on it."""


class Running(NamedTuple):
    """A run of a trial that has not ended."""

    entry: Entry
    work_tree: Path | None = None
    """Where it runs; absent when it was not started in this clone."""
    is_alive: bool | None = None
    """`None` when this machine cannot tell: begun by hand, or recorded on another host."""


class Tried(NamedTuple):
    """What is known of a trial before it runs."""

    identical: tuple[Entry, ...] = ()
    """Runs of this very trial that came to an end, newest first."""
    kin: tuple[tuple[Kin, Entry], ...] = ()
    """The nearest relatives, newest first."""
    running: tuple[Running, ...] = ()
    """Runs of this very trial that go on, or may; newest first."""

    @property
    def is_known(self) -> bool:
        """True when this very trial was run before or is running now."""
        return bool(self.identical or self.running)

    @property
    def decided(self) -> Entry | None:
        """The newest identical run that was decided."""
        return next((entry for entry in self.identical if _decision(entry)), None)

    @property
    def is_rejected(self) -> bool:
        """True when the decision in force says that this is not worth doing again."""
        decided = self.decided
        return decided is not None and _decision(decided) in (Decision.DISCARD, Decision.STOP)

    def is_refused(self, policy: str) -> bool:
        """True when `run` does not start this trial under the setting `repeat`."""
        return policy == "refuse" and self.is_rejected


def _decision(entry: Entry) -> Decision | None:
    return None if entry.decision is None else entry.decision.decision


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

    An interrupted run counts when it was decided. Reproductions do not count.
    """
    index = workspace.index
    same = [
        entry
        for entry in index.by_fingerprint(run.fingerprint)
        if entry.run.origin is not Origin.REPRODUCTION and entry.run.id != run.id
    ]
    identical = tuple(entry for entry in same if _is_answer(entry))
    unfinished = [entry for entry in same if entry.run.outcome is Outcome.RUNNING]
    running = (_look_at(workspace, entry) for entry in unfinished)
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
    alive = tuple(found for found in running if found.is_alive is not False)
    return Tried(identical, tuple(related), alive)


def _is_answer(entry: Entry) -> bool:
    outcome = entry.run.outcome
    return outcome in _ENDED or (outcome is not Outcome.RUNNING and _decision(entry) is not None)


def _look_at(workspace: Workspace, entry: Entry) -> Running:
    """Whether an unfinished run goes on, from its journal if it was started in this clone."""
    from gitexp.journal import read_journal  # noqa: PLC0415 - only for a trial that has not ended
    from gitexp.running.recovery import may_live  # noqa: PLC0415 - see above

    try:
        content = read_journal(workspace.journals / f"{entry.run.id}.journal")
    except (FileNotFoundError, Unreadable):
        return Running(entry)
    top = content.extra.get("top")
    work_tree = Path(top) if isinstance(top, str) else None
    if not may_live(content):
        return Running(entry, work_tree, is_alive=False)
    return Running(entry, work_tree, is_alive=None if content.process is None else True)
