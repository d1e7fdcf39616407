"""One run against another: better, worse, same or unknown for every metric, with the reason.

Floor 1, pure. Repeats of a trial tell its noise; without them a difference is taken at its word,
and "too few repeats to tell" is an answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from gitexp.comparison.directions import direction_of
from gitexp.ids import RunId
from gitexp.model import Direction, Outcome, Run, numbers

NOISE_FACTOR = 2.0
"""A difference below this many deviations of the repeats is within the noise."""

MIN_REPEATS = 3
"""From so many runs of one trial on, its noise is known."""

ROUNDING = 1e-12
"""Two numbers this close, relatively, are equal: the same sum in another order."""

NO_DIRECTION = "no direction known"
NO_REFERENCE = "nothing to compare with"
NOT_A_NUMBER = "not a number"
TOO_FEW = "too few repeats to tell"
WITHIN_NOISE = "within the noise"
SAME_TRIAL = "the same trial, whose noise is not known yet"

Against: TypeAlias = Literal["last", "best", "run"]


class Answer(StrEnum):
    """How a metric, or a run, compares with the reference."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """One metric of a run against the same metric of a reference run."""

    metric: str
    """Dotted name."""
    value: float | None
    """Absent when this run did not measure it."""
    reference_value: float | None
    """Absent when the reference run did not measure it."""
    reference: RunId | None
    """Absent when there is no run to compare with."""
    difference: float | None = None
    """Signed, value minus reference value; absent when either is absent."""
    relative: float | None = None
    """Difference over the size of the reference value; absent when that is zero."""
    direction: Direction | None = None
    guessed: bool = False
    """True when nobody declared the direction."""
    answer: Answer = Answer.UNKNOWN
    why: str | None = None
    """What a plain answer would hide, in plain words."""
    noise: float | None = None
    """Robust standard deviation of the repeats; absent with fewer than `MIN_REPEATS`."""
    repeats: int = 0
    """How many runs of the same trial measured it, in the larger of the two trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The verdicts of a run against one reference."""

    run: RunId
    against: Against
    verdicts: tuple[MetricVerdict, ...]


def compare_runs(
    run: Run,
    reference: Run | None,
    *,
    declared: Mapping[str, Direction],
    repeats: Sequence[Run] = (),
) -> list[MetricVerdict]:
    """A verdict for every metric of either run, in the run's own order.

    `repeats` are runs with the fingerprint of the run or of the reference; the two themselves
    may be among them. Directions said for a run come before the declared ones.
    """
    others = [] if reference is None else [reference]
    values = numbers(run.metrics)
    before = {} if reference is None else numbers(reference.metrics)
    said = {**declared, **{k: v for r in [*others, run] for k, v in r.directions.items()}}
    trials = _trials([*repeats, run, *others])
    verdicts = []
    for metric in dict.fromkeys([*values, *before]):
        direction, guessed = direction_of(metric, said)
        noise, spread, count = _noise([[v[metric] for v in t if metric in v] for t in trials])
        value, old = values.get(metric), before.get(metric)
        difference = None if value is None or old is None else value - old
        answer, why = _answer(value, old, direction, noise, spread)
        verdicts.append(
            MetricVerdict(
                metric=metric,
                value=value,
                reference_value=old,
                reference=None if reference is None else reference.id,
                difference=difference,
                relative=difference / abs(old) if difference is not None and old else None,
                direction=direction,
                guessed=guessed,
                answer=answer,
                why=NO_REFERENCE if reference is None else why,
                noise=noise,
                repeats=count,
            )
        )
    return verdicts


def _answer(
    value: float | None,
    old: float | None,
    direction: Direction | None,
    noise: float | None,
    spread: float | None,
) -> tuple[Answer, str | None]:
    if value is None or old is None:
        return Answer.UNKNOWN, f"missing from {'this run' if value is None else 'the reference'}"
    if math.isnan(value) or math.isnan(old):
        return Answer.UNKNOWN, NOT_A_NUMBER
    if are_equal(value, old):
        return Answer.SAME, None
    return _answer_to(value - old, direction, noise, spread)


def _answer_to(
    difference: float, direction: Direction | None, noise: float | None, spread: float | None
) -> tuple[Answer, str | None]:
    if noise and abs(difference) < NOISE_FACTOR * noise:
        return Answer.SAME, WITHIN_NOISE
    is_own_pair = noise is None and spread is not None and are_equal(spread, abs(difference))
    if noise is None and spread is not None and spread > abs(difference) and not is_own_pair:
        return Answer.UNKNOWN, TOO_FEW
    if direction is None:
        return Answer.UNKNOWN, NO_DIRECTION
    better = (difference > 0) is (direction is Direction.MAXIMIZE)
    return (Answer.BETTER if better else Answer.WORSE), SAME_TRIAL if is_own_pair else None


def are_equal(value: float, other: float) -> bool:
    """Tell whether two numbers differ by no more than rounding; NaN equals NaN."""
    if math.isnan(value) or math.isnan(other):
        return math.isnan(value) and math.isnan(other)
    return math.isclose(value, other, rel_tol=ROUNDING, abs_tol=0.0)


def _trials(runs: Sequence[Run]) -> list[list[dict[str, float]]]:
    """The metrics of distinct runs, grouped by fingerprint."""
    groups: dict[str, list[dict[str, float]]] = {}
    for run in {run.id: run for run in runs}.values():
        groups.setdefault(run.fingerprint or run.id, []).append(numbers(run.metrics))
    return list(groups.values())


def _noise(trials: Sequence[Sequence[float]]) -> tuple[float | None, float | None, int]:
    """Robust deviation within the trials, else the spread of a pair; and the longest trial."""
    finite = [[value for value in trial if math.isfinite(value)] for trial in trials]
    count = max(map(len, finite), default=0)
    if count < MIN_REPEATS:
        return None, max((max(t) - min(t) for t in finite if len(t) == 2), default=None), count
    away = [abs(v - _median(trial)) for trial in finite if len(trial) >= MIN_REPEATS for v in trial]
    # When more than half the repeats are equal the median is blind to the rest; the mean is not.
    return 1.4826 * _median(away) or 1.2533 * sum(away) / len(away), None, count


def _median(values: Sequence[float]) -> float:
    """As `statistics.median`, whose import costs every command 10 ms."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def overall(verdicts: Sequence[MetricVerdict], primary: str | None = None) -> Answer:
    """One answer for a run: the primary metric's when it is there, else the worst of all.

    Without a primary metric: worse, then unknown, then better, then same. Metrics without a
    known direction count only when no other is left.
    """
    for verdict in verdicts:
        if verdict.metric == primary:
            return verdict.answer
    answers = {v.answer for v in verdicts if v.why != NO_DIRECTION}
    for answer in (Answer.WORSE, Answer.UNKNOWN, Answer.BETTER, Answer.SAME):
        if answer in answers:
            return answer
    return Answer.UNKNOWN


