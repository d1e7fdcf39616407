"""`git exp push`: push runs to a remote."""

import click

from gitexp.cli.output.progress import announce
from gitexp.cli.output.terminal import open_workspace
from gitexp.cli.params.options import remote_argument
from gitexp.cli.sync_command import tell_fetched, tell_pushed
from gitexp.features.sync.push_notes import forget_failures
from gitexp.features.sync.sync import push_runs


@click.command("push")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but problems.")
@remote_argument
def command(quiet: bool, remote: str | None) -> None:
    """Send the runs to a remote

    If the remote has runs that are not here, they are fetched and merged first. Ends with an error
    if the runs did not reach the remote.

    \b
    git exp push
    git exp push origin
    """
    workspace = open_workspace()
    if not quiet:
        announce(f"pushing to {remote or 'the remote'} ...")
    report = push_runs(workspace.branch, remote, workspace.settings)
    forget_failures(workspace.repo)
    if quiet:
        return
    if report.fetched is not None:
        tell_fetched(report.fetched)
    tell_pushed(report)
