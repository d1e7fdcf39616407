# ruff: noqa: S608 - only fixed names and compiled queries, see `sql`
"""Questions about all runs at one commit of the run branch.

The answers equal those of a cache built from the whole branch, also after the file was damaged or
deleted.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Self

from gitexp.core.errors import NotFound, UnreadableRecord
from gitexp.core.model.annotations import REJECTED
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Outcome, RecordedRun, Run, Value
from gitexp.core.schema.layout import PathKind
from gitexp.storage.cache import columns, ordering
from gitexp.storage.cache.measured_groups import GroupQueries
from gitexp.storage.cache.sql import Compiler, row_of, rows_of_prefix, run_of
from gitexp.storage.cache.values import name_of
from gitexp.storage.cache.view import Document, Values, View

if TYPE_CHECKING:
    from gitexp.adapters.git.repository import Repo
    from gitexp.core.query.parse import Query

_CHUNK: Final = 500
"""Documents read at once."""

_REJECTED: Final = ", ".join(f"'{decision.value}'" for decision in sorted(REJECTED))


class CachedRuns:
    """All runs at one commit. Immutable; threads may share it."""

    def __init__(self, view: View, repo: "Repo", ref: str) -> None:
        self._view = view
        self._repo = repo
        self.ref = ref
        """Full name of the run branch."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.release()

    def release(self) -> None:
        """Close the cache file; the next question opens it again at the same commit."""
        self._view.release()

    def _runs(self, sql: str, values: Values = ()) -> list[RunId]:
        return [run_of(rid) for (rid,) in self._view.rows(sql, values)]

    # --- the whole ------------------------------------------------------------------------

    @property
    def tip(self) -> ObjectId | None:
        """Commit that the answers describe; `None` if the ref does not exist."""
        return self._view.tip

    def count(self) -> int:
        """Return the number of runs."""
        return int(self._view.first("SELECT count(*) FROM runs"))

    @property
    def broken(self) -> list[tuple[str, str]]:
        """Path and reason of every unreadable file or directory on the branch, sorted."""
        return self._view.rows("SELECT path, why FROM broken ORDER BY path")

    def differences(self, other: "CachedRuns") -> list[str]:
        """Return the names of the tables that differ from those of another cache at this commit.

        Compares everything, also what SQLite itself finds wrong with the file.
        """
        keys = self._view.rows("SELECT name FROM keys ORDER BY name")
        for view in (self._view, other._view):
            view.need(*(name for (name,) in keys))
        ours, theirs = self._view.contents(keys), other._view.contents(keys)
        return [table for table in ours if ours[table] != theirs[table]]

    def max_clock(self) -> int:
        """Return the highest logical clock of runs and annotations, or 0 if there are none.

        Deleted runs count too.
        """
        return int(self._view.first("SELECT max(clock) FROM files") or 0)

    def keys(self, kind: str | None = None) -> list[str]:
        """Return the full key names that runs use, sorted.

        `kind` limits them to `metrics`, `params` or `env`.
        """
        shapes = (
            "SELECT paths FROM shapes s WHERE EXISTS (SELECT 1 FROM runs WHERE shape = s.shape)"
        )
        names = {name_of(path) for (p,) in self._view.rows(shapes) for path in json.loads(p)}
        return sorted(name for name in names if kind is None or name.startswith(kind + "."))

    def prepare(self, keys: Iterable[str]) -> None:
        """Prepare questions about many keys at once, given by full name; otherwise each waits."""
        self._view.need(*keys)

    def tags(self) -> list[str]:
        """Return every tag of any run, sorted."""
        return [tag for (tag,) in self._view.rows("SELECT DISTINCT tag FROM tags ORDER BY tag")]

    def names(self) -> list[str]:
        """Return every run name, sorted."""
        return [name for (name,) in self._view.rows("SELECT DISTINCT name FROM runs ORDER BY name")]

    # --- choosing and ordering --------------------------------------------------------------

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
        return ordering.ids(self._view, where, sort_by, descending=descending, limit=limit)

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
        sql = Compiler(self._view.need)
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

    def successes(
        self, session: str, *, since: int, without: str, among: int
    ) -> list[tuple[RunId, ObjectId]]:
        """Return the runs of a session that succeeded and may continue, and their code commits.

        Newest first, of the `among` newest ended runs of the session. Without runs up to the
        logical time `since`, reproductions, the group `without`, and what was discarded or stopped.
        """
        sql = Compiler(self._view.need)
        ended = " AND ".join(sql.eligible("r", sealed=True, before=None))
        newest = (
            f"SELECT * FROM runs r WHERE {ended} AND r.session = {sql.bind(session)}"
            f" ORDER BY r.clock DESC, r.rid DESC LIMIT {sql.bind(among)}"
        )
        found = self._view.rows(
            f'SELECT rid, "commit" FROM ({newest}) WHERE clock > {sql.bind(since)}'
            f" AND outcome = {sql.bind(Outcome.SUCCEEDED.value)} AND reproduces IS NULL"
            f" AND trial <> {sql.bind(without)}"
            f" AND ifnull(decision, '') NOT IN ({_REJECTED}) ORDER BY clock DESC, rid DESC",
            sql.values,
        )
        return [(run_of(rid), ObjectId(commit)) for rid, commit in found]

    @property
    def groups(self) -> GroupQueries:
        """Queries about groups of repeats."""
        return GroupQueries(self._view)

    # --- finding ----------------------------------------------------------------------------

    def by_prefix(self, prefix: str) -> list[RunId]:
        """Return the runs whose id starts with the hex digits, sorted by id."""
        first, last = rows_of_prefix(prefix)
        return self._runs(
            "SELECT rid FROM runs WHERE rid BETWEEN ? AND ? ORDER BY rid", (first, last)
        )

    def by_name(self, name: str) -> list[RunId]:
        """Return the runs with a name, newest first."""
        return self._newest_where("name = ?", name)

    def by_fingerprint(self, fingerprint: str) -> list[RecordedRun]:
        """Return the runs with a fingerprint, newest first."""
        return self.entries(self._newest_where("fingerprint = ?", fingerprint))

    def by_commit(self, oid: str) -> list[RunId]:
        """Return the runs of a code commit or snapshot, newest first."""
        return self._newest_where('"commit" = ?1 OR snapshot = ?1', oid)

    def _newest_where(self, condition: str, value: str) -> list[RunId]:
        order = "ORDER BY clock DESC, rid DESC"
        return self._runs(f"SELECT rid FROM runs WHERE {condition} {order}", (value,))

    def conflicting(self) -> list[RunId]:
        """Return the runs that were sealed twice with different records.

        `rivals` returns the conflicting versions.
        """
        return self._runs("SELECT rid FROM runs WHERE rivals > 0 ORDER BY rid")

    def rivals(self, run: RunId) -> list[Run]:
        """Return the readable conflicting versions of a run that was sealed twice."""
        from gitexp.core.schema.limits import MAX_RECORD_BYTES
        from gitexp.core.schema.toml_codec import decode_run

        blobs = self._repo.read_blobs(self._rival_blobs(run), max_bytes=MAX_RECORD_BYTES)
        rivals = []
        for _, content in blobs:
            try:
                rivals += [] if content is None else [decode_run(content)]
            except UnreadableRecord:
                continue
        return rivals

    def has_series(self, run: RunId) -> bool:
        """Return whether the branch holds a metric series of the run."""
        return bool(self._view.first("SELECT series FROM runs WHERE rid = ?", row_of(run)))

    def paths(self, run: RunId) -> list[str]:
        """Return every path of the run on the branch, sorted, also of a deleted run."""
        found = self._view.rows(
            "SELECT path FROM files WHERE rid = ? ORDER BY path", (row_of(run),)
        )
        return [path for (path,) in found]

    def _rival_blobs(self, run: RunId) -> list[str]:
        found = self._view.rows(
            "SELECT oid FROM files WHERE rid = ? AND kind = ? AND path LIKE '%~%' ORDER BY path",
            (row_of(run), PathKind.RUN.value),
        )
        return [oid for (oid,) in found]

    def produced_by(self, program: str) -> set[str]:
        """Return the paths that past runs of the program produced."""
        found = self._view.rows("SELECT DISTINCT path FROM produced WHERE program = ?", (program,))
        return {path for (path,) in found}

    # --- reading ----------------------------------------------------------------------------

    def entry(self, run: RunId) -> RecordedRun:
        """Return one run with its annotations. Raises `NotFound`."""
        return self.entries([run])[0]

    def entries(self, runs: Iterable[RunId]) -> list[RecordedRun]:
        """Return runs with their annotations, in the given order. Raises `NotFound`."""
        from gitexp.core.schema.json_codec import parse_entry

        return [
            parse_entry(json.loads(doc.text), json.loads(doc.typed) if doc.typed else None)
            for doc in self._documents(list(runs))
        ]

    def documents(self, runs: Iterable[RunId] | None = None) -> Iterator[str]:
        """Yield the JSON documents as text, as they are stored, in the given order.

        Without `runs`: all, newest first. Raises `NotFound`.
        """
        if runs is None:
            page = self._page("1")
            while page:
                yield from (doc.text for doc in page)
                page = self._page("(r.clock, r.rid) < (?2, ?3)", page[-1].clock, page[-1].rid)
        else:
            order = list(runs)
            for start in range(0, len(order), _CHUNK):
                yield from (doc.text for doc in self._documents(order[start : start + _CHUNK]))

    def _documents(self, runs: Sequence[RunId]) -> list[Document]:
        among = "WHERE r.rid IN (SELECT value FROM json_each(?))"
        found = {d.rid: d for d in self._view.documents(among, (columns.rows_text(runs),))}
        for run in runs:
            if row_of(run) not in found:
                raise NotFound(f"there is no run '{run}'")
        return [found[row_of(run)] for run in runs]

    def _page(self, older: str, *last: int) -> list[Document]:
        order = f"WHERE {older} ORDER BY r.clock DESC, r.rid DESC LIMIT ?1"
        return self._view.documents(order, (_CHUNK, *last))

    def column(self, key: str, runs: Iterable[RunId] | None = None) -> dict[RunId, Value]:
        """Return the values of one key or attribute by run, for the runs that have it.

        Lists are JSON text.
        """
        return columns.column(self._view, key, None if runs is None else list(runs))

    def shortest_prefix(self, run: RunId) -> str:
        """Return the shortest unique prefix of a run id, at least 7 digits."""
        return self.short([run])[run]

    def short(self, runs: Iterable[RunId]) -> dict[RunId, str]:
        """Return the shortest unique prefix of each run id, at least 7 digits."""
        return columns.short(self._view, list(runs))
