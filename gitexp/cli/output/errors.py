"""Print errors on standard error and choose the exit code. All commands use this module.

Control characters in text from records are escaped before they reach a terminal.
"""

import os
import sys
from contextlib import suppress
from typing import Any, TextIO

import click

from gitexp.core.errors import ExitCode, ForeignHook, GitexpError

_LONGEST = 1000
"""Maximum characters of a line: an error may quote a value of a megabyte."""


class SafeStream:
    """Standard error that ignores write errors: a full disk, or a reader that closed the pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text; ignore `OSError`."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush; ignore `OSError`."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def report(error: BaseException) -> int:
    """Print an exception as an error. Return the exit code."""
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
            discard(sys.stdout.fileno())  # else Python reports an error in its last flush
            code = ExitCode.PIPE_CLOSED
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
    """Print an expected error: the server's output, what, why, hints."""
    for line in error.said:
        click.echo(_clean(line), err=True)
    click.echo(f"error: {_clean(error.what)}", err=True)
    if error.why:
        click.echo(f"because: {_clean(error.why)}", err=True)
    for hint in error.hints:
        # The user copies these lines into a file: keep the line ends. None is recorded text.
        shown = "\n".join(map(_clean, hint.split("\n"))) if _is_to_copy(error) else _clean(hint)
        click.echo(f"hint: {shown}", err=True)


def _is_to_copy(error: GitexpError) -> bool:
    return isinstance(error, ForeignHook)


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
    """Redirect a file descriptor to the null device, because its reader closed the pipe."""
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
    """Escape control characters and shorten the text to `_LONGEST`."""
    from gitexp.core.render.text import clean

    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return clean(text)
