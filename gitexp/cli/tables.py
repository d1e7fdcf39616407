"""Printing many runs: as a table, or in the forms machines read.

Floor 6.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from gitexp.errors import InvalidInput

if TYPE_CHECKING:
    from gitexp.model import Direction
    from gitexp.settings import Settings


def print_documents(documents: Iterable[str]) -> None:
    """Entries as one JSON object; the documents come as ASCII JSON text and are passed through."""
    from gitexp.records.documents import DOCUMENT_SCHEMA  # noqa: PLC0415 - tables need none

    click.echo(f'{{"schema": {DOCUMENT_SCHEMA}, "runs": [', nl=False)
    separator = "\n"
    for document in documents:
        click.echo(separator + document.replace("\x7f", "\\u007f"), nl=False)
        separator = ",\n"
    click.echo("\n]}")


def declared_metrics(settings: "Settings") -> "dict[str, Direction]":
    """The metrics that the user declared, the one that matters most first."""
    if settings.metric is None:
        return {**settings.directions}
    from gitexp.model import Direction  # noqa: PLC0415 - only then

    first = {settings.metric: settings.directions.get(settings.metric, Direction.MAXIMIZE)}
    return {**first, **settings.directions}


def choose_columns(keys: Sequence[str], keep: Sequence[str], drop: Sequence[str]) -> list[str]:
    """The columns left after `--keep` and `--drop`; `id` always stays. Raises `InvalidInput`."""
    kept = [_pattern(text) for text in keep]
    dropped = [_pattern(text) for text in drop]
    return [
        key
        for key in keys
        if key == "id"
        or (
            (not kept or any(p.search(key) for p in kept))
            and not any(p.search(key) for p in dropped)
        )
    ]


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidInput(f"'{text}' is not a regular expression", why=str(error)) from error
