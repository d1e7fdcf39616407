"""Engines: where the commands of trials run. `local` and `dask_engine` come with gitexp.

An engine knows nothing of records: it starts commands, says what they print and how they end, and
stops them. `found` looks for others in the entry-point group `gitexp.engines`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from gitexp.core.errors import GitexpError


@dataclass(frozen=True, slots=True)
class Order:
    """A command to run."""

    run: str
    """The id of the run, that everything that follows names."""
    argv: tuple[str, ...]
    directory: Path
    """On another machine, relative to the work tree that the worker makes."""
    env: Mapping[str, str]
    """All variables; on another machine, those beside the worker's own."""
    timeout_s: float | None = None
    parcel: "Parcel | None" = None
    """What another machine needs beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What travels with a command to another machine, beside its code."""

    params: str
    """The parameters as TOML."""
    journal: str
    """The first line of the journal, to which the program may log."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by path of the data that must be there; empty when any content will do."""
    metrics: Sequence[str] = ()
    """Paths of metrics files, relative to the work tree."""
    outputs: Sequence[str] = ()
    """Paths whose hashes are wanted, relative to the work tree."""
    inject: bool = True
    """True when a Python program reports its parameters."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A command printed something; the chunk is not empty."""

    run: str
    stream: str
    """`stdout` or `stderr`."""
    chunk: bytes
    time_s: float | None = None
    """Seconds from the start of the command, when it ran elsewhere; else it was printed now."""


@dataclass(frozen=True, slots=True)
class TimeUp:
    """A command reached its time limit and is being ended."""

    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What came back from another machine."""

    files: Mapping[str, bytes]
    """Files that the trial wrote and that results may be read from, by path."""
    changed: Sequence[str]
    """All files that it wrote."""
    outputs: Mapping[str, tuple[str, int]]
    """SHA-256 and size of the outputs that were asked for and are there."""
    journal: bytes
    """Lines that the program wrote to its journal."""
    report: bytes | None
    facts: Mapping[str, Any]
    """The environment of the command, as a record has it."""
    packages: Mapping[str, Any]
    warnings: Sequence[str] = ()


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
    brought: Brought | None = None
    """Present when it ran on another machine."""


@dataclass(frozen=True, slots=True)
class NotRun:
    """No worker can run a command: it is as if it had never been ordered."""

    run: str
    why: str


@dataclass(frozen=True, slots=True)
class RunsAgain:
    """The worker of a command died, and another runs it from its start.

    What it printed before does not count.
    """

    run: str


Happening: TypeAlias = Printed | TimeUp | Ended | NotRun | RunsAgain


class EngineLost(GitexpError):
    """The engine cannot be reached any more; what it runs may still end."""


class Engine(Protocol):
    """Runs the commands of trials."""

    @property
    def slots(self) -> int:
        """How many commands may be ordered at once; may change."""

    def start(self, order: Order) -> None:
        """Start a command. One that cannot be started ends at once, with a fault."""

    def stop(self, run: str) -> None:
        """Ask a command to end; called again, end it now. Harmless when it has ended."""

    def wait(self, timeout_s: float) -> list[Happening]:
        """Return what happened since the last call, after at most `timeout_s` seconds.

        Raises `EngineLost`.
        """

    def close(self) -> None:
        """End everything that still runs here, and free all resources."""


class RemoteEngine(Engine, Protocol):
    """An engine whose commands run on other machines and outlive the coordinator."""

    def known(self) -> set[str]:
        """Return the runs of this sweep that go on, or ended while no coordinator listened."""

    def adopt(self, run: str) -> None:
        """Have `wait` say how a known run went on, as if it had been started now."""

    def forget(self, runs: Iterable[str]) -> None:
        """Say that results are recorded: workers need not keep them any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a remote engine is made for."""

    owner: str
    """Names the sweep in this clone."""
    commit: str
    """The code of all trials."""
    pack: Callable[[Sequence[str]], bytes]
    """Returns a pack of the commit for a worker that has other commits."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by path of the data that every trial needs; empty when any content will do."""
    jobs: int | None = None
    """Most commands at once; `None` for as many as the workers have threads."""
    streams: bool = False
    """True when lines are wanted while a command runs."""
    notice: Callable[[str], None] = lambda _text: None
    """Called with a sentence that the user should see."""


Factory: TypeAlias = Callable[[str, Setting], RemoteEngine]
"""Makes an engine for an address. Raises `GitexpError`."""
