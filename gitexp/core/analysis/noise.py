"""Noise: how much a metric varies between repeats of a run.

A sample is what one group measured: a number for each seed, or for each run if there are no seeds.
`docs/verdicts.md` has the method and its error rates.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from gitexp.core.model.frozen import frozen

Sample: TypeAlias = Sequence[float]

PRIOR: Final = 4.0
"""Maximum weight of the pooled noise beside a group's own repeats, in degrees of freedom."""

OUTLIER: Final = 30.0
"""Maximum of a group's variance in the pool, as a multiple of the median of all."""

MIN_DETERMINISTIC: Final = 3
"""Degrees of freedom without any difference that show a metric to be deterministic."""

MIN_DIGITS: Final = 6
"""Significant digits in which values agree that show the same."""

SMALLEST: Final = 1e-150
LARGEST: Final = 1e150
"""Range of known noise: beyond it, the square does not fit a float."""

ROUNDING: Final = 1e-12
"""Relative difference up to which two numbers are equal: the same sum in another order."""


class Basis(StrEnum):
    """Basis of a verdict."""

    UNKNOWN = "unknown"
    """Unknown noise: numbers are compared without it."""
    DECLARED = "declared"
    """The project declares the noise."""
    MEASURED = "measured"
    """Repeats differ."""
    DETERMINISTIC = "deterministic"
    """Repeats never differ."""
    PAIRED = "paired"
    """Both sides were measured with the same seeds, or alternately."""
    MISSING = "missing"
    """One side has no number, or the units differ."""


@frozen
class Noise:
    """Noise of one metric in one family."""

    basis: Basis
    sd: float = 0.0
    """Standard deviation of one run, in the metric's unit; 0 unless declared or measured."""
    dof: float = 0.0
    """Degrees of freedom of `sd`; infinite if declared."""
    groups: int = 0
    """Number of groups with repeats behind it."""
    overruled: float | None = None
    """Declared noise, if repeats show more than that."""

    @property
    def is_known(self) -> bool:
        """True if differences can be tested against it."""
        return self.basis is not Basis.UNKNOWN


def are_equal(value: float, other: float) -> bool:
    """Return whether two numbers differ only by rounding; NaN equals NaN."""
    is_close = math.isclose(value, other, rel_tol=ROUNDING, abs_tol=0.0)
    return is_close or (math.isnan(value) and math.isnan(other))


def mean(sample: Sample) -> float:
    """Return the arithmetic mean of a non-empty sample; of equal numbers, exactly this number."""
    if min(sample) == max(sample):
        return sample[0]  # 36.9 / 41 is not 0.9
    try:
        return math.fsum(sample) / len(sample)
    except OverflowError:
        return math.fsum(value / len(sample) for value in sample)


def variance(sample: Sample) -> float:
    """Return the sample variance (n - 1); exactly 0 if all values are equal except for rounding.

    Infinite beyond the range of a float, as for a diverged run.
    """
    if all(are_equal(value, sample[0]) for value in sample):
        return 0.0
    middle = mean(sample)
    try:
        return math.fsum((value - middle) ** 2 for value in sample) / (len(sample) - 1)
    except OverflowError:
        return math.inf


def measure_noise(
    samples: Iterable[Sample], *, declared: float | None = None, is_time_like: bool = False
) -> Noise:
    """Pool the repeats of a family.

    `declared` is the project's own figure; repeats with at least `PRIOR` degrees of freedom that
    show more noise override it. `is_time_like` metrics are never deterministic.
    """
    repeated = [repeats_of(tuple(sample)) for sample in samples if len(sample) > 1]
    return _pool(repeated, declared=declared, is_time_like=is_time_like)


class Repeats(NamedTuple):
    """The contribution of one sample to the noise of a family."""

    sample: tuple[float, ...]
    variance: float
    step: float
    """Smallest difference between two values; 0 if all are equal."""
    dof: int


@lru_cache(maxsize=4096)
def repeats_of(sample: tuple[float, ...]) -> Repeats:
    """Measure a sample. The verdicts on a page of runs ask for the same samples."""
    ordered = sorted(sample)
    steps = (high - low for low, high in pairwise(ordered) if not are_equal(low, high))
    return Repeats(sample, variance(ordered), min(steps, default=0.0), len(sample) - 1)


