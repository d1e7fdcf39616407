"""Open the workspace for a command, and find out colour and width of the terminal.

All commands ask this module about terminal, colour and width.
"""

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from gitexp.adapters.system import clock
from gitexp.cli.output.errors import tell, warn
from gitexp.core.errors import GitexpError
from gitexp.storage.workspace import Workspace

if TYPE_CHECKING:
    from gitexp.core.model.ids import RunId
    from gitexp.core.render.run_detail import TextOptions


def open_workspace(*, complete: bool = True) -> Workspace:
    """Open the workspace of the current directory and complete interrupted runs.

    With `complete=False` they stay interrupted. In a repository that cannot be written, gitexp
    prints the error and goes on, since a command that reads still works.
    """
    started_s = clock.monotonic_s()
    workspace = Workspace.open()
    know_terminal(workspace)
    workspace.notice = warn
    for warning in workspace.settings.warnings:
        warn(warning)
    if sys.stderr.isatty():
        workspace.progress = _show_progress(started_s)
    if complete:
        complete_runs(workspace)
        tell_pushes(workspace)
    return workspace


_colour = "auto"
"""Git's `color.exp` or `color.ui`, in lower case."""


def know_terminal(workspace: Workspace) -> None:
    """Read git's colour setting, and start the pager for commands with long answers."""
    global _colour  # noqa: PLW0603 - there is one terminal
    config = workspace.repo.config()
    _colour = (config.get("color.exp") or config.get("color.ui") or "auto").lower()
    if not sys.stdout.isatty():
        return
    context = click.get_current_context(silent=True)
    if context is not None and context.command.name in PAGED:
        if context.find_root().params.get("no_pager") or context.params.get("as_json"):
            return
        from gitexp.cli.output.pager import begin

        begin(workspace.repo)


PAGED = frozenset({"list", "log", "show", "best", "compare", "diff", "config"})
"""Commands whose answers may be long. Commands that run a program of the user are not paged."""


def complete_runs(workspace: Workspace) -> None:
    """Complete the records of runs whose process died, and report them."""
    if not workspace.has_journals():
        return
    from gitexp.features.execution.recover import recover

    try:
        found = recover(workspace)
    except GitexpError as error:
        tell(error)
        click.echo("hint: interrupted runs stay in the journal until this is fixed", err=True)
        return
    for run in found.completed:
        say(f"completed the record of run {run.id[:7]} {run.name}: {run.outcome}")
    for path in found.damaged:
        warn(f"a damaged journal was moved aside to '{path}'")


def tell_pushes(workspace: Workspace) -> None:
    """Report background pushes that failed or were killed, each once."""
    if not (workspace.repo.state_dir / "pushes").is_dir():
        return
    from gitexp.features.sync.push_notes import take_news

    for news in take_news(workspace.repo):
        warn(f"{news}; `git exp push` sends them")


def say(text: str) -> None:
    """Print a message on standard error: standard output is for the answer only."""
    from gitexp.core.render.text import clean

    click.echo(clean(text), err=True)


def answer(text: str) -> None:
    """Print the answer on standard output. The caller has escaped control characters."""
    if text:
        click.echo(text, color=True)


def wants_colour(stream: object = None) -> bool:
    """Return whether to colour the output.

    The first that applies decides: `NO_COLOR`, `FORCE_COLOR`, git's `color.exp` or `color.ui`,
    whether the stream is a terminal or git's pager.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    if _colour in ("always", "never", "false", "off", "no"):
        return _colour == "always"
    target = stream or sys.stdout
    shown = bool(getattr(target, "isatty", bool)()) or "GIT_PAGER_IN_USE" in os.environ
    return shown and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Return `COLUMNS` or the width of the terminal; `None` if standard output is no terminal."""
    if os.environ.get("COLUMNS", "").isdigit():
        return int(os.environ["COLUMNS"])
    if not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def view_of(
    workspace: Workspace, ids: "Iterable[RunId]" = (), *, precision: int = 5
) -> "TextOptions":
    """Return the options that render runs for this terminal, repository and moment."""
    from gitexp.core.render.run_detail import TextOptions

    return TextOptions(
        now=clock.now(),
        colour=wants_colour(),
        width=width(),
        precision=precision,
        ids=workspace.index.short(list(ids)),
        directions=workspace.settings.directions,
    )


def _show_progress(started_s: float) -> "Callable[[int, int], None]":
    """Return a callback that shows the progress of a cache rebuild after one second."""
    shown: list[Callable[[int, int], None]] = []

    def show(done: int, total: int) -> None:
        if not shown:
            from gitexp.cli.output.progress import Progress

            shown.append(Progress("building the run index", started_s=started_s))
        shown[0](done, total)

    return show
