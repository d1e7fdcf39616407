# ruff: noqa: S608 - only fixed names, see `sql`
"""Groups of repeats: their runs, measurements and decisions.

`CachedRuns.groups` offers these queries.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gitexp.core.analysis.groups import Measurement
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction, Run
from gitexp.storage.cache.sql import Compiler, row_of, run_of
from gitexp.storage.cache.view import View

COUNTED: Final = "r.outcome = 'succeeded'"
"""Runs whose metrics count as measurements."""

ENDED: Final = "r.outcome IN ('succeeded', 'failed', 'timed out')"
"""Runs that are evidence about their group; an interrupted run is not."""

FINITE: Final = "v.num > -9e999 AND v.num < 9e999"

SLACK_S: Final = 1
"""Seconds of tolerance: imported records may have a start in whole seconds."""

_ENDED_AT: Final = "julianday(r.started) * 86400 + coalesce(r.duration_s, 0)"


class GroupQueries:
    """Queries about groups."""

    def __init__(self, view: View) -> None:
        self._view = view

    def measurements(
        self, metric: str, trials: Iterable[str], *, upto: Run | None = None
    ) -> list[Measurement]:
        """Return one measurement for each ended run of the groups, oldest first.

        With `upto`: only that run, and runs that started before it and did not end after it.
        """
        return [found for found, _ in _measurements(self._view, metric, list(trials), upto)]

    def history(self, metric: str, trials: Iterable[str]) -> list[tuple[Measurement, float]]:
        """Return all measurements of the groups as `measurements` does, each with its end.

        The end is in seconds, as `end_of` returns it.
        """
        return _measurements(self._view, metric, list(trials), None)

    def end_of(self, run: Run) -> float | None:
        """Return the seconds up to which a run ended before or with another; `None` if unknown."""
        if run.ended is None:
            return None
        return float(self._view.first(f"SELECT {_limit('?')}", run.ended.isoformat()))

    def counted(self, metric: str, limit: int, *, upto: Run) -> list[tuple[int, RunId, str]]:
        """Return clock, id and group of the newest runs that measured a metric, newest first."""
        return _counted(self._view, metric, limit, upto)

    def best(
        self, metric: str, direction: Direction, limit: int, *, upto: Run
    ) -> list[tuple[int, RunId, str, float]]:
        """Return clock, id, group and end of the runs with the best values, best first.

        Runs count that started before a run, also those that ended after it.
        """
        return _best(self._view, metric, direction, limit, upto, _upto)

    def recent(
        self,
        metric: str,
        limit: int,
        *,
        upto: Run | None = None,
        reproductions: bool = True,
        session: str | None = None,
        without: str | None = None,
    ) -> list[str]:
        """Return the groups of the newest `limit` runs that measured a metric, newest first.

        With a `session`, only its runs count. Reproductions of other runs do not count if
        `reproductions` is False. The runs of the group `without` do not count.
        """
        found = _counted(
            self._view,
            metric,
            limit,
            upto,
            reproductions=reproductions,
            session=session,
            without=without,
        )
        return list(dict.fromkeys(trial for _, _, trial in found))

    def top(
        self, metric: str, direction: Direction, limit: int, *, upto: Run | None = None
    ) -> list[str]:
        """Return the groups of the `limit` runs with the best values of a metric, best first."""
        found = _best(self._view, metric, direction, limit, upto, _known)
        return list(dict.fromkeys(trial for _, _, trial, _ in found))

    def of_runs(self, runs: Iterable[RunId]) -> dict[RunId, str]:
        """Return the group of each run that exists."""
        return _of_runs(self._view, list(runs))

    def repeated(self, trials: Iterable[str]) -> set[str]:
        """Return those of the groups that have more than one run."""
        found = self._view.rows(
            "SELECT trial FROM runs WHERE trial IN (SELECT value FROM json_each(?))"
            " GROUP BY trial HAVING count(*) > 1",
            (json.dumps([*trials]),),
        )
        return {trial for (trial,) in found}

    def members(self, trials: Iterable[str]) -> dict[str, list[RunId]]:
        """Return all runs of each group, newest first."""
        return _members(self._view, list(trials))

    def readers(self, trial: str, limit: int) -> list[RunId]:
        """Return those of the newest `limit` runs of a group whose records name read files."""
        return _readers(self._view, trial, limit)

    def decided(self, trials: Iterable[str]) -> dict[str, list[tuple[RunId, str]]]:
        """Return the runs of each group that have a decision, with the decision in force."""
        return _decided(self._view, list(trials))


def _measurements(
    view: View, metric: str, trials: Iterable[str], upto: Run | None
) -> list[tuple[Measurement, float]]:
    """Return one measurement for each ended run of the groups, oldest first, with its end."""
    sql = Compiler(view.need)
    found = view.rows(
        f"SELECT r.rid, r.clock, iif({COUNTED} AND {FINITE}, v.num, NULL), r.trial, r.family,"
        " r.fingerprint, r.seeds, r.batch, r.round,"
        f" iif({COUNTED}, iif(v.num IS NULL AND v.text IS NOT 'NaN', 'missing', 'not a number'),"
        f" 'failed'), {_ENDED_AT}"
        f" FROM runs r LEFT JOIN vals v ON v.key = {sql.key('metrics.' + metric)} AND v.rid = r.rid"
        f" WHERE r.trial IN (SELECT value FROM json_each({sql.bind(json.dumps([*trials]))}))"
        f" AND {ENDED} AND {_known(sql, upto)} ORDER BY r.clock, r.rid",
        sql.values,
    )
    return [
        (
            Measurement(
                run=run_of(rid),
                clock=clock,
                value=None if value is None else float(value),
                group=trial,
                family=family,
                cell=cell or "",
                seeds=seeds,
                batch=batch,
                round=turn,
                lack=lack if value is None else None,
            ),
            ended,
        )
        for rid, clock, value, trial, family, cell, seeds, batch, turn, lack, ended in found
    ]


def _counted(
    view: View,
    metric: str,
    limit: int,
    upto: Run | None,
    *,
    reproductions: bool = True,
    session: str | None = None,
    without: str | None = None,
) -> list[tuple[int, RunId, str]]:
    """Return clock, id and group of the newest runs that measured a metric, newest first."""
    sql = Compiler(view.need)
    made = "1" if reproductions else "r.reproduces IS NULL"
    if session is not None:
        made += f" AND r.session = {sql.bind(session)}"
    if without is not None:
        made += f" AND r.trial IS NOT {sql.bind(without)}"
    key = sql.key("metrics." + metric)
    found = view.rows(
        f"SELECT r.clock, r.rid, r.trial FROM runs r WHERE {COUNTED} AND {made}"
        f" AND {_upto(sql, upto)} AND EXISTS"
        f" (SELECT 1 FROM vals v WHERE v.key = {key} AND v.rid = r.rid AND {FINITE})"
        f" ORDER BY r.clock DESC, r.rid DESC LIMIT {sql.bind(limit)}",
        sql.values,
    )
    return [(clock, run_of(rid), trial) for clock, rid, trial in found]


def _best(
    view: View,
    metric: str,
    direction: Direction,
    limit: int,
    upto: Run | None,
    term: Callable[[Compiler, Run | None], str],
) -> list[tuple[int, RunId, str, float]]:
    """Return clock, id, group and end of the runs with the best values, best first.

    `term` compiles which runs count: `_upto` or `_known`.
    """
    sql = Compiler(view.need)
    way = "DESC" if direction is Direction.MAXIMIZE else "ASC"
    found = view.rows(
        f"SELECT r.clock, r.rid, r.trial, {_ENDED_AT} FROM vals v CROSS JOIN runs r"
        f" ON r.rid = v.rid WHERE v.key = {sql.key('metrics.' + metric)} AND {FINITE}"
        f" AND {COUNTED} AND {term(sql, upto)}"
        f" ORDER BY v.num {way}, v.clock DESC, v.rid DESC LIMIT {sql.bind(limit)}",
        sql.values,
    )
    return [(clock, run_of(rid), trial, ended) for clock, rid, trial, ended in found]


def _of_runs(view: View, runs: Sequence[RunId]) -> dict[RunId, str]:
    """Return the group of each run that exists."""
    rids = json.dumps([row_of(run) for run in runs])
    found = view.rows(
        "SELECT rid, trial FROM runs WHERE rid IN (SELECT value FROM json_each(?))", (rids,)
    )
    return {run_of(rid): trial for rid, trial in found}


def _members(view: View, trials: Iterable[str]) -> dict[str, list[RunId]]:
    """Return all runs of each group, newest first."""
    found = view.rows(
        "SELECT trial, rid FROM runs WHERE trial IN (SELECT value FROM json_each(?))"
        " ORDER BY clock DESC, rid DESC",
        (json.dumps([*trials]),),
    )
    groups: dict[str, list[RunId]] = {}
    for trial, rid in found:
        groups.setdefault(trial, []).append(run_of(rid))
    return groups


def _readers(view: View, trial: str, limit: int) -> list[RunId]:
    """Return those of the newest runs of a group that read files, newest first."""
    found = view.rows(
        "SELECT r.rid FROM (SELECT rid, clock FROM runs WHERE trial = ?"
        " ORDER BY clock DESC, rid DESC LIMIT ?) r JOIN documents d ON d.rid = r.rid"
        " WHERE json_type(d.document, '$.reads') IS NOT NULL ORDER BY r.clock DESC, r.rid DESC",
        (trial, limit),
    )
    return [run_of(rid) for (rid,) in found]


def _decided(view: View, trials: Iterable[str]) -> dict[str, list[tuple[RunId, str]]]:
    """Return the runs of each group that have a decision, with the decision in force."""
    found = view.rows(
        "SELECT trial, rid, decision FROM runs"
        " WHERE trial IN (SELECT value FROM json_each(?)) AND decision IS NOT NULL",
        (json.dumps([*trials]),),
    )
    groups: dict[str, list[tuple[RunId, str]]] = {}
    for trial, rid, decision in found:
        groups.setdefault(trial, []).append((run_of(rid), decision))
    return groups


def _upto(sql: Compiler, run: Run | None) -> str:
    if run is None:
        return "1"
    return f"(r.clock, r.rid) <= ({sql.bind(run.clock)}, {sql.bind(row_of(run.id))})"


def _known(sql: Compiler, run: Run | None) -> str:
    """Return the term for runs that started before a run and did not end after it, or are it."""
    end = None if run is None else run.ended
    if run is None or end is None:
        return _upto(sql, run)
    limit = _limit(sql.bind(end.isoformat()))
    return f"{_upto(sql, run)} AND (r.rid = {sql.bind(row_of(run.id))} OR {_ENDED_AT} <= {limit})"


def _limit(end: str) -> str:
    """Return the seconds up to which other runs ended before a run or with it."""
    return f"julianday({end}) * 86400 + {SLACK_S}"
