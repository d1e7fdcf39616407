# ruff: noqa: S608 - only fixed names and compiled queries, see `sql`
"""Select the runs that match a query, in order."""

from typing import TYPE_CHECKING

from gitexp.core.model.ids import RunId
from gitexp.storage.cache.sql import COLUMNS, NUMBERS, TEXTS, Compiler, run_of
from gitexp.storage.cache.view import View

if TYPE_CHECKING:
    from gitexp.core.query.parse import Query


_FEW = 500
"""Up to this limit of runs, a filter that matches many runs is tested run by run."""


def ids(
    view: View,
    where: "Query | None",
    sort_by: str | None,
    *,
    descending: bool,
    limit: int | None,
) -> list[RunId]:
    """Return the runs that match a resolved query, ordered by a full key name or attribute."""
    most = -1 if limit is None else max(0, limit)
    if sort_by is not None and sort_by not in COLUMNS:
        return _by_key(view, where, sort_by, descending=descending, limit=most)
    order = "" if sort_by is None else _order(COLUMNS[sort_by], descending=descending)
    sql = _compiler(view, most)
    return _runs(
        view,
        f"{matching(sql, where)} ORDER BY {order}r.clock DESC, r.rid DESC LIMIT {sql.bind(most)}",
        sql,
    )


def _by_key(
    view: View, where: "Query | None", key: str, *, descending: bool, limit: int
) -> list[RunId]:
    """Return numbers first, then texts, then runs without a value.

    Each of the three is read only if the runs before it do not reach the limit.
    """
    way = "DESC" if descending else "ASC"
    found: list[RunId] = []
    for column, kind in (("num", NUMBERS), ("text", TEXTS)):
        sql = _compiler(view, limit)
        condition = condition_of(sql, where)
        v, source = "r", "vals r"
        if sql.needs_runs:
            v, source = "v", "vals v CROSS JOIN runs r ON r.rid = v.rid"
        found += _runs(
            view,
            f"SELECT r.rid FROM {source} WHERE {v}.key = {sql.key(key)} AND {kind}"
            f" AND {condition} ORDER BY {column} {way}, {v}.clock DESC, r.rid DESC"
            f" LIMIT {sql.bind(limit)}",
            sql,
        )
        if 0 <= limit <= len(found):
            return found[:limit]
    sql = Compiler(view.need)
    return found + _runs(
        view,
        f"{matching(sql, where)} AND r.rid NOT IN"
        f" (SELECT rid FROM vals WHERE key = {sql.key(key)} AND ({NUMBERS} OR {TEXTS}))"
        " ORDER BY r.clock DESC, r.rid DESC"
        f" LIMIT {sql.bind(limit if limit < 0 else limit - len(found))}",
        sql,
    )


def _compiler(view: View, limit: int) -> Compiler:
    if not 0 <= limit <= _FEW:
        return Compiler(view.need)
    return Compiler(view.need, lambda asked, values: int(view.rows(asked, values)[0][0]))


def matching(sql: Compiler, query: "Query | None") -> str:
    """Return a statement that selects the matching rows of `runs r`."""
    return f"SELECT r.rid FROM runs r WHERE {condition_of(sql, query)}"


def condition_of(sql: Compiler, query: "Query | None") -> str:
    """Return the condition of a resolved query over `runs r`; true without a query."""
    if query is None:
        return "1"
    from gitexp.storage.cache.conditions import condition

    return condition(sql, query.root)


def _runs(view: View, statement: str, sql: Compiler) -> list[RunId]:
    return [run_of(rid) for (rid,) in view.rows(statement, sql.values)]


def _order(column: str, *, descending: bool) -> str:
    return f"{column} IS NULL, {column} {'DESC' if descending else 'ASC'}, "
