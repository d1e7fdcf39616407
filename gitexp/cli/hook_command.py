"""`git exp hook`: what the installed shim calls, before a push and after it. Hidden."""

import os
import sys
from functools import partial
from pathlib import Path

import click

from gitexp.cli.report import report
from gitexp.cli.terminal import complete_runs, open_workspace, say
from gitexp.errors import ExitCode, GitexpError
from gitexp.ids import ObjectId
from gitexp.model import Entry
from gitexp.sharing.gates import find_gates
from gitexp.sharing.prepush import (
    GATE_SAYS_NO,
    NOTHING_TO_SEND,
    plan_pre_push,
    run_pre_push,
)
from gitexp.workspace import Workspace


@click.command("hook", hidden=True)
@click.argument("event", type=click.Choice(["pre-push", "pushed"]))
@click.argument("arguments", nargs=-1)
def command(event: str, arguments: tuple[str, ...]) -> int:
    """Do what the pre-push hook does

    Never fails the push, unless a gate that the project configured says no.
    """
    try:
        if event == "pushed":
            return _send(arguments)
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
        find_gates=lambda commit: find_gates(workspace, commit, partial(_find, workspace)),
        foresee=lambda: _foresee(workspace),
    )
    for message in done.messages:
        say(f"gitexp: {message}")
    if "GITEXP_SHIM" in os.environ:
        return GATE_SAYS_NO if done.status else 0 if done.sends else NOTHING_TO_SEND
    if done.sends:
        from gitexp.sharing.background import start

        start(workspace.repo, plan.remote, plan.url, plan.lines)
    return done.status


def _send(arguments: tuple[str, ...]) -> int:
    """After the push, in the background: complete runs that died, and send all runs."""
    from gitexp.sharing.background import send
    from gitexp.sharing.notes import read_note

    note = read_note(Path(arguments[0])) if arguments else None
    if note is not None:
        workspace = open_workspace()
        send(workspace.store, workspace.settings, note)
    return ExitCode.DONE


def _record(workspace: Workspace, commit: ObjectId) -> list[str]:
    if not workspace.settings.evaluate and not workspace.settings.metrics_files:
        return []
    from gitexp.sharing.pushed import record_pushed

    return record_pushed(workspace, commit)


def _find(workspace: Workspace, commit: ObjectId, tree: ObjectId) -> Entry | None:
    from gitexp.sharing.pushed_trial import find_recorded

    return find_recorded(workspace, commit, tree)


def _foresee(workspace: Workspace) -> str:
    from gitexp.sharing.publishing import foresee

    return foresee(workspace)
