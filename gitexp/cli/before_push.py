"""`git exp hook pre-push`, without importing click: the user's push waits for it."""

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from gitexp.core.errors import ExitCode, GitexpError
from gitexp.core.model.ids import ObjectId
from gitexp.features.sync.pre_push import (
    GATE_SAYS_NO,
    NOTHING_TO_SEND,
    plan_pre_push,
    run_pre_push,
)
from gitexp.storage.workspace import Workspace

if TYPE_CHECKING:
    from gitexp.core.model.run import RecordedRun
    from gitexp.features.sync.gates import Gate


def main() -> None:
    """Run the hook with the arguments of this process, and exit."""
    gc.disable()  # the process is too short to need it
    code = before_push(sys.argv[3:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    sys.exit(code)


def before_push(arguments: Sequence[str]) -> int:
    """Run the hook and return its exit code. Only a failed gate stops the push."""
    try:
        return _before_push(arguments)
    except GitexpError as error:
        _say(f"gitexp: the runs are not pushed along: {error.what}")
    except Exception as error:  # noqa: BLE001 - a bug in gitexp must not fail the user's push
        from gitexp.cli.output.errors import report

        report(error)
    return ExitCode.DONE


def _before_push(arguments: Sequence[str]) -> int:
    workspace = Workspace.open()
    for warning in workspace.settings.warnings:
        _say(f"warning: {warning}")
    lines = [] if sys.stdin.isatty() else sys.stdin.read().splitlines()
    plan = plan_pre_push(arguments, lines, os.environ, workspace.settings.branch)
    with workspace.reading() as reading:  # fewer git processes, because the push waits
        done = run_pre_push(
            reading.repo,
            reading.settings,
            plan,
            environ=os.environ,
            recover=partial(_recover, reading),
            record_pushed=partial(_record, reading),
            find_gates=partial(_find_gates, reading),
            foresee=partial(_foresee, reading),
        )
    for message in done.messages:
        _say(f"gitexp: {message}")
    if "GITEXP_SHIM" in os.environ:
        return GATE_SAYS_NO if done.status else 0 if done.sends else NOTHING_TO_SEND
    if done.sends:
        from gitexp.features.sync.background import start

        start(workspace.repo, plan.remote, plan.url, plan.lines)
    return done.status


def _say(text: str) -> None:
    from gitexp.core.render.text import clean

    with suppress(OSError, ValueError):
        sys.stderr.write(clean(text) + "\n")
        sys.stderr.flush()


def _recover(workspace: Workspace) -> None:
    if workspace.has_journals():
        from gitexp.cli.output.terminal import complete_runs

        complete_runs(workspace)


def _record(workspace: Workspace, commit: ObjectId) -> list[str]:
    if not workspace.settings.evaluate and not workspace.settings.metrics_files:
        return []
    from gitexp.features.sync.evaluate import record_pushed

    return record_pushed(workspace, commit)


def _find_gates(workspace: Workspace, commit: ObjectId) -> "list[Gate]":
    from gitexp.features.sync.gates import find_gates

    return find_gates(workspace, commit, partial(_find, workspace))


def _find(workspace: Workspace, commit: ObjectId, tree: ObjectId) -> "RecordedRun | None":
    from gitexp.features.sync.pushed_trial import find_recorded

    return find_recorded(workspace, commit, tree)


def _foresee(workspace: Workspace) -> str:
    from gitexp.features.sync.publication_notice import foresee

    return foresee(workspace)
