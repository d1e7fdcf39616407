"""`git exp remove`: remove runs from the branch, in all clones."""

import re

import click

from gitexp.cli.output.progress import waiting
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.confirm import confirm
from gitexp.cli.params.options import dry_run_option, yes_option
from gitexp.cli.params.run_argument import find_id
from gitexp.core.model.ids import RunId
from gitexp.core.render.text import clean, counted
from gitexp.features.doctor.findings import listed
from gitexp.features.recording.remove import Removal, plan_removal, remove
from gitexp.storage.workspace import Workspace


@click.command("remove")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Also runs that are still running.")
@dry_run_option
@yes_option
def command(runs: tuple[str, ...], force: bool, dry_run: bool, yes: bool) -> None:
    """Take runs off the branch, for good and everywhere

    Removes record, series and annotations. A tombstone stays, so that other clones remove the runs
    when they sync. The history of the branch still has the records, and so have remotes until you
    push: change a secret that was recorded; removing it is not enough.

    \b
    git exp remove last --dry-run
    git exp remove 7f3a9c0 brave-otter --yes
    """
    workspace = open_workspace()
    found = [_find(workspace, text) for text in runs]
    with waiting("looking at the runs"):
        planned = plan_removal(workspace, found, force=force)
    if dry_run:
        for removal in planned:
            answer(_line(removal, "would remove"))
        return
    titles = listed(f"{removal.run.id[:7]} {removal.run.name}" for removal in planned)
    confirm(f"Remove {counted(planned, 'run')} ({titles}) for good?", yes=yes)
    with waiting(f"removing {counted(planned, 'run')}"):
        remove(workspace, planned)
    for removal in planned:
        answer(_line(removal, "removed"))
    branch = workspace.branch.name
    say(
        f"the history still holds the records (`git log -p {branch}`), and '{branch}-code' the"
        " code; clones and remotes drop the runs at their next `git exp sync`, their history"
        " keeps them too"
    )


def _find(workspace: Workspace, text: str) -> RunId:
    """Return the run. A full id also finds a removed run that left files on the branch."""
    if re.fullmatch(r"[0-9a-f]{16}", text) and workspace.index.paths(RunId(text)):
        return RunId(text)
    return find_id(workspace, text, to_change=True)


def _line(removal: Removal, verb: str) -> str:
    run = removal.run
    line = (
        f"{verb} {run.id[:7]} {clean(run.name)} ({run.outcome}): {counted(removal.paths, 'file')}"
    )
    if removal.children:
        names = listed(child[:7] for child in removal.children)
        line += f"; {counted(removal.children, 'run')} made from it stay: {names}"
    return line
