"""Print many runs as a table or in a machine-readable format."""

import re
from collections.abc import Iterable, Sequence

import click

from gitexp.core.errors import InvalidInput


def print_documents(documents: Iterable[str]) -> None:
    """Print entries as one JSON object. The documents are ASCII JSON text and stay unparsed."""
    from gitexp.core.schema.json_codec import DOCUMENT_SCHEMA

    click.echo(f'{{"schema": {DOCUMENT_SCHEMA}, "runs": [', nl=False)
    separator = "\n"
    for document in documents:
        click.echo(separator + document.replace("\x7f", "\\u007f"), nl=False)
        separator = ",\n"
    click.echo("\n]}")


def choose_columns(keys: Sequence[str], keep: Sequence[str], drop: Sequence[str]) -> list[str]:
    """Return the columns left by `--keep` and `--drop`, always with `id`. Raises `InvalidInput`."""
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
