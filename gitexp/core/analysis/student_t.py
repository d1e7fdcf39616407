"""Student's t distribution, for intervals from few repeats.

SciPy has it, but is too large a dependency for two functions.
"""

import math
from functools import lru_cache
from typing import Final

_NORMAL_FROM: Final = 1e5
"""Degrees of freedom from which the normal distribution is used (relative error about 1e-5)."""

_PRECISION: Final = 1e-15
_MAX_TERMS: Final = 1000


def t_tail(t: float, dof: float) -> float:
    """Return the probability that a t variable exceeds `t` >= 0.

    Half of the regularised incomplete beta function I_x(dof/2, 1/2) at x = dof / (dof + t²), see
    https://dlmf.nist.gov/8.17. Infinite `dof` means the normal distribution.
    """
    if dof > _NORMAL_FROM:
        return math.erfc(t / math.sqrt(2)) / 2
    whole = dof + t * t
    return _beta(dof / whole, t * t / whole, dof / 2, 0.5) / 2


def _beta(x: float, y: float, a: float, b: float) -> float:
    """Return I_x(a, b). `y` = 1 - x is an argument because it is exact where x is near 1."""
    if x <= 0:
        return 0.0
    if x > (a + 1) / (a + b + 2):  # the continued fraction converges fast on the other side
        return 1 - _beta(y, x, b, a)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log(y) - log_beta) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of I_x(a, b), by Lentz: https://dlmf.nist.gov/8.17.E22."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


@lru_cache(maxsize=1024)
def t_quantile(tail: float, dof: float) -> float:
    """Return the t that a t variable exceeds with probability `tail`, for 0 < tail <= 1/2."""
    t = 0.0
    for _ in range(_MAX_TERMS):
        # The tail is convex, so Newton's steps from 0 go up to the quantile and never beyond.
        further = t + (t_tail(t, dof) - tail) / _density(t, dof)
        if further <= t * (1 + _PRECISION):
            break
        t = further
    return t


def _density(t: float, dof: float) -> float:
    """Return the density of a t variable; infinite `dof` means the normal distribution."""
    if dof > _NORMAL_FROM:
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    at_0 = math.exp(math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2)) / math.sqrt(dof * math.pi)
    return at_0 * math.pow(1 + t * t / dof, -(dof + 1) / 2)
