"""Groups: the measurements of one metric in all runs of a trial."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain
from typing import Final, NamedTuple

from gitexp.core.analysis.noise import ROUNDING, mean, variance
from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import RunId

MIN_PAIRS: Final = 5
"""With fewer pairs, a paired comparison is rarely better than an unpaired one."""


class Measurement(NamedTuple):
    """Measurement of a metric in one run."""

    run: RunId
    clock: int
    value: float | None
    """`None` if the run failed, or has no finite number for the metric."""
    group: str
    family: str = ""
    cell: str = ""
    """Fingerprint with seeds: runs of one cell should give the same number."""
    seeds: str = ""
    """Seed parameters as canonical text; empty without seeds."""
    batch: str | None = None
    """Id of the batch, for runs that one command started together."""
    round: int | None = None
    """Round within the batch, if the batch alternates with a reference."""
    lack: str | None = None
    """Reason why there is no value: `failed`, `missing` or `not a number`."""

    @property
    def occasion(self) -> str:
        """Unit that counts as one look at the results: a batch, or a single run."""
        return self.batch or self.run


@frozen
class Group:
    """Measurements of one trial over all seeds, from ended runs, oldest first."""

    measurements: tuple[Measurement, ...]
    sample: tuple[float, ...]
    """Numbers that count: one for each seed, or for each run if there are no seeds."""
    newest: Measurement
    """Newest run with a number, or the newest run if none has one."""
    mean: float
    """Mean of the sample; NaN if it is empty."""

    @property
    def key(self) -> str:
        """Key that all its runs share."""
        return self.measurements[0].group

    @property
    def family(self) -> str:
        """Key of the family with which it pools its noise."""
        return self.measurements[-1].family

    @property
    def runs(self) -> int:
        """Number of runs with a number."""
        return sum(m.value is not None for m in self.measurements)

    @property
    def counted(self) -> int:
        """Number of runs behind the mean; a seed that gave one number several times counts once."""
        return len(self.sample)

    @property
    def failed(self) -> int:
        """Number of runs that failed or have no finite number."""
        return len(self.measurements) - self.runs

    @property
    def sd(self) -> float | None:
        """Standard deviation of the sample; `None` for fewer than two numbers."""
        return variance(self.sample) ** 0.5 if len(self.sample) > 1 else None

    @property
    def typical(self) -> Measurement:
        """Run nearest to the mean, the earliest of equal ones."""
        counted = [m for m in self.measurements if m.value is not None]
        if not counted:
            return self.measurements[-1]
        nearest = min(abs((m.value or 0.0) - self.mean) for m in counted)
        slack = ROUNDING * abs(self.mean)
        return next(m for m in counted if abs((m.value or 0.0) - self.mean) <= nearest + slack)


def group_of(measurements: Iterable[Measurement]) -> Group:
    """Return the group of measurements with one key, given in any order."""
    ordered = tuple(sorted(measurements, key=lambda m: (m.clock, m.run)))
    counted = (m for m in reversed(ordered) if m.value is not None)
    sample = tuple(_sample(ordered))
    return Group(
        measurements=ordered,
        sample=sample,
        newest=next(counted, ordered[-1]),
        mean=mean(sample) if sample else math.nan,
    )


def groups_of(measurements: Iterable[Measurement]) -> list[Group]:
    """Return all groups of the measurements, the one with the newest run first."""
    found: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        found.setdefault(measurement.group, []).append(measurement)
    groups = [group_of(members) for members in found.values()]
    return sorted(groups, key=age, reverse=True)


def age(group: Group) -> tuple[int, RunId]:
    """Return the sort key of groups by their newest run with a number, oldest first."""
    newest = group.newest
    return newest.clock, newest.run


def _sample(measurements: Sequence[Measurement]) -> list[float]:
    """Return one number for each seed. An equal number from the same seed is no new measurement."""
    cells: dict[str, list[float]] = {}
    for m in measurements:
        if m.value is not None:
            cells.setdefault(m.cell or m.run, []).append(m.value)
    if len(cells) > 1:
        return [mean(values) for values in cells.values()]
    values = list(chain.from_iterable(cells.values()))
    is_seeded = any(m.seeds for m in measurements)
    return values[:1] if is_seeded and variance(values) == 0 else values


def has_one_seed(group: Group) -> bool:
    """Return whether all repeats have the same seed, so that they hardly show the noise."""
    seeds = {m.seeds for m in group.measurements if m.value is not None}
    return group.runs > 1 and len(seeds) == 1 and seeds != {""}


def pairs_of(new: Group, old: Group) -> list[tuple[float, float]]:
    """Return the pairs of numbers of two groups: of one round of a batch, else of one seed.

    Empty for fewer than `MIN_PAIRS`, or if a number of the smaller group has no partner.
    """
    for key in (_turn, _seed):
        pairs = _pairs_by(key, new, old)
        fewest = min(len(new.sample), len(old.sample))
        if len(pairs) >= MIN_PAIRS and len(pairs) == fewest:
            return pairs
    return []


def _pairs_by(
    key: Callable[[Measurement], Hashable | None], new: Group, old: Group
) -> list[tuple[float, float]]:
    ours, theirs = _means_by(new, key), _means_by(old, key)
    return [(ours[k], theirs[k]) for k in ours if k in theirs]


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
    """Return whether batches measured most numbers of both groups alternately."""
    return 2 * len(_pairs_by(_turn, new, old)) > max(new.runs, old.runs)


def count_looks(new: Group, old: Group) -> int:
    """Return the number of looks at the comparison of two groups, at least 1.

    A look is a time at which either group grew while both existed. A first look with a single run
    is not counted, because one number shows nothing.
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
