"""How the end of a trial's command is called, and what to warn of."""

import signal

from gitexp.adapters.engines.protocol import Ended
from gitexp.core.model.run import Outcome

_ASKED_TO_END = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""A machine that shuts down sends these to trials too; then they run again. KILL is not among
them: the system sends it to a trial that takes too much memory, each time."""


def outcome_of(ended: Ended) -> Outcome:
    """How the end of a trial's command is called."""
    if ended.timed_out:
        return Outcome.TIMED_OUT
    if ended.stopped or -ended.exit_code in _ASKED_TO_END:
        return Outcome.INTERRUPTED
    return Outcome.SUCCEEDED if ended.exit_code == 0 else Outcome.FAILED


def faults_of(ended: Ended) -> list[str]:
    """Return what to warn of when a trial's command has ended."""
    if ended.fault:
        return [ended.fault]
    if -ended.exit_code == signal.SIGKILL and not (ended.stopped or ended.timed_out):
        return ["it was killed by signal 9, perhaps because memory ran out"]
    return []
