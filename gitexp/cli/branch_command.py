"""`git exp branch`: create a branch of a run's code."""

import click

from gitexp.cli.output.terminal import open_workspace, say
from gitexp.cli.params.options import run_argument
from gitexp.cli.params.run_argument import find_entry
from gitexp.features.recording.checkout import make_branch
from gitexp.features.runs.purged_code import refuse_purged


@click.command("branch")
@run_argument
@click.argument("name")
def command(run: str, name: str) -> None:
    """Make a branch of a run's code

    The branch starts at the run's commit, or at the snapshot of its uncommitted changes. It is not
    checked out.

    \b
    git exp branch best:accuracy winner
    git exp branch last try-again
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run)
    refuse_purged(workspace.branch, entry.run.code, f"cannot branch from run {entry.run.id[:7]}")
    make_branch(workspace.repo, name, entry.run.code)
    say(f"branch '{name}' is at the code of run {entry.run.id[:7]}; `git switch {name}` goes there")
