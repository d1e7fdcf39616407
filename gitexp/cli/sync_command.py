"""`git exp sync`: fetch and push runs."""

import click

from gitexp.cli.output.errors import warn
from gitexp.cli.output.progress import announce
from gitexp.cli.output.terminal import open_workspace, say
from gitexp.cli.params.options import remote_argument
from gitexp.core.render.text import counted
from gitexp.features.sync.push_notes import forget_failures
from gitexp.features.sync.sync import FetchReport, PushReport, sync_runs
from gitexp.storage.merge.tally import BranchChanges


@click.command("sync")
@remote_argument
def command(remote: str | None) -> None:
    """Fetch and push in one go

    Afterwards both sides have all runs of both, at the same commit; runs never conflict. Ends with
    an error if the runs did not reach the remote.

    \b
    git exp sync
    git exp sync origin
    """
    workspace = open_workspace()
    announce(f"fetching from and pushing to {remote or 'the remote'} ...")
    done = sync_runs(workspace.branch, remote, workspace.settings)
    forget_failures(workspace.repo)
    tell_fetched(done.fetched)
    tell_pushed(done.pushed)


def tell_fetched(report: FetchReport) -> None:
    """Report the runs fetched from a remote."""
    for warning in report.warnings:
        warn(warning)
    say(f"from {report.remote}: {_told(report.here)}")
    if report.here.conflicts:
        warn("a run was sealed twice, differently; both are kept, see `git exp doctor`")


def tell_pushed(report: PushReport) -> None:
    """Report the runs pushed to a remote."""
    for warning in report.warnings:
        warn(warning)
    say(f"to {report.remote}: {_told(report.there)}")


def _told(tally: BranchChanges) -> str:
    counts = (
        (tally.runs, "new run"),
        (tally.updated, "changed run"),
        (tally.annotations, "annotation"),
        (tally.deleted, "deleted run"),
    )
    parts = [counted(n, word) for n, word in counts if n]
    return ", ".join(parts) or "nothing new"
