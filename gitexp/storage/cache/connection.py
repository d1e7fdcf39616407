# ruff: noqa: S608 - only fixed names
"""An index file kept at the tip of the run branch, whatever happens to it.

A file that is not ours, of another repository or schema, damaged, or of a tip that git does not
know any more is made again; where nothing can be written it is made in memory.
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
"""What is bound to a statement, by place or by name."""


_DOCUMENTS_AT_ONCE: Final = 5000
"""So many are written together: enough for few writes, too few to fill the memory."""

_TRIES: Final = 10
"""So often a change is begun again when another process made the index anew meanwhile."""


class Document(NamedTuple):
    """The JSON document of a run as text."""

    text: str
    typed: str | None
    """JSON of the values that the document has in another type (`Typed`); hardly ever any."""


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
        """Of the file behind the connection; `None` when it is in memory."""
        self._target: ObjectId | None = None
        """The tip the answers are to be about."""

    def refresh(self) -> None:
        """Bring the index to the ref's present tip. Raises `CommandFailed` on a broken tree."""
        self._target = self.repo.read_ref(self.ref)
        try:
            if self._ensure_open() and self._ensure_tip():
                return
        except (sqlite3.DatabaseError, CommandFailed, TooManyChanges):
            pass  # whatever is wrong with it, it can be made again
        self.rebuild()

    def close(self) -> None:
        """Let go of the file."""
        if self._conn is not None:
            self._conn.close()
        self._conn = self._inode = None

    def _ensure_open(self) -> bool:
        """Connect to a file that is ours and about this ref; an index in memory is kept."""
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
        """Apply what changed since; false when that is impossible."""
        if self.tip == self._target:
            return True
        if self._target is None or self.tip is None:
            return False
        return self._change(self._follow)

    def _follow(self, conn: sqlite3.Connection) -> None:
        old, new = self.tip, self._target  # another process may have been quicker
        if old is None or new is None:
            raise TooManyChanges
        if old != new:
            with self.repo.session():
                from gitexp.adapters.git.trees import changes
                from gitexp.storage.cache.update import update

                found = changes(self.repo, old, new)
                update(conn, self.repo, found, self._progress, seed_params=self._seed_params)
            conn.execute("UPDATE meta SET value = ? WHERE name = 'tip'", (new,))

    def _change(self, deed: Callable[[sqlite3.Connection], None]) -> bool:
        """Write to the index, where that is impossible to a copy of it in memory.

        False when the file is not the one we opened any more; then nothing was written.
        """
        try:
            return self._change_in(self._connection(), deed, stamped=self._inode is not None)
        except (sqlite3.OperationalError, OSError, Busy):  # read-only, full or busy
            if not self._file.is_ours():
                return False  # a write that failed half-way
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
        """Make the values of a key ready to be asked for. Raises `Damaged`."""
        packed = "SELECT key FROM packed WHERE key = (SELECT key FROM keys WHERE name = ?) LIMIT 1"
        for _ in range(_TRIES):
            key = self.first(packed, name)
            if key is None:
                return
            from gitexp.storage.cache.packing import unpack_key

            if not self._change(partial(unpack_key, key=key)):
                self.refresh()  # another process made the index anew
        raise Damaged("the index never stays for long")

    def documents(self, rids: Sequence[int]) -> dict[int, Document]:
        """Documents by row number, of those runs that there are.

        Raises `Damaged` when a document is not whole, or its record can no longer be read.
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
        """Make all documents that are missing, if the oldest run has none: new ones get theirs."""
        made = "EXISTS (SELECT 1 FROM docs d WHERE d.rid = r.rid)"
        if self.first(f"SELECT {made} FROM runs r ORDER BY clock LIMIT 1") == 0:
            missing = self.rows(f"SELECT rid FROM runs r WHERE NOT {made} ORDER BY rid")
            for _ in self._make_documents([rid for (rid,) in missing]):
                pass

    def _make_documents(self, rids: Sequence[int]) -> "Iterator[DocumentRow]":
        """Read documents from the branch; they are kept for the next time if that is possible."""
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
        """Make the index from nothing, on the disk if possible, else in memory."""
        self.close()
        try:
            with self._file.replacing() as conn:
                self._fill(conn)
            if self._ensure_open() and self._ensure_tip():
                return
        except (OSError, sqlite3.DatabaseError, Busy, CommandFailed, TooManyChanges):
            pass  # not writable, or another process put its own in place at once
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
        """All rows at once, so that the file is never locked for long.

        What is no text, as an argument that is not UTF-8, is equal to nothing that is kept.
        """
        try:
            return self._connection().execute(sql, values).fetchall()
        except UnicodeEncodeError:
            return self._connection().execute(sql, _encoded(values)).fetchall()

    @property
    def tip(self) -> ObjectId | None:
        """The commit the answers are about."""
        tip = self.first("SELECT value FROM meta WHERE name = 'tip'")
        return None if tip is None else ObjectId(tip)

    def first(self, sql: str, *values: object) -> Any:
        """The first column of the first row, `None` without one."""
        rows = self.rows(sql, values)
        return rows[0][0] if rows else None


def _encoded(values: Values) -> Values:
    """Texts as bytes, which SQLite never takes for a text."""

    def encoded(value: object) -> object:
        return value.encode(errors="surrogatepass") if isinstance(value, str) else value

    if isinstance(values, Mapping):
        return {name: encoded(value) for name, value in values.items()}
    return [encoded(value) for value in values]
