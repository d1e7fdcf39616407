"""Runs as a table: its columns and the content of its cells.

A column is a key: `name`, `params.lr`, `metrics.val.loss`, `environment.python`.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gitexp.core.model.directions import guess_direction, last_part
from gitexp.core.model.ids import MIN_PREFIX_LENGTH, RunId
from gitexp.core.model.run import RecordedRun, Table, Value, flatten
from gitexp.core.render.folded_repeats import Row, Spread, format_spread, spread_of, value_of_all
from gitexp.core.render.table import TableStyle, format_table
from gitexp.core.render.text import (
    clean,
    format_age,
    format_cell,
    format_duration,
    format_moment,
    format_param,
    shorten,
)
from gitexp.core.schema.fields import list_columns

if TYPE_CHECKING:
    from gitexp.core.render.fitted_table import Rank

_FEW_VALUES = 4
"""Maximum numbers of a list that are shown one by one."""

_ATTRIBUTES: dict[str, Callable[[RecordedRun], Value | None]] = {
    **list_columns(),
    "decision": lambda entry: decision_word(entry) or None,
    "disputed": lambda entry: bool(entry.disputed) or None,
    "why": lambda entry: entry.decision.text if entry.decision else None,
    "tags": lambda entry: ", ".join(entry.tags) or None,
    "command": lambda entry: " ".join(entry.run.command.argv) if entry.run.command else None,
}
NAMED_COLUMNS = frozenset(_ATTRIBUTES)
"""Names of the columns that are no value of a table."""

RUNS = "runs"
"""Column with the number of runs in a folded row."""

LEADING_KEYS = ("id", "name", "age", "outcome", "decision")
"""First columns of every listing; `age` is `started` as an age."""

_FIXED = frozenset({"id", "age", "outcome"})
"""Columns of words that are never cut."""

_TABLES: dict[str, Callable[[RecordedRun], Table]] = {
    "metrics": lambda entry: entry.metrics,
    "params": lambda entry: entry.run.parameters,
    "environment": lambda entry: entry.run.environment,
}


def decision_word(entry: RecordedRun) -> str:
    """Return the decision; of independent ones that differ all, the most cautious first."""
    if entry.disputed:
        return "/".join(entry.disputed)
    return entry.decision.decision.value if entry.decision and entry.decision.decision else ""


def default_keys(entries: Sequence[RecordedRun], metric: str | None = None) -> list[str]:
    """Return the leading columns, the main metric, then all other metrics and every parameter.

    The latter are in order of first occurrence.
    """
    found = dict.fromkeys(key for table in ("metrics", "params") for key in _keys(entries, table))
    main = f"metrics.{metric}"
    return [*LEADING_KEYS, *([main] if main in found else []), *(k for k in found if k != main)]


def _keys(entries: Sequence[RecordedRun], table: str) -> Iterator[str]:
    for entry in entries:
        for name, _ in flatten(_TABLES[table](entry)):
            yield f"{table}.{name}"


def changed_keys(entries: Sequence[RecordedRun], keys: Sequence[str]) -> list[str]:
    """Return the keys with more than one value among the entries; `id` and `name` always stay."""
    rows = [_Row(entry) for entry in entries]
    return [
        key
        for key in keys
        if key in ("id", "name") or len({format_cell(r.get(key), precision=None) for r in rows}) > 1
    ]


def unchanged_line(entries: Sequence[RecordedRun], keys: Sequence[str], *, width: int) -> str:
    """Name the columns left out because their values are all equal; empty without such columns."""
    filled = [key for key in keys if any(value_at(entry, key) is not None for entry in entries)]
    named = "same in all: " + ", ".join(clean(header) for header in headers_for(filled))
    return shorten(named, width) if filled else ""


def value_at(entry: RecordedRun, key: str) -> Value | None:
    """Return the value of a column for a run; `None` if it has none."""
    return _Row(entry).get(key)


class _Cells:
    """Return the cells of a row, which may be folded."""

    def __init__(self, row: Row, precision: int | None) -> None:
        self._row = row
        self._members = [_Row(entry) for entry in row.members]
        self._shown = _Row(row.entry)
        self._precision = precision

    def get(self, key: str) -> Value | Spread | None:
        """Return the value of a column, of one run or of all folded ones."""
        if key == RUNS:
            return len(self._members)
        if len(self._members) == 1 or key in ("id", "name", "age"):
            return self._shown.get(key)
        if key in ("decision", "why"):
            return _newest_decision(self._row).get(key)
        values = [member.get(key) for member in self._members]
        if key.startswith("metrics."):
            return spread_of(self._row.members, values)
        return value_of_all(values, precision=self._precision)


def _newest_decision(row: Row) -> "_Row":
    """Return the run of a row with the latest decision; without a decision, the run shown."""
    decided = [entry for entry in row.members if entry.decision is not None]
    newest = max(
        decided,
        key=lambda entry: (entry.decision.clock, entry.decision.id) if entry.decision else (0, ""),
        default=row.entry,
    )
    return _Row(newest)


class _Row:
    """An entry with its tables flattened once, for many look-ups."""

    def __init__(self, entry: RecordedRun) -> None:
        self._entry = entry
        self._leaves: dict[str, dict[str, Value]] = {}

    def get(self, key: str) -> Value | None:
        attribute = _ATTRIBUTES.get("started" if key == "age" else key)
        if attribute:
            return attribute(self._entry)
        table, _, name = key.partition(".")
        if table not in _TABLES:
            return None
        if table not in self._leaves:
            self._leaves[table] = dict(flatten(_TABLES[table](self._entry)))
        return self._leaves[table].get(name)


def short_id(run: RunId, shown: Mapping[RunId, str] | None) -> str:
    """Return the unique prefix from the caller, else the shortest one that gitexp shows."""
    return (shown or {}).get(run, run[:MIN_PREFIX_LENGTH])


def run_list(
    entries: Sequence[RecordedRun] | Sequence[Row],
    keys: Sequence[str] | None = None,
    *,
    now: datetime,
    style: TableStyle = "plain",
    width: int | None = None,
    precision: int | None = 5,
    ids: Mapping[RunId, str] | None = None,
    pinned: Collection[str] = (),
    unsure: Collection[RunId] = (),
    more: str = "",
) -> str:
    """Return runs or folded rows as a table, one line each, in the given order.

    `ids` are their unique prefixes; those in `unsure` are marked by `?`. If the table is wider than
    `width`, the least important columns are left out and named below it; the keys in `pinned` are
    left out last. `more` names the option that lists all in full.
    """
    folded = [entry if isinstance(entry, Row) else Row(entry, (entry,)) for entry in entries]
    keys = list(default_keys([row.entry for row in folded]) if keys is None else keys)
    if any(len(row.members) > 1 for row in folded):
        keys.insert(keys.index("name" if "name" in keys else "id") + 1, RUNS)
    marks = dict.fromkeys(unsure, "?")
    rows = []
    for row in folded:
        cells = _Cells(row, precision)
        rows.append([_cell(key, cells.get(key), now, precision, ids, marks) for key in keys])
    headers = headers_for(keys)
    if width is None or style != "plain":
        return format_table(headers, rows, style=style, width=width, fixed=_FIXED)
    from gitexp.core.render.fitted_table import fitted_table

    ranks = [_rank(key, pinned) for key in keys]
    return fitted_table(headers, rows, width, ranks=ranks, fixed=_FIXED, more=more)


def _rank(key: str, pinned: Collection[str]) -> "Rank":
    """Return the importance of a column."""
    from gitexp.core.render.fitted_table import Rank

    table, dot, name = key.partition(".")
    if key in pinned:
        return Rank.MAIN
    if dot and table == "metrics":
        return Rank.METRIC if guess_direction(name) else Rank.DETAIL
    if dot:
        return Rank.PARAMETER if table == "params" else Rank.DETAIL
    words = {"age": Rank.AGE, "outcome": Rank.OUTCOME, "name": Rank.DECISION}
    return words.get(key, Rank.DECISION if key in LEADING_KEYS else Rank.DETAIL)


def column_table(
    entries: Sequence[RecordedRun],
    keys: Sequence[str],
    *,
    width: int | None,
    precision: int | None = 5,
) -> str:
    """List every column that has a value: its key, its kind, its values.

    Numbers are given as minimum and maximum, texts one by one.
    """
    rows = []
    for key in (key for key in keys if key != "age"):
        values = [value for row in map(_Row, entries) if (value := row.get(key)) is not None]
        shown = dict.fromkeys(format_cell(value, precision=precision) for value in values)
        if shown:
            is_same = len(shown) == 1 and len(values) == len(entries)
            kind = "same" if is_same else "varies"
            rows.append([key, kind, f"{len(values)}", _extent(values, list(shown), precision)])
    headers = ["column", "kind", "runs", "values"]
    return format_table(headers, rows, width=width, fixed={"kind", "runs"})


def _extent(values: Sequence[Value], shown: Sequence[str], precision: int | None) -> str:
    plain = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(shown) > _FEW_VALUES and len(plain) == len(values):
        known = [v for v in plain if not math.isnan(v)] or plain  # NaN has no order
        least, most = (format_cell(f(known), precision=precision) for f in (min, max))
        return f"{least} to {most} ({len(shown)} values)"
    return ", ".join(shown)


def _cell(
    key: str,
    value: Value | Spread | None,
    now: datetime,
    precision: int | None,
    ids: Mapping[RunId, str] | None,
    marks: Mapping[RunId, str],
) -> str:
    if value is None or isinstance(value, Spread):
        return "" if value is None else format_spread(value, precision=precision)
    if isinstance(value, datetime):
        return format_age(value, now=now) if key == "age" else format_moment(value)
    if isinstance(value, str) and key in ("id", "parent", "reproduces"):
        mark = marks.get(RunId(value), "") if key == "id" else ""
        return short_id(RunId(value), ids) + mark
    if isinstance(value, str) and key in ("commit", "fingerprint"):
        return clean(value[:MIN_PREFIX_LENGTH])
    if isinstance(value, int | float) and key == "duration":
        return format_duration(value)
    form = format_param if key.partition(".")[0] in _PARAMS else format_cell
    return form(value, precision=precision)


_PARAMS = ("params", "given", "parsed")
"""Tables whose values are parameters."""


def headers_for(keys: Sequence[str]) -> list[str]:
    """Return the shortest distinct headers: `lr` for `params.lr`, the full key for equal ones."""
    names = [_bare(key) for key in keys]
    ends = [last_part(name) for name in names]
    return [
        end
        if ends.count(end) == 1 and (end not in _ATTRIBUTES or name == key)
        else name
        if names.count(name) == 1 and name not in _ATTRIBUTES
        else key
        for key, name, end in zip(keys, names, ends, strict=True)
    ]


def _bare(key: str) -> str:
    table, _, name = key.partition(".")
    return name if name and table in _TABLES else key
