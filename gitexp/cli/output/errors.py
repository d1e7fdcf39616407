"""The one printer of errors: an exception in, lines on standard error and an exit code out.

Text from records is escaped before a terminal sees it.
"""

import os
import sys
from contextlib import suppress
from typing import Any, TextIO

import click

from gitexp.core.errors import ExitCode, GitexpError, HookForeign

_LONGEST = 1000
"""Letters of a line at most; a value of a megabyte is not said again in full."""


class Unfailing:
    """Standard error where a full disk, or a reader that has gone, is no reason to fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def report(error: BaseException) -> int:
    """Tell the user what happened. Returns the exit code."""
    match error:
        case GitexpError():
            tell(error)
            code: int = error.exit_code
        case click.exceptions.Exit():
            code = error.exit_code
        case click.UsageError():
            _tell_usage(error)
            code = ExitCode.USAGE
        case click.Abort() | KeyboardInterrupt():
            click.echo("interrupted", err=True)
            code = ExitCode.INTERRUPTED
        case BrokenPipeError():
            discard(sys.stdout.fileno())  # or Python complains when it flushes at its end
            code = ExitCode.UNREAD
        case click.ClickException():
            click.echo(f"error: {_clean(error.format_message())}", err=True)
            code = ExitCode.FAILED
        case OSError() if error.strerror:
            named = f"'{error.filename}'" if error.filename else "a file"
            hint = "see that you may write there, and that its disk has room"
            tell(GitexpError(f"cannot use {named}", why=error.strerror, hints=[hint]))
            code = ExitCode.FAILED
        case _:
            _tell_bug(error)
            code = ExitCode.BUG
    return code


def tell(error: GitexpError) -> None:
    """Print an expected failure: what a server said, what, why, what to type next."""
    for line in error.said:
        click.echo(_clean(line), err=True)
    click.echo(f"error: {_clean(error.what)}", err=True)
    if error.why:
        click.echo(f"because: {_clean(error.why)}", err=True)
    for hint in error.hints:
        # Lines to be copied into a file stay lines; nothing in them comes from a record.
        shown = "\n".join(map(_clean, hint.split("\n"))) if _is_to_copy(error) else _clean(hint)
        click.echo(f"hint: {shown}", err=True)


def _is_to_copy(error: GitexpError) -> bool:
    return isinstance(error, HookForeign)


def warn(text: str) -> None:
    """Print a warning."""
    click.echo(f"warning: {_clean(text)}", err=True)


def _tell_usage(error: click.UsageError) -> None:
    from gitexp.cli.params.usage import explain

    what, hints = explain(error)
    click.echo(f"error: {_clean(what)}", err=True)
    for hint in hints:
        click.echo(f"hint: {_clean(hint)}", err=True)
    path = error.ctx.command_path if error.ctx else "git exp"
    click.echo(f"hint: `{path} -h` explains", err=True)


def discard(number: int) -> None:
    """What is written to this file descriptor is lost from now on: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _tell_bug(error: BaseException) -> None:
    import platform
    import traceback

    from gitexp import __version__

    lines = [
        "error: this is a bug in gitexp, not something you did",
        "hint: please report it with all of the lines below",
        f"gitexp {__version__}, Python {platform.python_version()}, {platform.platform()}",
        "arguments: " + " ".join(sys.argv[1:2]),
        *"".join(traceback.format_exception(error)).rstrip().splitlines(),
    ]
    for line in lines:
        click.echo(_clean(line), err=True)


def _clean(text: str) -> str:
    """What may be said in one line: nothing that a terminal obeys, nothing without an end."""
    from gitexp.core.render.text import clean

    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return clean(text)
