"""Ask the user before an operation that cannot be undone."""

import sys

import click

from gitexp.core.errors import Refused
from gitexp.core.render.text import clean


def confirm(question: str, *, yes: bool) -> None:
    """Return when the user agrees, at the prompt or with `--yes`.

    Raises `Refused` when standard input is not a terminal, `click.Abort` when the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(
            "cannot ask before going on",
            why="standard input is not a terminal",
            hints=["`--yes` goes on without asking", "`--dry-run` only tells what would be done"],
        )
    click.confirm(clean(question), abort=True, err=True)
