"""Groups of repeats by one metric: their noise, their ranking, and comparisons.

Reads from the run index what the pure rules of `core.analysis` judge. It reads a limited part: the
groups of the newest runs, of the best runs, and those requested by key.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

from gitexp.core.analysis.groups import Group, Measurement, age, group_of, groups_of
from gitexp.core.analysis.noise import Noise, Sample, measure_noise
from gitexp.core.analysis.ranking import Ranking, rank
from gitexp.core.analysis.verdicts import MetricVerdict, Question, judge_metric
from gitexp.core.model.annotations import is_discarded
from gitexp.core.model.directions import direction_of, is_time_like, last_part
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import (
    Decision,
    Direction,
    MetricRule,
    Run,
    Value,
)
from gitexp.features.runs.main_metric import main_metric
from gitexp.features.runs.past import RECENT, TOP, Known, Past
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.settings.options import Settings
from gitexp.storage.workspace import Workspace

POOLED: Final = 30
"""Most groups with repeats to pool, the newest first."""

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
        past: Past | None = None,
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
        self._read: set[str] = set()
        self._others: dict[str, Standings] = {}
        self._machines: dict[RunId, tuple[Value | None, ...]] = {}
        self._units: dict[RunId, dict[str, str]] = {} if past is None else past.units
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
        if metric not in self._others:
            self._others[metric] = Standings(
                *(self._index, self._settings, metric),
                upto=self._upto,
                past=self._past,
                directions=self._directions,
            )
        return self._others[metric]

    @cached_property
    def _recent_keys(self) -> list[str]:
        if self._known is not None:
            return self._known.recent()
        return self._index.groups.recent(self.metric, RECENT, upto=self._upto)

    @cached_property
    def recent(self) -> list[Group]:
        """The groups of the newest runs, newest first."""
        return self.groups(self._recent_keys)

    @cached_property
    def _repeated(self) -> list[Group]:
        """Those of the recent groups that have more than one number."""
        keys = self._recent_keys
        if self._known is None:
            several = self._index.groups.repeated(keys)
            extra = None if self._extra is None else self._extra.group
            keys = [key for key in keys if key in several or key == extra]
        return [group for group in self.groups(keys) if len(group.sample) > 1]

    @cached_property
    def _known(self) -> Known | None:
        """The runs that were known at the end of the run; `None` if all count."""
        if self._past is None or self._upto is None:
            return None
        return self._past.of(self.metric, self.direction, self._upto)

    @cached_property
    def eligible(self) -> list[Group]:
        """The groups that may be the best: measured, not discarded, with a known direction."""
        if self.direction is None:
            return []
        if self._known is not None:
            top = self._known.top()
        else:
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
        missing = [key for key in wanted if key not in self._read]
        if missing:
            self._groups |= {group.key: group for group in self._read_groups(missing)}
            self._read.update(missing)
        known = [self._groups[key] for key in wanted if key in self._groups]
        return sorted(known, key=age, reverse=True)

    def _read_groups(self, keys: Sequence[str]) -> list[Group]:
        if self._known is not None:
            return self._known.groups(keys)
        found = self._index.groups.measurements(self.metric, keys, upto=self._upto)
        if self._extra is not None and self._extra.group in keys:
            found.append(self._extra)
        return groups_of(found)

    def group(self, key: str) -> Group | None:
        """Return the group of a key; `None` when none of its runs ended."""
        return next(iter(self.groups([key])), None)

    def family_samples(self, group: Group, *, without: Iterable[str] = ()) -> list[Sample]:
        """Return the samples of the other groups of a family, the newest `POOLED` with repeats."""
        left_out = {group.key, *without}
        candidates = [
            other
            for other in self._repeated
            if other.family == group.family
            and other.key not in left_out
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
        if among is not None:
            candidates = self._not_discarded(self.groups(among))
            return self._rank([group for group in candidates if group.key != without])
        return self._whole_ranking.without(without) or self._rank(
            [group for group in self.eligible if group.key != without]
        )

    @cached_property
    def _whole_ranking(self) -> Ranking:
        return self._rank(self.eligible)

    def _rank(self, groups: Sequence[Group]) -> Ranking:
        return rank(
            groups,
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
                units=self._units_of(new, old),
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
                units=(run.units.get(self.metric), other.units.get(self.metric)),
            )
        )

    def _units_of(self, new: Group | None, old: Group | None) -> tuple[str | None, str | None]:
        """Return the units that the newest runs of two groups printed with the metric.

        None for both if the index does not have one of the runs yet.
        """
        if new is None or old is None or not new.sample or not old.sample or new.key == old.key:
            return None, None
        newest = new.newest.run, old.newest.run
        if self._extra is not None and self._extra.run in newest:
            return None, None
        missing = [run for run in newest if run not in self._units]
        if missing:
            self._units |= {entry.run.id: entry.units for entry in self._index.entries(missing)}
        ours, theirs = (self._units[run].get(self.metric) for run in newest)
        return ours, theirs

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


class Shared:
    """What the verdicts on several runs of one view of the cache share, read once."""

    def __init__(self, workspace: Workspace) -> None:
        self._index, self._settings = workspace.index, workspace.settings
        self._workspace = workspace
        self._past = Past(self._index)
        self._today: dict[tuple[object, ...], Standings] = {}

    @cached_property
    def main_metric(self) -> str | None:
        """The main metric of the project, as `main_metric` returns it."""
        return main_metric(self._workspace)

    def today(self, metric: str, directions: Mapping[str, Direction]) -> Standings:
        """Return the standings as of now."""
        key = metric, *sorted(directions.items())
        if key not in self._today:
            self._today[key] = Standings(self._index, self._settings, metric, directions=directions)
        return self._today[key]

    def then(self, metric: str, run: Run) -> Standings:
        """Return the standings at the end of a run."""
        return Standings(
            *(self._index, self._settings, metric),
            upto=run,
            past=self._past,
            directions=run.directions,
        )


def _only(group: Group | None, run: Run) -> Group | None:
    """Return a group of one run only."""
    found = [m for m in group.measurements if m.run == run.id] if group is not None else []
    return group_of([found[0]._replace(group=run.id)]) if found else None


def rule_of(settings: Settings, metric: str) -> MetricRule:
    """Return the project's rule for a metric, by its name or the last part of it."""
    rules = settings.rules
    return rules.get(metric) or rules.get(last_part(metric)) or MetricRule()


def discarded_trials(index: CachedRuns, trials: Iterable[str]) -> set[str]:
    """Return the discarded groups; their runs are read only where decisions differ."""
    found = index.groups.decided(trials)
    discarded = set()
    for trial, runs in found.items():
        decisions = {decision for _, decision in runs}
        if decisions == {Decision.DISCARD.value}:
            discarded.add(trial)
        elif Decision.DISCARD.value in decisions:
            entries = index.entries([run for run, _ in runs])
            if is_discarded(e.decision for e in entries if e.decision is not None):
                discarded.add(trial)
    return discarded
