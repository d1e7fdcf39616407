"""How much a metric varies between equal runs, as far as repeats show it.

A sample is what one group measured: a number for each seed, or for each run where
there is no seed. The method and its error rates are in `docs/verdicts.md`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, TypeAlias

Sample: TypeAlias = Sequence[float]

PRIOR: Final = 4.0
"""Degrees of freedom with which the pooled noise counts for a group, beside its own repeats."""

OUTLIER: Final = 30.0
"""A group's variance counts for at most this many times the median of all."""

MIN_DETERMINISTIC: Final = 3
"""Degrees of freedom without any difference that show a metric to be deterministic …"""

MIN_DIGITS: Final = 6
"""… or significant digits of the values that agree."""

SMALLEST: Final = 1e-150
LARGEST: Final = 1e150
"""Noise outside of these is not known: its square is beyond the range of a float."""

ROUNDING: Final = 1e-12
"""Two numbers that are this close, relatively, are equal: the same sum in another order."""


class Basis(StrEnum):
    """What a verdict rests on."""

    UNKNOWN = "unknown"
    """Nothing is known about the noise: the numbers are compared as they are."""
    DECLARED = "declared"
    """The project says how large the noise is."""
    MEASURED = "measured"
    """Repeats differ."""
    DETERMINISTIC = "deterministic"
    """Repeats never differ."""
    PAIRED = "paired"
    """Both sides were measured with the same seeds, or in turns."""
    MISSING = "missing"
    """One side has no number."""


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one metric in one family."""

    basis: Basis
    sd: float = 0.0
    """Standard deviation of one run, in the metric's unit; 0 unless declared or measured."""
    dof: float = 0.0
    """Degrees of freedom behind `sd`; infinite when declared."""
    groups: int = 0
    """Groups with repeats that it comes from."""
    overruled: float | None = None
    """The declared noise, where repeats show more than that."""

    @property
    def is_known(self) -> bool:
        """True when differences can be shown against it."""
        return self.basis is not Basis.UNKNOWN


def are_equal(value: float, other: float) -> bool:
    """Return whether two numbers differ by no more than rounding; NaN equals NaN."""
    if math.isnan(value) or math.isnan(other):
        return math.isnan(value) and math.isnan(other)
    return math.isclose(value, other, rel_tol=ROUNDING, abs_tol=0.0)


def mean(sample: Sample) -> float:
    """The arithmetic mean of a sample that is not empty."""
    try:
        return math.fsum(sample) / len(sample)
    except OverflowError:
        return math.fsum(value / len(sample) for value in sample)


def variance(sample: Sample) -> float:
    """The sample variance (n - 1); exactly 0 when all values are equal but for rounding.

    Infinite where it is beyond the range of a float, as for a run that diverged.
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

    `declared` is the project's own figure; repeats that show more (with at least `PRIOR` degrees
    of freedom) overrule it. `is_time_like` metrics are never deterministic.
    """
    repeated = [sorted(sample) for sample in samples if len(sample) > 1]
    dof = sum(len(sample) - 1 for sample in repeated)
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


def _pooled_sd(samples: Sequence[Sample], dof: int) -> float:
    """Root of the pooled variance, in which no group counts for more than `OUTLIER` medians.

    So one diverged run does not hide all differences. With fewer than three groups, or when most
    do not vary at all, there is no median to speak of and nothing is cut.
    """
    if not dof:
        return 0.0
    variances = [variance(sample) for sample in samples]
    ordered = sorted(variances)
    half = len(ordered) // 2
    middle = (ordered[half] + ordered[-half - 1]) / 2 if len(ordered) > 2 else 0.0
    most = OUTLIER * middle if middle > 0 else math.inf
    parts = (min(v, most) * (len(s) - 1) for v, s in zip(variances, samples, strict=True))
    try:
        return math.sqrt(math.fsum(parts) / dof)
    except OverflowError:
        return math.inf


def _half_step(samples: Iterable[Sample]) -> float:
    """Half the smallest difference between repeats: a coarse metric is no finer than that."""
    return min(_gaps(samples), default=0.0) / 2


def _gaps(samples: Iterable[Sample]) -> Iterator[float]:
    """The differences between neighbours of sorted samples that are not equal."""
    for sample in samples:
        for low, high in pairwise(sample):
            if not are_equal(low, high):
                yield high - low


def _are_precise(samples: Sequence[Sample]) -> bool:
    """True when a value has enough digits that two runs do not agree by chance."""
    return any(_digits(value) >= MIN_DIGITS for sample in samples for value in sample)


def _digits(value: float) -> int:
    """Significant decimal digits of a number."""
    return len(repr(abs(value)).partition("e")[0].replace(".", "").strip("0"))


def comparable(others: Iterable[Sample], new: Sample, old: Sample) -> list[Sample]:
    """The samples whose noise counts for a comparison of two: those two and others at their level.

    Noise grows with the value for many metrics. Where all values have one sign, others count from
    half the smaller to twice the larger of the two means. This does what a logarithmic scale would
    for proportional noise, without a guess about the scale.
    """
    known = [sample for sample in others if sample]
    levels = [mean(sample) for sample in (*known, new, old)]
    if min(levels) > 0 or max(levels) < 0:
        low, high = sorted(abs(level) for level in levels[-2:])
        known = [sample for sample in known if low / 2 <= abs(mean(sample)) <= 2 * high]
    return [*known, new, old]
