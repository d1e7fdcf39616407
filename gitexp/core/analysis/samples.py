"""Compare two samples: the statistics behind every verdict.

A sample is what one group measured. `docs/verdicts.md` has the method, its sources and its error
rates.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from gitexp.core.analysis.noise import (
    PRIOR,
    Basis,
    Noise,
    Sample,
    are_equal,
    mean,
    repeats_of,
    variance,
)
from gitexp.core.analysis.student_t import t_quantile
from gitexp.core.model.frozen import frozen

LEVEL: Final = 0.025
"""Probability of a false `better`, and of a false `worse`, at the first look: a 95 % interval."""

LATER_LEVELS: Final = (0.01, 0.005)
"""Level at the second look, and maximum level at later ones."""

ALL_LOOKS: Final = 0.05
"""The level of look k is at most this over k, which bounds the error of all looks together."""

MARGIN: Final = 2.0
"""An interval within this many standard deviations of zero shows that there is no difference."""

PAIRED_LEVEL: Final = 0.8
"""Share of the level for paired samples, since pairing is chosen after a look at the numbers."""

PAIRED_VARIANCE: Final = 1 / 3
"""Pairing is used if the variance of the differences is less than this share of both together."""

POWER: Final = 0.2
"""Maximum share of cases in which the planned repeats miss the effect."""

MOST_REPEATS: Final = 100
"""Maximum number of repeats that gitexp advises."""

LUCK: Final = 0.05
"""A batch continues while its chance to become better is higher than this."""


class Answer(StrEnum):
    """Result of comparing one group with another."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    """No difference shown, or none that counts."""
    UNKNOWN = "unknown"
    """Impossible to decide."""


@frozen(kw_only=True)
class Compared:
    """Comparison of two samples."""

    answer: Answer
    basis: Basis
    shown: bool = False
    difference: float = 0.0
    low: float | None = None
    high: float | None = None
    dof: float = math.inf


def compare_samples(
    new: Sample,
    old: Sample,
    noise: Noise,
    *,
    gain_sign: int = 1,
    min_effect: float = 0.0,
    rivals: int = 1,
    look: int = 1,
    share: float = 1.0,
    pairs: Sequence[tuple[float, float]] = (),
) -> Compared:
    """Compare the means of two non-empty samples.

    `gain_sign` is 1 if more is better, -1 if less is. `rivals` is the number of groups from which
    the reference was picked as the best; it divides the level of `worse`, since the luckiest of
    several was picked. `share` is the share of the level for one of several metrics.
    """
    shift = mean(new) - mean(old)
    difference = 0.0 if are_equal(mean(new), mean(old)) else shift
    if noise.basis not in (Basis.MEASURED, Basis.DECLARED):
        return _plain(difference, noise.basis, gain_sign, min_effect)
    level = level_of(look) * share
    basis: Basis = noise.basis
    error, dof = standard_error(new, old, noise)
    apart = [ours - theirs for ours, theirs in pairs]
    if basis is Basis.MEASURED and _is_pairing_worthwhile(apart, new, old):
        basis, level, difference = Basis.PAIRED, PAIRED_LEVEL * level, mean(apart)
        error, dof = math.sqrt(variance(apart) / len(apart)), len(apart) - 1.0
    up, down = t_quantile(level, dof) * error, t_quantile(level / max(rivals, 1), dof) * error
    gain = difference * gain_sign
    shown = (gain > up or gain < -down) and abs(gain) >= min_effect
    if shown:
        answer = Answer.BETTER if gain > 0 else Answer.WORSE
    elif gain > up or gain < -down or abs(gain) + up <= (min_effect or MARGIN * noise.sd):
        answer = Answer.SAME
    else:
        answer = Answer.UNKNOWN
    return Compared(
        answer=answer,
        basis=basis,
        shown=shown,
        difference=difference,
        low=difference - up if math.isfinite(up) else None,
        high=difference + up if math.isfinite(up) else None,
        dof=dof,
    )


def _plain(difference: float, basis: Basis, gain_sign: int, min_effect: float) -> Compared:
    """Compare two numbers without noise."""
    if not difference or abs(difference) < min_effect:
        answer = Answer.SAME
    else:
        answer = Answer.BETTER if difference * gain_sign > 0 else Answer.WORSE
    shown = basis is Basis.DETERMINISTIC
    return Compared(answer=answer, basis=basis, shown=shown, difference=difference)


def _is_pairing_worthwhile(differences: Sample, new: Sample, old: Sample) -> bool:
    apart = variance(new) + variance(old)
    return bool(differences) and variance(differences) < PAIRED_VARIANCE * apart


def standard_error(new: Sample, old: Sample, noise: Noise) -> tuple[float, float]:
    """Return the standard error of the difference of two means, and its degrees of freedom.

    The variance of each group combines its own and the pooled one, weighted by their degrees of
    freedom, of which the pool has at most `PRIOR`. The degrees of freedom of the sum are
    Satterthwaite's (Biometrics Bulletin 2, 1946), over the pool and the own part of each group.
    """
    if noise.basis is Basis.DECLARED:
        return noise.sd * math.sqrt(1 / len(new) + 1 / len(old)), math.inf
    prior = min(noise.dof, PRIOR)
    pooled = noise.sd**2 * sum(prior / (prior + len(s) - 1) / len(s) for s in (new, old))
    parts = [(pooled, prior)]
    for sample in (new, old):
        own = len(sample) - 1
        if own:
            parts.append(
                (repeats_of(tuple(sample)).variance * own / (prior + own) / len(sample), own)
            )
    total = math.fsum(part for part, _ in parts)
    if not math.isfinite(total):
        return math.inf, 1.0  # a diverged run: no verdict is possible
    dof = 1 / math.fsum((part / total) ** 2 / n for part, n in parts)
    return math.sqrt(total), max(1.0, min(dof, noise.dof))


def level_of(look: int) -> float:
    """Return the level of a look. Most is spent at the first; all together stay near 5 %."""
    second, later = LATER_LEVELS
    return LEVEL if look < 2 else second if look == 2 else min(later, ALL_LOOKS / look)


def repeats_needed(effect: float, noise: Noise) -> int | None:
    """Return the minimum runs on each side to show an effect with a probability of 80 %.

    `None` for more than `MOST_REPEATS`.
    """
    for n in range(1, MOST_REPEATS + 1):
        dof = min(noise.dof, PRIOR) + 2 * (n - 1) if math.isfinite(noise.dof) else math.inf
        if dof and effect >= (t_quantile(LEVEL, dof) + t_quantile(POWER, dof)) * (
            noise.sd * math.sqrt(2 / n)
        ):
            return n
    return None


def is_hopeless(
    new: Sample, old: Sample, noise: Noise, *, planned: int, gain_sign: int = 1
) -> bool:
    """Return whether the planned repeats can hardly make a group better than another.

    Stopping then only loses chances of `better`. False for fewer than two repeats, and while the
    noise is unknown.
    """
    done = len(new)
    known = noise.basis in (Basis.MEASURED, Basis.DECLARED)
    if not 2 <= done < planned or not old or not known:
        return False
    dof = min(noise.dof, PRIOR) + done + len(old) - 2
    luck = t_quantile(LUCK, dof) * math.sqrt(1 / done - 1 / planned)
    bar = t_quantile(LEVEL, dof + planned - done) * math.sqrt(1 / planned + 1 / len(old))
    return (mean(new) - mean(old)) * gain_sign < (bar - luck) * noise.sd
