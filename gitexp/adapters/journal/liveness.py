"""The liveness of a run, judged by one function for all commands.

`recover` completes runs that are over; `recover --dry-run` and `doctor` list them; `tried` and the
choice of output files skip them. The judgement uses the journal and the processes of this machine.
"""

from enum import StrEnum

from gitexp.adapters.journal.journal import JournalContent
from gitexp.adapters.system.processes import has_survivor, is_alive

RUN_VARIABLE = "GITEXP_RUN"
"""Environment variable with the id of the run, set for its command."""


ENGINE = "engine"
"""Name of the part of a journal's header that says which engine runs the command elsewhere."""


APART = "apart"
"""Name of the part of a journal's header that says that the command has a group of its own."""


class Liveness(StrEnum):
    """State of a run that is not sealed on the branch."""

    ALIVE = "alive"
    """The process that records it runs."""
    SURVIVES = "command alive"
    """The recording process was killed, but its command runs."""
    MANUAL = "by hand"
    """Started by `git exp start`; only `git exp finish` ends it."""
    OTHER_HOST = "elsewhere"
    """Its process is, or was, where this machine cannot look."""
    DEAD = "dead"
    """Its process and its command have ended."""
    SEALED = "sealed"
    """It ended and its journal is sealed, but the seal is not on the branch."""

    @property
    def is_over(self) -> bool:
        """True when recovery completes the run without `--force`."""
        return self in (Liveness.DEAD, Liveness.SEALED)


def liveness(content: JournalContent) -> Liveness:
    """Judge a run by its journal. Reads `/proc`: finds a surviving command on Linux only."""
    if content.sealed is not None:
        return Liveness.SEALED
    if content.process is None:
        return Liveness.MANUAL
    alive = is_alive(content.process)
    if alive:
        return Liveness.ALIVE
    if alive is None or content.extra.get(ENGINE):  # a worker may run it, or keep its result
        return Liveness.OTHER_HOST
    group = content.extra.get("group")
    is_apart = bool(content.extra.get(APART))
    if content.ending is not None or not (is_apart or isinstance(group, int)):
        return Liveness.DEAD
    survives = has_survivor(None if is_apart else group, f"{RUN_VARIABLE}={content.run_id}")
    return Liveness.SURVIVES if survives else Liveness.DEAD
