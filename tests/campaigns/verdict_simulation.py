"""How often verdicts err: draws made-up measurements and judges them with the product's functions.

Numbers are drawn with fixed seeds. Every function returns counts, so that parts of a cell can run
in several processes and be added up.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from gitexp.core.analysis import samples as samples_module
from gitexp.core.analysis.groups import Group, Measurement, count_looks, group_of
from gitexp.core.analysis.guards import judge_guards
from gitexp.core.analysis.noise import Noise, Sample, comparable, measure_noise
from gitexp.core.analysis.ranking import rank
from gitexp.core.analysis.samples import Answer, Compared, compare_samples, is_hopeless
from gitexp.core.analysis.student_t import t_quantile
from gitexp.core.analysis.verdicts import MetricVerdict, Question, judge_metric
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction, MetricRule, Tolerance

LEVEL, SD = 0.9, 0.01
"""Accuracy and its standard deviation."""

WORKERS = 2

Draw = Callable[[random.Random, int, float], list[float]]
Counts = Counter[tuple[Any, ...]]


# --- t quantiles ----------------------------------------------------------------------------------


@cache
def _kept(tail: float, dof: float) -> float:
    return t_quantile(tail, dof)


def rounded_quantile(tail: float, dof: float) -> float:
    """A quantile for degrees of freedom that are rounded, to 1/256 below 4 and to 1/32 above.

    So a campaign asks for some thousand quantiles and not for millions. They differ from the exact
    ones by less than 1 in 100 below four degrees of freedom and by less than 4 in 1000 above,
    upwards as often as downwards: less than 0.02 points of an error rate of 2.5 %.
    """
    steps = 256 if dof < 4 else 32
    return _kept(tail, round(dof * steps) / steps if math.isfinite(dof) else dof)


def use_rounded_quantiles() -> None:
    """Judge with rounded quantiles in this process."""
    setattr(samples_module, "t_quantile", rounded_quantile)  # noqa: B010 - an import of theirs


def spread(task: Callable[..., Counts], cells: Iterable[tuple[Any, ...]]) -> Counts:
    """Run a task for the arguments of each cell, in several processes; add up its counts."""
    found: Counts = Counter()
    with ProcessPoolExecutor(WORKERS, initializer=use_rounded_quantiles) as pool:
        for counts in [pool.submit(task, *cell) for cell in cells]:
            found += counts.result()
    return found


# --- noise ----------------------------------------------------------------------------------------


def _normal(rng: random.Random, n: int, effect: float) -> list[float]:
    return [LEVEL + SD * (effect + rng.gauss(0, 1)) for _ in range(n)]


def _t3(rng: random.Random, n: int, effect: float) -> list[float]:
    """Draw with heavy tails: a t distribution with three degrees of freedom."""
    found = []
    for _ in range(n):
        chi = sum(rng.gauss(0, 1) ** 2 for _ in range(3))
        found.append(LEVEL + SD * (effect + rng.gauss(0, 1) / math.sqrt(chi / 3)))
    return found


def _unequal(rng: random.Random, n: int, effect: float) -> list[float]:
    """Draw groups with a standard deviation of one or of three."""
    own = SD * rng.choice((1, 3))
    return [LEVEL + SD * effect + rng.gauss(0, own) for _ in range(n)]


def _items(count: int, sd: float) -> Draw:
    """Draw the share of correct items, whose number gives noise of `sd` items."""

    def draw(rng: random.Random, n: int, effect: float) -> list[float]:
        # `effect` below 1 is where between two items the true mean is, the same on both sides.
        middle = LEVEL * count + effect
        return [round(middle + rng.gauss(0, sd)) / count for _ in range(n)]

    return draw


NOISES: dict[str, Draw] = {
    "normal": _normal,
    "450 items, sd 2.25": _items(450, 2.25),
    "100 items, sd 0.5": _items(100, 0.5),
    "t, 3 degrees": _t3,
    "sd 1 or 3 by group": _unequal,
}
DISCRETE = ("450 items, sd 2.25", "100 items, sd 0.5")


class Pool(NamedTuple):
    """Draw other groups of the family, with `repeats` runs each."""

    groups: int
    repeats: int

    @property
    def dof(self) -> int:
        """Their degrees of freedom."""
        return self.groups * max(0, self.repeats - 1)

    def __str__(self) -> str:
        return f"{self.groups} of {self.repeats} ({self.dof})" if self.groups else "none"


NO_POOL = Pool(0, 0)
POOLS = (NO_POOL, Pool(2, 3), Pool(4, 3), Pool(8, 2))


def judge(
    new: Sample, old: Sample, pool: Sequence[Sample], *, look: int = 1, rivals: int = 1
) -> tuple[Compared, Noise]:
    """Return the verdict on two samples, with the noise measured from all."""
    noise = measure_noise(comparable(pool, new, old))
    return compare_samples(new, old, noise, look=look, rivals=rivals), noise


def _shown(found: Compared) -> str:
    return found.answer.value if found.shown or found.answer is Answer.SAME else "unknown"


def _phase(rng: random.Random, noise: str) -> float:
    return rng.random() if noise in DISCRETE else 0.0


# --- two groups -----------------------------------------------------------------------------------


def count_errors(
    noise: str, pool: Pool, sizes: Sequence[tuple[int, int]], part: int, replicates: int
) -> Counts:
    """Count verdicts on two equal groups, by the sizes of the new and the old one.

    One replicate serves all sizes: smaller samples are prefixes of larger ones.
    """
    rng, draw, found = random.Random(f"{noise}, {pool}, {part}"), NOISES[noise], Counts()
    most = max(max(pair) for pair in sizes)
    for _ in range(replicates):
        others = [draw(rng, pool.repeats, _phase(rng, noise)) for _ in range(pool.groups)]
        phase = _phase(rng, noise)
        new, old = draw(rng, most, phase), draw(rng, most, phase)
        for ours, theirs in sizes:
            compared, _ = judge(new[:ours], old[:theirs], others)
            found[noise, pool, ours, theirs, _shown(compared)] += 1
    return found


def count_power(
    pool: Pool, sizes: Sequence[int], effects: Sequence[float], part: int, replicates: int
) -> Counts:
    """Count verdicts on two groups that differ by `effect` standard deviations; normal noise."""
    rng, found = random.Random(f"power {pool} {part}"), Counts()
    for _ in range(replicates):
        others = [_normal(rng, pool.repeats, 0) for _ in range(pool.groups)]
        new, old = _normal(rng, max(sizes), 0), _normal(rng, max(sizes), 0)
        for n, effect in product(sizes, effects):
            compared, _ = judge([x + effect * SD for x in new[:n]], old[:n], others)
            found[pool, n, effect, _shown(compared)] += 1
    return found


# --- groups ---------------------------------------------------------------------------------------


def group(values: Sequence[float], key: int, start: int) -> Group:
    """Return a group that was measured at once."""
    return group_of(
        Measurement(
            RunId(f"{start + n:016x}"), start + n, v, f"g{key}", "f", f"{key}-{n}"
        )._replace(batch=f"b{key}")
        for n, v in enumerate(values)
    )


POOLED = 30
"""Pool as many groups with repeats as `gitexp.features.runs.standings`."""


def verdict_on(new: Group, old: Group, groups: Sequence[Group], rivals: int = 1) -> MetricVerdict:
    """Return the verdict on one group against another; `groups` are all groups, oldest first."""
    others = [
        g.sample for g in groups[::-1] if len(g.sample) > 1 and g.key not in (new.key, old.key)
    ]
    return judge_metric(
        Question(
            metric="accuracy",
            new=new,
            old=old,
            others=others[:POOLED],
            direction=Direction.MAXIMIZE,
            rivals=rivals,
        )
    )


def count_against_best(groups: int, best_n: int, new_n: int, part: int, replicates: int) -> Counts:
    """Count verdicts on a further group against the best of several equal ones; 8 other degrees."""
    rng, found = random.Random(f"best of {groups} {best_n} {new_n} {part}"), Counts()
    for _ in range(replicates):
        made = [group(_normal(rng, best_n, 0), k, 100 * k) for k in range(groups)]
        elsewhere = [_normal(rng, 3, 0) for _ in range(4)]
        ranking = rank(made, direction=Direction.MAXIMIZE, others=elsewhere)
        assert ranking.leader is not None
        others = [g.sample for g in ranking.groups[1:]]
        pool = [*elsewhere, *others]
        new, old = _normal(rng, new_n, 0), ranking.leader.sample
        for name, rivals in (("plain", 1), ("contenders", ranking.contenders)):
            compared, _ = judge(new, old, pool, rivals=rivals)
            found[groups, best_n, new_n, name, _shown(compared)] += 1
    return found


# --- repeats until it says so ---------------------------------------------------------------------


def look_numbers(reference: int, most: int, *, grows: bool) -> list[tuple[int, int, int]]:
    """Yield the sizes of both groups after each run, with the number of the look.

    The reference has its runs, or grows alternately with the new group.
    """
    old = [Measurement(RunId(f"{n:016x}"), n, 0.0, "old", batch="b") for n in range(reference)]
    new: list[Measurement] = []
    found, clock = [], 100
    while len(new) < most:
        for mine in (new, old) if grows and new else (new,):
            clock += 1
            key = "new" if mine is new else "old"
            mine.append(Measurement(RunId(f"{clock:016x}"), clock, 0.0, key))
            looks = count_looks(group_of(new), group_of(old))
            found.append((len(new), len(old), looks))
    return found


MILESTONES = (5, 10, 20, 50)


def count_stopping(pool: Pool, reference: int, most: int, part: int, replicates: int) -> Counts:
    """Count users who add runs until `better` is shown, at most `most`.

    With one reference run both groups grow alternately, and the user looks after each run.
    """
    steps = look_numbers(reference, most, grows=reference == 1)
    rng, found = random.Random(f"until {pool} {reference} {most} {part}"), Counts()
    for _ in range(replicates):
        others = [_normal(rng, pool.repeats, 0) for _ in range(pool.groups)]
        new, old = _normal(rng, most, 0), _normal(rng, max(most, reference), 0)
        waiting = {"plain", "rule"}
        for ours, theirs, look in steps:
            # Whatever the rule shows is also shown at the plain level, which is never stricter.
            for name in ("plain", "rule"):
                used = look if name == "rule" else 1
                compared, _ = judge(new[:ours], old[:theirs], others, look=used)
                if not compared.shown or compared.answer is not Answer.BETTER:
                    break
                if name in waiting:
                    waiting.remove(name)
                    for limit in (m for m in MILESTONES if ours <= m):
                        found[pool, reference, name, limit, "better"] += 1
            if "rule" not in waiting:
                break
        found[pool, reference, "replicates"] += 1
    return found


def count_hopeless(
    planned: int, reference: int, effect: float, part: int, replicates: int
) -> Counts:
    """Count how often a batch becomes better with and without the early stop, and its runs."""
    rng, found = random.Random(f"stop {planned} {reference} {effect} {part}"), Counts()
    key = (planned, reference, effect)
    for _ in range(replicates):
        others = [_normal(rng, 3, 0) for _ in range(4)]
        new, old = _normal(rng, planned, effect), _normal(rng, reference, 0)
        done = 1
        while done < planned:
            done += 1
            noise = measure_noise(comparable(others, new[:done], old))
            if is_hopeless(new[:done], old, noise, planned=planned):
                break
        whole, _ = judge(new, old, others)
        stopped, _ = judge(new[:done], old, others)
        found[*key, "without"] += whole.answer is Answer.BETTER
        found[*key, "with"] += stopped.answer is Answer.BETTER
        found[*key, "runs"] += done
    return found


# --- guards ---------------------------------------------------------------------------------------

ALLOWED = 2.0
"""Allowance of a guard, in standard deviations."""


def count_guards(n: int, loss: float, part: int, replicates: int) -> Counts:
    """Count guards on a metric that truly lost `loss` standard deviations; 8 other degrees."""
    rng, found = random.Random(f"guard {n} {loss} {part}"), Counts()
    rule = MetricRule(guard=Tolerance(absolute=ALLOWED * SD))
    for _ in range(replicates):
        groups = [group(_normal(rng, 3, 0), k, 100 * k) for k in range(4)]
        old, new = group(_normal(rng, n, 0), 5, 500), group(_normal(rng, n, -loss), 6, 600)
        verdict = verdict_on(new, old, groups)
        (guard,) = judge_guards(verdict, rule)
        found[n, loss, guard.state.value] += 1
    return found


# --- whole searches -------------------------------------------------------------------------------


class Search(NamedTuple):
    """A search of several trials: their true values, and the number of runs of each trial."""

    truths: str
    first: int
    later: int

    @property
    def runs(self) -> str:
        """Number of runs of a trial, as text."""
        return f"{self.later}" if self.first == self.later else f"first {self.first}, then 1"

    def __str__(self) -> str:
        return f"{self.truths} | {self.runs}"


TRIALS = 40


def _truth(rng: random.Random, kind: str) -> float:
    if kind == "all equal":
        return 0.0
    if kind == "half equal, half -2 sd":
        return rng.choice((0.0, -2.0))
    return rng.gauss(0, 3)


def count_search(search: Search, part: int, *, with_best: bool) -> Counts:
    """Simulate one search: each trial is judged against the last and, `with_best`, the best.

    Also compares single numbers: the newest one with the newest of the last trial, and with the
    best of all earlier ones.
    """
    rng, found = random.Random(f"{search} {part}"), Counts()
    groups: list[Group] = []
    truths: dict[str, float] = {}
    for trial in range(TRIALS):
        n = search.later if trial else search.first
        truth = _truth(rng, search.truths)
        new = group(_normal(rng, n, truth), trial, 100 * trial)
        truths[new.key] = truth
        if groups:
            _judge_trial(found, search, new, groups, truths, with_best=with_best)
        groups.append(new)
    return found


def _judge_trial(
    found: Counts,
    search: Search,
    new: Group,
    groups: list[Group],
    truths: dict[str, float],
    *,
    with_best: bool,
) -> None:
    luckiest = max(groups, key=lambda g: max(g.sample))
    plain = {
        "numbers, last": (new.sample[-1] - groups[-1].sample[-1], groups[-1]),
        "numbers, best": (new.sample[-1] - max(luckiest.sample), luckiest),
    }
    for name, (gain, old) in plain.items():
        _tally(found, search, name, gain > 0, gain < 0, truths[new.key] - truths[old.key])
    judged = {"last": (verdict_on(new, groups[-1], groups), groups[-1])}
    if with_best:
        ranking = rank(groups[::-1], direction=Direction.MAXIMIZE)
        assert ranking.leader is not None
        verdict = verdict_on(new, ranking.leader, groups, ranking.contenders)
        judged["best"] = (verdict, ranking.leader)
    for name, (verdict, old) in judged.items():
        better = verdict.shown and verdict.answer is Answer.BETTER
        worse = verdict.shown and verdict.answer is Answer.WORSE
        _tally(found, search, name, better, worse, truths[new.key] - truths[old.key])


def _tally(
    found: Counts, search: Search, name: str, better: bool, worse: bool, gain: float
) -> None:
    found[search, name, "judged"] += 1
    found[search, name, "asserted"] += better or worse
    found[search, name, "false"] += (better and gain <= 0) or (worse and gain >= 0)


# --- tables ---------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Return the lines of a Markdown table."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def percent(count: float, whole: float, digits: int = 1) -> str:
    """Format a share in percent."""
    return f"{100 * count / whole:.{digits}f}"
