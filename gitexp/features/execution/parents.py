"""Derive the parent of a run when the user names none: the run that it continues.

The record has the rule that found a derived parent, since the user did not name it.
"""

from typing import Final

from gitexp.adapters.git.repository import Repo
from gitexp.core.analysis.grouping import keys_of
from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import ParentRule, Run
from gitexp.storage.sessions import Applied, Session
from gitexp.storage.workspace import Workspace

_SEARCH: Final = 50
"""Number of newest runs to search."""

_ASKED: Final = 8
"""Most commits to test with git, at some milliseconds each."""


def derive_parent(workspace: Workspace, run: Run) -> tuple[RunId, ParentRule] | None:
    """Find the run that a new one continues; `None` if there is none.

    It is the newest run of this session that succeeded, was not given up, is neither a reproduction
    nor a repeat of the same trial, and whose commit is HEAD or an ancestor of HEAD. If the user
    applied the code of a run after all of these, it is that run, provided that HEAD still contains
    the commit at which the code was applied. Raises `InvalidInput`.
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
    """Note that the work tree now has the code of a run, so that a later run continues it."""
    session = Session.make(workspace.repo)
    head = workspace.repo.resolve("HEAD^{commit}")
    if session is not None and head is not None:
        session.note_applied(Applied(run, workspace.index.max_clock(), head))


def _newest(
    workspace: Workspace, session: Session, history: "_History", new: Run, *, since: int
) -> RunId | None:
    """Return the newest run of the session after a logical time that can be a parent."""
    group = keys_of(new, workspace.settings.seed_params).group
    found = workspace.index.successes(session.id, since=since, without=group, among=_SEARCH)
    return next((run for run, commit in found if history.has(commit)), None)


class _History:
    """Ancestors of HEAD; asks git once per commit."""

    def __init__(self, repo: Repo, head: ObjectId) -> None:
        self._repo = repo
        self._head = head
        self._known = {head: True}

    def has(self, commit: ObjectId) -> bool:
        """Return True for HEAD and its ancestors; False also when git cannot answer."""
        if commit not in self._known and len(self._known) <= _ASKED:
            try:
                self._known[commit] = self._repo.is_ancestor(commit, self._head)
            except CommandFailed:  # the commit no longer exists
                self._known[commit] = False
        return self._known.get(commit, False)
