"""Columns of a view, by the names that tables and documents have for them."""

from collections.abc import Sequence
from typing import Final

from gitexp.core.query.names import ATTRIBUTES
from gitexp.core.schema.fields import RecordedField

_FIELDS: Final = {n: f for n, f in ATTRIBUTES.items() if isinstance(f, RecordedField)}
_IN_TABLES: Final = {n: f.field.listed or n for n, f in _FIELDS.items()} | {"started": "age"}
_IN_DOCUMENTS: Final = {n: ".".join(f.place) for n, f in _FIELDS.items()} | {
    "command": "command.argv"
}


def table_keys(columns: Sequence[str]) -> list[str]:
    """Return the columns of a table; every row begins with the run's id and name."""
    keys = (_IN_TABLES.get(name, _whole(name)) for name in columns)
    return list(dict.fromkeys(("id", "name", *keys)))


def document_keys(columns: Sequence[str]) -> list[str]:
    """Return the columns of a CSV file; every row begins with the run's id and name."""
    keys = (_IN_DOCUMENTS.get(name, _whole(name)) for name in columns)
    return list(dict.fromkeys(("id", "name", *keys)))


def _whole(name: str) -> str:
    first, dot, rest = name.partition(".")
    return f"environment.{rest}" if dot and first == "env" else name
