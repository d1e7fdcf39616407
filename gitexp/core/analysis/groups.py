"""Groups of repeats: what several runs of one trial measured of one metric."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from gitexp.core.analysis.noise import ROUNDING, mean, variance
from gitexp.core.model.ids import RunId

MIN_PAIRS: Final = 5
"""Fewer pairs than this are hardly ever better than two samples."""


class Measurement(NamedTuple):
    """What one run measured of one metric."""

    run: RunId
    clock: int
    value: float | None
    """Absent when the run failed, or measured nothing or no finite number."""
    group: str
    family: str = ""
    cell: str = ""
    """The fingerprint, seeds included: runs of one cell should give the same number."""
    seeds: str = ""
    """The seeds as canonical text; empty when there are none."""
    batch: str | None = None
    """Set for runs that were started together."""
    round: int | None = None
    """The turn within the batch, where it alternates with a reference."""
    lack: str | None = None
    """Why there is no value: `failed`, `missing` or `not a number`."""

    @property
    def occasion(self) -> str:
        """What counts as one look at the results: a batch, or a single run."""
        return self.batch or self.run


@dataclass(frozen=True, slots=True)
class Group:
    """The measurements of one trial, whatever its seeds; those that ended, oldest first."""

    measurements: tuple[Measurement, ...]
    sample: tuple[float, ...]
    """The numbers that count: one a seed, or one a run where there is no seed."""

    @property
    def key(self) -> str:
        """What all its runs have in common."""
        return self.measurements[0].group

    @property
    def family(self) -> str:
        """The family whose noise it shares."""
        return self.measurements[-1].family

    @property
    def newest(self) -> Measurement:
        """Its last run that measured something; the last of all when none did."""
        counted = [m for m in self.measurements if m.value is not None]
        return (counted or self.measurements)[-1]

    @property
    def runs(self) -> int:
        """How many runs measured something."""
        return sum(m.value is not None for m in self.measurements)

    @property
    def failed(self) -> int:
        """How many runs failed, or measured no finite number."""
        return len(self.measurements) - self.runs

    @property
    def mean(self) -> float:
        """The mean of the sample; NaN when it is empty."""
        return mean(self.sample) if self.sample else float("nan")

    @property
    def sd(self) -> float | None:
        """The standard deviation of the sample; absent with fewer than two numbers."""
        return variance(self.sample) ** 0.5 if len(self.sample) > 1 else None

    @property
    def typical(self) -> Measurement:
        """The run nearest to the mean, the earliest of several: not the lucky one."""
        counted = [m for m in self.measurements if m.value is not None]
        if not counted:
            return self.measurements[-1]
        nearest = min(abs((m.value or 0.0) - self.mean) for m in counted)
        slack = ROUNDING * abs(self.mean)
        return next(m for m in counted if abs((m.value or 0.0) - self.mean) <= nearest + slack)


def group_of(measurements: Iterable[Measurement]) -> Group:
    """The group of some measurements that have one key, in any order."""
    ordered = tuple(sorted(measurements, key=lambda m: (m.clock, m.run)))
    return Group(ordered, tuple(_sample(ordered)))


def groups_of(measurements: Iterable[Measurement]) -> list[Group]:
    """All groups of some measurements, the one with the newest run first."""
    found: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        found.setdefault(measurement.group, []).append(measurement)
    groups = [group_of(members) for members in found.values()]
    return sorted(groups, key=lambda g: (g.newest.clock, g.newest.run), reverse=True)


def _sample(measurements: Sequence[Measurement]) -> list[float]:
    """One number a seed. The same seed again that gives the same number measures nothing new."""
    cells: dict[str, list[float]] = {}
    for m in measurements:
        if m.value is not None:
            cells.setdefault(m.cell or m.run, []).append(m.value)
    if len(cells) > 1:
        return [mean(values) for values in cells.values()]
    values = list(chain.from_iterable(cells.values()))
    is_seeded = any(m.seeds for m in measurements)
    return values[:1] if is_seeded and values and variance(values) == 0 else values


def has_one_seed(group: Group) -> bool:
    """Return whether its repeats all have the same seed, which tells little about the noise."""
    seeds = {m.seeds for m in group.measurements if m.value is not None}
    return group.runs > 1 and len(seeds) == 1 and seeds != {""}


def pairs_of(new: Group, old: Group) -> list[tuple[float, float]]:
    """The numbers of two groups that belong together: of one round of a batch, else of one seed.

    Empty unless there are at least `MIN_PAIRS`, and a partner for each number of the smaller one.
    """
    for key in (_turn, _seed):
        ours, theirs = _means_by(new, key), _means_by(old, key)
        pairs = [(ours[k], theirs[k]) for k in ours if k in theirs]
        fewest = min(len(new.sample), len(old.sample))
        if len(pairs) >= MIN_PAIRS and len(pairs) == fewest:
            return pairs
    return []


def _turn(m: Measurement) -> Hashable | None:
    return None if m.batch is None or m.round is None else (m.batch, m.round)


def _seed(m: Measurement) -> Hashable | None:
    return m.seeds or None


def _means_by(group: Group, key: Callable[[Measurement], Hashable | None]) -> dict[Hashable, float]:
    found: dict[Hashable, list[float]] = {}
    for m in group.measurements:
        at = key(m)
        if at is not None and m.value is not None:
            found.setdefault(at, []).append(m.value)
    return {at: mean(values) for at, values in found.items()}


def took_turns(new: Group, old: Group) -> bool:
    """Return whether the two were measured alternately in one batch."""
    ours = {_turn(m) for m in new.measurements} - {None}
    return bool(ours & {_turn(m) for m in old.measurements})


def count_looks(new: Group, old: Group) -> int:
    """How many times the comparison of two groups could have been read, at least once.

    A look is an occasion on which either group grew since both exist. The first does not count
    when it is a single run: there was nothing to tell from one number.
    """
    counted = sorted(
        (m for m in (*new.measurements, *old.measurements) if m.value is not None),
        key=lambda m: (m.clock, m.run),
    )
    ours = [m for m in counted if m.group == new.key]
    theirs = [m for m in counted if m.group != new.key]
    if not ours or not theirs:
        return 1
    both_since = max(ours[0].clock, theirs[0].clock)
    first = next(m for m in counted if m.clock >= both_since)
    later = dict.fromkeys(m.occasion for m in counted if m.clock >= both_since)
    is_single = sum(m.occasion == first.occasion for m in counted) == 1
    return max(1, len(later) - is_single)
