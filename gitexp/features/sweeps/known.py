"""The runs of sweeps that are on the branch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gitexp.adapters.system.lock_holder import Holder
from gitexp.core.model.run import Outcome, RecordedRun, Run, SweepPlace
from gitexp.features.sweeps.definition import Definition
from gitexp.features.sweeps.files import (
    find_sweep,
    holder,
    load_sweeps,
    newest_first,
    sweeps_folder,
)
from gitexp.features.sweeps.plan import Planned
from gitexp.storage.workspace import Workspace


def runs_of(workspace: Workspace, sweep: str) -> list[RecordedRun]:
    """The runs that a sweep started, in the order of its trials, later attempts last."""
    index = workspace.index
    found = index.entries(index.ids(workspace.query(f'sweep == "{sweep}"')))
    return sorted(found, key=_order)


def filter_of(workspace: Workspace, text: str) -> str:
    """A filter for a sweep's runs; `text` is the start of its id, or `last`. Raises `NotFound`."""
    sweep = find_sweep(workspace, None if text == "last" else text).id
    return f'sweep == "{sweep}"'


def _order(entry: RecordedRun) -> tuple[int, int, str]:
    place = entry.run.sweep
    return (0 if place is None else place.number, entry.run.clock, entry.run.id)


def place_marker(workspace: Workspace, sweep: str) -> Callable[[Planned, Run], Run]:
    """A function that gives a run its place in a sweep, with the number of the attempt."""
    attempts: dict[int, int] = {}
    for entry in runs_of(workspace, sweep):
        place = entry.run.sweep
        if place is not None:
            attempts[place.number] = max(attempts.get(place.number, 0), place.attempts)

    def mark(planned: Planned, run: Run) -> Run:
        number = planned.number
        attempts[number] = attempts.get(number, 0) + 1
        return replace(run, sweep=SweepPlace(id=sweep, number=number, attempts=attempts[number]))

    return mark


@dataclass(frozen=True, slots=True)
class Overview:
    """A sweep with how its runs ended."""

    definition: Definition
    runs: tuple[RecordedRun, ...]
    holder: Holder | None
    """The process that runs it."""

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many runs ended in each way."""
        found = dict.fromkeys(Outcome, 0)
        for entry in self.runs:
            found[entry.run.outcome] += 1
        return found


def overview(workspace: Workspace, definition: Definition) -> Overview:
    """How a sweep stands."""
    runs = tuple(runs_of(workspace, definition.id))
    return Overview(definition, runs, holder(workspace, definition))


def overviews(workspace: Workspace) -> list[Overview]:
    """Every sweep, the one that was started or resumed last here first."""
    known = load_sweeps(workspace)
    found = [overview(workspace, definition) for definition in newest_first(workspace, known)]
    kept = sweeps_folder(workspace)
    return [each for each in found if each.runs or (kept / f"{each.definition.id}.toml").exists()]
