"""The parent of a run that names none: the run it goes on from.

A derived parent is recorded as such, with the rule that found it, since nobody said it.
"""

from typing import Final

from gitexp.adapters.git.repository import Repo
from gitexp.core.analysis.grouping import keys_of
from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Decision, Outcome, ParentRule, Run
from gitexp.storage.sessions import Applied, Session
from gitexp.storage.workspace import Workspace

_SEARCH: Final = 50
"""So many of the newest runs are looked at."""

_FEW: Final = 5
"""So many are read at once: mostly one of the first is the parent."""

_ASKED: Final = 8
"""Git is asked about at most so many commits, at some milliseconds each."""

_GIVEN_UP: Final = frozenset({Decision.DISCARD, Decision.STOP})


def derive_parent(workspace: Workspace, run: Run) -> tuple[RunId, ParentRule] | None:
    """The run that a new one goes on from; `None` when there is none.

    It is the newest run of this session that succeeded, was not given up, is neither a reproduction
    nor a repeat of the same trial, and was made at HEAD or an ancestor of it; or, when none of
    these is younger, the run whose code was last applied, if HEAD did not leave that place. Raises
    `InvalidInput`.
    """
    session = workspace.session
    if session is None:
        return None
    history = _History(workspace.repo, run.code.commit)
    applied = session.applied
    if applied is not None and not (
        history.has(applied.head) and workspace.index.by_prefix(applied.run)
    ):
        applied = None
    since = -1 if applied is None else applied.clock
    newest = _newest(workspace, session, history, run, since=since)
    if newest is not None:
        return newest, ParentRule.NEWEST
    return None if applied is None else (applied.run, ParentRule.APPLIED)


def remember_applied(workspace: Workspace, run: RunId) -> None:
    """Note that the work tree has the code of a run now; a later run goes on from it."""
    session = Session.make(workspace.repo)
    head = workspace.repo.resolve("HEAD^{commit}")
    if session is not None and head is not None:
        session.note_applied(Applied(run, workspace.index.max_clock(), head))


def _newest(
    workspace: Workspace, session: Session, history: "_History", new: Run, *, since: int
) -> RunId | None:
    """The newest run of the session after a logical time that is one to go on from."""
    index, seeds = workspace.index, workspace.settings.seed_params
    group = keys_of(new, seeds).group
    newest = index.newest(_SEARCH, session=session.id)
    few = (newest[start : start + _FEW] for start in range(0, len(newest), _FEW))
    for entry in (entry for ids in few for entry in index.entries(ids)):
        run = entry.run
        if run.clock <= since:
            return None
        decided = entry.decision.decision if entry.decision else None
        ended_well = run.outcome is Outcome.SUCCEEDED and decided not in _GIVEN_UP
        repeats = run.reproduces is not None or keys_of(run, seeds).group == group
        if ended_well and not repeats and history.has(run.code.commit):
            return run.id
    return None


class _History:
    """Which commits HEAD contains; each is asked for once."""

    def __init__(self, repo: Repo, head: ObjectId) -> None:
        self._repo = repo
        self._head = head
        self._known = {head: True}

    def has(self, commit: ObjectId) -> bool:
        """True when it is HEAD or an ancestor of it; false also when git cannot tell."""
        if commit not in self._known and len(self._known) <= _ASKED:
            try:
                self._known[commit] = self._repo.is_ancestor(commit, self._head)
            except CommandFailed:  # the commit is not here any more
                self._known[commit] = False
        return self._known.get(commit, False)
