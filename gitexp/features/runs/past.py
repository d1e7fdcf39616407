"""The runs and decisions that were known when runs ended.

The verdicts of a page of runs need nearly the same groups, so they are read once for all of them.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gitexp.core.analysis.groups import Group, Measurement, group_of
from gitexp.core.model.annotations import Annotation, is_discarded
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction, RecordedRun, Run
from gitexp.storage.cache.runs import CachedRuns

RECENT: Final = 300
"""Number of newest runs whose groups are used to measure noise."""

TOP: Final = 200
"""Number of runs with the best values that are searched for the best group."""

_MORE: Final = 100
"""Runs that are read beyond these numbers, so that the runs of a page find theirs."""


class Past:
    """Runs and decisions that were known when other runs ended. Ask for the newest run first."""

    def __init__(self, index: CachedRuns) -> None:
        self._index = index
        self._windows: dict[tuple[str, Direction | None], _Window] = {}
        self._decided: dict[str, list[RunId]] = {}
        self._entries: dict[RunId, RecordedRun] = {}
        self.units: dict[RunId, dict[str, str]] = {}
        """Units of the metrics of runs, as far as they were read."""

    def of(self, metric: str, direction: Direction | None, run: Run) -> "Known":
        """Return the runs with a metric that were known at the end of a run."""
        key = metric, direction
        window = self._windows.get(key)
        if window is None or not window.reaches(run):
            window = self._windows[key] = _Window(self._index, metric, direction, run)
        return Known(window, run)

    def discarded(self, trials: Iterable[str], run: Run) -> set[str]:
        """Return the groups that were discarded when a run ended."""
        decided = self.decided(trials, run)
        return {trial for trial, decisions in decided.items() if is_discarded(decisions)}

    def decided(self, trials: Iterable[str], run: Run) -> dict[str, list[Annotation]]:
        """Return the decisions on runs of each group that were in force when a run ended."""
        wanted = list(trials)
        missing = [trial for trial in wanted if trial not in self._decided]
        if missing:
            found = self._index.groups.decided(missing)
            self._decided |= {trial: [r for r, _ in found.get(trial, ())] for trial in missing}
            runs = [decided for members in found.values() for decided, _ in members]
            self._entries |= {entry.run.id: entry for entry in self._index.entries(runs)}
        in_force = {}
        for trial in wanted:
            if self._decided[trial]:
                then = [_as_of(self._entries[r], run).decision for r in self._decided[trial]]
                in_force[trial] = [decision for decision in then if decision is not None]
        return in_force


class _Window:
    """The newest and the best runs with a metric as seen from one run, and their groups."""

    def __init__(
        self, index: CachedRuns, metric: str, direction: Direction | None, newest: Run
    ) -> None:
        self.index = index
        self.metric = metric
        self.direction = direction
        self._newest = newest.clock, newest.id
        self.recent = index.groups.counted(metric, RECENT + _MORE, upto=newest)
        self.top = (
            index.groups.best(metric, direction, TOP + _MORE, upto=newest) if direction else []
        )
        # An older run of the window sees RECENT and TOP runs if at most _MORE do not count for it.
        is_whole = len(self.recent) < RECENT + _MORE
        self._oldest = (0, "") if is_whole else self.recent[_MORE][:2]
        self._members: dict[str, list[tuple[Measurement, float]]] = {}
        self._whole: dict[str, tuple[Group, float]] = {}
        """Groups with all their runs, and when the last of these ended."""
        self.load({*(trial for _, _, trial in self.recent), *(t for _, _, t, _ in self.top)})

    def reaches(self, run: Run) -> bool:
        """Return whether the window has the newest runs as seen from another run."""
        return self._oldest <= (run.clock, run.id) <= self._newest

    def load(self, trials: Iterable[str]) -> None:
        """Read the measurements of groups that were not read yet."""
        missing = [trial for trial in trials if trial not in self._members]
        if missing:
            self._members |= {trial: [] for trial in missing}
            for found in self.index.groups.history(self.metric, missing):
                self._members[found[0].group].append(found)

    def group(self, trial: str, known: "Known") -> Group | None:
        """Return a group with the measurements that were known; `None` without any."""
        members = self._members[trial]
        if not members:
            return None
        if trial not in self._whole:
            ends = [ended for _, ended in members]
            self._whole[trial] = group_of(m for m, _ in members), max(ends)
        whole, end_s = self._whole[trial]
        last = whole.measurements[-1]
        if known.covers(last.clock, last.run, end_s):
            return whole
        then = [m for m, ended in members if known.has(m.clock, m.run, ended)]
        return group_of(then) if then else None


class Known:
    """The runs with a metric that were known when a run ended.

    They started before it and did not end after it, or are the run itself.
    """

    def __init__(self, window: _Window, run: Run) -> None:
        self._window = window
        self._run = run
        self._place = run.clock, run.id
        self._end_s = window.index.groups.end_of(run)

    def has(self, clock: int, run: RunId, ended: float) -> bool:
        """Return whether a run was known."""
        return self.covers(clock, run, ended) or run == self._run.id

    def covers(self, clock: int, run: RunId, ended: float) -> bool:
        """Return whether runs up to this one, ended at the latest then, were known."""
        return (clock, run) <= self._place and (self._end_s is None or ended <= self._end_s)

    def recent(self) -> list[str]:
        """Return the groups of the newest runs that had started, newest first."""
        runs = [trial for clock, run, trial in self._window.recent if (clock, run) <= self._place]
        return list(dict.fromkeys(runs[:RECENT]))

    def top(self) -> list[str]:
        """Return the groups of the known runs with the best values, best first."""
        window = self._window
        known = [t for clock, run, t, ended in window.top if self.has(clock, run, ended)]
        if len(known) < TOP and len(window.top) == TOP + _MORE and window.direction is not None:
            # many runs of the window ended after this one
            return window.index.groups.top(window.metric, window.direction, TOP, upto=self._run)
        return list(dict.fromkeys(known[:TOP]))

    def groups(self, trials: Iterable[str]) -> list[Group]:
        """Return the groups with these keys that had an ended run."""
        wanted = list(trials)
        self._window.load(wanted)
        found = (self._window.group(trial, self) for trial in wanted)
        return [group for group in found if group is not None]


def _as_of(entry: RecordedRun, run: Run) -> RecordedRun:
    """Return an entry with the annotations made before another run began or while it ran."""
    end = run.ended
    known = (
        a for a in entry.annotations if a.clock < run.clock or (end is not None and a.time <= end)
    )
    return replace(entry, annotations=tuple(known))
