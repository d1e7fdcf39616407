"""Asking before something that cannot be taken back."""

import sys

import click

from gitexp.core.errors import Refused
from gitexp.core.render.text import clean


def confirm(question: str, *, yes: bool) -> None:
    """Go on only when the user agrees, now or by `--yes`.

    Raises `Refused` where there is no terminal to ask on, `click.Abort` when the answer is no.
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
