"""Whether a run still goes on: the one function that judges it, for all commands.

`recover` completes what is over, `recover --dry-run` and `doctor` name it, `tried` and the choice
of output files leave it out. A run is judged by its journal and by the processes of this machine.
"""

from enum import StrEnum

from gitexp.adapters.journal.journal import JournalContent
from gitexp.adapters.system.processes import has_survivor, is_alive

RUN_VARIABLE = "GITEXP_RUN"
"""Environment variable that names the run to its command."""


class Liveness(StrEnum):
    """Why a run is not sealed on the branch yet."""

    ALIVE = "alive"
    """The process that records it runs."""
    SURVIVES = "command alive"
    """The process that recorded it was killed, and its command runs."""
    BY_HAND = "by hand"
    """Started by `git exp start`: it ends by `git exp finish` only."""
    ELSEWHERE = "elsewhere"
    """Its process is, or was, where this machine cannot look."""
    DEAD = "dead"
    """Its process and its command are gone."""
    SEALED = "sealed"
    """It ended well, but its seal did not reach the branch."""

    @property
    def is_over(self) -> bool:
        """True when recovery completes the run without `--force`."""
        return self in (Liveness.DEAD, Liveness.SEALED)


def liveness(content: JournalContent) -> Liveness:
    """Judge a run by its journal. Reads `/proc`; a command is looked for on Linux only."""
    if content.sealed is not None:
        return Liveness.SEALED
    if content.process is None:
        return Liveness.BY_HAND
    alive = is_alive(content.process)
    if alive is None:
        return Liveness.ELSEWHERE
    if alive:
        return Liveness.ALIVE
    group = content.extra.get("group")
    if content.ending is not None or not isinstance(group, int):
        return Liveness.DEAD
    survives = has_survivor(group, f"{RUN_VARIABLE}={content.run_id}")
    return Liveness.SURVIVES if survives else Liveness.DEAD
