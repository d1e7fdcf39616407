"""The things every deed needs, built once: repository, settings, branch, run index.

Floor 4, below the other deeds. Opening it costs three git processes; the index opens on first use.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gitexp.bounds import MAX_CLOCK
from gitexp.index import RunIndex
from gitexp.query import Query, parse_query, resolve
from gitexp.repo import Repo
from gitexp.repo.stream import Identity
from gitexp.settings import Settings, read_settings
from gitexp.store import Store, identity_of


@dataclass(slots=True)
class Workspace:
    """One repository with gitexp's view of it."""

    repo: Repo
    settings: Settings
    store: Store
    progress: Callable[[int, int], None] | None = None
    """Told (done, total) while the run index is built from nothing."""
    _index: RunIndex | None = field(default=None, repr=False)

    @classmethod
    def open(cls, directory: Path | None = None) -> "Workspace":
        """Find the repository and read its settings. Raises `NotARepository`, `InvalidInput`."""
        repo = Repo.discover(directory)
        settings = read_settings(repo)
        return cls(repo, settings, Store(repo, settings.branch, durable=settings.durable))

    @property
    def index(self) -> RunIndex:
        """The run index at the branch's tip when first asked. Raises `Refused`, `Unreadable`."""
        if self._index is None:
            self._index = RunIndex.open(self.repo, self.store.run_ref, progress=self.progress)
        return self._index

    def refreshed(self) -> RunIndex:
        """The run index at the branch's tip now."""
        fresh = self._index is None
        index = self.index
        if not fresh:
            index.refresh()
        return index

    def query(self, text: str | None) -> Query | None:
        """A filter expression with every name understood. Raises `InvalidQuery`."""
        return None if not text else resolve(parse_query(text), self.index.keys())

    def next_clock(self, ahead: int = 0) -> int:
        """The logical time of the next event, `ahead` events on; stops at the highest there is."""
        return min(self.index.max_clock() + 1 + ahead, MAX_CLOCK)

    @property
    def identity(self) -> Identity:
        """Who our commits are by: the user."""
        return identity_of(self.settings.author)

    @property
    def journals(self) -> Path:
        """The folder of the journals."""
        return self.repo.state_dir / "journal"
