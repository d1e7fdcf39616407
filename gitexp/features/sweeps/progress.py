"""The limits of a running sweep, its progress, who listens to it, and its result."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gitexp.core.errors import GitexpError
from gitexp.core.model.run import Run
from gitexp.features.sweeps.plan import Planned


@dataclass(slots=True, kw_only=True)
class Limits:
    """When a sweep stops before its last trial."""

    max_s: float | None = None
    """Seconds after which nothing new starts."""
    failures: int = 0
    """Failures in a row that stop the sweep; 0 for no limit."""


@dataclass(slots=True)
class Progress:
    """How far a sweep is; for the display."""

    total: int
    """Trials that have no result yet when the sweep starts."""
    started_s: float
    done: int = 0
    failed: int = 0
    pruned: int = 0
    running: int = 0
    is_draining: bool = False
    """True when nothing new starts any more."""


@dataclass(slots=True)
class Listener:
    """Functions called when something happens, on the main thread; each must be quick."""

    on_start: Callable[[Planned, Run], None] = lambda _planned, _run: None
    on_line: Callable[[Run, str, bytes], None] = lambda _run, _stream, _line: None
    on_reuse: Callable[[Planned], None] = lambda _planned: None
    on_end: Callable[[Planned, Run, Progress], None] = lambda _planned, _run, _progress: None
    on_tick: Callable[[Progress], None] = lambda _progress: None
    on_notice: Callable[[str], None] = lambda _text: None
    on_problem: Callable[[GitexpError], None] = lambda _problem: None


@dataclass(slots=True)
class Result:
    """The trials of a sweep when it has ended."""

    runs: list[tuple[Planned, Run]] = field(default_factory=list)
    """Those that ended, in that order."""
    left: int = 0
    """Trials that did not start."""
    was_interrupted: bool = False
    stopped_by: str | None = None
    """Why it stopped before its last trial, when a limit was reached."""
    not_run: list[tuple[Planned, str]] = field(default_factory=list)
    """Trials that no worker can run, with the reason."""
    unrecorded: int = 0
    """Trials that ended and could not be put onto the branch; their journals are kept."""
