"""Variables by which the processes of a sweep are known."""

import hashlib
import os
from typing import Final

from gitexp.storage.sessions import clone_id
from gitexp.storage.workspace import Workspace

SWEEP_VARIABLE: Final = "GITEXP_SWEEP"
"""Tells a command which sweep it belongs to."""

OWNER_VARIABLE: Final = "GITEXP_SWEEP_OWNER"
"""Marks the processes that a sweep starts itself in one clone: another clone may run it too."""


def marks_of(workspace: Workspace, sweep: str) -> dict[str, str]:
    """The variables of every command that a sweep in this clone starts itself."""
    # The path and the id: a copy of a clone has its id, a clone in another container its path.
    where = os.path.realpath(workspace.repo.state_dir)
    named = f"{where}\0{clone_id(workspace.repo)}"
    clone = hashlib.sha256(os.fsencode(named)).hexdigest()[:16]
    return {SWEEP_VARIABLE: sweep, OWNER_VARIABLE: f"{sweep}-{clone}"}
