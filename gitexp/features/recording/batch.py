"""Record many runs that have ended, with few git processes.

For imports, sweeps of other tools, and benchmarks. Each run gets its own commit, but one
`git fast-import` writes thousands of them, so that they share the cost of starting git, locking and
fsync. A batch is on the branch completely or not at all, and stays if a later one fails.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from gitexp.adapters.git.maintenance import start_maintenance
from gitexp.core.model.run import Run
from gitexp.storage.branch.events import RunEvent, sealed
from gitexp.storage.workspace import Workspace

BATCH: Final = 5000
"""Events in one git process: about 20 MB of memory, and seconds of work lost in a crash."""


def record_many(
    workspace: Workspace,
    runs: Iterable[Run],
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write runs that have ended to the branch, in order. Returns their number.

    The caller sets ids, clocks and times. `progress` gets the number of recorded runs after each
    batch. Raises `InvalidInput` for a run that no record can hold and `GitexpError` when the branch
    cannot be written; earlier batches stay.
    """
    return record_events(
        workspace, (sealed(run, [], run.outcome.value) for run in runs), progress=progress
    )


def record_events(
    workspace: Workspace,
    events: Iterable[RunEvent],
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write events to the branch in order, one batch at a time; otherwise like `record_many`."""
    done = 0
    for batch in _batches(events):
        workspace.record(batch)
        done += len(batch)
        if progress is not None:
            progress(done)
    start_maintenance(workspace.repo)
    return done


def _batches(events: Iterable[RunEvent]) -> Iterator[list[RunEvent]]:
    waiting = iter(events)
    while batch := list(islice(waiting, BATCH)):
        yield batch