def _pool(
    repeated: Sequence[Repeats], *, declared: float | None = None, is_time_like: bool = False
) -> Noise:
    dof = sum(repeats.dof for repeats in repeated)
    # Half the smallest difference is the resolution of a coarse metric.
    step = min((repeats.step for repeats in repeated if repeats.step), default=0.0)
    sd = max(_pooled_sd(repeated, dof), step / 2)
    if declared is not None and not (dof >= PRIOR and sd > declared):
        return Noise(Basis.DECLARED, declared, math.inf, len(repeated))
    if sd > 0 and not SMALLEST < sd < LARGEST:
        return Noise(Basis.UNKNOWN, 0.0, dof, len(repeated))
    if sd > 0:
        return Noise(Basis.MEASURED, sd, dof, len(repeated), overruled=declared)
    if not is_time_like and (dof >= MIN_DETERMINISTIC or _are_precise(repeated)):
        return Noise(Basis.DETERMINISTIC, 0.0, dof, len(repeated))
    return Noise(Basis.UNKNOWN, 0.0, dof, len(repeated))


def _pooled_sd(repeated: Sequence[Repeats], dof: int) -> float:
    """Return the root of the pooled variance, in which no group counts for more than `OUTLIER`
    medians.

    Thus one diverged run does not hide all differences. If most groups do not vary, there is no
    useful median, and no variance is limited; neither is that of one or two groups.
    """
    if not dof:
        return 0.0
    ordered = sorted(repeats.variance for repeats in repeated)
    half = len(ordered) // 2
    middle = (ordered[half] + ordered[-half - 1]) / 2
    most = OUTLIER * middle if middle > 0 else math.inf
    try:
        return math.sqrt(math.fsum(min(r.variance, most) * r.dof for r in repeated) / dof)
    except OverflowError:
        return math.inf


def _are_precise(repeated: Iterable[Repeats]) -> bool:
    """Return whether a value has too many digits for two runs to agree by chance."""
    return any(_digits(value) >= MIN_DIGITS for repeats in repeated for value in repeats.sample)


def _digits(value: float) -> int:
    """Return the number of significant decimal digits."""
    return len(repr(abs(value)).partition("e")[0].replace(".", "").strip("0"))


def comparable(others: Iterable[Sample], new: Sample, old: Sample) -> list[Sample]:
    """Return the samples whose noise counts for comparing two: both, and others at their level.

    For many metrics noise grows with the value. If all values have one sign, other samples count
    from half the smaller to twice the larger of the two means. For proportional noise this has the
    effect of a logarithmic scale, without an assumption about the scale.
    """
    known = [sample for sample in others if sample]
    levels = [mean(sample) for sample in (*known, new, old)]
    if _have_one_sign(levels):
        low, high = _level_range(*levels[-2:])
        near = zip(known, levels, strict=False)
        known = [sample for sample, level in near if low <= abs(level) <= high]
    return [*known, new, old]


def _have_one_sign(levels: Sequence[float]) -> bool:
    return min(levels) > 0 or max(levels) < 0


def _level_range(level: float, other: float) -> tuple[float, float]:
    """Return the smallest and the largest level at which samples count for two of these levels."""
    low, high = sorted((abs(level), abs(other)))
    return low / 2, 2 * high


class NoiseByLevel:
    """The noise for comparing any two of some samples, as of `comparable`.

    Neighbours of one level have the same noise, so it is pooled once for all of them.
    """

    def __init__(
        self,
        samples: Iterable[Sample],
        *,
        declared: float | None = None,
        is_time_like: bool = False,
    ) -> None:
        self._declared, self._is_time_like = declared, is_time_like
        known = [(mean(sample), tuple(sample)) for sample in samples if sample]
        self._are_limited = bool(known) and _have_one_sign([level for level, _ in known])
        repeated = [(level, repeats_of(sample)) for level, sample in known if len(sample) > 1]
        repeated.sort(key=lambda found: abs(found[0]))
        self._levels = [abs(level) for level, _ in repeated]
        self._repeated = [repeats for _, repeats in repeated]
        self._pooled: dict[tuple[int, int], Noise] = {}

    def between(self, level: float, other: float) -> Noise:
        """Return the noise for comparing two samples with these means."""
        place = 0, len(self._levels)
        if self._are_limited:
            low, high = _level_range(level, other)
            place = bisect_left(self._levels, low), bisect_right(self._levels, high)
        if place not in self._pooled:
            self._pooled[place] = _pool(
                self._repeated[slice(*place)],
                declared=self._declared,
                is_time_like=self._is_time_like,
            )
        return self._pooled[place]
