"""Nested tables of parameters and metrics, and the dotted names of their values."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import TypeAlias, cast

Scalar: TypeAlias = bool | int | float | str | datetime | date | time
Value: TypeAlias = Scalar | list["Value"] | dict[str, "Value"]
Table: TypeAlias = dict[str, Value]
"""A nested table of parameters or metrics, as TOML can carry it."""


def flatten(table: Mapping[str, Value], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield every leaf with its dotted name, in the table's order; lists are leaves.

    The key `val.loss` and the key `loss` in the table `val` have the same name; `nest` makes one
    of them.
    """
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")


def name_parts(name: str) -> list[str]:
    """A dotted name at its dots: `val.mAP@0.5` is `val`, `mAP@0.5`.

    A dot between digits is a decimal point; a name with an empty part is one part.
    """
    parts = _DOT.split(name)
    return parts if all(parts) else [name]


MAX_NESTING = 16
"""`nest` makes so many tables within each other; what is left of a longer name is one key."""


def nest(*tables: Mapping[str, Value]) -> Table:
    """All values of the tables in the one form that records have: names nest at their dots.

    Of a name that is there twice the later value counts. Where a value is in the way of a table
    (`val` beside `val.loss`), the rest of the name stays together as one key, so that nothing is
    lost; likewise names with an empty part. The order of names makes no difference.
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
    """The numeric leaves by dotted name; booleans count as numbers 0 and 1."""
    return {
        name: float(value)
        for name, value in flatten(table)
        if isinstance(value, bool | int | float)
    }
