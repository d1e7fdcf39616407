"""Runs as Parquet, in bytes. pyarrow is an optional extra."""

from collections.abc import Mapping, Sequence
from typing import Any

from gitexp.core.errors import GitexpError
from gitexp.core.render.machine_formats import flat_document


def format_parquet(documents: Sequence[Mapping[str, Any]]) -> bytes:
    """Return Parquet with one row for each run, and a column for each single value by dotted name.

    Numbers stay numbers; a column with texts and numbers becomes text. Raises `GitexpError` if
    pyarrow is missing.
    """
    try:
        import pyarrow as pa  # an optional extra
        import pyarrow.parquet as pq  # an optional extra
    except ImportError as error:
        raise GitexpError(
            "cannot write Parquet",
            why="pyarrow is not installed",
            hints=["`pip install 'gitexp[parquet]'`"],
        ) from error
    rows = [flat_document(document) for document in documents]
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in columns})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _column(values: list[Any]) -> list[Any]:
    """Convert values to one type: booleans, integers, floats, texts, or lists of texts."""
    present = [value for value in values if value is not None]
    if any(isinstance(value, list) for value in present):
        return [None if v is None else [str(m) for m in _listed(v)] for v in values]
    if all(isinstance(value, bool) for value in present):
        return values
    numeric = [_NOT_FINITE.get(v, v) if isinstance(v, str) else v for v in values]
    found = [v for v in numeric if v is not None]
    if any(isinstance(v, str | bool) for v in found):
        return [None if v is None else str(v) for v in values]
    if all(isinstance(v, int) for v in found):
        return numeric
    return [None if v is None else float(v) for v in numeric]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
