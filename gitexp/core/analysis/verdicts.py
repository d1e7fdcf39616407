"""Verdicts: one group of runs against another is better, worse, not different, or unknown.

Compares means against the noise of repeats. While the noise is unknown, compares the numbers, and
no difference counts as shown. `docs/verdicts.md` has the method.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from gitexp.core.analysis.groups import (
    Group,
    count_looks,
    has_one_seed,
    pairs_of,
    took_turns,
)
from gitexp.core.analysis.noise import Basis, Noise, Sample, comparable, measure_noise
from gitexp.core.analysis.samples import Answer, Compared, compare_samples, repeats_needed
from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction, MetricRule, Tolerance

MACHINE_EFFECT: Final = Tolerance(relative=0.05)
"""Minimum relative difference of time, speed and memory not measured alternately: machines drift.
"""

NO_RULE: Final = MetricRule()

Against: TypeAlias = Literal["last", "best", "parent", "run"]


NO_REFERENCE = "there is nothing to compare with"
NO_DIRECTION = "which way it is better is not known"
NOT_A_NUMBER = "it is not a number"
ALL_FAILED = "no run of the trial succeeded"
MISSING_HERE = "missing from this run"
MISSING_THERE = "missing from the reference"
MORE_FAILED = "more of its runs failed or have no number"
OTHER_UNIT = "the units differ"
SAME_GROUP = "the same trial"


@frozen(kw_only=True)
class MetricVerdict:
    """Verdict on one metric against a reference."""

    metric: str
    value: float | None
    """Mean of its group, or the run's own number without other runs."""
    reference_value: float | None
    reference: RunId | None = None
    """Newest run of the reference group."""
    difference: float | None = None
    """Signed difference, value minus reference; `None` unless both are finite."""
    relative: float | None = None
    """Difference relative to the reference; `None` if that is zero."""
    direction: Direction | None = None
    guessed: bool = False
    """True if the direction is a guess."""
    answer: Answer = Answer.UNKNOWN
    basis: Basis = Basis.MISSING
    shown: bool = False
    """True if the noise supports the answer."""
    why: str | None = None
    """Facts that the answer alone would hide, in words."""
    low: float | None = None
    high: float | None = None
    """Interval of the difference; `None` while the noise is unknown."""
    noise: float | None = None
    """Standard deviation of one run; `None` if unknown."""
    dof: float | None = None
    """Degrees of freedom of the interval; `None` if repeats did not give it."""
    runs: int = 0
    """Number of runs behind the mean; a seed that ran several times counts once."""
    reference_runs: int = 0
    repeats: int = 0
    """The larger of the two."""
    own: float | None = None
    """Number measured by this run."""
    total: int = 0
    """Runs of its group that ended."""
    failed: int = 0
    """Those that failed or have no number."""
    reference_failed: int = 0
    not_numbers: int = 0
    """Those of `failed` that succeeded, with a number that is not finite."""
    missing: int = 0
    """Those of `failed` that succeeded without the metric."""
    rivals: int = 1
    """Number of groups that may be the best, if the reference is the best of several."""
    look: int = 1
    """Number of looks at the two groups so far."""
    min_effect: float | None = None
    """Smallest difference that counts."""
    needed: int | None = None
    """Repeats on each side that would show `effect`; `None` for more than 100."""
    effect: float | None = None
    """Difference for `needed`: the smallest that counts, else or with as many repeats the observed
    one; one standard deviation if no difference is shown.
    """
    overruled: float | None = None
    """Declared noise, if repeats show more."""
    in_turns: bool = False
    """True if both were measured alternately."""
    apart: bool = False
    """True for a metric of the machine that was not measured alternately."""
    one_seed: bool = False
    """True if all repeats of its group, or of the reference if it has none, have one seed."""

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@frozen(kw_only=True)
class Comparison:
    """Verdicts of a run's group against one reference."""

    run: RunId
    against: Against
    verdicts: tuple[MetricVerdict, ...]


@frozen(kw_only=True)
class Question:
    """One metric of two groups, with its context."""

    metric: str
    new: Group | None
    old: Group | None
    others: Sequence[Sample] = ()
    """Samples of the other groups of the family."""
    direction: Direction | None = None
    guessed: bool = False
    rule: MetricRule = NO_RULE
    is_time_like: bool = False
    run: RunId | None = None
    """Run of the verdict; the newest of the group by default."""
    rivals: int = 1
    metrics: int = 1
    """Number of metrics compared at once: each gets its share of the level."""
    units: tuple[str | None, str | None] = (None, None)
    """Units of the newest run of each group, if its number was printed with one."""


def judge_metric(question: Question) -> MetricVerdict:
    """Return the verdict on one metric."""
    new, old = question.new, question.old
    verdict = _facts(question)
    if new is None or old is None or not new.sample or not old.sample:
        return replace(verdict, why=_missing(new, old))
    if new.key == old.key:
        return replace(verdict, answer=Answer.SAME, why=SAME_GROUP, difference=0.0)
    ours, theirs = question.units
    if ours != theirs:  # a difference would mean nothing, also to a guard
        why = f"{OTHER_UNIT}: {ours or 'none'} here, {theirs or 'none'} there"
        return replace(verdict, why=why)
    return _checked(_compared(question, verdict, new, old), new, old)


