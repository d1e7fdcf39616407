"""The summary of a sweep: its best trials, and how each parameter went with the metric.

Pure. A rank correlation says that two things went together in these trials, and no more.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.inputs.argv import format_value
from gitexp.core.model.directions import direction_of, guess_metric
from gitexp.core.model.run import Direction, Outcome, Run, Value, flatten, numbers

SHOWN: Final = 5
MAX_LEVELS: Final = 8
"""A parameter with more different texts is not summed up by value."""


@dataclass(frozen=True, slots=True)
class Score:
    """A point that has the metric."""

    run: Run
    """The run of the point, or one of them when it ran with several seeds."""
    point: Mapping[str, Value]
    value: float
    """Of several runs their mean."""
    count: int = 1
    """How many runs the point has."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How a parameter went with the metric."""

    name: str
    correlation: float | None = None
    """Of ranks, from -1 to 1; absent for texts."""
    levels: tuple[tuple[str, float, int], ...] = ()
    """For texts: value, mean of the metric, number of trials; the best first."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a sweep."""

    metric: str | None
    """What the trials are ranked by; absent when none has any."""
    direction: Direction | None
    best: tuple[Score, ...] = ()
    """The best first; in the order of the points when the direction is not known."""
    effects: tuple[Effect, ...] = ()
    measured: int = 0
    """How many points have the metric."""
    names: tuple[str, ...] = ()
    """The metrics that the trials have, also those with numbers that are not finite."""


def is_pruned(run: Run) -> bool:
    """Return whether its sweep stopped the run, because others were better at that step."""
    return run.sweep is not None and run.sweep.pruned_at is not None


def has_failed(run: Run) -> bool:
    """Return whether a run ended neither well nor because its sweep stopped it."""
    return run.outcome is not Outcome.SUCCEEDED and not is_pruned(run)


def choose(runs: Iterable[Run], wanted: str | None, declared: Iterable[str]) -> str | None:
    """The metric to rank by: the wanted one, else a declared one, else the likeliest by name."""
    if wanted:
        return wanted
    names: dict[str, None] = {}
    for run in runs:
        if run.outcome is Outcome.SUCCEEDED:
            names.update(dict.fromkeys(numbers(run.metrics)))
    return guess_metric(names, declared) if names else None


def summarize(
    trials: Iterable[tuple[Mapping[str, Value], Run]],
    metric: str | None,
    directions: Mapping[str, Direction],
) -> Summary:
    """Rank points by a metric; trials that are given with the same point count as one."""
    if metric is None:
        return Summary(None, None)
    direction, _ = direction_of(metric, directions)
    groups: dict[str, list[Score]] = {}
    names: dict[str, None] = {}
    for point, run in trials:
        measured = numbers(run.metrics)
        names |= dict.fromkeys(measured)
        value = measured.get(metric)
        if run.outcome is Outcome.SUCCEEDED and value is not None and math.isfinite(value):
            score = Score(run, point, float(value))
            groups.setdefault(canonical(dict(point)), []).append(score)
    scores = [_together(group) for group in groups.values()]
    if direction is not None:
        scores.sort(key=lambda s: s.value, reverse=direction is Direction.MAXIMIZE)
    effects = _effects(scores, direction)
    return Summary(metric, direction, tuple(scores[:SHOWN]), effects, len(scores), tuple(names))


def _together(scores: Sequence[Score]) -> Score:
    if len(scores) == 1:
        return scores[0]
    mean = fmean(score.value for score in scores)
    return Score(scores[0].run, scores[0].point, mean, len(scores))


def _effects(scores: Sequence[Score], direction: Direction | None) -> tuple[Effect, ...]:
    names = list(dict.fromkeys(name for score in scores for name in score.point))
    found = []
    for name in names:
        pairs = [(score.point[name], score.value) for score in scores if name in score.point]
        if len({canonical(value) for value, _ in pairs}) < 2:
            continue
        if all(_is_number(value) for value, _ in pairs):
            xs = [float(value) for value, _ in pairs if isinstance(value, int | float)]
            correlation = rank_correlation(xs, [value for _, value in pairs])
            if correlation is not None:
                found.append(Effect(name, correlation))
        elif levels := _levels(pairs, direction):
            found.append(Effect(name, levels=levels))
    return tuple(found)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _levels(
    pairs: Sequence[tuple[Value, float]], direction: Direction | None
) -> tuple[tuple[str, float, int], ...]:
    by_value: dict[str, list[float]] = {}
    for value, number in pairs:
        by_value.setdefault(format_value(value), []).append(number)
    if len(by_value) > MAX_LEVELS:
        return ()
    found = [(text, fmean(values), len(values)) for text, values in by_value.items()]
    if direction is not None:
        found.sort(key=lambda level: level[1], reverse=direction is Direction.MAXIMIZE)
    return tuple(found)


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's rank correlation, equal values sharing a rank; `None` when it has no meaning."""
    if len(xs) < 3 or not all(map(math.isfinite, (*xs, *ys))):
        return None
    left, right = _ranks(xs), _ranks(ys)
    mean = (len(xs) + 1) / 2
    up = sum((a - mean) * (b - mean) for a, b in zip(left, right, strict=True))
    down = math.sqrt(sum((a - mean) ** 2 for a in left) * sum((b - mean) ** 2 for b in right))
    return None if down == 0 else up / down


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda n: values[n])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for place in order[start:stop]:
            ranks[place] = (start + stop + 1) / 2
        start = stop
    return ranks


def short_point(point: Mapping[str, Value]) -> str:
    """A point in few words: `lr 0.01 depth 4`."""
    return " ".join(f"{name} {format_value(value)}" for name, value in flatten(dict(point)))
