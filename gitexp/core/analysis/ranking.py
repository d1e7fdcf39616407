"""Rank groups: the best one, and those that may be the best."""

import math
from collections.abc import Sequence

from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.noise import (
    Basis,
    Noise,
    NoiseByLevel,
    Sample,
    are_equal,
    measure_noise,
)
from gitexp.core.analysis.samples import LEVEL, standard_error
from gitexp.core.analysis.student_t import t_tail
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Direction


@frozen(kw_only=True)
class Ranking:
    """Groups ranked by one metric, the leader first."""

    groups: tuple[Group, ...]
    """Groups with a number, by their scores: the mean less one standard error."""
    contenders: int
    """Number of groups that may be the best: the leader, and those not shown to be worse."""
    noise: Noise
    """Noise of all groups together."""

    @property
    def leader(self) -> Group | None:
        """Group that ranks first."""
        return self.groups[0] if self.groups else None

    @property
    def rivals(self) -> tuple[Group, ...]:
        """Other groups that may be the best."""
        return self.groups[1 : self.contenders]

    def without(self, key: str | None) -> "Ranking | None":
        """Return the ranking without a group; `None` if the others must be ranked anew.

        A single number has no part in the noise, so while no noise is known, the order stays.
        """
        place = next((n for n, group in enumerate(self.groups) if group.key == key), None)
        if place is None:
            return self
        is_noise_known = self.noise.basis not in (Basis.UNKNOWN, Basis.DETERMINISTIC)
        if is_noise_known or len(self.groups[place].sample) > 1:
            return None
        left = (*self.groups[:place], *self.groups[place + 1 :])
        return Ranking(groups=left, contenders=min(1, len(left)), noise=self.noise)


def rank(
    groups: Sequence[Group],
    *,
    direction: Direction,
    declared: float | None = None,
    is_time_like: bool = False,
    others: Sequence[Sample] = (),
) -> Ranking:
    """Rank groups by their means less one standard error, so that a lucky run does not lead.

    Unknown or no noise: by their means. Groups with equal scores keep the given order. `others` are
    samples of the family that are not ranked.
    """
    alive = [group for group in groups if group.sample]
    sign = 1 if direction is Direction.MAXIMIZE else -1
    samples = [*(group.sample for group in alive), *others]
    noise = measure_noise(samples, declared=declared, is_time_like=is_time_like)

    def score(group: Group) -> float:
        return group.mean * sign - noise.sd / math.sqrt(len(group.sample))

    ordered = sorted(alive, key=score, reverse=True)
    if not noise.is_known or noise.basis is Basis.DETERMINISTIC:
        # `sorted` keeps the order of equal scores, so all machines rank ties alike.
        return Ranking(groups=tuple(ordered), contenders=min(1, len(ordered)), noise=noise)
    near = NoiseByLevel(samples, declared=declared, is_time_like=is_time_like)
    may_lead: list[Group] = []
    shown_worse: list[Group] = []
    for group in ordered[1:]:
        is_worse = _is_worse(group, ordered[0], near, sign)
        (shown_worse if is_worse else may_lead).append(group)
    return Ranking(
        groups=(*ordered[:1], *may_lead, *shown_worse),
        contenders=len(may_lead) + len(ordered[:1]),
        noise=noise,
    )


def _is_worse(group: Group, leader: Group, near: NoiseByLevel, sign: int) -> bool:
    """Return whether a group is shown to be worse than the leader, as `compare_samples` tells.

    Needs no interval, so the probability of the gap takes the place of a quantile.
    """
    gap = (leader.mean - group.mean) * sign
    if gap <= 0 or are_equal(leader.mean, group.mean):
        return False
    noise = near.between(group.mean, leader.mean)
    if noise.basis not in (Basis.MEASURED, Basis.DECLARED):
        return True
    error, dof = standard_error(group.sample, leader.sample, noise)
    return not error or t_tail(gap / error, dof) < LEVEL
