"""The workspace that every operation uses: repository, settings, run branch, cache.

Opening it costs two git processes. The branch and the cache open on first use, and modules that
only they need are imported then.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

from gitexp.adapters.git.repository import Repo
from gitexp.core.schema.layout import run_ref
from gitexp.storage.settings.options import Settings, read_settings

if TYPE_CHECKING:
    from gitexp.adapters.git.steps import Identity
    from gitexp.core.query.matching import Query
    from gitexp.storage.branch.branch import RunBranch
    from gitexp.storage.branch.events import RunEvent
    from gitexp.storage.branch.lost_records import Lost
    from gitexp.storage.branch.snapshot import Snapshot
    from gitexp.storage.cache.cache import Cache
    from gitexp.storage.cache.runs import CachedRuns
    from gitexp.storage.sessions import Session


class Workspace:
    """One repository with its settings, run branch and cache."""

    __slots__ = ("_branch", "_cache", "_index", "notice", "progress", "repo", "settings")

    def __init__(self, repo: Repo, settings: Settings, branch: "RunBranch | None" = None) -> None:
        self.repo = repo
        self.settings = settings
        self.progress: Callable[[int, int], None] | None = None
        """Called with (done, total) while the cache is built from the whole branch."""
        self.notice: Callable[[str], None] | None = None
        """Called with a message when a write had to restore records on the branch first."""
        self._branch = branch
        self._cache: Cache | None = None
        self._index: CachedRuns | None = None

    @classmethod
    def open(cls, directory: Path | None = None) -> "Workspace":
        """Find the repository and read its settings. Raises `NotARepository`, `InvalidInput`."""
        repo = Repo.discover(directory)
        return cls(repo, read_settings(repo))

    @contextmanager
    def reading(self) -> Iterator["Workspace"]:
        """Yield this workspace with one git process for all its questions, as `Repo.reading` does.

        The yielded workspace has a view of its own on the cache.
        """
        with self.repo.reading() as repo:
            if repo is self.repo:
                yield self
                return
            reading = copy(self)
            reading.repo = repo
            reading._branch, reading._cache, reading._index = None, None, None
            try:
                yield reading
            finally:
                reading.look_again()

    @property
    def branch(self) -> "RunBranch":
        """The run branch."""
        if self._branch is None:
            from gitexp.storage.branch.branch import RunBranch

            settings = self.settings
            self._branch = RunBranch(self.repo, settings.branch, durable=settings.durable)
        return self._branch

    def record(self, events: "Iterable[RunEvent]") -> "Snapshot":
        """Record events in one transaction, in order: all of them or none.

        This is how every record gets onto the run branch. One transaction of a thousand events
        costs little more than one of a single event, so a caller with many events passes them
        together. Events of runs that were deleted on the branch are left out.

        The events are on the branch when it returns; returns where the branches are then. Raises
        `Conflict` when other writers, or an old lock of git, hold the branch; `Refused` or
        `UnreadableRecord` when the branch is not gitexp's or is damaged; `CommandFailed` when git
        cannot write. No event is on the branch then, and the caller may try again with the same
        events.
        """
        from gitexp.adapters.system import clock

        transaction = self.branch.transaction(self.identity, clock.now())
        try:
            with transaction:
                transaction.add(*events)
        finally:
            for lost in transaction.restored:
                self._tell_restored(lost)
        return transaction.committed

    def _tell_restored(self, lost: "Lost") -> None:
        if self.notice is not None:
            from gitexp.core.render.text import counted

            self.notice(
                f"restored the records of {counted(lost.runs, 'run')} that commit "
                f"{lost.commits[0][:7]} took away from branch '{self.settings.branch}'"
            )

    @property
    def cache(self) -> "Cache":
        """The cache of the run branch."""
        from gitexp.storage.cache.cache import Cache

        if self._cache is None:
            self._cache = Cache(
                self.repo,
                run_ref(self.settings.branch),
                progress=self.progress,
                seed_params=self.settings.seed_params,
            )
        return self._cache

    @property
    def index(self) -> "CachedRuns":
        """All runs at the tip of the first use, or of the last call of `refreshed`.

        Raises `Refused`, `UnreadableRecord`.
        """
        return self.refreshed() if self._index is None else self._index

    def refreshed(self) -> "CachedRuns":
        """Return all runs at the present tip of the branch."""
        self._index = self.cache.newest()
        return self._index

    def release(self) -> None:
        """Close the cache file before a long wait; see `View.release`."""
        if self._index is not None:
            self._index.release()

    def look_again(self) -> None:
        """Forget the runs, so that the next question opens the cache at the tip of that moment."""
        self.release()
        self._index = None

    def query(self, text: str | None) -> "Query | None":
        """Parse a filter expression and resolve its names. Raises `InvalidQuery`."""
        if not text:
            return None
        from gitexp.core.errors import InvalidQuery
        from gitexp.core.query.matching import parse_query, resolve

        try:
            return resolve(parse_query(text), self.index.keys())
        except InvalidQuery as error:
            why = error.why
            if error.position is not None:
                place = f"at column {error.position + 1}: {text[error.position :][:30]!r}"
                why = place if why is None else f"{why}, {place}"
            hints = error.hints or ("write it like `accuracy > 0.8 and lr < 0.1`",)
            raise InvalidQuery(error.what, position=error.position, why=why, hints=hints) from None

    def next_clock(self, ahead: int = 0) -> int:
        """Return the logical time of the next event, plus `ahead`; at most `MAX_CLOCK`."""
        from gitexp.core.schema.limits import MAX_CLOCK

        return min(self.index.max_clock() + 1 + ahead, MAX_CLOCK)

    @property
    def session(self) -> "Session | None":
        """Current session; `None` before the first run. Raises `InvalidInput`."""
        from gitexp.storage.sessions import Session

        return Session.find(self.repo)

    def new_session(self) -> str | None:
        """Return the session id for a record; create it for the first run.

        Returns `None` if it cannot be written. Raises `InvalidInput`.
        """
        from gitexp.storage.sessions import Session

        session = Session.make(self.repo)
        return None if session is None else session.id

    @property
    def identity(self) -> "Identity":
        """Author and committer of gitexp's commits: the user."""
        from gitexp.storage.branch.events import identity_of

        return identity_of(self.settings.author)

    @property
    def journals(self) -> Path:
        """Directory of the journals."""
        return self.repo.state_dir / "journal"

    def has_journals(self) -> bool:
        """Return whether a journal exists: then a run is not wholly on the branch. Reads none."""
        try:
            return any(name.endswith(".journal") for name in os.listdir(self.journals))  # noqa: PTH208
        except OSError:
            return False