def next_step(
    run: Run, *, last: Answer | None = None, best: Answer | None = None, selector: str = "last"
) -> str:
    """One sentence of advice after a run; an answer is absent when there was nothing to compare.

    `selector` is what the user may type for the run.
    """
    if run.outcome is Outcome.RUNNING:
        return "wait until the run has ended"
    if run.outcome is not Outcome.SUCCEEDED:
        return f"look at its output with `git exp show {selector}`, fix the cause and run it again"
    if not numbers(run.metrics):
        return "let the command print `METRIC name=value`, or name its metrics file: `--metrics`"
    if last is None and best is None:
        return "change one thing and record a second run to compare with this one"
    return _advice(last, best, selector)


def _advice(last: Answer | None, best: Answer | None, selector: str) -> str:
    if best is Answer.BETTER or (best is None and last is Answer.BETTER):
        return f"continue improving from here: `git exp decide {selector} improve -m WHY`"
    if last is Answer.BETTER and best is Answer.WORSE:
        return "better than the last but not the best: continue improving from here or from `best`"
    if last is Answer.BETTER:
        return "continue improving from here; repeat it with `--again` to be sure of the best"
    if Answer.WORSE in (last, best):
        return f"discard or revise this attempt: `git exp decide {selector} discard -m WHY`"
    if Answer.UNKNOWN in (last, best):
        return "repeat the run with `--again` to learn its noise, or declare a metric's direction"
    return "no difference that counts: keep the simpler of the two and try a bolder change"
