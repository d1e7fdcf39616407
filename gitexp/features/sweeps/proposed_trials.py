"""Trials that Optuna proposes, one when a place is free, each from the results so far."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitexp.adapters.journal.journal import journal_path
from gitexp.adapters.journal.new_metrics import NewMetrics
from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.model.run import Run, nest
from gitexp.features.sweeps.dimensions import Proposal, proposal_of
from gitexp.features.sweeps.plan import Planned, State
from gitexp.features.sweeps.proposed_plan import Group, ProposedPlan, objective_of
from gitexp.features.sweeps.space import Point, UnusableSpace, draw
from gitexp.features.sweeps.study import Study, Verdict, seed_of

ATTEMPTS: Final = 20
"""Proposals for one point that may be in use or against a condition; then one is drawn."""


@dataclass(slots=True)
class _Open:
    """A point whose trials have not all ended."""

    number: int
    """Its number in the study."""
    waiting: int
    runs: list[Run] = field(default_factory=list)


class ProposedTrials:
    """The trials of a sweep with Optuna that have not started."""

    def __init__(self, plan: ProposedPlan, planned: Iterable[Planned]) -> None:
        """Take up what `look_up` found. Raises `GitexpError` when Optuna is missing.

        Of its trials those run that are new in `planned`; a worker may have the others.
        """
        self._new = {each.number for each in planned if each.state is State.NEW}
        definition = plan.definition
        self._plan = plan
        self._metric, direction = objective_of(plan.workspace, definition)
        self._study = Study(
            definition.study,
            plan.dimensions,
            direction,
            sampler=definition.sampler,
            pruner=definition.prune,
        )
        self._waiting: deque[Planned] = deque()
        self._open: dict[int, _Open] = {}
        self._follow: dict[str, NewMetrics] = {}
        self._judged: set[str] = set()
        self._seen = {canonical(group.point) for group in (*plan.priors, *plan.groups)}
        for group in plan.priors:
            self._learn(group)
        for group in plan.groups:
            self._take_up(group)
        self._place = 1 + max((group.place for group in plan.groups), default=0)
        self._left = plan.left

    def __len__(self) -> int:
        return len(self._waiting) + self._left * self._plan.per_point

    # --- what is known ------------------------------------------------------------------------

    def _learn(self, group: Group) -> None:
        runs = [each.known.measured for each in group.trials if each.known is not None]
        self._study.add(self._plan.told(group, runs, self._metric))

    def _take_up(self, group: Group) -> None:
        """Add a point that was proposed before: with its result, or to run it."""
        states = {each.state for each in group.trials}
        if states == {State.REPEAT}:
            self._learn(group)
            return
        number = self._study.begin(group.proposal)
        if State.DISCARDED in states:
            self._study.settle(number, Verdict.FAILED)
            return
        self._open[group.place] = _Open(number, len(group.trials))
        for each in group.trials:
            if each.state is State.NEW and each.number in self._new:
                self._waiting.append(each)
            elif each.known is not None and each.state is State.REPEAT:
                self.note_end(each, each.known.measured)

    # --- the trials ---------------------------------------------------------------------------

    def take(self) -> Planned | None:
        """Remove and return the next trial; `None` when there is no other."""
        if not self._waiting and not self._propose():
            return None
        planned = self._waiting.popleft()
        if planned.state is State.REPEAT and planned.known is not None:
            self.note_end(planned, planned.known.measured)
        elif planned.state is State.DISCARDED:
            self._settle(self._open.pop(self._place_of(planned), None), Verdict.FAILED)
        return planned

    def _propose(self) -> bool:
        """Let the trials of a new point wait; false when there is none."""
        if self._left <= 0:
            return False
        found = self._find()
        if found is None:
            self._left = 0
            return False
        number, proposal, point = found
        self._left -= 1
        self._seen.add(canonical(point))
        group = self._plan.group_at(self._place, proposal, point)
        self._open[group.place] = _Open(number, len(group.trials))
        self._waiting.extend(group.trials)
        self._place += 1
        return True

    def _find(self) -> tuple[int, Proposal, Point] | None:
        """A point that was not in use: proposed, or drawn when all proposals were."""
        seed = self._plan.definition.seed
        for attempt in range(ATTEMPTS):
            number, proposal = self._study.propose(seed_of(seed, self._place, attempt))
            point = self._plan.point_of(proposal)
            if canonical(point) not in self._seen and self._is_wanted(point):
                return number, proposal, point
            self._study.settle(number, Verdict.FAILED)
        with suppress(UnusableSpace):
            count = len(self._seen) + 1
            for point in draw(self._plan.space, count, seed=seed, condition=self._plan.condition):
                drawn = proposal_of(self._plan.dimensions, nest(point))
                if canonical(point) not in self._seen and drawn is not None:
                    return self._study.begin(drawn), drawn, point
        return None

    def _is_wanted(self, point: Point) -> bool:
        return self._plan.condition is None or self._plan.condition(point)

    def _place_of(self, planned: Planned) -> int:
        return (planned.number - 1) // self._plan.per_point + 1

    def note_end(self, planned: Planned, run: Run) -> None:
        """Take note of how a trial ended."""
        place = self._place_of(planned)
        group = self._open.get(place)
        if group is None:
            return
        self._report_rest(group, run)
        group.runs.append(run)
        if len(group.runs) == group.waiting:
            del self._open[place]
            self._settle(group, *self._plan.outcome(group.runs, self._metric))

    def _settle(self, group: _Open | None, verdict: Verdict, value: float | None = None) -> None:
        if group is not None:
            self._study.settle(group.number, verdict, value)

    # --- pruning ------------------------------------------------------------------------------

    def _report_rest(self, group: _Open, run: Run) -> None:
        """Report the values that came together with the end of a trial, and that `to_prune` missed.

        Without them the study would have nothing to compare later trials with at these steps.
        """
        follow = self._follow.pop(run.id, None)
        if not self._plan.definition.prune or run.id in self._judged:
            return
        journal = journal_path(self._plan.workspace.journals, run.id)
        values: Iterable[tuple[int, float]] = ()
        if follow is not None or journal.exists():
            values = (follow or NewMetrics(journal)).values(self._metric)
        else:  # it ended before this sweep began
            values = self._plan.steps(run, self._metric).items()
        for step, value in values:
            self._study.report(group.number, value, step)

    def to_prune(self, running: Iterable[tuple[Planned, Path]], /) -> Iterator[tuple[str, int]]:
        """Yield the running trials that are not worth their time, each with its step."""
        if not self._plan.definition.prune:
            return
        for planned, journal in running:
            run, group = journal.stem, self._open.get(self._place_of(planned))
            if group is None or run in self._judged:
                continue
            follow = self._follow.setdefault(run, NewMetrics(journal))
            for step, value in follow.values(self._metric):
                if self._study.report(group.number, value, step):
                    self._judged.add(run)
                    yield run, step
                    break
