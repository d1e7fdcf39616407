"""The cache: a disposable copy of the run branch, shown as an immutable view of one commit.

Whatever is wrong with the file costs time, not an answer. A file at another commit is updated; one
of another repository, branch, schema or writer is replaced; where it cannot be written, the view
gets a private copy in memory.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId
from gitexp.storage.cache.cache_file import Busy, CacheFile, connect
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.cache.sql import SCHEMA, Progress, TooManyChanges
from gitexp.storage.cache.view import Opened, View

if TYPE_CHECKING:
    from gitexp.adapters.git.repository import Repo

FILE_NAME: Final = "index.sqlite"

_UNWRITABLE: Final = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    )
)
"""Errors of a file that a new file would have as well."""

_PRIMARY: Final = 0xFF
"""Bits of SQLite's error code that name the kind of error."""

Ask: TypeAlias = "Callable[[Repo], ObjectId | None]"


class Cache:
    """The cache of one ref. Any number of processes and threads may use one file."""

    def __init__(
        self,
        repo: "Repo",
        ref: str,
        *,
        path: Path | None = None,
        progress: Progress | None = None,
        seed_params: Sequence[str] = (),
    ) -> None:
        """`seed_params` are those of `grouping.keys_of`; a file made with others is replaced."""
        self.repo = repo
        self.ref = ref
        self._file = CacheFile((path or repo.state_dir / FILE_NAME).absolute())
        self._progress = progress
        self._seed_params = tuple(seed_params)
        self._private: Opened | None = None
        """The last private copy: the next one starts from it."""

    def at(self, tip: ObjectId | None) -> CachedRuns:
        """Return all runs as they are at a commit of the branch; `None`: no runs.

        Raises `CommandFailed` if the commit or its top tree cannot be read.
        """
        return self._view(lambda _: tip)

    def newest(self) -> CachedRuns:
        """Return all runs as they are at the present tip of the ref.

        Raises `UnreadableRecord`, and `CommandFailed` as `at`.
        """
        return self._view(lambda repo: repo.read_ref(self.ref))

    def delete(self) -> None:
        """Delete the file; the next view reads the whole branch. Raises `OSError`."""
        with suppress(Busy):
            self._file.delete()

    def _view(self, ask: Ask) -> CachedRuns:
        opened = self._open(ask, ())
        return CachedRuns(View(opened, self._reopen), self.repo, self.ref)

    def _reopen(self, tip: ObjectId | None, keys: Collection[str], *, damaged: bool) -> Opened:
        return self._open(lambda _: tip, keys, damaged=damaged)

    def _open(self, ask: Ask, keys: Collection[str], *, damaged: bool = False) -> Opened:
        """Open a view at the tip that `ask` tells, with the values of `keys` in `vals`.

        Under the exclusive lock `ask` is asked again: no process moves the file back to a tip that
        it read before another process updated both.
        """
        with self.repo.reading() as repo:
            tip = ask(repo)
            with suppress(OSError, Busy, sqlite3.DatabaseError):  # no room, no permission, no lock
                if not damaged:
                    with self._file.lock(exclusive=False):
                        opened = self._kept(tip, keys)
                    if opened is not None:
                        return opened
                with self._file.lock(exclusive=True):
                    tip = ask(repo)
                    opened = None if damaged else self._updated(repo, tip, keys)
                    if opened is None:
                        self._replace(repo, tip, keys)
                        opened = self._kept(tip, keys)
                    if opened is not None:
                        return opened
            return self._copy(repo, tip, keys)

    def _kept(self, tip: ObjectId | None, keys: Collection[str]) -> Opened | None:
        """Open a view on the unchanged file; `None` if it does not have what is asked."""
        conn = None
        try:
            conn = self._file.read()
            if self._is_ours(conn) and _tip_of(conn) == tip and not _missing(conn, keys):
                return Opened(conn, tip, is_private=False)
        except sqlite3.DatabaseError:
            pass
        if conn is not None:
            conn.close()
        return None

    def _identity(self) -> dict[str, str]:
        return {
            "schema": SCHEMA,
            "ref": self.ref,
            "repository": str(self.repo.common_dir),
            "seeds": json.dumps(self._seed_params),
        }

    def _is_ours(self, conn: sqlite3.Connection) -> bool:
        found = dict(conn.execute("SELECT name, value FROM meta WHERE name NOT IN ('tip', 'base')"))
        return found == self._identity()

    def _updated(self, repo: "Repo", tip: ObjectId | None, keys: Collection[str]) -> Opened | None:
        """Update the file to a tip and open it; `None` if it must be replaced.

        The caller holds the lock. The view opens before the writer closes: when no connection is
        left, the last writer empties SQLite's log, which flushes to the disk.
        """
        if not self._file.path.exists():
            return None
        try:
            with closing(self._file.write()) as conn:
                if not self._bring(repo, conn, tip, keys):
                    return None
                self._file.commit(conn)
                if self._file.has_long_log():
                    conn.close()
                return self._kept(tip, keys)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _UNWRITABLE:
                raise
            return None

    def _replace(self, repo: "Repo", tip: ObjectId | None, keys: Collection[str]) -> None:
        """Replace the file by a new one, filled from the branch. The caller holds the lock."""
        with self._file.replacing() as conn:
            self._fill(repo, conn, tip, keys)

    def _bring(
        self,
        repo: "Repo",
        conn: sqlite3.Connection,
        tip: ObjectId | None,
        keys: Collection[str],
    ) -> bool:
        """Update a database to a tip, in a transaction. Return False if that is impossible."""
        from gitexp.storage.cache.values import materialize

        old = _tip_of(conn) if self._is_ours(conn) else None
        if old is None or tip is None:
            return False
        try:
            if old != tip:
                self._follow(repo, conn, old, tip)
        except (CommandFailed, TooManyChanges):
            return False
        materialize(conn, keys)
        return True

    def _follow(self, repo: "Repo", conn: sqlite3.Connection, old: ObjectId, tip: ObjectId) -> None:
        from gitexp.adapters.git.trees import changes
        from gitexp.storage.cache.fill import update

        found = changes(repo, old, tip)
        update(conn, repo, found, self._progress, seed_params=self._seed_params)
        conn.execute("UPDATE meta SET value = ? WHERE name = 'tip'", (tip,))

    def _fill(
        self,
        repo: "Repo",
        conn: sqlite3.Connection,
        tip: ObjectId | None,
        keys: Collection[str],
    ) -> None:
        from gitexp.storage.cache.fill import create_tables, fill
        from gitexp.storage.cache.values import materialize

        conn.execute("BEGIN")
        create_tables(conn)
        fill(conn, repo, tip, self._progress, seed_params=self._seed_params)
        materialize(conn, keys)
        meta = {**self._identity(), "tip": tip}
        conn.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        conn.execute("COMMIT")

    def _copy(self, repo: "Repo", tip: ObjectId | None, keys: Collection[str]) -> Opened:
        """Make a private copy in memory: of the last one or of the file, else of the branch."""
        last, memory = self._private, connect(":memory:")
        try:
            if last is not None:
                last.conn.backup(memory)
            else:
                with self._file.lock(exclusive=False), closing(self._file.read()) as kept:
                    kept.backup(memory)
            memory.execute("BEGIN")
            is_there = self._bring(repo, memory, tip, keys)
            memory.execute("COMMIT")
        except (OSError, Busy, sqlite3.DatabaseError):
            is_there = False
        if not is_there:
            memory = connect(":memory:")
            self._fill(repo, memory, tip, keys)
        self._private = Opened(memory, tip, is_private=True)
        return self._private


def _tip_of(conn: sqlite3.Connection) -> ObjectId | None:
    found = conn.execute("SELECT value FROM meta WHERE name = 'tip'").fetchone()
    return None if found is None or found[0] is None else ObjectId(found[0])


def _missing(conn: sqlite3.Connection, keys: Collection[str]) -> set[str]:
    if not keys:
        return set()
    return set(keys).difference(name for (name,) in conn.execute("SELECT name FROM keys"))
