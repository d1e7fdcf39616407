# ruff: noqa: S608 - only fixed names and compiled queries, see `sql`
"""Queries to the cache.

The answers equal those of a cache built from the whole branch, even if the file was damaged or
deleted. Threads must take turns with a `RunIndex`; any number of processes may use the same file.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

from gitexp.core.errors import NotFound, Unreadable
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Direction, Entry, Run, Value
from gitexp.core.schema.layout import PathKind
from gitexp.storage.cache import columns, ordering
from gitexp.storage.cache.connection import Document, KeptIndex, Values
from gitexp.storage.cache.measured_groups import GroupQueries
from gitexp.storage.cache.sql import Compiler, Damaged, Progress, row_of, rows_of_prefix, run_of

if TYPE_CHECKING:
    from gitexp.adapters.git.repository import Repo
    from gitexp.core.query.parse import Query

FILE_NAME: Final = "index.sqlite"

_CHUNK: Final = 500
"""Documents read at once: a slow caller does not keep the file locked between chunks."""

P = ParamSpec("P")
T = TypeVar("T")


def _mending(
    ask: Callable[Concatenate["RunIndex", P], T],
) -> Callable[Concatenate["RunIndex", P], T]:
    """Rebuild the cache and try once more if SQLite or a checksum finds it damaged."""

    @wraps(ask)
    def asking(self: "RunIndex", /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return ask(self, *args, **kwargs)
        except sqlite3.DatabaseError:
            self._kept.rebuild()
        return ask(self, *args, **kwargs)

    return asking


class RunIndex:
    """Queries about all runs on the run branch."""

    def __init__(self, kept: KeptIndex) -> None:
        self._kept = kept

    @classmethod
    def open(
        cls,
        repo: "Repo",
        ref: str,
        *,
        path: Path | None = None,
        progress: Progress | None = None,
        seed_params: Sequence[str] = (),
    ) -> "RunIndex":
        """Open the cache of a full ref, at its current tip. A missing ref has no runs.

        `seed_params` are those of `grouping.keys_of`; if they differ from those of the cache, it is
        rebuilt.
        """
        where = (path or repo.state_dir / FILE_NAME).absolute()
        kept = KeptIndex(repo, ref, path=where, progress=progress, seed_params=seed_params)
        index = cls(kept)
        index.refresh()
        return index

    def refresh(self) -> None:
        """Update the cache to the current tip of the ref.

        Raises `CommandFailed` if the tip or its top tree cannot be read.
        """
        self._kept.refresh()

    def close(self) -> None:
        """Close the file; the next query opens it again."""
        self._kept.close()

    def _runs(self, sql: str, values: Values = ()) -> list[RunId]:
        return [run_of(rid) for (rid,) in self._kept.rows(sql, values)]

    # --- the whole ------------------------------------------------------------------------

    @property
    def ref(self) -> str:
        """Full name of the run branch."""
        return self._kept.ref

    @property
    def tip(self) -> ObjectId | None:
        """Commit that the answers describe; `None` if the ref does not exist."""
        return self._tip()

    @_mending
    def _tip(self) -> ObjectId | None:
        return self._kept.tip

    @_mending
    def count(self) -> int:
        """Return the number of runs."""
        return int(self._kept.first("SELECT count(*) FROM runs"))

    @property
    def broken(self) -> list[tuple[str, str]]:
        """Path and reason of every unreadable file or directory on the branch, sorted."""
        return self._broken()

    @_mending
    def _broken(self) -> list[tuple[str, str]]:
        return self._kept.rows("SELECT path, why FROM broken ORDER BY path")

    @_mending
    def max_clock(self) -> int:
        """Return the highest logical clock of runs and annotations, or 0 if there are none.

        Deleted runs count too.
        """
        return int(self._kept.first("SELECT max(clock) FROM files") or 0)

    @_mending
    def keys(self, kind: str | None = None) -> list[str]:
        """Return the full key names that runs use, sorted.

        `kind` limits them to `metrics`, `params` or `env`.
        """
        found = self._kept.rows(
            "SELECT name FROM keys k WHERE EXISTS (SELECT 1 FROM vals WHERE key = k.key)"
            " OR EXISTS (SELECT 1 FROM packed WHERE key = k.key)"
        )
        return sorted(name for (name,) in found if kind is None or name.startswith(kind + "."))

    @_mending
    def tags(self) -> list[str]:
        """Return every tag of any run, sorted."""
        return [tag for (tag,) in self._kept.rows("SELECT DISTINCT tag FROM tags ORDER BY tag")]

    @_mending
    def names(self) -> list[str]:
        """Return every run name, sorted."""
        return [name for (name,) in self._kept.rows("SELECT DISTINCT name FROM runs ORDER BY name")]

    # --- choosing and ordering --------------------------------------------------------------

    @_mending
    def ids(
        self,
        where: "Query | None" = None,
        sort_by: str | None = None,
        *,
        descending: bool = False,
        limit: int | None = None,
    ) -> list[RunId]:
        """Return the runs that match a resolved query, ordered by a full key name or attribute.

        Without `sort_by` the newest run is first, also with `descending`. Numbers come before
        texts, runs without a value last, ties newest first.
        """
        return ordering.ids(self._kept, where, sort_by, descending=descending, limit=limit)

    @_mending
    def newest(
        self,
        n: int,
        *,
        with_metric: str | None = None,
        sealed: bool = True,
        before: Run | None = None,
        session: str | None = None,
    ) -> list[RunId]:
        """Return the newest `n` runs, newest first.

        `with_metric`: only runs with a number for the metric. `sealed`: only sealed runs.
        `before`: only runs older than this run. `session`: only runs of this session.
        """
        sql = Compiler(self._kept.unpack)
        terms = sql.eligible("r", sealed=sealed, before=before)
        if session is not None:
            terms.append(f"r.session = {sql.bind(session)}")
        if with_metric is not None:
            key = sql.key("metrics." + with_metric)
            terms.append(
                f"EXISTS (SELECT 1 FROM vals v WHERE v.key = {key} AND v.rid = r.rid"
                " AND v.num IS NOT NULL)"
            )
        return self._runs(
            f"SELECT r.rid FROM runs r WHERE {' AND '.join(terms)}"
            f" ORDER BY r.clock DESC, r.rid DESC LIMIT {sql.bind(n)}",
            sql.values,
        )

    @_mending
    def best(
        self,
        metric: str,
        direction: Direction,
        n: int = 1,
        *,
        where: "Query | None" = None,
        sealed: bool = True,
        before: Run | None = None,
    ) -> list[RunId]:
        """Return the runs with the best finite values of a metric, best first, ties newest first.

        `where` is a resolved query; `sealed` and `before` are those of `newest`.
        """
        sql = Compiler(self._kept.unpack)
        terms = sql.eligible("v", sealed=sealed, before=before)
        if where is not None:
            terms.append(f"v.rid IN ({ordering.matching(sql, where)})")
        way = "DESC" if direction is Direction.MAXIMIZE else "ASC"
        return self._runs(
            f"SELECT v.rid FROM vals v WHERE v.key = {sql.key('metrics.' + metric)}"
            f" AND v.num > -9e999 AND v.num < 9e999 AND {' AND '.join(terms)}"
            f" ORDER BY v.num {way}, v.clock DESC, v.rid DESC LIMIT {sql.bind(n)}",
            sql.values,
        )

    @property
    def groups(self) -> GroupQueries:
        """Queries about groups of repeats."""
        return GroupQueries(self._kept)

    # --- finding ----------------------------------------------------------------------------

    @_mending
    def by_prefix(self, prefix: str) -> list[RunId]:
        """Return the runs whose id starts with the hex digits, sorted by id."""
        first, last = rows_of_prefix(prefix)
        return self._runs(
            "SELECT rid FROM runs WHERE rid BETWEEN ? AND ? ORDER BY rid", (first, last)
        )

    @_mending
    def by_name(self, name: str) -> list[RunId]:
        """Return the runs with a name, newest first."""
        return self._newest_where("name = ?", name)

    @_mending
    def by_fingerprint(self, fingerprint: str) -> list[Entry]:
        """Return the runs with a fingerprint, newest first."""
        return self.entries(self._newest_where("fingerprint = ?", fingerprint))

    @_mending
    def by_commit(self, oid: str) -> list[RunId]:
        """Return the runs of a code commit or snapshot, newest first."""
        return self._newest_where('"commit" = ?1 OR snapshot = ?1', oid)

    @_mending
    def by_source(self, source: str) -> RunId | None:
        """Return the run that was imported from a source, if any."""
        found = self._newest_where("source = ?", source)
        return found[0] if found else None

    def _newest_where(self, condition: str, value: str) -> list[RunId]:
        order = "ORDER BY clock DESC, rid DESC"
        return self._runs(f"SELECT rid FROM runs WHERE {condition} {order}", (value,))

    @_mending
    def conflicting(self) -> list[RunId]:
        """Return the runs that were sealed twice with different records.

        `rivals` returns the conflicting versions.
        """
        return self._runs("SELECT rid FROM runs WHERE rivals > 0 ORDER BY rid")

    def rivals(self, run: RunId) -> list[Run]:
        """Return the readable conflicting versions of a run that was sealed twice."""
        from gitexp.core.schema.limits import MAX_RECORD_BYTES
        from gitexp.core.schema.toml_codec import decode_run

        blobs = self._kept.repo.read_blobs(self._rival_blobs(run), max_bytes=MAX_RECORD_BYTES)
        rivals = []
        for _, content in blobs:
            try:
                rivals += [] if content is None else [decode_run(content)]
            except Unreadable:
                continue
        return rivals

    @_mending
    def has_series(self, run: RunId) -> bool:
        """Return whether the branch holds a metric series of the run."""
        return bool(self._kept.first("SELECT series FROM runs WHERE rid = ?", row_of(run)))

    @_mending
    def paths(self, run: RunId) -> list[str]:
        """Return every path of the run on the branch, sorted, also of a deleted run."""
        found = self._kept.rows(
            "SELECT path FROM files WHERE rid = ? ORDER BY path", (row_of(run),)
        )
        return [path for (path,) in found]

    @_mending
    def _rival_blobs(self, run: RunId) -> list[str]:
        found = self._kept.rows(
            "SELECT oid FROM files WHERE rid = ? AND kind = ? AND path LIKE '%~%' ORDER BY path",
            (row_of(run), PathKind.RUN.value),
        )
        return [oid for (oid,) in found]

    @_mending
    def produced_by(self, program: str) -> set[str]:
        """Return the paths that past runs of the program produced."""
        found = self._kept.rows("SELECT DISTINCT path FROM produced WHERE program = ?", (program,))
        return {path for (path,) in found}

    # --- reading ----------------------------------------------------------------------------

    def entry(self, run: RunId) -> Entry:
        """Return one run with its annotations. Raises `NotFound`."""
        return self.entries([run])[0]

    @_mending
    def entries(self, runs: Iterable[RunId]) -> list[Entry]:
        """Return runs with their annotations, in the given order. Raises `NotFound`."""
        from gitexp.core.schema.json_codec import parse_entry

        return [
            parse_entry(json.loads(doc.text), json.loads(doc.typed) if doc.typed else None)
            for doc in self._documents(list(runs))
        ]

    def documents(self, runs: Iterable[RunId] | None = None) -> Iterator[str]:
        """Yield the JSON documents as text, one line each, in the given order.

        Without `runs`: all, newest first. Raises `NotFound`.
        """
        if runs is None:
            self._make_documents()
            last: tuple[int, int] | None = None
            while page := self._page(last):
                yield from (doc.text for _, _, doc in page)
                last = page[-1][:2]
        else:
            order = list(runs)
            for start in range(0, len(order), _CHUNK):
                yield from (doc.text for doc in self._documents(order[start : start + _CHUNK]))

    @_mending
    def _make_documents(self) -> None:
        self._kept.make_documents()

    @_mending
    def _documents(self, runs: Sequence[RunId]) -> list[Document]:
        found = self._kept.documents([row_of(run) for run in runs])
        for run in runs:
            if row_of(run) not in found:
                raise NotFound(f"there is no run '{run}'")
        return [found[row_of(run)] for run in runs]

    @_mending
    def _page(self, last: tuple[int, int] | None) -> list[tuple[int, int, Document]]:
        older = "1" if last is None else "(r.clock, r.rid) < (?2, ?3)"
        page = self._kept.rows(
            "SELECT r.clock, r.rid FROM runs r"
            f" WHERE {older} ORDER BY r.clock DESC, r.rid DESC LIMIT ?1",
            (_CHUNK, *(last or ())),
        )
        found = self._kept.documents([rid for _, rid in page])
        if len(found) < len(page):
            raise Damaged("an order names a run that is not there")
        return [(clock, rid, found[rid]) for clock, rid in page]

    @_mending
    def column(self, key: str, runs: Iterable[RunId] | None = None) -> dict[RunId, Value]:
        """Return the values of one key or attribute by run, for the runs that have it.

        Lists are JSON text.
        """
        return columns.column(self._kept, key, None if runs is None else list(runs))

    def shortest_prefix(self, run: RunId) -> str:
        """Return the shortest unique prefix of a run id, at least 7 digits."""
        return self.short([run])[run]

    @_mending
    def short(self, runs: Iterable[RunId]) -> dict[RunId, str]:
        """Return the shortest unique prefix of each run id, at least 7 digits."""
        return columns.short(self._kept, list(runs))
