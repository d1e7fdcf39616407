"""Noise: how much a metric varies between repeats of a run.

A sample is what one group measured: a number for each seed, or for each run if there are no seeds.
`docs/verdicts.md` has the method and its error rates.
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeAlias

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
    """One side has no number."""


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
    if math.isnan(value) or math.isnan(other):
        return math.isnan(value) and math.isnan(other)
    return math.isclose(value, other, rel_tol=ROUNDING, abs_tol=0.0)


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
    repeated = [tuple(sample) for sample in samples if len(sample) > 1]
    dof = sum(map(len, repeated)) - len(repeated)
    sd = max(_pooled_sd(repeated, dof), _half_step(repeated))
    if declared is not None and not (dof >= PRIOR and sd > declared):
        return Noise(Basis.DECLARED, declared, math.inf, len(repeated))
    if sd > 0 and not SMALLEST < sd < LARGEST:
        return Noise(Basis.UNKNOWN, 0.0, dof, len(repeated))
    if sd > 0:
        return Noise(Basis.MEASURED, sd, dof, len(repeated), overruled=declared)
    if not is_time_like and (dof >= MIN_DETERMINISTIC or _are_precise(repeated)):
        return Noise(Basis.DETERMINISTIC, 0.0, dof, len(repeated))
    return Noise(Basis.UNKNOWN, 0.0, dof, len(repeated))


def _pooled_sd(samples: Sequence[tuple[float, ...]], dof: int) -> float:
    """Return the root of the pooled variance, in which no group counts for more than `OUTLIER`
    medians.

    Thus one diverged run does not hide all differences. With fewer than three groups, or if most
    groups do not vary, there is no useful median, and no variance is limited.
    """
    if not dof:
        return 0.0
    variances = [_spread(sample)[0] for sample in samples]
    ordered = sorted(variances)
    half = len(ordered) // 2
    middle = (ordered[half] + ordered[-half - 1]) / 2 if len(ordered) > 2 else 0.0
    most = OUTLIER * middle if middle > 0 else math.inf
    parts = (min(v, most) * (len(s) - 1) for v, s in zip(variances, samples, strict=True))
    try:
        return math.sqrt(math.fsum(parts) / dof)
    except OverflowError:
        return math.inf


def _half_step(samples: Iterable[tuple[float, ...]]) -> float:
    """Return half the smallest difference between repeats: the resolution of a coarse metric."""
    steps = (_spread(sample)[1] for sample in samples)
    return min((step for step in steps if step), default=0.0) / 2


@lru_cache(maxsize=4096)
def _spread(sample: tuple[float, ...]) -> tuple[float, float]:
    """Return the variance and the smallest difference of a sample; 0 if all values are equal.

    Ranking some hundred groups asks for that of each group a hundred times.
    """
    ordered = sorted(sample)
    steps = (high - low for low, high in pairwise(ordered) if not are_equal(low, high))
    return variance(ordered), min(steps, default=0.0)


_level = lru_cache(maxsize=4096)(mean)
"""The mean of a sample, for callers that ask for it as often as for `_spread`."""


def _are_precise(samples: Sequence[Sample]) -> bool:
    """Return whether a value has too many digits for two runs to agree by chance."""
    return any(_digits(value) >= MIN_DIGITS for sample in samples for value in sample)


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
    levels = [_level(tuple(sample)) for sample in (*known, new, old)]
    if min(levels) > 0 or max(levels) < 0:
        low, high = sorted(abs(level) for level in levels[-2:])
        near = zip(known, levels, strict=False)
        known = [sample for sample, level in near if low / 2 <= abs(level) <= 2 * high]
    return [*known, new, old]
