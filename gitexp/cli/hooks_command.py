"""`git exp hooks`: install, remove or show the pre-push hook."""

import click

from gitexp.cli.output.errors import warn
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.core.errors import ExitCode
from gitexp.core.render.text import clean
from gitexp.features.sync.hook_install import find_program, install, status, uninstall
from gitexp.features.sync.publication_notice import foresee, unsent
from gitexp.features.sync.push_notes import last_failure, running
from gitexp.storage.workspace import Workspace


@click.command("hooks")
@click.argument("action", type=click.Choice(["install", "uninstall", "status"]), default="status")
@click.option("-f", "--force", is_flag=True, help="Install beside another tool anyway.")
def command(action: str, force: bool) -> int:
    """Install, inspect or remove the pre-push hook

    With the hook, `git push` also sends the runs, records the results of the pushed commit if the
    project configures how, and checks the gates of the project. An existing hook stays and runs
    first; uninstall restores it. Exit code of status 0: works; 1: does not.

    \b
    git exp hooks install
    git exp hooks status
    """
    workspace = open_workspace()
    repo = workspace.repo
    if action == "uninstall":
        say("removed the pre-push hook" if uninstall(repo) else "the hook was not installed")
        return ExitCode.DONE
    state = (
        install(repo, force=force, program=find_program()) if action == "install" else status(repo)
    )
    if action == "install" and not state.installed:
        say(f"nothing to do: {state.tool} calls gitexp already")
    elif action == "install":
        say(f"installed the pre-push hook at '{state.path}'")
        if state.chained is not None:
            say("the earlier hook runs first; `git exp hooks uninstall` restores it")
    else:
        answer(f"hook       {clean(str(state.path))}")
        through = f"through {state.tool}" if state.working else "no"
        answer(f"installed  {'yes' if state.installed else through}")
        answer(f"working    {'yes' if state.working else 'no'}")
        if state.chained is not None:
            answer(f"runs first {clean(str(state.chained))}")
        if state.tool is not None and (state.installed or not state.working):
            answer(f"beside     {clean(state.tool)}")
        answer(f"runs sent  {clean(_told(workspace))}")
    for advice in state.advice:
        click.echo(clean(advice, multiline=True), err=True)
    if action == "install":
        _announce(workspace)
        return ExitCode.DONE
    failure = last_failure(repo)
    if failure is not None:
        warn(failure)
    return ExitCode.DONE if state.working else ExitCode.NO


def _told(workspace: Workspace) -> str:
    """Return whether the push remote has all runs, as text, as far as this clone knows."""
    for note in running(workspace.repo):
        return f"a process is sending them to {note.remote}"
    return unsent(workspace)


def _announce(workspace: Workspace) -> None:
    """Report what the user's next `git push` will publish."""
    settings = workspace.settings
    if settings.hooks and settings.auto_push and (found := foresee(workspace)):
        say(f"from now on `git push` also sends the runs, now {found}")
        say("`git config exp.autoPush false` turns this off")
