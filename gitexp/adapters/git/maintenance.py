"""Keeping git's object store tidy in the background, as `git commit` does.

Every record leaves a few loose objects. Git packs them when there are too many, if somebody asks it
to: `git maintenance run --auto` decides by itself whether there is anything to do. `gc.auto=0` and
`maintenance.auto=false` are obeyed.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError

INTERVAL_S: Final = 600.0
"""Git is asked at most this often: looking takes 5 ms of somebody's processor."""

MARK: Final = "maintained"
"""File in our local state; its time is when git was last asked."""

_OFF: Final = ("false", "no", "off", "0")


def start_maintenance(repo: Repo) -> bool:
    """Let git tidy up in a process of its own that nobody waits for. Tells whether it was started.

    Never raises and never prints: a record is no worse for a store that is not tidy.
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
    """Tell whether the last time is long ago, and note that this is the next one.

    The first record only starts the clock: a young repository has nothing to tidy.
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
