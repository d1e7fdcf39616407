"""Columns of a view, by the names that tables and documents have for them."""

from collections.abc import Sequence
from typing import Final

_IN_TABLES: Final = {"started": "age", "duration_s": "duration"}
_IN_DOCUMENTS: Final = {
    **{name: f"code.{name}" for name in ("commit", "branch", "dirty")},
    "exit_code": "command.exit_code",
    "command": "command.argv",
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
