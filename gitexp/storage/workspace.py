"""The things every deed needs, built once: repository, settings, branch, run index.

Below the other deeds. Opening it costs two git processes; the branch and the index open on first
use, and what only they need is imported then.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gitexp.adapters.git.repository import Repo
from gitexp.core.schema.layout import run_ref
from gitexp.storage.settings.options import Settings, read_settings

if TYPE_CHECKING:
    from gitexp.adapters.git.steps import Identity
    from gitexp.core.model.ids import ObjectId
    from gitexp.core.query.matching import Query
    from gitexp.storage.branch.branch import Store
    from gitexp.storage.cache.run_index import RunIndex
    from gitexp.storage.sessions import Session


class Workspace:
    """One repository with gitexp's view of it."""

    __slots__ = ("_index", "_store", "notice", "progress", "repo", "settings")

    def __init__(self, repo: Repo, settings: Settings, store: "Store | None" = None) -> None:
        self.repo = repo
        self.settings = settings
        self.progress: Callable[[int, int], None] | None = None
        """Told (done, total) while the run index is built from nothing."""
        self.notice: Callable[[str], None] | None = None
        """Told what had to be done to the branch before a record could be written."""
        self._store = store
        self._index: RunIndex | None = None

    @classmethod
    def open(cls, directory: Path | None = None) -> "Workspace":
        """Find the repository and read its settings. Raises `NotARepository`, `InvalidInput`."""
        repo = Repo.discover(directory)
        return cls(repo, read_settings(repo))

    @property
    def store(self) -> "Store":
        """The run branch."""
        if self._store is None:
            from gitexp.storage.branch.branch import Store

            settings = self.settings
            self._store = Store(self.repo, settings.branch, durable=settings.durable)
            self._store.on_foreign = self._restore
        return self._store

    def _restore(self, tip: "ObjectId") -> bool:
        """Give back to the branch what a commit that is not gitexp's took away."""
        from gitexp.storage.merge.lost_records import find_lost, restore_lost

        lost = find_lost(self.repo, tip)
        if not restore_lost(self.store, tip, lost):
            return False
        if self.notice is not None:
            count = len(lost.runs)
            self.notice(
                f"restored the records of {count:,} run{'' if count == 1 else 's'} that commit "
                f"{lost.commits[0][:7]} took away from branch '{self.settings.branch}'"
            )
        return True

    @property
    def index(self) -> "RunIndex":
        """The run index at the branch's tip when first asked. Raises `Refused`, `Unreadable`."""
        if self._index is None:
            from gitexp.storage.cache.run_index import RunIndex

            self._index = RunIndex.open(
                self.repo,
                run_ref(self.settings.branch),
                progress=self.progress,
                seed_params=self.settings.seed_params,
            )
        return self._index

    def refreshed(self) -> "RunIndex":
        """The run index at the branch's tip now."""
        fresh = self._index is None
        index = self.index
        if not fresh:
            index.refresh()
        return index

    def look_again(self) -> None:
        """Let the next question to the run index be about the branch as it is then."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def query(self, text: str | None) -> "Query | None":
        """A filter expression with every name understood. Raises `InvalidQuery`."""
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
        """The logical time of the next event, `ahead` events on; stops at the highest there is."""
        from gitexp.core.schema.limits import MAX_CLOCK

        return min(self.index.max_clock() + 1 + ahead, MAX_CLOCK)

    @property
    def session(self) -> "Session | None":
        """Whose runs `last` means; `None` where no run was started. Raises `InvalidInput`."""
        from gitexp.storage.sessions import Session

        return Session.find(self.repo)

    def new_session(self) -> str | None:
        """The session's id for a record; it is created for the first one. Raises `InvalidInput`."""
        from gitexp.storage.sessions import Session

        session = Session.make(self.repo)
        return None if session is None else session.id

    @property
    def identity(self) -> "Identity":
        """Who our commits are by: the user."""
        from gitexp.storage.branch.events import identity_of

        return identity_of(self.settings.author)

    @property
    def journals(self) -> Path:
        """The folder of the journals."""
        return self.repo.state_dir / "journal"

    def has_journals(self) -> bool:
        """Tell whether any run is not on the branch yet, without reading about it."""
        try:
            return any(name.endswith(".journal") for name in os.listdir(self.journals))  # noqa: PTH208
        except OSError:
            return False
