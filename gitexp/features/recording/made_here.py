"""Which runs were made in this clone; a record cannot prove it, since anyone can write an author.

Only such runs are run again without asking.
"""

from contextlib import suppress

from gitexp.core.model.ids import RunId
from gitexp.storage.workspace import Workspace

RECORDED_HERE = "recorded-here"
"""File in our local state: one id a line."""


def remember(workspace: Workspace, run: RunId) -> None:
    """Note that a run was made here."""
    with suppress(OSError):
        path = workspace.repo.state_dir / RECORDED_HERE
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as known:
            known.write(f"{run}\n")


def is_recorded_here(workspace: Workspace, run: RunId) -> bool:
    """Tell whether a run was made in this clone."""
    try:
        return f"{run}\n" in (workspace.repo.state_dir / RECORDED_HERE).read_text()
    except OSError:
        return False
