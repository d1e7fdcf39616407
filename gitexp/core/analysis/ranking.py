"""Rank groups: the best one, and those that may be the best."""

import math
from collections.abc import Sequence
from typing import Final

from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.noise import Basis, Noise, Sample, are_equal, comparable, measure_noise
from gitexp.core.analysis.samples import Answer, compare_samples
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Direction

FAR: Final = 12.71 * math.sqrt(2)
"""Distance in standard deviations beyond which single runs always differ.

The largest t quantile at the level of a verdict is 12.71, for one degree of freedom.
"""


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
    samples = [group.sample for group in alive]
    noise = measure_noise([*samples, *others], declared=declared, is_time_like=is_time_like)

    def score(group: Group) -> float:
        return group.mean * sign - noise.sd / math.sqrt(len(group.sample))

    ordered = sorted(alive, key=score, reverse=True)
    if not noise.is_known or noise.basis is Basis.DETERMINISTIC:
        # `sorted` keeps the order of equal scores, so all machines rank ties alike.
        return Ranking(groups=tuple(ordered), contenders=min(1, len(ordered)), noise=noise)
    # The pooled noise of any subset is at most the widest range.
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
    """Return whether a group is shown to be worse than the leader."""
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
