"""Find the earlier runs of a trial, and runs that are nearly the same.

What makes two runs the same trial, and how near two trials are, is pure (`fingerprint`,
`core.analysis.kinship`). This module reads the run index, and the journals of runs in progress.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from gitexp.core.analysis.fingerprint import (
    DEFAULT_EXCLUDE,
    VERSION,
    WRITTEN_BY_TOOLS,
    fingerprint_1,
    key_of,
    path_matcher,
    version_of,
)
from gitexp.core.analysis.kinship import Kin, Kinship, kinship, shape_of
from gitexp.core.errors import CommandFailed, UnreadableRecord
from gitexp.core.model.annotations import REJECTED
from gitexp.core.model.run import Decision, Origin, Outcome, RecordedRun, Run, Table, run_order
from gitexp.storage.workspace import Workspace

_ENDED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT)
"""Outcomes that answer a trial. A run with another outcome counts only if it has a decision."""


_KIN: Final = 3
"""Number of relatives to find."""

_SEARCHED: Final = 200
"""Number of newest runs to search for them."""

Relatives: TypeAlias = tuple[tuple[Kinship, RecordedRun], ...]

Changed: TypeAlias = tuple[RecordedRun, str]
"""An earlier run, and the path of a file that it read and that has changed."""


class Running(NamedTuple):
    """A run of a trial that has not ended."""

    entry: RecordedRun
    work_tree: Path | None = None
    """Its work tree; `None` when it was not started in this clone."""
    is_alive: bool | None = None
    """`None` when this machine cannot know: a manual run, or a run of another host."""


class EarlierRuns(NamedTuple):
    """Earlier runs of a trial, found before it runs."""

    identical: tuple[RecordedRun, ...] = ()
    """Ended runs of exactly this trial, newest first."""
    kin: Relatives = ()
    """The nearest relatives, nearest first, then newest."""
    running: tuple[Running, ...] = ()
    """Runs of exactly this trial that are running or may be, newest first."""
    changed: tuple[Changed, ...] = ()
    """Ended runs of another trial: each read a file that has changed since, named here."""
    doubts: tuple[str, ...] = ()
    """What gitexp could not compare with the decided run; with any doubt it refuses nothing."""

    @property
    def is_known(self) -> bool:
        """True when exactly this trial was run before or is running now."""
        return bool(self.identical or self.running)

    @property
    def decided(self) -> RecordedRun | None:
        """The newest identical run with a decision."""
        return next((entry for entry in self.identical if _decision(entry)), None)

    @property
    def is_rejected(self) -> bool:
        """True when the decision in force is discard or stop."""
        decided = self.decided
        return decided is not None and _decision(decided) in REJECTED

    def is_refused(self, policy: str) -> bool:
        """Return whether `run` refuses to start this trial under the setting `repeat`."""
        return policy == "refuse" and self.is_rejected and not self.doubts


def _decision(entry: RecordedRun) -> Decision | None:
    return None if entry.decision is None else entry.decision.decision


def differing_code(workspace: Workspace, run: Run, other: Run) -> list[str]:
    """Return the paths of code that differ between two runs; empty if git lacks a tree."""
    settings = workspace.settings
    left_out = path_matcher((*DEFAULT_EXCLUDE, *settings.code_exclude, *WRITTEN_BY_TOOLS))
    written = {*run.produced, *other.produced}
    try:
        changes = list(workspace.repo.diff_trees(other.code.tree, run.code.tree))
    except CommandFailed:
        return []  # the other's code is not in this repository
    return [c.path for c in changes if c.path not in written and not left_out(c.path)]


def find_earlier_runs(
    workspace: Workspace,
    run: Run,
    *,
    kin: int = _KIN,
    search: int = _SEARCHED,
    look: Callable[[], Table] | None = None,
    uncompared: Sequence[str] = (),
    changed: Sequence[Changed] = (),
) -> EarlierRuns:
    """Find earlier runs of this trial, and its kin among the newest `search` runs.

    An interrupted run counts if it has a decision. Reproductions do not count. `look` observes the
    command's environment; it is called if there is a run to compare with. `uncompared` are files
    that the comparison cannot include. `changed` are runs on other data (`changed_reads`).
    """
    index = workspace.index
    exact = _of_this_trial(workspace, run)
    if exact and look is not None:
        run = replace(run, environment=look())
    known = {entry.run.id for entry in exact} | {run.id}
    newest = [found for found in index.ids(limit=search) if found not in known] if kin else []
    shape = shape_of(run)
    related = []
    same = []
    for entry in (*exact, *index.entries(newest)):
        how = kinship(run, entry.run, shape=shape)
        if how is None or entry.run.id == run.id:
            continue
        if how.relation is not Kin.IDENTICAL:
            related.append((how, entry))
        elif entry in exact or 0 < version_of(entry.run.fingerprint) < VERSION:
            same.append(entry)
    same = [entry for entry in same if entry.run.origin is not Origin.REPRODUCTION]
    same.sort(key=lambda entry: run_order(entry.run), reverse=True)
    unfinished = [entry for entry in same if entry.run.outcome is Outcome.RUNNING]
    running = (_look_at(workspace, entry) for entry in unfinished)
    others = {entry.run.id for entry, _ in changed}
    tried = EarlierRuns(
        identical=tuple(e for e in same if _is_answer(e) and e.run.id not in others),
        changed=tuple((entry, path) for entry, path in changed if _is_answer(entry)),
        kin=_nearest(related, kin),
        running=tuple(found for found in running if found.is_alive is not False),
    )
    return tried._replace(doubts=_doubts(run, tried.decided, uncompared))


def find_kin(workspace: Workspace, run: Run) -> Relatives:
    """Return the nearest relatives of a run among the newest runs."""
    entries = workspace.index.entries(workspace.index.ids(limit=_SEARCHED))
    shape = shape_of(run)
    others = (entry for entry in entries if entry.run.id != run.id)
    related = ((kinship(run, entry.run, shape=shape), entry) for entry in others)
    found = [(how, e) for how, e in related if how and how.relation is not Kin.IDENTICAL]
    return _nearest(found, _KIN)


def _nearest(related: Iterable[tuple[Kinship, RecordedRun]], most: int) -> Relatives:
    """Sort by distance, then newest first."""
    newest = sorted(related, key=lambda found: run_order(found[1].run), reverse=True)
    return tuple(sorted(newest, key=lambda found: found[0].distance)[:most])


def _of_this_trial(workspace: Workspace, run: Run) -> list[RecordedRun]:
    """Return runs with the fingerprint of this trial, in the current or an earlier version."""
    if not run.fingerprint:
        return []
    command = run.command
    declared = {path: state for path, state in run.inputs.items() if not state.named}
    older = fingerprint_1(
        run.code.digest,
        () if command is None else command.template or command.argv,
        directory="." if command is None else command.directory,
        params=run.params,
        inputs=declared,
    )
    keys = (key_of(run), older)
    return [entry for key in keys for entry in workspace.index.by_fingerprint(key)]


def _doubts(run: Run, past: RecordedRun | None, uncompared: Sequence[str]) -> tuple[str, ...]:
    """Return reasons why the past run may not be the same trial, one clause each."""
    if past is None:
        return ()
    doubts = [*uncompared]
    doubts += [f"the content of {path} is not known" for path in run.code.unhashed]
    if past.run.code.unhashed and not run.code.unhashed:
        doubts += [f"the content of {path} was not known" for path in past.run.code.unhashed]
    was = past.run.environment
    if "python" in run.environment and "python" not in was:
        doubts.append("the Python of that run was not recorded")
    words = [r.command.argv[:1] if r.command else () for r in (run, past.run)]
    if words[0] != words[1] and "python" not in was:
        doubts.append(f"it was started with {''.join(words[1])}")
    limits = [r.command.timeout_s if r.command else None for r in (run, past.run)]
    if past.run.outcome is Outcome.TIMED_OUT and (limits[0] or 0) > (limits[1] or 0):
        doubts.append(f"it timed out after {limits[1]:g} s, this run may take {limits[0]:g} s")
    return tuple(doubts)


def _is_answer(entry: RecordedRun) -> bool:
    outcome = entry.run.outcome
    return outcome in _ENDED or (outcome is not Outcome.RUNNING and _decision(entry) is not None)


def _look_at(workspace: Workspace, entry: RecordedRun) -> Running:
    """Return whether an unfinished run is running, from its journal if this clone started it."""
    from gitexp.adapters.journal.journal import read_journal
    from gitexp.adapters.journal.liveness import Liveness, liveness

    try:
        content = read_journal(workspace.journals / f"{entry.run.id}.journal")
    except (FileNotFoundError, UnreadableRecord):
        return Running(entry)
    top = content.extra.get("top")
    work_tree = Path(top) if isinstance(top, str) else None
    state = liveness(content)
    if state.is_over:
        return Running(entry, work_tree, is_alive=False)
    is_known = state in (Liveness.ALIVE, Liveness.SURVIVES)
    return Running(entry, work_tree, is_alive=True if is_known else None)