def _compared(question: Question, verdict: MetricVerdict, new: Group, old: Group) -> MetricVerdict:
    """Return the verdict for two groups that both have numbers."""
    machine, rule = question.is_time_like, question.rule
    pooled = comparable(question.others, new.sample, old.sample)
    noise = measure_noise(pooled, declared=rule.noise, is_time_like=machine)
    in_turns = took_turns(new, old)
    effect = rule.min_effect or (MACHINE_EFFECT if machine and not in_turns else None)
    min_effect = effect.allowed(old.mean) if effect else 0.0
    look = count_looks(new, old)
    compared = compare_samples(
        new.sample,
        old.sample,
        noise,
        gain_sign=-1 if question.direction is Direction.MINIMIZE else 1,
        min_effect=min_effect,
        rivals=question.rivals,
        look=look,
        share=1 / question.metrics,
        pairs=pairs_of(new, old),
    )
    effect_size, needed = _needed(compared, noise, min_effect, min(new.counted, old.counted))
    return replace(
        verdict,
        difference=compared.difference,
        relative=compared.difference / abs(old.mean) if old.mean else None,
        answer=compared.answer,
        basis=compared.basis,
        shown=compared.shown,
        low=compared.low,
        high=compared.high,
        dof=compared.dof if math.isfinite(compared.dof) else None,
        noise=noise.sd or None,
        rivals=question.rivals,
        look=look,
        min_effect=min_effect or None,
        needed=needed,
        effect=effect_size,
        overruled=noise.overruled,
        in_turns=in_turns,
        apart=machine and not in_turns,
        one_seed=has_one_seed(new) or (new.runs < 2 and has_one_seed(old)),
    )


def _facts(question: Question) -> MetricVerdict:
    """Return the verdict with the measurements only, without an answer."""
    new, old = question.new, question.old
    run = question.run or (None if new is None else new.newest.run)
    own = [] if new is None else [m.value for m in new.measurements if m.run == run]
    return MetricVerdict(
        metric=question.metric,
        value=None if new is None or not new.sample else new.mean,
        reference_value=None if old is None or not old.sample else old.mean,
        reference=None if old is None else old.newest.run,
        direction=question.direction,
        guessed=question.guessed,
        runs=0 if new is None else new.counted,
        reference_runs=0 if old is None else old.counted,
        repeats=max(0 if g is None else g.counted for g in (new, old)),
        total=0 if new is None else len(new.measurements),
        own=own[0] if own else None,
        failed=0 if new is None else new.failed,
        not_numbers=0 if new is None else sum(m.lack == "not a number" for m in new.measurements),
        missing=0 if new is None else sum(m.lack == "missing" for m in new.measurements),
        reference_failed=0 if old is None else old.failed,
    )


def _missing(new: Group | None, old: Group | None) -> str:
    if old is None:
        return NO_REFERENCE
    if new is None or not new.sample:
        return _lack(new, MISSING_HERE)
    return _lack(old, MISSING_THERE)


def _lack(group: Group | None, missing: str) -> str:
    """Return why a group has no number, from its last run that did not fail."""
    lacks = [] if group is None else [m.lack for m in group.measurements]
    ended = [lack for lack in lacks if lack != "failed"]
    if lacks and not ended:
        return ALL_FAILED
    return NOT_A_NUMBER if ended[-1:] == ["not a number"] else missing


def _checked(verdict: MetricVerdict, new: Group, old: Group) -> MetricVerdict:
    """Withdraw an answer that the direction or failed runs do not support."""
    if verdict.answer in (Answer.BETTER, Answer.WORSE) and verdict.direction is None:
        return replace(verdict, answer=Answer.UNKNOWN, shown=False, why=NO_DIRECTION)
    share = new.failed / len(new.measurements)
    if verdict.answer is Answer.BETTER and share > old.failed / len(old.measurements):
        return replace(verdict, answer=Answer.UNKNOWN, shown=False, why=MORE_FAILED)
    return verdict


def _needed(
    compared: Compared, noise: Noise, min_effect: float, fewest: int
) -> tuple[float | None, int | None]:
    """Return an effect that is not shown, and the repeats on each side that would show it.

    `fewest` is how many both sides have: as many do not tell more.
    """
    if compared.shown or not noise.sd:
        return None, None
    if compared.answer is Answer.SAME:
        return (None, None) if min_effect else (noise.sd, repeats_needed(noise.sd, noise))
    if min_effect:
        needed = repeats_needed(min_effect, noise)
        if needed is None or needed > fewest:
            return min_effect, needed
    observed = abs(compared.difference)
    return observed, repeats_needed(observed, noise)


def overall(verdicts: Sequence[MetricVerdict], primary: str | None = None) -> Answer:
    """Return the one answer of a comparison: that of the main metric."""
    found = next((v for v in verdicts if v.metric == primary), None)
    return Answer.UNKNOWN if found is None else found.answer
