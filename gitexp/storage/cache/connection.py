# ruff: noqa: S608 - only fixed names
"""The connection to the cache, kept at the tip of the run branch.

The cache is rebuilt if the stamp of the file does not match, if the file is damaged or belongs to
another repository or schema, or if git no longer has the commit it was read from. If the file
cannot be written, the cache is built in memory.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId
from gitexp.storage.cache.file import Busy, IndexFile, connect
from gitexp.storage.cache.sql import SCHEMA, Damaged, Progress, TooManyChanges, whole

if TYPE_CHECKING:
    from gitexp.adapters.git.repository import Repo
    from gitexp.storage.cache.rows import DocumentRow

Values: TypeAlias = Sequence[object] | Mapping[str, object]
"""Parameters of a statement, by position or by name."""


_DOCUMENTS_AT_ONCE: Final = 5000
"""Documents written in one transaction: few enough to fit into memory."""

_TRIES: Final = 10
"""Attempts at a change when another process replaces the file during each of them."""


class Document(NamedTuple):
    """JSON document of a run as text."""

    text: str
    typed: str | None
    """JSON of the values whose type differs in the document (`Typed`); almost always `None`."""


class KeptIndex:
    """The connection behind a `RunIndex`."""

    def __init__(
        self,
        repo: "Repo",
        ref: str,
        *,
        path: Path,
        progress: Progress | None,
        seed_params: Sequence[str] = (),
    ) -> None:
        self.repo = repo
        self._seed_params = tuple(seed_params)
        self.ref = ref
        self._progress = progress
        self._file = IndexFile(path)
        self._conn: sqlite3.Connection | None = None
        self._inode: int | None = None
        """Inode of the open file; `None` if the database is in memory."""
        self._target: ObjectId | None = None
        """Commit that the answers must describe."""

    def refresh(self) -> None:
        """Update the cache to the current tip of the ref.

        Raises `CommandFailed` if the tip or its top tree cannot be read.
        """
        self._target = self.repo.read_ref(self.ref)
        try:
            if self._ensure_open() and self._ensure_tip():
                return
        except (sqlite3.DatabaseError, CommandFailed, TooManyChanges):
            pass  # every such fault is repaired by a rebuild
        self.rebuild()

    def close(self) -> None:
        """Close the file."""
        if self._conn is not None:
            self._conn.close()
        self._conn = self._inode = None

    def _ensure_open(self) -> bool:
        """Return whether the connection is open and belongs to this ref.

        Connects to the file if necessary. A database in memory stays open.
        """
        if self._conn is not None:
            if self._inode is None or self._is_same_file():
                return True
            self.close()
        self._inode = self._file.inode()
        self._conn = self._file.open()
        return self._conn is not None and self._meta() == self._identity()

    def _is_same_file(self) -> bool:
        return self._inode == self._file.inode() and self._file.is_ours()

    def _identity(self) -> dict[str, str]:
        return {
            "schema": SCHEMA,
            "ref": self.ref,
            "repository": str(self.repo.common_dir),
            "seeds": json.dumps(self._seed_params),
        }

    def _meta(self) -> dict[str, str]:
        found = dict(self.rows("SELECT name, value FROM meta"))
        found.pop("tip", None)
        return found

    def _ensure_tip(self) -> bool:
        """Apply the commits since the cached tip. Return False if that is impossible."""
        if self.tip == self._target:
            return True
        if self._target is None or self.tip is None:
            return False
        return self._change(self._follow)

    def _follow(self, conn: sqlite3.Connection) -> None:
        old, new = self.tip, self._target  # another process may have updated the file already
        if old is None or new is None:
            raise TooManyChanges
        if old != new:
            with self.repo.reading() as repo:
                from gitexp.adapters.git.trees import changes
                from gitexp.storage.cache.update import update

                found = changes(repo, old, new)
                update(conn, repo, found, self._progress, seed_params=self._seed_params)
            conn.execute("UPDATE meta SET value = ? WHERE name = 'tip'", (new,))

    def _change(self, deed: Callable[[sqlite3.Connection], None]) -> bool:
        """Write to the cache, or to a copy of it in memory if the file cannot be written.

        Return False, with nothing written, if another process replaced the file.
        """
        try:
            return self._change_in(self._connection(), deed, stamped=self._inode is not None)
        except (sqlite3.OperationalError, OSError, Busy):  # read-only, full or busy
            if not self._file.is_ours():
                return False  # the write failed after it had changed the file
            memory = connect(":memory:")
            self._connection().backup(memory)
            self.close()
            self._conn = memory
            return self._change_in(memory, deed, stamped=False)

    def _change_in(
        self, conn: sqlite3.Connection, deed: Callable[[sqlite3.Connection], None], *, stamped: bool
    ) -> bool:
        self._begin(conn)
        try:
            if stamped and not self._is_same_file():
                return False
            deed(conn)
            with self._file.writing() if stamped else nullcontext():
                conn.execute("COMMIT")
            return True
        finally:
            if conn.in_transaction:
                conn.execute("ROLLBACK")

    def _begin(self, conn: sqlite3.Connection) -> None:
        conn.execute("PRAGMA cache_spill = OFF")  # the file changes at the commit, not before
        conn.execute("BEGIN IMMEDIATE")

    def unpack(self, name: str) -> None:
        """Move the packed values of a key to `vals`, where queries find them. Raises `Damaged`."""
        packed = "SELECT key FROM packed WHERE key = (SELECT key FROM keys WHERE name = ?) LIMIT 1"
        for _ in range(_TRIES):
            key = self.first(packed, name)
            if key is None:
                return
            from gitexp.storage.cache.packing import unpack_key

            if not self._change(partial(unpack_key, key=key)):
                self.refresh()  # another process replaced the file
        raise Damaged("the index never stays for long")

    def documents(self, rids: Sequence[int]) -> dict[int, Document]:
        """Return the documents of existing runs by row number.

        Raises `Damaged` if the checksum of a document does not match or if the record of a run can
        no longer be read.
        """
        found = self.rows(
            "SELECT d.rid, d.doc, d.typed, d.checksum FROM json_each(?) w"
            " JOIN docs d ON d.rid = w.value",
            (json.dumps(rids),),
        )
        documents = {}
        for rid, doc, typed, check in found:
            whole(doc + (typed or ""), check)
            documents[rid] = Document(doc, typed)
        missing = [rid for rid in rids if rid not in documents]
        if missing:
            documents |= {
                rid: Document(doc, typed) for rid, doc, typed, _ in self._make_documents(missing)
            }
            known = "SELECT rid FROM runs WHERE rid IN (SELECT value FROM json_each(?))"
            if any(rid not in documents for (rid,) in self.rows(known, (json.dumps(missing),))):
                raise Damaged("a record can no longer be read")
        return documents

    def make_documents(self) -> None:
        """Create all missing documents if the oldest run has none.

        Updates create the documents of the runs they add; only a fill leaves them out.
        """
        made = "EXISTS (SELECT 1 FROM docs d WHERE d.rid = r.rid)"
        if self.first(f"SELECT {made} FROM runs r ORDER BY clock LIMIT 1") == 0:
            missing = self.rows(f"SELECT rid FROM runs r WHERE NOT {made} ORDER BY rid")
            for _ in self._make_documents([rid for (rid,) in missing]):
                pass

    def _make_documents(self, rids: Sequence[int]) -> "Iterator[DocumentRow]":
        """Read documents from the branch and cache them if the cache can be written."""
        from gitexp.storage.cache.fill import document_rows

        waiting: list[DocumentRow] = []

        def keep(conn: sqlite3.Connection) -> None:
            conn.executemany("INSERT OR REPLACE INTO docs VALUES (?, ?, ?, ?)", waiting)

        wanted = (self._connection(), self.repo, rids, self._progress)
        for rows in document_rows(*wanted, seed_params=self._seed_params):
            yield from rows
            waiting += rows
            if len(waiting) >= _DOCUMENTS_AT_ONCE:
                self._change(keep)
                waiting.clear()
        if waiting:
            self._change(keep)

    def rebuild(self) -> None:
        """Build the cache from the whole branch, on disk if possible, else in memory."""
        self.close()
        try:
            with self._file.replacing() as conn:
                self._fill(conn)
            if self._ensure_open() and self._ensure_tip():
                return
        except (OSError, sqlite3.DatabaseError, Busy, CommandFailed, TooManyChanges):
            pass  # not writable, or another process replaced the file at once
        self.close()
        self._conn = connect(":memory:")
        self._fill(self._conn)

    def _fill(self, conn: sqlite3.Connection) -> None:
        from gitexp.storage.cache.fill import fill
        from gitexp.storage.cache.writer import create_indexes, create_tables

        create_tables(conn)
        conn.execute("BEGIN")
        if self._target is None:
            create_indexes(conn)
        else:
            fill(*(conn, self.repo, self._target, self._progress), seed_params=self._seed_params)
        meta = {**self._identity(), "tip": self._target}
        conn.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        conn.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        if self._conn is None:
            self.refresh()
        assert self._conn is not None  # noqa: S101 - refresh connects or raises
        return self._conn

    def rows(self, sql: str, values: Values = ()) -> list[Any]:
        """Return all rows at once, so that the file is locked only for a short time.

        A value that is not valid Unicode, such as an argument that is not UTF-8, equals no value
        of the cache.
        """
        try:
            return self._connection().execute(sql, values).fetchall()
        except UnicodeEncodeError:
            return self._connection().execute(sql, _encoded(values)).fetchall()

    @property
    def tip(self) -> ObjectId | None:
        """Commit that the cache describes."""
        tip = self.first("SELECT value FROM meta WHERE name = 'tip'")
        return None if tip is None else ObjectId(tip)

    def first(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row, or `None` without rows."""
        rows = self.rows(sql, values)
        return rows[0][0] if rows else None


def _encoded(values: Values) -> Values:
    """Encode texts to bytes, which SQLite never treats as equal to a text."""

    def encoded(value: object) -> object:
        return value.encode(errors="surrogatepass") if isinstance(value, str) else value

    if isinstance(values, Mapping):
        return {name: encoded(value) for name, value in values.items()}
    return [encoded(value) for value in values]
