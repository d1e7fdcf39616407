"""Recording many runs that have ended, in few git processes.

For imports, sweeps that ran elsewhere, and benchmarks. One commit for each run as ever, but
thousands of them in one `git fast-import`: what a single record pays for starting git, locking and
syncing is shared. Each batch is on the branch or is not; what is on it stays.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from gitexp.adapters.git.maintenance import start_maintenance
from gitexp.adapters.system import clock
from gitexp.core.model.run import Run
from gitexp.storage.branch.events import Event, sealed
from gitexp.storage.workspace import Workspace

BATCH: Final = 5000
"""Events in one git process: some 20 MB of memory, and seconds of work lost to a crash."""


def record_many(
    workspace: Workspace,
    runs: Iterable[Run],
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Put runs that have ended onto the branch, in order. Returns how many.

    The runs are taken as they are: ids, clocks and times are the caller's. `progress` is told how
    many are recorded after each batch. Raises `InvalidInput` for a run that no record can hold and
    `GitexpError` when the branch cannot be written; the batches before stay.
    """
    return record_events(
        workspace, (sealed(run, [], run.outcome.value) for run in runs), progress=progress
    )


def record_events(
    workspace: Workspace,
    events: Iterable[Event],
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Put events onto the branch, in order, a batch at a time; else as `record_many`."""
    done = 0
    for batch in _batches(events):
        workspace.store.write(batch, identity=workspace.identity, moment=clock.now())
        done += len(batch)
        if progress is not None:
            progress(done)
    start_maintenance(workspace.repo)
    return done


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    waiting = iter(events)
    while batch := list(islice(waiting, BATCH)):
        yield batch
