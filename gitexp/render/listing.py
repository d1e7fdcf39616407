"""Many runs as a table: which columns there are, and what stands in their cells.

Floor 5, pure. A column is a key: `name`, `params.lr`, `metrics.val.loss`, `environment.python`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime

from gitexp.comparison import guess_direction, last_part
from gitexp.ids import MIN_PREFIX_LENGTH, RunId
from gitexp.model import Entry, Table, Value, flatten
from gitexp.render.table import TableStyle, format_table
from gitexp.render.text import (
    clean,
    format_age,
    format_cell,
    format_duration,
    format_moment,
    shorten,
)

_ATTRIBUTES: dict[str, Callable[[Entry], Value | None]] = {
    "id": lambda entry: entry.run.id,
    "name": lambda entry: entry.run.name,
    "outcome": lambda entry: entry.run.outcome.value,
    "decision": lambda entry: (
        entry.decision.decision.value if entry.decision and entry.decision.decision else None
    ),
    "why": lambda entry: entry.decision.text if entry.decision else None,
    "started": lambda entry: entry.run.started,
    "duration": lambda entry: entry.run.duration_s,
    "author": lambda entry: entry.run.author,
    "origin": lambda entry: entry.run.origin.value,
    "reason": lambda entry: entry.run.reason,
    "tags": lambda entry: ", ".join(entry.tags) or None,
    "commit": lambda entry: entry.run.code.commit,
    "branch": lambda entry: entry.run.code.branch,
    "dirty": lambda entry: entry.run.code.dirty,
    "command": lambda entry: " ".join(entry.run.command.argv) if entry.run.command else None,
    "exit_code": lambda entry: entry.run.command.exit_code if entry.run.command else None,
    "parent": lambda entry: entry.run.parent,
    "reproduces": lambda entry: entry.run.reproduces,
    "source": lambda entry: entry.run.source,
    "fingerprint": lambda entry: entry.run.fingerprint or None,
}
LEADING_KEYS = ("id", "name", "age", "outcome", "decision")
"""What every listing begins with; `age` is `started` as people say it."""

_FIXED = frozenset({"id", "age", "outcome"})
"""Columns of words that are never cut."""

_TABLES: dict[str, Callable[[Entry], Table]] = {
    "metrics": lambda entry: entry.run.metrics,
    "params": lambda entry: entry.run.parameters,
    "environment": lambda entry: entry.run.environment,
}


def default_keys(entries: Sequence[Entry]) -> list[str]:
    """The leading columns, then every metric and every parameter, in the order first seen."""
    found = dict.fromkeys(key for table in ("metrics", "params") for key in _keys(entries, table))
    return [*LEADING_KEYS, *found]


def _keys(entries: Sequence[Entry], table: str) -> Iterator[str]:
    for entry in entries:
        for name, _ in flatten(_TABLES[table](entry)):
            yield f"{table}.{name}"


def changed_keys(entries: Sequence[Entry], keys: Sequence[str]) -> list[str]:
    """The keys that have more than one value among the entries; `id` and `name` always stay."""
    rows = [_Row(entry) for entry in entries]
    return [
        key
        for key in keys
        if key in ("id", "name") or len({format_cell(r.get(key), precision=None) for r in rows}) > 1
    ]


def unchanged_line(entries: Sequence[Entry], keys: Sequence[str], *, width: int) -> str:
    """Name the columns that were left out because they never change; empty when there are none."""
    filled = [key for key in keys if any(value_at(entry, key) is not None for entry in entries)]
    named = "same in all: " + ", ".join(clean(header) for header in headers_for(filled))
    return shorten(named, width) if filled else ""


def value_at(entry: Entry, key: str) -> Value | None:
    """What a column holds for a run; `None` when it holds nothing."""
    return _Row(entry).get(key)


class _Row:
    """An entry with its tables flattened once, for many look-ups."""

    def __init__(self, entry: Entry) -> None:
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
    """The prefix the caller found unique, else the shortest we ever show."""
    return (shown or {}).get(run, run[:MIN_PREFIX_LENGTH])


def run_list(
    entries: Sequence[Entry],
    keys: Sequence[str] | None = None,
    *,
    now: datetime,
    style: TableStyle = "plain",
    width: int | None = None,
    precision: int | None = 5,
    ids: Mapping[RunId, str] | None = None,
    pinned: Collection[str] = (),
) -> str:
    """The runs as a table, one line each, in the order given. `ids` are their unique prefixes.

    Where it is wider than `width`, columns that are the same for every run are left out, then some
    metrics and parameters, and named below it. The keys in `pinned` stay, and id and name.
    """
    keys = list(default_keys(entries) if keys is None else keys)
    rows = []
    for entry in entries:
        row = _Row(entry)
        rows.append([_cell(key, row.get(key), now, precision, ids) for key in keys])
    headers = headers_for(keys)
    if width is None or style != "plain" or not rows:
        return format_table(headers, rows, style=style, width=width, fixed=_FIXED)
    from gitexp.render.fitting import fit_columns  # noqa: PLC0415 - on terminals only

    kept_anyway = {
        h for h, key in zip(headers, keys, strict=True) if key in {*pinned, "id", "name"}
    }
    kinds = [_kind(key) for key in keys]
    fitted = fit_columns(headers, rows, width, fixed=_FIXED, pinned=kept_anyway, kinds=kinds)
    table = format_table(
        [headers[n] for n in fitted.kept],
        [[row[n] for n in fitted.kept] for row in rows],
        width=width,
        fixed=_FIXED,
    )
    return "\n".join([table, *fitted.notes])


def _kind(key: str) -> str:
    """What a column competes with for room; metrics that are known to matter with each other."""
    table, dot, name = key.partition(".")
    if not dot:
        return ""
    return "known metrics" if table == "metrics" and guess_direction(name) else table


def _cell(
    key: str,
    value: Value | None,
    now: datetime,
    precision: int | None,
    ids: Mapping[RunId, str] | None,
) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_age(value, now=now) if key == "age" else format_moment(value)
    if isinstance(value, str) and key in ("id", "parent", "reproduces"):
        return short_id(RunId(value), ids)
    if isinstance(value, str) and key in ("commit", "fingerprint"):
        return clean(value[:MIN_PREFIX_LENGTH])
    if isinstance(value, int | float) and key == "duration":
        return format_duration(value)
    return format_cell(value, precision=precision)


def headers_for(keys: Sequence[str]) -> list[str]:
    """The shortest headers that stay distinct: `lr` for `params.lr`, in full where two meet."""
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
