"""Nested tables of parameters and metrics, and the dotted names of their values."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, TypeAlias, cast

Scalar: TypeAlias = bool | int | float | str | datetime | date | time
Value: TypeAlias = Scalar | list["Value"] | dict[str, "Value"]
Table: TypeAlias = dict[str, Value]
"""Nested table of parameters or metrics, with the types of TOML."""


def flatten(table: Mapping[str, Value], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield every leaf with its dotted name, in the order of the table; lists are leaves.

    The key `val.loss` and the key `loss` in the table `val` have the same name; `nest` unites them.
    """
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


Outline: TypeAlias = tuple[Any, ...]
"""The keys of a table, then key and outline of each table in it."""


def outline(table: Mapping[str, Any]) -> Outline:
    """Return a value that is equal for tables with equal keys, in order and at every depth."""
    below = [(key, outline(value)) for key, value in table.items() if type(value) is dict]
    return (tuple(table), *below)


def leaf_paths(found: Outline) -> Iterator[tuple[str, ...]]:
    """Yield the keys from the top to each leaf, in the order of the table."""
    keys, *below = found
    tables = dict(below)
    for key in keys:
        if key in tables:
            yield from ((key, *path) for path in leaf_paths(tables[key]))
        else:
            yield (key,)


_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")


def name_parts(name: str) -> list[str]:
    """Split a dotted name: `val.mAP@0.5` gives `val`, `mAP@0.5`.

    A dot between digits is a decimal point. A name with an empty part is not split.
    """
    parts = _DOT.split(name)
    return parts if all(parts) else [name]


MAX_NESTING = 16
"""Maximum depth of the tables of `nest`; the rest of a longer name is one key."""


def nest(*tables: Mapping[str, Value]) -> Table:
    """Merge tables into the nested form of records: a dotted name becomes nested tables.

    If a name occurs twice, the later value counts. If a name is also the start of another
    (`val` beside `val.loss`), the rest of the longer name stays one key, so that no value is lost.
    Names with an empty part also stay one key. The order of names makes no difference.
    """
    leaves: dict[str, Value] = {}
    for table in tables:
        leaves.update(flatten(table))
    nested: Table = {}
    for name, value in leaves.items():
        first, *rest = name_parts(name)
        inner, key, above, depth = nested, first, first, 1
        for part in rest:
            if above in leaves or depth == MAX_NESTING:
                key = f"{key}.{part}"
            else:
                inner = cast(Table, inner.setdefault(key, {}))
                key, depth = part, depth + 1
            above = f"{above}.{part}"
        inner[key] = value
    return nested


def numbers(table: Mapping[str, Value]) -> dict[str, float]:
    """Return the numeric leaves by dotted name; booleans count as 0 and 1."""
    return {
        name: float(value)
        for name, value in flatten(table)
        if isinstance(value, bool | int | float)
    }
