"""Lists in metrics files: benchmarks with names, and one column for each metric.

Tools for benchmarks (Google Benchmark, hyperfine, pytest-benchmark) write a list of objects, each
with a name. Training code, for instance with Keras, writes its history as a list for each metric.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gitexp.core.model.tables import Table, Value, name_parts

_NAMES: Final = ("name", "fullname", "command", "benchmark", "task", "label", "id")
"""Keys that name an object in a list, the likeliest first."""

_STEPS: Final = frozenset(("step", "epoch", "iteration", "round"))


def name_listed_tables(table: Table) -> Table:
    """Return the table with each list of objects as a table, with their names as keys only.

    Objects without distinct names get their position, from 0. Other lists stay lists.
    """
    return {key: _named(value) for key, value in table.items()}


def _named(value: Value) -> Value:
    if isinstance(value, dict):
        return name_listed_tables(value)
    if not isinstance(value, list):
        return value
    tables = [item for item in value if isinstance(item, dict)]
    if not tables or len(tables) < len(value):
        return value
    named: Table = {}
    for key, table in zip(_keys(tables), tables, strict=True):
        named[key] = name_listed_tables({k: v for k, v in table.items() if v != key})
    return named


def _keys(tables: Sequence[Mapping[str, Value]]) -> list[str]:
    for name in _NAMES:
        found = [table.get(name) for table in tables]
        keys = ["_".join(name_parts(key)) for key in found if isinstance(key, str) and key.strip()]
        if len(set(keys)) == len(tables):
            return keys
    return [str(position) for position in range(len(tables))]


def rows_of_columns(table: Mapping[str, Value]) -> list[Table] | None:
    """Return the rows of a history: lists of numbers, equally long, one of them a step or a loss.

    Returns `None` for any other table: without a step or a loss, a list may as well hold one value
    for each class.
    """
    columns = {name: value for name, value in table.items() if isinstance(value, list)}
    lengths = {len(column) for column in columns.values()}
    is_history = any(name in _STEPS or "loss" in name for name in columns)
    if not is_history or len(columns) < len(table) or len(lengths) != 1 or lengths == {0}:
        return None
    if not all(isinstance(item, int | float) for column in columns.values() for item in column):
        return None
    return [{name: column[row] for name, column in columns.items()} for row in range(lengths.pop())]
