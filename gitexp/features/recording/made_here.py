"""List the runs made in this clone. A record cannot prove this, since anyone can write an author.

gitexp reproduces only these runs without asking.
"""

from contextlib import suppress

from gitexp.core.model.ids import RunId
from gitexp.storage.workspace import Workspace

RECORDED_HERE = "recorded-here"
"""File in gitexp's state directory: one id per line."""


def mark_recorded_here(workspace: Workspace, run: RunId) -> None:
    """Note that this clone made a run."""
    with suppress(OSError):
        path = workspace.repo.state_dir / RECORDED_HERE
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as known:
            known.write(f"{run}\n")


def is_recorded_here(workspace: Workspace, run: RunId) -> bool:
    """Return whether this clone made a run."""
    try:
        return f"{run}\n" in (workspace.repo.state_dir / RECORDED_HERE).read_text()
    except OSError:
        return False
