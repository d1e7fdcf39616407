"""Where the coordinator takes its trials from: a list of them, or proposals one after the other."""

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from gitexp.core.model.run import Run
from gitexp.features.sweeps.plan import Planned, State


class Source(Protocol):
    """The trials of a sweep that have not started."""

    def __len__(self) -> int:
        """How many there are, as far as is known."""

    def take(self) -> Planned | None:
        """Remove and return the next trial; `None` when there is no other.

        One that is not new has a result already, and does not run.
        """

    def note_end(self, planned: Planned, run: Run) -> None:
        """Take note of how a trial ended."""

    def to_prune(self, running: Iterable[tuple[Planned, Path]], /) -> Iterable[tuple[str, int]]:
        """Return the running trials to stop, each with the step that it has reached.

        `running` has each running trial with its journal, which is named after its run.
        """


def take_new(source: Source, on_reuse: Callable[[Planned], None]) -> Planned | None:
    """Remove and return the next trial that has no result; `None` when there is no other.

    Those before it that have one go to `on_reuse`.
    """
    while len(source):
        planned = source.take()
        if planned is None or planned.state is State.NEW:
            return planned
        on_reuse(planned)
    return None


class ListedTrials:
    """Trials that are all known before the first one starts."""

    def __init__(self, trials: Iterable[Planned]) -> None:
        self._trials = deque(trials)

    def __len__(self) -> int:
        return len(self._trials)

    def take(self) -> Planned | None:
        """Remove and return the next trial; `None` when there is no other."""
        return self._trials.popleft() if self._trials else None

    def note_end(self, planned: Planned, run: Run) -> None:
        """Do nothing: no trial depends on the result of another."""

    def to_prune(self, _running: Iterable[tuple[Planned, Path]], /) -> Iterable[tuple[str, int]]:
        """Return nothing: all trials run to their end."""
        return ()
