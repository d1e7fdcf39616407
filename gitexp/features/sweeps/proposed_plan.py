"""The plan of a sweep whose points Optuna proposes: the results from before its first proposal.

Points that were proposed before count, also those of a sweep that differs in nothing but its number
of points. Other results in the space, of a grid or by hand, are known to the study, and do not
count.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gitexp.core.analysis.fingerprint import canonical, key_of
from gitexp.core.model.directions import direction_of
from gitexp.core.model.run import Direction, Outcome, RecordedRun, Run, numbers, run_order
from gitexp.features.execution.prepare import RunRequest
from gitexp.features.sweeps.condition import parse_conditions
from gitexp.features.sweeps.definition import Definition
from gitexp.features.sweeps.dimensions import Proposal, dimensions_of, point_of, proposal_of
from gitexp.features.sweeps.files import load_sweeps
from gitexp.features.sweeps.known import runs_of
from gitexp.features.sweeps.plan import Choices, Plan, Planned, State, trials_at
from gitexp.features.sweeps.space import Point, UnusableSpace, count_points, grid
from gitexp.features.sweeps.study import Told, Verdict
from gitexp.features.sweeps.summary import has_failed, is_pruned
from gitexp.storage.workspace import Workspace

SEARCH: Final = 1_000
"""Newest runs that are searched for results of other sweeps and by hand."""

SMALL: Final = 1_000
"""Spaces up to this number of points are listed: no more points are promised than they have."""


@dataclass(frozen=True, slots=True)
class Group:
    """A point with its trials: one, or one for each seed."""

    place: int
    """The number of the point in the sweep, from 1; 0 for a result that does not count."""
    proposal: Proposal
    point: Point
    trials: tuple[Planned, ...]


def plan_of(workspace: Workspace, definition: Definition, choices: Choices) -> Plan:
    """Prepare a sweep. Raises `InvalidInput` for a space that cannot be used."""
    kind = ProposedPlan if definition.optuna else Plan
    return kind(workspace, definition, choices)


def objective_of(workspace: Workspace, definition: Definition) -> tuple[str, Direction]:
    """Return the metric that the proposals improve, and which way. Raises `UnusableSpace`."""
    metric = definition.metric or workspace.settings.metric
    if not metric:
        raise UnusableSpace(
            "cannot propose points",
            why="Optuna needs a metric to improve",
            hints=["name it: `--minimize loss` or `--maximize accuracy`"],
        )
    declared = {**workspace.settings.directions, **definition.directions}
    direction, _ = direction_of(metric, declared)
    if direction is None:
        raise UnusableSpace(
            "cannot propose points",
            why=f"which way {metric} is better is not known",
            hints=[f"say `--minimize {metric}` or `--maximize {metric}`"],
        )
    return metric, direction


class ProposedPlan(Plan):
    """The results of a sweep whose points Optuna proposes."""

    def __init__(self, workspace: Workspace, definition: Definition, choices: Choices) -> None:
        """Raises `InvalidInput` for a space that cannot be used, `GitexpError` as `prepare`."""
        super().__init__(workspace, definition, choices)
        self.space = definition.space()
        self.dimensions = dimensions_of(self.space)
        self.per_point = max(definition.seeds, 1)
        self.groups: list[Group] = []
        """The points that were proposed before, in the order of their numbers; from `look_up`."""
        self.priors: list[Group] = []
        """Other points of the space with a result, the oldest first."""
        self.left = definition.optuna
        """How many points may still be proposed: as many as were asked for, or as there are."""
        self.condition = parse_conditions(definition.conditions, self.space.names)
        self._by_number: dict[int, tuple[Point, int, RunRequest]] = {}

    def __len__(self) -> int:
        """How many trials there are, those that are not proposed yet included."""
        return (len(self.groups) + self.left) * self.per_point

    def _trial(self, number: int) -> tuple[Point, int, RunRequest]:
        return self._by_number[number]

    def group_at(self, place: int, proposal: Proposal, point: Point) -> Group:
        """Prepare the trials of a point and say what is known of each."""
        trials = []
        pairs = trials_at(self.workspace, self.definition, self.trial, point)
        for offset, (varied, trial) in enumerate(pairs, start=1):
            number = (place - 1) * self.per_point + offset if place else 0
            self._by_number[number] = (varied, place, trial)
            trials.append(self.look_at(number, varied, place, trial))
        return Group(place, proposal, point, tuple(trials))

    def look_up(self, progress: Callable[[int, int], None] | None = None) -> list[Planned]:
        """Return the trials of the points that were proposed before, with what is known of them."""
        self.groups, self.priors = [], []
        entries = self._of_this_study()
        points: dict[str, tuple[int, Proposal, Point, list[RecordedRun]]] = {}
        for place, entry in entries:
            found = self._point_of(entry.run)
            if found is not None:
                key = canonical(found[1])
                points.setdefault(key, (place, *found, []))[-1].append(entry)
        for number, (place, proposal, point, runs) in enumerate(points.values(), start=1):
            self._add(self._with_pruned(self.group_at(place, proposal, point), runs))
            if progress is not None:
                progress(number, len(points))
        self.groups = self.groups[: self.definition.optuna]
        self.priors += self._others(set(points), {entry.run.id for _, entry in entries})
        self.left = max(0, self.definition.optuna - len(self.groups))
        size = count_points(self.space)
        if size is not None and size <= SMALL:
            every = {canonical(point) for point in grid(self.space, self.condition)}
            used = {canonical(group.point) for group in (*self.groups, *self.priors)}
            self.left = min(self.left, len(every - used))
        return [planned for group in self.groups for planned in group.trials]

    def _add(self, group: Group) -> None:
        """Give a group of this study its place: a free one when two clones took the same."""
        last = self.groups[-1].place if self.groups else 0  # they come in order
        if group.place <= last:
            group = self.group_at(last + 1, group.proposal, group.point)
        self.groups.append(group)

    def _of_this_study(self) -> list[tuple[int, RecordedRun]]:
        """The runs of sweeps that share this study, with the number of their point, in order."""
        study = self.definition.study
        sweeps = {self.definition.id}
        for each in load_sweeps(self.workspace).values():
            if each.optuna and each.study == study:
                sweeps.add(each.id)
        found = []
        for sweep in sorted(sweeps):
            for entry in runs_of(self.workspace, sweep):
                if entry.run.sweep is not None:
                    found.append(((entry.run.sweep.number - 1) // self.per_point + 1, entry))
        return sorted(found, key=lambda pair: (pair[0], run_order(pair[1].run)))

    def _point_of(self, run: Run) -> tuple[Proposal, Point] | None:
        proposal = proposal_of(self.dimensions, run.params)
        return None if proposal is None else (proposal, self.point_of(proposal))

    def point_of(self, proposal: Proposal) -> Point:
        """Return the point that a proposal stands for."""
        point = point_of(self.dimensions, proposal)
        return {name: point[name] for name in self.space.names if name in point}

    def _with_pruned(self, group: Group, entries: Sequence[RecordedRun]) -> Group:
        """The group with trials that were pruned before as repeats, when this sweep prunes too."""
        if not self.definition.prune or self.choices.again:
            return group
        pruned = {key_of(e.run): e for e in entries if is_pruned(e.run)}
        trials = []
        for each in group.trials:
            known = pruned.get(key_of(each.prepared.run)) if each.state is State.NEW else None
            if known is not None:
                trials.append(replace(each, state=State.REPEAT, known=known))
            else:
                trials.append(each)
        return replace(group, trials=tuple(trials))

    def _others(self, seen: set[str], own: set[str]) -> Iterator[Group]:
        """Results in the space that this study did not propose, the oldest first."""
        if self.choices.again:
            return
        index = self.workspace.index
        entries = [e for e in index.entries(index.ids(limit=SEARCH)) if e.run.id not in own]
        for entry in sorted(entries, key=lambda e: run_order(e.run)):
            found = self._point_of(entry.run)
            if found is None or entry.run.outcome is Outcome.RUNNING or canonical(found[1]) in seen:
                continue
            trials = trials_at(self.workspace, self.definition, self.trial, found[1])
            keys = {key_of(self._variations.prepare(trial).run) for _, trial in trials}
            if key_of(entry.run) not in keys:
                continue
            group = self._with_pruned(self.group_at(0, *found), [entry])
            if all(each.state is State.REPEAT for each in group.trials):
                seen.add(canonical(found[1]))
                yield group

    # --- for the study ------------------------------------------------------------------------

    def told(self, group: Group, runs: Sequence[Run], metric: str) -> Told:
        """What the study learns from the runs of a point."""
        verdict, value = self.outcome(runs, metric)
        steps = self.steps(runs[0], metric) if self.definition.prune else {}
        return Told(proposal=group.proposal, verdict=verdict, value=value, steps=steps)

    def outcome(self, runs: Sequence[Run], metric: str) -> tuple[Verdict, float | None]:
        """How the trials of a point ended together, and the mean of their values."""
        if any(is_pruned(run) for run in runs):
            return Verdict.PRUNED, None
        values = [numbers(run.metrics).get(metric) for run in runs if not has_failed(run)]
        found = [float(value) for value in values if value is not None]
        if len(found) < len(runs):
            return Verdict.FAILED, None
        return Verdict.COMPLETE, sum(found) / len(found)

    def steps(self, run: Run, metric: str) -> dict[int, float]:
        """Return the values of the metric by step, as the series of a run has them."""
        if not self.workspace.index.has_series(run.id):
            return {}
        found = {}
        for row in self.workspace.branch.load_series(run.id, run.started):
            step, value = row.get("step"), row.get(metric)
            if not isinstance(value, int | float) or not isinstance(step, int | float):
                continue
            if step >= 0 and step == int(step):
                found[int(step)] = float(value)
        return found
