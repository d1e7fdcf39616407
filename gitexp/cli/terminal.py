"""What the reader's terminal is like, and opening the workspace for a command.

Floor 6. The only place that asks about terminals, colours and widths.
"""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gitexp import clock
from gitexp.cli.report import tell, warn
from gitexp.errors import GitexpError
from gitexp.workspace import Workspace

if TYPE_CHECKING:
    from gitexp.ids import RunId
    from gitexp.render.detail import View


def open_workspace(*, complete: bool = True) -> Workspace:
    """The workspace around the current folder; runs that died are completed first.

    A repository that cannot be written is no reason to fail here: the reader is told, and reads.
    """
    workspace = Workspace.open()
    for warning in workspace.settings.warnings:
        warn(warning)
    if sys.stderr.isatty():
        workspace.progress = show_progress
    if complete:
        complete_runs(workspace)
    return workspace


def complete_runs(workspace: Workspace) -> None:
    """Put the runs of dead processes onto the branch, and say so."""
    if not workspace.has_journals():
        return
    from gitexp.lifecycle import recover  # noqa: PLC0415 - hardly ever

    try:
        found = recover(workspace)
    except GitexpError as error:
        tell(error)
        click.echo("hint: runs that died wait in the journal until this is mended", err=True)
        return
    for run in found.completed:
        say(f"completed the record of run {run.id[:7]} {run.name}: {run.outcome}")
    for path in found.damaged:
        warn(f"a damaged journal was moved aside to '{path}'")


def say(text: str) -> None:
    """Tell the story: on standard error, so that standard output is the answer only."""
    from gitexp.render.text import clean  # noqa: PLC0415 - hot commands say nothing

    click.echo(clean(text), err=True)


def answer(text: str) -> None:
    """Print the answer on standard output; `text` is clean already."""
    if text:
        click.echo(text)


def wants_colour(stream: object = None) -> bool:
    """Whether to colour: `NO_COLOR`, then `FORCE_COLOR`, then a terminal that can."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    target = stream or sys.stdout
    return bool(getattr(target, "isatty", bool)()) and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Columns of the terminal, or as `COLUMNS` says; `None` when nobody looks at columns."""
    if os.environ.get("COLUMNS", "").isdigit():
        return int(os.environ["COLUMNS"])
    if not sys.stdout.isatty():
        return None
    import shutil  # noqa: PLC0415 - click has it for terminals

    return shutil.get_terminal_size().columns


def view_of(workspace: Workspace, ids: "Iterable[RunId]" = (), *, precision: int = 5) -> "View":
    """How the reader looks at runs here and now."""
    from gitexp.render.detail import View  # noqa: PLC0415 - tables need none

    return View(
        now=clock.now(),
        colour=wants_colour(),
        width=width(),
        precision=precision,
        ids=workspace.index.short(list(ids)),
        directions=workspace.settings.directions,
    )


def show_progress(done: int, total: int) -> None:
    """A line on standard error that counts up, on a terminal only."""
    end = "\n" if done >= total else ""
    click.echo(f"\rbuilding the run index: {done:,} of {total:,} runs{end}", err=True, nl=False)
