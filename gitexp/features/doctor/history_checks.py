"""Check of the run branch's history: no foreign commit removed or changed a record."""

from collections.abc import Iterator

from gitexp.core.render.text import counted
from gitexp.features.doctor.findings import Finding, Fix, Level, listed
from gitexp.features.doctor.inventory import Inventory
from gitexp.storage.branch.lost_records import find_lost


def check_history(inventory: Inventory) -> Iterator[Finding]:
    """Report records that a commit not made by gitexp removed or reverted."""
    repo, tip = inventory.workspace.repo, inventory.tip
    if tip is None or inventory.damaged or inventory.older_damaged:
        return  # check_objects reports unreadable objects
    lost = find_lost(repo, tip, whole=True)
    if not lost.edits:
        return
    names = listed(commit[:7] for commit in lost.commits)
    what = f"records of {counted(lost.runs, 'run')}" if lost.runs else "lists of packages"
    who = f": {listed(inventory.name(run) for run in lost.runs)}" if lost.runs else ""
    yield Finding(
        level=Level.FAULT,
        text=f"{what} were removed or reverted by a commit that gitexp did not make ({names}){who}",
        hints=(
            "`git exp doctor --fix` restores them; so does the next record",
            "do not commit on the run branch: `git exp remove` deletes runs",
        ),
        runs=lost.runs,
        items=tuple(lost.commits),
        fix=Fix.RESTORE_RECORDS,
    )
