"""Background maintenance of git's object store, as `git commit` starts it.

Every record adds a few loose objects. Git packs them only on request: `git maintenance run --auto`
does nothing below git's own thresholds. `gc.auto=0` and `maintenance.auto=false` turn it off here
too.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError

INTERVAL_S: Final = 600.0
"""Minimum seconds between two starts of `git maintenance`; each costs 5 ms of processor time."""

MARK: Final = "maintained"
"""File in the local state; its modification time is the time of the last start."""

_OFF: Final = ("false", "no", "off", "0")


def start_maintenance(repo: Repo) -> bool:
    """Start `git maintenance` in a detached process. Return whether it was started.

    Never raises and prints nothing: a failure to pack does no harm to a record.
    """
    config = repo.config()
    if (config.get("maintenance.auto") or "").lower() in _OFF or config.get("gc.auto") == "0":
        return False
    with suppress(OSError, GitexpError):
        if not _is_due(repo.state_dir / MARK):
            return False
        repo.launcher.detach(
            ["git", "maintenance", "run", "--auto", "--quiet"], log=Path(os.devnull), env={}
        )
        return True
    return False


def _is_due(mark: Path) -> bool:
    """Return whether the interval is over, and set the time of the mark if so.

    The first call only creates the mark: a new repository has nothing to pack.
    """
    now_s = clock.now().timestamp()
    try:
        age_s = now_s - mark.stat().st_mtime
    except FileNotFoundError:
        age_s = 0.0
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        os.utime(mark, (now_s, now_s))
    if 0 <= age_s < INTERVAL_S:
        return False
    os.utime(mark, (now_s, now_s))
    return True
