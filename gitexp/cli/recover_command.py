"""`git exp recover`: complete the records of runs that were killed."""

import click

from gitexp.adapters.journal.liveness import Liveness
from gitexp.cli.output.errors import warn
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.confirm import confirm
from gitexp.cli.params.options import dry_run_option, yes_option
from gitexp.core.errors import InvalidInput, NotFound, Refused
from gitexp.core.model.ids import MIN_PREFIX_LENGTH, RunId
from gitexp.core.model.run import Run
from gitexp.core.render.text import clean
from gitexp.features.execution.recover import recover
from gitexp.features.recording.open_runs import OpenRun, OpenRuns, list_open_runs
from gitexp.features.recording.remove import give_up
from gitexp.features.runs.select import MIN_TYPED
from gitexp.storage.workspace import Workspace

_WHY = {
    Liveness.ALIVE: "its process runs",
    Liveness.SURVIVES: "its command runs, though the process that records it was killed",
    Liveness.MANUAL: "begun by hand; `git exp finish` ends it",
    Liveness.OTHER_HOST: "its process is or was on another machine",
    Liveness.DEAD: "its process is gone",
    Liveness.SEALED: "it ended, but its seal did not reach the branch",
}


@click.command("recover")
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--force", is_flag=True, help="Give RUN up although it seems to be running.")
@dry_run_option
@yes_option
def command(run: str | None, force: bool, dry_run: bool, yes: bool) -> None:
    """Complete the records of runs that were killed

    Every recording command does this too. Such a run keeps what it measured, and its outcome is
    `interrupted`. Runs that are still running are listed. `git exp recover RUN --force` seals a run
    that only seems to be running, or that was begun by hand and given up.

    \b
    git exp recover
    git exp recover 7f3a9c0 --force --yes
    """
    if force and run is None:
        raise InvalidInput("cannot give up all runs at once", hints=["name the run: RUN --force"])
    workspace = open_workspace(complete=False)
    journals = list_open_runs(workspace)
    if run is None:
        _recover_all(workspace, journals, dry_run=dry_run)
        return
    chosen = _find(journals, run)
    if chosen is None:
        _give_up(workspace, run, force=force, dry_run=dry_run, yes=yes)
        return
    if not chosen.is_over and not force:
        raise Refused(
            f"run {_title(chosen.run)} may go on",
            why=_WHY[chosen.state],
            hints=[f"`git exp recover {chosen.run.id[:7]} --force` seals it as interrupted"],
        )
    if dry_run:
        answer(f"would complete run {_title(chosen.run)}: {_WHY[chosen.state]}")
        return
    if not chosen.is_over:
        confirm(f"Give up run {_title(chosen.run)} ({_WHY[chosen.state]})?", yes=yes)
    for done in recover(workspace, only=chosen.run.id, force=force).completed:
        _tell(done)


def _recover_all(workspace: Workspace, journals: OpenRuns, *, dry_run: bool) -> None:
    over = [open_run for open_run in journals.runs if open_run.is_over]
    if dry_run:
        for open_run in over:
            answer(f"would complete run {_title(open_run.run)}: {_WHY[open_run.state]}")
        for path in journals.unreadable:
            answer(f"would move aside the damaged journal '{clean(str(path))}'")
    else:
        found = recover(workspace)
        for run in found.completed:
            _tell(run)
        for path in found.damaged:
            warn(f"a damaged journal was moved aside to '{path}'")
    for open_run in journals.runs:
        if not open_run.is_over:
            say(f"run {_title(open_run.run)} goes on: {_WHY[open_run.state]}")
    if not over and not journals.unreadable:
        say("there is nothing to recover")


def _find(journals: OpenRuns, text: str) -> OpenRun | None:
    """Return the open run with an id, a prefix of it, or a name; `None` if there is none.

    Raises `NotFound` if several match.
    """
    found = [
        open_run
        for open_run in journals.runs
        if text == open_run.run.name
        or (len(text) >= MIN_TYPED and open_run.run.id.startswith(text))
    ]
    if len(found) > 1:
        names = ", ".join(open_run.run.id for open_run in found)
        raise NotFound(f"'{text}' names several open runs", hints=[f"choose one of {names}"])
    return found[0] if found else None


def _give_up(workspace: Workspace, text: str, *, force: bool, dry_run: bool, yes: bool) -> None:
    """Seal a run without a journal in this clone as interrupted, if `force` allows it.

    Such a run is complete, goes on in another clone, or has lost its journal. Raises `Refused`
    without `force`.
    """
    from gitexp.cli.params.run_argument import find_entry

    run = find_entry(workspace, text, to_change=True).run
    if run.is_sealed:
        say(f"run {_title(run)} is complete: {run.outcome}")
        return
    if not force:
        raise Refused(
            f"run {_title(run)} has no journal here",
            why="it is running in another clone, or its journal was deleted",
            hints=[f"`git exp recover {run.id[:7]} --force` seals it as interrupted"],
        )
    if dry_run:
        answer(f"would seal run {_title(run)} as interrupted")
        return
    confirm(f"Seal run {_title(run)} as interrupted, though it may go on elsewhere?", yes=yes)
    _tell(give_up(workspace, RunId(run.id)))


def _title(run: Run) -> str:
    return f"{run.id[:MIN_PREFIX_LENGTH]} {clean(run.name)}"


def _tell(run: Run) -> None:
    answer(f"completed the record of run {_title(run)}: {run.outcome}")
