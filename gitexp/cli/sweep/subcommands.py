"""`git exp sweep list`, `show`, `status`, `resume`, `stop` and `rm`."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from gitexp.adapters.system import clock
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.confirm import confirm
from gitexp.cli.params.options import yes_option
from gitexp.cli.sweep.options import SweepOptions, running_options
from gitexp.cli.sweep.run import end_of, run_sweep
from gitexp.cli.sweep.text import overview_lines, overview_table
from gitexp.core.errors import ExitCode, NotFound
from gitexp.core.render.machine_formats import format_json
from gitexp.core.render.text import counted
from gitexp.features.recording.remove import plan_removal, remove
from gitexp.features.sweeps.cluster import LOCAL
from gitexp.features.sweeps.files import (
    find_sweep,
    forget_sweep,
    forget_where,
    load_where,
    running_here,
    stop_sweep,
)
from gitexp.features.sweeps.known import Overview, overview, overviews, runs_of
from gitexp.features.sweeps.start_settings import use_start_settings

_FOLLOW_S = 1.0
_STOP_S = 60.0

_sweep_argument = click.argument("sweep", metavar="[SWEEP]", required=False)
_json_option = click.option("--json", "as_json", is_flag=True, help="JSON, as docs/json.md says.")


@click.command("list")
@_json_option
def list_command(as_json: bool) -> int:
    """Show all sweeps"""
    found = overviews(open_workspace())
    if as_json:
        answer(format_json({"schema": 1, "sweeps": [_document(each) for each in found]}))
    elif found:
        answer(overview_table(found))
    else:
        say("there is no sweep yet")
    return ExitCode.DONE


@click.command("show")
@_json_option
@_sweep_argument
def show_command(as_json: bool, sweep: str | None) -> int:
    """Show a sweep: its space, its best trials, what each parameter did"""
    workspace = open_workspace()
    found = overview(workspace, find_sweep(workspace, sweep))
    if as_json:
        answer(format_json({"schema": 1, **_document(found)}))
        return ExitCode.DONE
    for line in overview_lines(found):
        answer(line)
    for line in end_of(workspace, found):
        answer(line)
    return ExitCode.DONE


@click.command("status")
@click.option("-f", "--follow", is_flag=True, help="Go on until it ends.")
@_json_option
@_sweep_argument
def status_command(follow: bool, as_json: bool, sweep: str | None) -> int:
    """Show how far a sweep is"""
    workspace = open_workspace()
    definition = find_sweep(workspace, sweep)
    shown = ""
    while True:
        found = overview(workspace, definition)
        text = json.dumps({"schema": 1, **_document(found)}) if as_json else _status(found)
        if text != shown:
            answer(text)
            sys.stdout.flush()
            shown = text
        if not follow or found.holder is None:
            return ExitCode.DONE
        clock.sleep(_FOLLOW_S)
        workspace.refreshed()


@click.command("resume")
@running_options
@_sweep_argument
def resume_command(options: SweepOptions, sweep: str | None) -> int:
    """Go on with a sweep: run the trials that have no result yet

    It has the code and the settings that it began with, whatever your work tree has now, and goes
    on where it ran; `--executor local` brings it here.
    """
    workspace = open_workspace()
    definition = find_sweep(workspace, sweep)
    differing = use_start_settings(workspace, definition)
    if differing:
        say(f"the sweep goes on with the settings of its start: {', '.join(differing)} differ now")
    where = load_where(workspace, definition)
    if options.executor is None and where is not None:
        options = replace(options, executor=where[0], names=options.names or where[1])
    elif options.executor is not None and where is not None and options.executor == LOCAL:
        forget_where(workspace, definition)
    return run_sweep(workspace, definition, options)


@click.command("stop")
@click.option("--now", is_flag=True, help="Stop the running trials too.")
@_sweep_argument
def stop_command(now: bool, sweep: str | None) -> int:
    """Stop a sweep that runs in this clone

    The running trials end first; with `--now` they are stopped and recorded as interrupted.
    """
    workspace = open_workspace()
    definition = find_sweep(workspace, sweep)
    short = definition.id[:7]
    if not stop_sweep(workspace, definition, now=now):
        raise NotFound(
            f"sweep {short} does not run in this clone",
            hints=[f"`git exp sweep resume {short}` goes on with it"],
        )
    until_s = clock.monotonic_s() + _STOP_S
    while now and clock.monotonic_s() < until_s:
        if overview(workspace, definition).holder is None:
            say(f"sweep {short} has stopped")
            return ExitCode.DONE
        clock.sleep(0.1)
    say(f"sweep {short} starts no more trials; the running ones end first")
    return ExitCode.DONE


@click.command("rm")
@yes_option
@_sweep_argument
def rm_command(yes: bool, sweep: str | None) -> int:
    """Take a sweep and the runs that it started off the branch, for good

    Runs that it only reused stay.
    """
    workspace = open_workspace()
    definition = find_sweep(workspace, sweep)
    short = definition.id[:7]
    with running_here(workspace, definition):  # no process goes on with it before the answer
        runs = [entry.run.id for entry in runs_of(workspace, definition.id)]
        confirm(f"Remove sweep {short} and its {counted(runs, 'run')} for good?", yes=yes)
        if runs:
            remove(workspace, plan_removal(workspace, runs, force=False))
        forget_sweep(workspace, definition)
    say(f"removed sweep {short} and its {counted(runs, 'run')}")
    return ExitCode.DONE


# --- showing ----------------------------------------------------------------------------------


def _status(found: Overview) -> str:
    counts = found.counts
    text = ", ".join(f"{count:,} {outcome.value}" for outcome, count in counts.items() if count)
    state = f"{found.holder.text} runs it" if found.holder else "not running here"
    return f"sweep {found.definition.id[:7]}: {text or 'no runs'}; {state}"


def _document(found: Overview) -> dict[str, Any]:
    definition = found.definition
    document = {
        "id": definition.id,
        "command": list(definition.argv),
        "directory": definition.directory,
        "values": list(definition.values),
        "method": definition.method,
        "commit": definition.commit,
        "tree": definition.tree,
        "reason": definition.reason or None,
        "pid": found.holder and found.holder.pid,
        "outcomes": {outcome.value: n for outcome, n in found.counts.items() if n},
        "runs": [entry.run.id for entry in found.runs],
    }
    return {key: value for key, value in document.items() if value is not None}


SUBCOMMANDS: Mapping[str, click.Command] = {
    "list": list_command,
    "show": show_command,
    "status": status_command,
    "resume": resume_command,
    "stop": stop_command,
    "rm": rm_command,
}
