"""Engines: where the commands of trials run. The one that comes with gitexp is `local_engine`.

An engine knows nothing of records: it starts commands, says what they print and how they end, and
stops them. Others are found by the entry-point group `gitexp.engines`, which is reserved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

ENTRY_POINTS: Final = "gitexp.engines"
"""The entry-point group of engines that other distributions bring; each is a factory."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command to run."""

    run: str
    """The id of the run, that everything that follows names."""
    argv: tuple[str, ...]
    directory: Path
    env: Mapping[str, str]
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Printed:
    """A command printed something; the chunk is not empty."""

    run: str
    stream: str
    """`stdout` or `stderr`."""
    chunk: bytes


@dataclass(frozen=True, slots=True)
class TimeUp:
    """A command reached its time limit and is being ended."""

    run: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A command has ended, and nothing of it runs any more."""

    run: str
    exit_code: int
    """Its own; minus the signal number when a signal ended it."""
    duration_s: float
    timed_out: bool = False
    stopped: bool = False
    """True when `stop` was called before it ended."""
    fault: str | None = None
    """Why it could not be started."""


Happening: TypeAlias = Printed | TimeUp | Ended


class Engine(Protocol):
    """Runs the commands of trials."""

    @property
    def slots(self) -> int:
        """How many commands may run at once."""

    def start(self, order: Order) -> None:
        """Start a command. One that cannot be started ends at once, with a fault."""

    def stop(self, run: str) -> None:
        """Ask a command to end; called again, end it now. Harmless when it has ended."""

    def wait(self, timeout_s: float) -> list[Happening]:
        """Return what happened since the last call, after at most `timeout_s` seconds."""

    def close(self) -> None:
        """End everything that still runs, and free all resources."""
