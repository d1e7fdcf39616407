"""Recorded values for queries.

Separate from `parse`, because the cache stores values without any query.
"""

import math
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from gitexp.core.model.run import RecordedRun, Value, flatten
from gitexp.core.schema.json_codec import json_value


class QueryValue(NamedTuple):
    """Value for queries."""

    number: int | float | None = None
    """Never NaN; booleans are 0 and 1."""
    text: str | None = None
    """Text unchanged; else the JSON text of a value that is not a plain number."""


_INFINITIES: Final = {"Infinity": math.inf, "-Infinity": -math.inf}


def query_value(value: Value) -> QueryValue:
    """Return a parameter or metric for queries; equal from a record and from its document."""
    if isinstance(value, bool):
        return QueryValue(int(value), "true" if value else "false")
    if isinstance(value, int):
        return QueryValue(value)
    if isinstance(value, float) and math.isfinite(value):
        return QueryValue(value)
    plain = json_value(value)
    if isinstance(plain, str):
        return QueryValue(_INFINITIES.get(plain), plain)
    import json

    return QueryValue(None, json.dumps(plain))


KEYED: Final = {"metrics": "metrics.", "params": "params.", "environment": "env."}
"""Prefixes of the full names of values, by the table of the record that holds them."""


def keyed_values(entry: RecordedRun) -> Iterator[tuple[str, Value]]:
    """Return every parameter, metric and environment value with its full name."""
    run = entry.measured
    tables = (run.metrics, run.parameters, run.environment)
    return chain.from_iterable(map(flatten, tables, KEYED.values()))
