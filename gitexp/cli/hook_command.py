"""`git exp hook`: the hidden command that the installed hook calls before and after a push."""

from pathlib import Path

import click

from gitexp.cli.before_push import before_push
from gitexp.cli.output.errors import report
from gitexp.cli.output.terminal import open_workspace, say
from gitexp.core.errors import ExitCode, GitexpError


@click.command("hook", hidden=True)
@click.argument("event", type=click.Choice(["pre-push", "pushed"]))
@click.argument("arguments", nargs=-1)
def command(event: str, arguments: tuple[str, ...]) -> int:
    """Do what the pre-push hook does

    Never fails the push, unless a gate that the project configured says no.
    """
    if event == "pre-push":
        return before_push(arguments)
    try:
        return _send(arguments)
    except GitexpError as error:
        say(f"gitexp: the runs are not pushed along: {error.what}")
    except Exception as error:  # noqa: BLE001 - a bug in gitexp must not fail the user's push
        report(error)
    return ExitCode.DONE


def _send(arguments: tuple[str, ...]) -> int:
    """Complete interrupted runs and send all runs, in the background after the push."""
    from gitexp.features.sync.background import send
    from gitexp.features.sync.push_notes import read_note

    note = read_note(Path(arguments[0])) if arguments else None
    if note is not None:
        workspace = open_workspace()
        send(workspace.branch, workspace.settings, note)
    return ExitCode.DONE
