"""Time limit of the user's command: TERM at the limit, KILL after a grace period.

The command stays in gitexp's process group, so that keys and the terminal work as without a limit.
Signals go to the command, to all its descendants, and to processes of the group with its marker in
their environment. Without `/proc` only the command itself gets them.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import NamedTuple, Protocol

from gitexp.adapters.system import clock
from gitexp.adapters.system.processes import descendants

GRACE_S = 10.0
"""Seconds between TERM and KILL, to write a checkpoint; `docker stop` gives the same time."""

_POLL_S = 0.05
"""Seconds between two checks for processes that outlive the command."""

_KILLS = 100
"""Number of KILLs before giving up: a process that waits for a dead disk does not end."""

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class Child(Protocol):
    """A process that gitexp started."""

    pid: int

    def send_signal(self, sig: int, /) -> None:
        """Send a signal unless the process has ended."""


class Limit(NamedTuple):
    """Time limit of a command."""

    seconds: float
    marker: str
    """`NAME=value` in the environment of the command, which identifies its orphans."""
    on_reached: Callable[[], None] = lambda: None
    """Called once, before TERM is sent. Must not raise."""
    grace_s: float = GRACE_S


class Deadline:
    """Enforcement of the time limit of one command."""

    def __init__(self, limit: Limit, child: Child, started_s: float) -> None:
        self.is_reached = False
        self._limit = limit
        self._child = child
        self._next_s = started_s + limit.seconds
        self._known: dict[int, int] = {}
        """Pid and start time of every process that belonged to the command since TERM."""
        self._kills = 0

    @property
    def remaining_s(self) -> float:
        """Seconds until the next action of `enforce`."""
        return max(0.0, self._next_s - clock.monotonic_s())

    def enforce(self) -> None:
        """Send the signal that is due, if any."""
        if self.remaining_s > 0:
            return
        if not self.is_reached:
            self.is_reached = True
            self._limit.on_reached()
            self._send(signal.SIGTERM)
            if hasattr(signal, "SIGCONT"):
                self._send(signal.SIGCONT)  # a stopped process would not act on TERM
            self._next_s = clock.monotonic_s() + self._limit.grace_s
        else:
            self._kills += 1
            self._send(_KILL)
            self._next_s = clock.monotonic_s() + _POLL_S

    def end_orphans(self) -> None:
        """Kill the processes that a timed out command left, after the same grace period."""
        while self.is_reached and self._kills < _KILLS and self._alive():
            clock.sleep(min(_POLL_S, self.remaining_s))
            self.enforce()

    def _send(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._child.send_signal(number)
        for pid in self._alive():
            if pid != self._child.pid:
                with contextlib.suppress(OSError):  # it has ended, or belongs to another user
                    os.kill(pid, number)

    def _alive(self) -> list[int]:
        found = descendants(
            [self._child.pid, *self._known],
            self._known,
            group=os.getpgrp(),
            variable=self._limit.marker,
        )
        self._known |= found
        return list(found)
