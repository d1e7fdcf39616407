"""`git exp fetch`: fetch runs from a remote."""

import click

from gitexp.cli.output.progress import announce
from gitexp.cli.output.terminal import open_workspace
from gitexp.cli.params.options import remote_argument
from gitexp.cli.sync_command import tell_fetched
from gitexp.features.sync.sync import fetch_runs


@click.command("fetch")
@remote_argument
def command(remote: str | None) -> None:
    """Bring a remote's runs here

    Merges them with the runs recorded here; no run is lost and runs never conflict.

    \b
    git exp fetch
    git exp fetch origin
    """
    workspace = open_workspace()
    announce(f"fetching from {remote or 'the remote'} ...")
    tell_fetched(fetch_runs(workspace.branch, remote, workspace.settings))
