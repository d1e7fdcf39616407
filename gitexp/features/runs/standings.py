"""Groups of repeats by one metric: their noise, their ranking, and comparisons.

Reads from the run index what the pure rules of `core.analysis` judge. It reads a limited part: the
groups of the newest runs, of the best runs, and those requested by key.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from gitexp.core.analysis.groups import Group, Measurement, group_of, groups_of
from gitexp.core.analysis.noise import Noise, Sample, measure_noise
from gitexp.core.analysis.ranking import Ranking, rank
from gitexp.core.analysis.verdicts import MetricVerdict, Question, judge_metric
from gitexp.core.model.directions import direction_of, is_time_like, last_part
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import (
    Annotation,
    Decision,
    Direction,
    MetricRule,
    RecordedRun,
    Run,
    Value,
)
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.settings.options import Settings

RECENT: Final = 300
"""Number of newest runs whose groups are used to measure noise."""

POOLED: Final = 30
"""Most groups with repeats to pool, the newest first."""

TOP: Final = 200
"""Number of runs with the best values that are searched for the best group."""

_MACHINE: Final = ("env.host", "env.cpu", "env.gpus")
"""Facts that identify the machine: noise in time, speed and memory depends on it."""


class Standings:
    """Data about one metric, up to a run or as of now."""

    def __init__(
        self,
        index: CachedRuns,
        settings: Settings,
        metric: str,
        *,
        upto: Run | None = None,
        past: "Past | None" = None,
        directions: Mapping[str, Direction] | None = None,
        extra: Measurement | None = None,
    ) -> None:
        """`directions` come from a run's record; `extra` is a run that the index does not have yet.

        With `past`, only decisions count that were made when the run `upto` ended.
        """
        self._index = index
        self._settings = settings
        self._upto = upto
        self._past = past
        self._directions = directions or {}
        self._extra = extra
        self._groups: dict[str, Group] = {}
        self._known: set[str] = set()
        self._machines: dict[RunId, tuple[Value | None, ...]] = {}
        self.metric = metric
        declared = {**settings.directions, **self._directions}
        self.direction, self.guessed = direction_of(metric, declared)
        self.rule = rule_of(settings, metric)
        self.is_time_like = is_time_like(metric)

    @property
    def settings(self) -> Settings:
        """The settings by which it judges."""
        return self._settings

    def about(self, metric: str) -> "Standings":
        """Return the same standings by another metric."""
        return Standings(
            *(self._index, self._settings, metric),
            upto=self._upto,
            past=self._past,
            directions=self._directions,
        )

    @cached_property
    def recent(self) -> list[Group]:
        """The groups of the newest runs, newest first."""
        return self.groups(self._index.groups.recent(self.metric, RECENT, upto=self._upto))

    @cached_property
    def eligible(self) -> list[Group]:
        """The groups that may be the best: measured, not discarded, with a known direction."""
        if self.direction is None:
            return []
        top = self._index.groups.top(self.metric, self.direction, TOP, upto=self._upto)
        return self._not_discarded(self.groups([*(g.key for g in self.recent), *top]))

    def _not_discarded(self, groups: Sequence[Group]) -> list[Group]:
        keys = [group.key for group in groups]
        if self._past is None or self._upto is None:
            discarded = discarded_trials(self._index, keys)
        else:
            discarded = self._past.discarded(keys, self._upto)
        return [g for g in groups if g.sample and g.key not in discarded]

    def decided(self, keys: Iterable[str]) -> dict[str, list[tuple[RunId, str]]]:
        """Return the runs of each group that have a decision, with the decision in force."""
        if self._past is None or self._upto is None:
            return self._index.groups.decided(keys)
        return {
            trial: [(made.run, made.decision.value) for made in found if made.decision is not None]
            for trial, found in self._past.decided(keys, self._upto).items()
        }

    def groups(self, keys: Iterable[str]) -> list[Group]:
        """Return the groups of these keys that have an ended run, newest first."""
        wanted = dict.fromkeys(keys)
        missing = [key for key in wanted if key not in self._known]
        if missing:
            found = self._index.groups.measurements(self.metric, missing, upto=self._upto)
            if self._extra is not None and self._extra.group in missing:
                found.append(self._extra)
            self._groups |= {group.key: group for group in groups_of(found)}
            self._known.update(missing)
        known = [self._groups[key] for key in wanted if key in self._groups]
        return sorted(known, key=lambda g: (g.newest.clock, g.newest.run), reverse=True)

    def group(self, key: str) -> Group | None:
        """Return the group of a key; `None` when none of its runs ended."""
        return next(iter(self.groups([key])), None)

    def family_samples(self, group: Group, *, without: Iterable[str] = ()) -> list[Sample]:
        """Return the samples of the other groups of a family, the newest `POOLED` with repeats."""
        left_out = {group.key, *without}
        candidates = [
            other
            for other in self.recent
            if other.family == group.family
            and other.key not in left_out
            and len(other.sample) > 1
            and self._is_comparable(other, group)
        ]
        return [other.sample for other in candidates[:POOLED]]

    def noise(self, group: Group) -> Noise:
        """Return the noise of a group's family, the group included."""
        samples = [group.sample, *self.family_samples(group)]
        return measure_noise(samples, declared=self.rule.noise, is_time_like=self.is_time_like)

    def ranking(self, *, without: str | None = None, among: Iterable[str] | None = None) -> Ranking:
        """Rank the groups by their means; `among` limits it to some.

        `without` is the group to compare with the best other one.
        """
        candidates = self.eligible if among is None else self._not_discarded(self.groups(among))
        return rank(
            [group for group in candidates if group.key != without],
            direction=self.direction or Direction.MAXIMIZE,
            declared=self.rule.noise,
            is_time_like=self.is_time_like,
        )

    def compare(
        self,
        new: Group | None,
        old: Group | None,
        *,
        run: RunId | None = None,
        rivals: int = 1,
        metrics: int = 1,
    ) -> MetricVerdict:
        """Return the verdict on one group against another; parameters as in `Question`."""
        others: Sequence[Sample] = ()
        if new is not None and old is not None:
            others = self.family_samples(new, without=[old.key])
        return judge_metric(
            Question(
                metric=self.metric,
                new=new,
                old=old,
                others=others,
                direction=self.direction,
                guessed=self.guessed,
                rule=self.rule,
                is_time_like=self.is_time_like,
                run=run,
                rivals=rivals,
                metrics=metrics,
            )
        )

    def compare_single(
        self, new: Group | None, run: Run, old: Group | None, other: Run
    ) -> MetricVerdict:
        """Return the verdict on two single runs as numbers, without their groups and noise."""
        return judge_metric(
            Question(
                metric=self.metric,
                new=_only(new, run),
                old=_only(old, other),
                direction=self.direction,
                guessed=self.guessed,
                run=run.id,
            )
        )

    def _is_comparable(self, group: Group, other: Group) -> bool:
        """Return whether two groups share their noise: time-like metrics need the same machine."""
        return not self.is_time_like or self._machine(group) == self._machine(other)

    def _machine(self, group: Group) -> tuple[Value | None, ...]:
        """Return the recorded facts about the machine of a group's newest run."""
        run = group.newest.run
        if run not in self._machines:
            columns = [self._index.column(key, [run]) for key in _MACHINE]
            self._machines[run] = tuple(column.get(run) for column in columns)
        return self._machines[run]


