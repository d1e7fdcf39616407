# ruff: noqa: S608 - only fixed names, see `sql`
"""Columns over many runs: the values of one key, and short ids."""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import takewhile
from operator import eq
from typing import Final

from gitexp.core.model.ids import MIN_PREFIX_LENGTH, RunId
from gitexp.core.model.run import Value
from gitexp.storage.cache.sql import BOOLEAN, COLUMNS, row_of, run_of
from gitexp.storage.cache.view import View

_FEW: Final = 100
"""Up to this number of runs, a query for each is faster than reading all ids."""


def column(view: View, key: str, wanted: Sequence[RunId] | None) -> dict[RunId, Value]:
    """Return the values of one key or attribute, by run, for the runs that have it."""
    few = "1" if wanted is None else "rid IN (SELECT value FROM json_each(?2))"
    rows = () if wanted is None else (rows_text(wanted),)
    if key in COLUMNS:
        found = view.rows(
            f"SELECT r.rid, {COLUMNS[key]}, NULL FROM runs r"
            f" WHERE {COLUMNS[key]} IS NOT ?1 AND {few}",
            (None, *rows),
        )
    else:
        view.need(key)
        found = view.rows(
            "SELECT rid, num, text FROM vals WHERE key = (SELECT key FROM keys WHERE name = ?1)"
            f" AND {few}",
            (key, *rows),
        )
    return {run_of(rid): _value(number, text, key) for rid, number, text in found}


def short(view: View, wanted: Sequence[RunId]) -> dict[RunId, str]:
    """Return the shortest unique prefix of each run id."""
    if len(wanted) <= _FEW:
        return {run: _shortest(run, _around(view, run)) for run in wanted}
    asked = set(wanted)
    known = sorted(asked.union(run_of(rid) for (rid,) in view.rows("SELECT rid FROM runs")))
    return {
        run: _shortest(run, known[max(0, n - 1) : n] + known[n + 1 : n + 2])
        for n, run in enumerate(known)
        if run in asked
    }


def _around(view: View, run: RunId) -> list[RunId]:
    found = view.rows(
        "SELECT max(rid) FROM runs WHERE rid < ?1"
        " UNION ALL SELECT min(rid) FROM runs WHERE rid > ?1",
        (row_of(run),),
    )
    return [run_of(rid) for (rid,) in found if rid is not None]


def rows_text(runs: Iterable[RunId]) -> str:
    """Encode the row numbers of runs as one JSON value to bind."""
    return json.dumps([row_of(run) for run in runs])


def _value(number: float | str | None, text: str | None, key: str) -> Value:
    if key in BOOLEAN or (number is not None and text in ("true", "false")):
        return bool(number)
    if number is None:
        return math.nan if text == "NaN" and key.startswith("metrics.") else str(text)
    return number


def _shortest(run: RunId, neighbours: Iterable[RunId]) -> str:
    shared = [sum(takewhile(bool, map(eq, run, other))) for other in neighbours]
    return run[: max(MIN_PREFIX_LENGTH, *(n + 1 for n in shared), 0)]
