"""The best of several groups, and those that may be the best as well."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.noise import Basis, Noise, Sample, are_equal, comparable, measure_noise
from gitexp.core.analysis.samples import Answer, compare_samples
from gitexp.core.model.run import Direction

FAR: Final = 12.71 * math.sqrt(2)
"""Single runs further apart than this many standard deviations are always told apart: the largest
t quantile at the level of a verdict is that for one degree of freedom, 12.71."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Groups by one metric, the leader first."""

    groups: tuple[Group, ...]
    """Those that measured it, by their scores: the mean less one standard error."""
    contenders: int
    """How many of the first groups may be the best: the leader and those not shown worse."""
    noise: Noise
    """That of all groups together."""

    @property
    def leader(self) -> Group | None:
        """The group that ranks first."""
        return self.groups[0] if self.groups else None

    @property
    def rivals(self) -> tuple[Group, ...]:
        """The other groups that may be the best."""
        return self.groups[1 : self.contenders]


def rank(
    groups: Sequence[Group],
    *,
    direction: Direction,
    declared: float | None = None,
    is_time_like: bool = False,
    others: Sequence[Sample] = (),
) -> Ranking:
    """Rank groups by their means less one standard error, so that one lucky run does not lead.

    While the noise is unknown, or there is none, by their means. Groups with equal scores come in
    the order given. `others` are samples of the family that are not ranked.
    """
    alive = [group for group in groups if group.sample]
    sign = 1 if direction is Direction.MAXIMIZE else -1
    samples = [group.sample for group in alive]
    noise = measure_noise([*samples, *others], declared=declared, is_time_like=is_time_like)

    def score(group: Group) -> float:
        return group.mean * sign - noise.sd / math.sqrt(len(group.sample))

    ordered = sorted(alive, key=score, reverse=True)
    if not noise.is_known or noise.basis is Basis.DETERMINISTIC:
        # `sorted` keeps the order of equal scores, so that ties name the same group everywhere.
        return Ranking(groups=tuple(ordered), contenders=min(1, len(ordered)), noise=noise)
    # No pool of some of these groups has more noise than the widest of them.
    far = FAR * max([noise.sd, *(max(s) - min(s) for s in [*samples, *others] if s)])
    may_lead: list[Group] = []
    shown_worse: list[Group] = []
    for group in ordered[1:]:
        is_worse = _is_worse(group, ordered[0], ordered, others, far, sign, declared)
        (shown_worse if is_worse else may_lead).append(group)
    return Ranking(
        groups=(*ordered[:1], *may_lead, *shown_worse),
        contenders=len(may_lead) + len(ordered[:1]),
        noise=noise,
    )


def _is_worse(
    group: Group,
    leader: Group,
    ranked: Sequence[Group],
    others: Sequence[Sample],
    far: float,
    sign: int,
    declared: float | None,
) -> bool:
    """Return whether a group is shown worse than the leader."""
    gap = (leader.mean - group.mean) * sign
    if len(group.sample) == len(leader.sample) == 1 and gap > far:
        return True
    rest = [g.sample for g in ranked if g is not group and g is not leader]
    local = measure_noise(
        comparable([*rest, *others], group.sample, leader.sample), declared=declared
    )
    if not local.is_known:
        return gap > 0 and not are_equal(leader.mean, group.mean)
    compared = compare_samples(group.sample, leader.sample, local, gain_sign=sign)
    return compared.answer is Answer.WORSE
