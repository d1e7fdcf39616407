# ruff: noqa: S608 - only fixed names
"""A view: the run branch at one commit. The only place that reads the cache.

A view holds one read transaction, so that all its answers describe the same commit. A faulty answer
makes it open again at this commit, from a new file, and ask once more: that is correct because
every row follows from the files of the commit.
"""

import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from gitexp.core.model.ids import ObjectId
from gitexp.storage.cache.sql import Damaged, checksum
from gitexp.storage.cache.values import materialize

Values: TypeAlias = Sequence[object] | Mapping[str, object]
"""Parameters of a statement, by position or by name."""


class Opened(NamedTuple):
    """A connection that shows one commit."""

    conn: sqlite3.Connection
    tip: ObjectId | None
    is_private: bool
    """True for a copy in memory."""


class Reopen(Protocol):
    """Open a view again at a tip, with the values of keys; from a new file if it was damaged."""

    def __call__(self, tip: ObjectId | None, keys: Collection[str], *, damaged: bool) -> Opened: ...


class Document(NamedTuple):
    """JSON document of a run as text."""

    rid: int
    clock: int
    text: str
    typed: str | None
    """JSON of the values whose type differs in the document (`Typed`); almost always `None`."""


class View:
    """All runs at one commit. Threads may share it."""

    def __init__(self, opened: Opened, reopen: Reopen) -> None:
        self.tip = opened.tip
        self._opened: Opened | None = opened
        self._reopen = reopen
        self._keys: set[str] = set()
        self._turn = threading.RLock()

    def release(self) -> None:
        """Close the file; the next question opens it again, at the same commit.

        While a view is open, SQLite cannot shorten its log. So a process that waits for long, for
        instance for a command of the user, releases its views before.
        """
        with self._turn:
            if self._opened is not None and not self._opened.is_private:
                self._opened.conn.close()
                self._opened = None

    def __del__(self) -> None:
        """Close the connection, for which Python would otherwise warn."""
        self.release()

    def rows(
        self,
        sql: str,
        values: Values = (),
        check: Callable[[list[Any]], None] | None = None,
    ) -> list[Any]:
        """Return the rows of a question. `check` raises `Damaged` for rows that cannot be true.

        A value that is not valid Unicode, such as an argument that is not UTF-8, equals no value
        of the cache.
        """
        with self._turn:
            try:
                return self._ask(sql, values, check)
            except sqlite3.DatabaseError:
                self._open(damaged=True)
            return self._ask(sql, values, check)

    def _ask(
        self, sql: str, values: Values, check: Callable[[list[Any]], None] | None
    ) -> list[Any]:
        conn = self._opened.conn if self._opened is not None else self._open(damaged=False)
        try:
            found = conn.execute(sql, values).fetchall()
        except UnicodeEncodeError:
            found = conn.execute(sql, _encoded(values)).fetchall()
        if check is not None:
            check(found)
        return found

    def _open(self, *, damaged: bool) -> sqlite3.Connection:
        self.release()
        self._opened = self._reopen(self.tip, self._keys, damaged=damaged)
        return self._opened.conn

    def first(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row, or `None` without rows."""
        rows = self.rows(sql, values)
        return rows[0][0] if rows else None

    def need(self, *names: str) -> None:
        """Have the values of keys in `vals` from now on. Many at once take little more time."""
        with self._turn:
            wanted = set(names) - self._keys
            if not wanted:
                return
            self._keys |= wanted
            known = {name for (name,) in self.rows("SELECT name FROM keys")}
            if wanted <= known:
                return
            if self._opened is not None and self._opened.is_private:
                self._opened.conn.execute("BEGIN")
                materialize(self._opened.conn, wanted)
                self._opened.conn.execute("COMMIT")
            else:
                self._open(damaged=False)

    def documents(self, which: str, values: Values = ()) -> list[Document]:
        """Return the documents of runs. `which` ends a statement over `runs r`."""
        found = self.rows(
            "SELECT r.rid, r.clock, d.document, d.typed, d.checksum"
            f" FROM runs r LEFT JOIN documents d ON d.rid = r.rid {which}",
            values,
            _check_documents,
        )
        return [Document(*row[:4]) for row in found]

    def contents(self, keys: Sequence[tuple[str]]) -> dict[str, object]:
        """Return a digest of each table, with the values of some keys only, and SQLite's own check.

        Equal for equal content, whatever numbers keys and shapes have. Reads no document: each is
        compared with its checksum when it is read.
        """
        runs = ", ".join(
            f'"{name}"' for _, name, *_ in self.rows("PRAGMA table_info(runs)") if name != "shape"
        )
        asked = {
            "runs": f"SELECT {runs}, paths FROM runs JOIN shapes USING (shape) ORDER BY rid",
            "vals": "SELECT name, rid, num, text, clock FROM keys JOIN vals USING (key)"
            f" WHERE name IN ({', '.join('?' * len(keys))}) ORDER BY name, rid",
            "documents": "SELECT rid, checksum FROM documents ORDER BY rid",
            **{name: f"SELECT * FROM {name} ORDER BY 1, 2" for name in _PLAIN},
        }
        digests: dict[str, object] = {
            name: checksum(repr(self.rows(sql, [k for (k,) in keys] if name == "vals" else ())))
            for name, sql in asked.items()
        }
        schema = self.rows("SELECT name, sql FROM sqlite_master ORDER BY name")
        return {**digests, "schema": schema, "file": self.rows("PRAGMA integrity_check")}


_PLAIN: Final = ("files", "tags", "produced", "broken")
"""Tables that two caches of one commit have alike to the last row."""


def _check_documents(found: list[Any]) -> None:
    for _, _, text, typed, stored in found:
        if text is None or checksum(text + (typed or "")) != stored:
            raise Damaged("a run has no document, or its checksum differs")


def _encoded(values: Values) -> Values:
    """Encode texts to bytes, which SQLite never treats as equal to a text."""

    def encoded(value: object) -> object:
        return value.encode(errors="surrogatepass") if isinstance(value, str) else value

    if isinstance(values, Mapping):
        return {name: encoded(value) for name, value in values.items()}
    return [encoded(value) for value in values]
