"""Errors of a run branch that cannot be written or read."""

from gitexp.adapters.git.stale_locks import LockFile
from gitexp.core.errors import Conflict, UnreadableRecord


def locked(lock: LockFile) -> Conflict:
    """Return the error for a lock of git that blocks the write."""
    return Conflict(
        f"cannot record: git's lock '{lock.path}' is in the way",
        why=f"it is {lock.age_s:.0f} s old; its holder: {lock.holder}",
        hints=[
            "the run waits in its journal; the next `git exp` command tries again",
            f"if no git is at work anywhere in this repository: `rm '{lock.path}'`",
        ],
    )


def damaged(branch: str, why: str | None) -> UnreadableRecord:
    """Return the error for a branch that cannot be read."""
    return UnreadableRecord(
        f"branch '{branch}' is damaged",
        why=why,
        hints=["`git exp doctor` finds what is wrong, `git exp doctor --fix` fixes it"],
    )
