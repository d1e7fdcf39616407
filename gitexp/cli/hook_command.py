"""`git exp hook pre-push`: what the installed shim calls. Hidden: nobody types it."""

import os
import sys

import click

from gitexp.cli.report import report
from gitexp.cli.terminal import complete_runs, open_workspace, say
from gitexp.errors import ExitCode, GitexpError
from gitexp.ids import ObjectId
from gitexp.sharing.prepush import Gate, plan_pre_push, run_pre_push
from gitexp.workspace import Workspace


@click.command("hook", hidden=True)
@click.argument("event", type=click.Choice(["pre-push"]))
@click.argument("arguments", nargs=-1)
def command(event: str, arguments: tuple[str, ...]) -> int:
    """Do what the pre-push hook does

    Never fails the push, unless a gate that the project configured says no.
    """
    try:
        return _pre_push(arguments)
    except GitexpError as error:
        say(f"gitexp: the runs are not pushed along: {error.what}")
    except Exception as error:  # noqa: BLE001 - even a bug of ours never fails the user's push
        report(error)
    return ExitCode.DONE


def _pre_push(arguments: tuple[str, ...]) -> int:
    workspace = open_workspace(complete=False)
    lines = [] if sys.stdin.isatty() else sys.stdin.read().splitlines()
    plan = plan_pre_push(arguments, lines, os.environ, workspace.settings.branch)
    done = run_pre_push(
        workspace.repo,
        workspace.settings,
        plan,
        environ=os.environ,
        recover=lambda: complete_runs(workspace),
        record_pushed=lambda commit: _record(workspace, commit),
        find_gates=lambda commit: _gates(workspace, commit),
    )
    for message in done.messages:
        say(f"gitexp: {message}")
    return done.status


def _record(workspace: Workspace, commit: ObjectId) -> list[str]:
    if not workspace.settings.evaluate and not workspace.settings.metrics_files:
        return []
    from gitexp.sharing.pushed import record_pushed  # noqa: PLC0415 - a third of a push's delay

    return record_pushed(workspace, commit)


def _gates(workspace: Workspace, commit: ObjectId) -> list[Gate]:
    from gitexp.sharing.pushed import find_gates  # noqa: PLC0415 - as above

    return find_gates(workspace, commit)