class Today:
    """Standings as of now, read once for all runs with the same metric and directions."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Standings] = {}

    def standings(
        self,
        index: CachedRuns,
        settings: Settings,
        metric: str,
        directions: Mapping[str, Direction],
    ) -> Standings:
        """Return the standings of an index, always the same index and settings."""
        key = metric, *sorted(directions.items())
        if key not in self._known:
            self._known[key] = Standings(index, settings, metric, directions=directions)
        return self._known[key]


def _only(group: Group | None, run: Run) -> Group | None:
    """Return a group of one run only."""
    found = [m for m in group.measurements if m.run == run.id] if group is not None else []
    return group_of([found[0]._replace(group=run.id)]) if found else None


def rule_of(settings: Settings, metric: str) -> MetricRule:
    """Return the project's rule for a metric, by its name or the last part of it."""
    rules = settings.rules
    return rules.get(metric) or rules.get(last_part(metric)) or MetricRule()


def discarded_trials(index: CachedRuns, trials: Iterable[str]) -> set[str]:
    """Return the discarded groups: the newest decision in force on any of their runs is discard."""
    found = index.groups.decided(trials)
    discarded = set()
    for trial, runs in found.items():
        decisions = {decision for _, decision in runs}
        if decisions == {Decision.DISCARD.value}:
            discarded.add(trial)
        elif Decision.DISCARD.value in decisions:
            entries = index.entries([run for run, _ in runs])
            newest = max(
                (entry.decision for entry in entries if entry.decision is not None),
                key=lambda decision: (decision.clock, decision.id),
            )
            if newest.decision is Decision.DISCARD:
                discarded.add(trial)
    return discarded


class Past:
    """Decisions that had been made when runs ended."""

    def __init__(self, index: CachedRuns) -> None:
        self._index = index
        self._entries: dict[RunId, RecordedRun] = {}

    def discarded(self, trials: Iterable[str], run: Run) -> set[str]:
        """Return the groups that were discarded when a run ended."""
        discarded = set()
        for trial, decisions in self.decided(trials, run).items():
            newest = max(decisions, key=lambda made: (made.clock, made.id), default=None)
            if newest is not None and newest.decision is Decision.DISCARD:
                discarded.add(trial)
        return discarded

    def decided(self, trials: Iterable[str], run: Run) -> dict[str, list[Annotation]]:
        """Return the decisions on runs of each group that were in force when a run ended."""
        found = self._index.groups.decided(trials)
        runs = {decided for members in found.values() for decided, _ in members}
        missing = [decided for decided in runs if decided not in self._entries]
        self._entries |= {entry.run.id: entry for entry in self._index.entries(missing)}
        in_force = {}
        for trial, members in found.items():
            then = [_as_of(self._entries[decided], run).decision for decided, _ in members]
            in_force[trial] = [decision for decision in then if decision is not None]
        return in_force


def _as_of(entry: RecordedRun, run: Run) -> RecordedRun:
    """Return an entry with the annotations made before another run began or while it ran."""
    end = run.ended
    known = (
        a for a in entry.annotations if a.clock < run.clock or (end is not None and a.time <= end)
    )
    return replace(entry, annotations=tuple(known))
