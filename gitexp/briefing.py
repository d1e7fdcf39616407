"""The state of a search in one value: what is best, what was given up and why, what is open.

Floor 1, pure: entries in, a `Brief` out. It never invents: neighbours are points between and beside
values that were really tried.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gitexp.fingerprint import canonical, without_seeds
from gitexp.ids import RunId
from gitexp.model import (
    Decision,
    Direction,
    Entry,
    Origin,
    Outcome,
    Table,
    Value,
    flatten,
    numbers,
    run_order,
)

MAX_CATEGORIES: Final = 8
"""A text parameter with more values than this is a label, not a choice."""

MIN_SHARE: Final = 0.02
"""Values closer than this share of their size leave no room between them."""

MAX_FACTOR: Final = 10.0
"""No suggestion goes further from what was tried."""

Standing: TypeAlias = Literal["first", "better", "same", "worse", "unknown"]
"""How a run did against the best before it."""

_REJECTED: Final = (Decision.DISCARD, Decision.STOP)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run with what became of it."""

    entry: Entry
    value: float | None
    """Of the metric that decides; absent when it was not measured."""
    standing: Standing
    params: Table
    """Only those that differ from the best run's, by dotted name."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What somebody said to try next, as long as no run is known to have taken it up."""

    text: str
    entry: Entry
    since: int
    """Runs made after the one it was said of; any of them may have taken it up unsaid."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A trial next to the best run that nobody made: one parameter changed."""

    param: str
    value: Value
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What one should know before the next attempt."""

    total: int
    """All runs there are."""
    outcomes: Mapping[str, int]
    """How many of them ended how."""
    considered: int
    """The newest runs that were looked at; the rest is only counted."""
    metric: str | None
    direction: Direction | None
    guessed: bool
    best: Attempt | None
    """The best run that succeeded and was not discarded."""
    better_rejected: int
    """Runs with a better value that were discarded."""
    since_best: int
    """Runs that ended after the best one and did not beat it."""
    recent: tuple[Attempt, ...]
    """The last runs that ended, newest first."""
    rejected: tuple[Attempt, ...]
    """What was decided discard or stop, newest first."""
    failed: tuple[Attempt, ...]
    """Runs that failed and were not decided about, newest first."""
    undecided: tuple[Attempt, ...]
    """Runs that succeeded and wait for a decision, newest first."""
    unfinished: tuple[Attempt, ...]
    """Runs that go on or were interrupted, newest first."""
    hints: tuple[Hint, ...]
    untried: tuple[Neighbour, ...]


def make_brief(
    entries: Sequence[Entry],
    *,
    total: int,
    outcomes: Mapping[str, int],
    metric: str | None,
    direction: Direction | None,
    guessed: bool = False,
    limit: int = 8,
) -> Brief:
    """Sum up runs, given in any order; reproductions count only as repeats and are left out.

    `limit` is the length of each list.
    """
    searched = sorted(
        (entry for entry in entries if entry.run.origin is not Origin.REPRODUCTION),
        key=lambda entry: run_order(entry.run),
    )
    values = {entry.run.id: _value(entry, metric) for entry in searched}
    ended = [entry for entry in searched if entry.run.is_sealed]
    best = _best([e for e in ended if not _is_discarded(e)], values, direction)
    attempts = list(_attempts(searched, values, direction, best))
    newest = attempts[::-1]
    best_attempt = next((a for a in attempts if best and a.entry.run.id == best.run.id), None)
    is_best = [best is not None and a.entry.run.id == best.run.id for a in newest]
    sealed = [a for a in newest if a.entry.run.is_sealed]
    return Brief(
        total=total,
        outcomes=outcomes,
        considered=len(entries),
        metric=metric,
        direction=direction,
        guessed=guessed,
        best=best_attempt,
        better_rejected=_count_better(ended, values, direction, best),
        since_best=sum(a.entry.run.is_sealed for a in newest[: is_best.index(True)]) if best else 0,
        recent=tuple(sealed[:limit]),
        rejected=tuple(a for a in newest if is_rejected(a.entry))[:limit],
        failed=tuple(a for a in newest if _ended(a.entry, Outcome.FAILED))[:limit],
        undecided=tuple(a for a in newest if _ended(a.entry, Outcome.SUCCEEDED))[:limit],
        unfinished=tuple(
            a for a in newest if a.entry.run.outcome in (Outcome.RUNNING, Outcome.INTERRUPTED)
        )[:limit],
        hints=tuple(_hints(searched))[:limit],
        untried=tuple(neighbours(best, ended))[:limit] if best and not is_rejected(best) else (),
    )


def is_rejected(entry: Entry) -> bool:
    """True when the decision in force gives the trial up."""
    return entry.decision is not None and entry.decision.decision in _REJECTED


def _is_discarded(entry: Entry) -> bool:
    return entry.decision is not None and entry.decision.decision is Decision.DISCARD


def _ended(entry: Entry, outcome: Outcome) -> bool:
    return entry.run.outcome is outcome and entry.decision is None


def _value(entry: Entry, metric: str | None) -> float | None:
    value = numbers(entry.metrics).get(metric) if metric else None
    return value if value is not None and math.isfinite(value) else None


def _beats(value: float, other: float, direction: Direction) -> bool:
    return value > other if direction is Direction.MAXIMIZE else value < other


def _best(
    entries: Sequence[Entry], values: Mapping[RunId, float | None], direction: Direction | None
) -> Entry | None:
    """The first of the best; only runs that succeeded count."""
    if direction is None:
        return None
    best: Entry | None = None
    for entry in entries:
        value = values[entry.run.id]
        if value is None or entry.run.outcome is not Outcome.SUCCEEDED:
            continue
        before = None if best is None else values[best.run.id]
        if before is None or _beats(value, before, direction):
            best = entry
    return best


def _count_better(
    entries: Sequence[Entry],
    values: Mapping[RunId, float | None],
    direction: Direction | None,
    best: Entry | None,
) -> int:
    bar = None if best is None else values[best.run.id]
    if bar is None or direction is None:
        return 0
    found = [values[entry.run.id] for entry in entries if _is_discarded(entry)]
    return sum(value is not None and _beats(value, bar, direction) for value in found)


def _attempts(
    entries: Sequence[Entry],
    values: Mapping[RunId, float | None],
    direction: Direction | None,
    best: Entry | None,
) -> Iterator[Attempt]:
    """Every run beside the best before it, oldest first."""
    usual = {} if best is None else dict(flatten(best.run.parameters))
    bar: float | None = None
    for entry in entries:
        value = values[entry.run.id]
        standing: Standing = "unknown"
        if value is not None and direction is not None:
            if bar is None:
                standing = "first"
            elif value == bar:
                standing = "same"
            else:
                standing = "better" if _beats(value, bar, direction) else "worse"
            if entry.run.outcome is Outcome.SUCCEEDED and standing in ("first", "better"):
                bar = value
        yield Attempt(entry, value, standing, _differing(entry, usual))


def _differing(entry: Entry, usual: Mapping[str, Value]) -> Table:
    return {
        name: value
        for name, value in flatten(entry.run.parameters)
        if name not in usual or canonical(usual[name]) != canonical(value)
    }


def _hints(entries: Sequence[Entry]) -> Iterator[Hint]:
    """Open hints of decisions in force, newest first, of entries given oldest first.

    A hint is taken up by a run whose user named its run as parent, or that was made after its run
    with the hint as its reason; whether before or after the decision makes no difference.
    """
    parents = {entry.run.parent for entry in entries if entry.run.parent_rule is None}
    found: list[tuple[int, Hint]] = []
    reasons: list[str] = []
    for entry in reversed(entries):
        for decision in () if entry.run.id in parents else entry.decisions:
            words = _words(decision.hint or "")
            if decision.hint and not any(words in reason for reason in reasons):
                found.append((decision.clock, Hint(decision.hint, entry, len(reasons))))
        reasons.append(_words(entry.run.reason or ""))
    found.sort(key=lambda pair: pair[0], reverse=True)
    newest: dict[str, Hint] = {}
    for _, hint in found:
        newest.setdefault(hint.text, hint)
    yield from newest.values()


def _words(text: str) -> str:
    """The words alone, each between spaces."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return f" {' '.join(words)} "


# --- neighbours -----------------------------------------------------------------------------------


def neighbours(best: Entry, entries: Sequence[Entry]) -> Iterator[Neighbour]:
    """Trials that differ from the best run in one parameter and were not made.

    Parameters that were varied before come first; random seeds never.
    """
    usual = dict(flatten(without_seeds(best.run.parameters)))
    tables = [dict(flatten(without_seeds(entry.run.parameters))) for entry in entries]
    made = {canonical(table) for table in tables}
    varied: list[list[Neighbour]] = []
    fixed: list[list[Neighbour]] = []
    for name, value in usual.items():
        tried = list({canonical(t[name]): t[name] for t in tables if name in t}.values())
        found = [
            Neighbour(name, other, why)
            for other, why in _candidates(value, tried)
            if canonical({**usual, name: other}) not in made
        ]
        (varied if len(tried) > 1 else fixed).append(found)
    yield from _in_turn(varied)
    yield from _in_turn(fixed)


def _in_turn(groups: Sequence[Sequence[Neighbour]]) -> Iterator[Neighbour]:
    """The first of each, then the second of each, and so on."""
    for n in range(max(map(len, groups), default=0)):
        for group in groups:
            yield from group[n : n + 1]


def _candidates(value: Value, tried: Sequence[Value]) -> Iterator[tuple[Value, str]]:
    if isinstance(value, bool | str):
        others = [v for v in tried if isinstance(v, bool | str) and v != value]
        if len(others) < MAX_CATEGORIES:
            yield from ((other, "tried elsewhere, not with the best") for other in others)
    elif isinstance(value, int | float) and math.isfinite(value):
        plain = [v for v in tried if isinstance(v, int | float) and not isinstance(v, bool)]
        yield from _numeric_candidates(value, sorted(v for v in plain if math.isfinite(v)))


def _numeric_candidates(value: float, tried: Sequence[float]) -> Iterator[tuple[float, str]]:
    """Midpoints to the nearest values tried; beyond the last one a step of the same size."""
    below = max((v for v in tried if v < value), default=None)
    above = min((v for v in tried if v > value), default=None)
    if below is None and above is None:
        if value > 0:
            yield _like(value, value / 2), "half; it was never varied"
            yield _like(value, value * 2), "double; it was never varied"
        return
    for near, far, side in ((below, above, "below"), (above, below, "above")):
        if near is not None:
            between = _like(value, _middle(value, near))
            if min(near, value) < between < max(near, value) and not _are_close(near, value):
                yield between, f"between {min(near, value):g} and {max(near, value):g}"
        elif far is not None:
            beyond = _like(value, _beyond(value, far))
            if beyond != value:
                yield beyond, f"{side} every value tried"


def _are_close(a: float, b: float) -> bool:
    return not isinstance(a, int) and abs(a - b) <= MIN_SHARE * max(abs(a), abs(b))


def _middle(a: float, b: float) -> float:
    """Halfway; on a scale of ratios when the two are far apart."""
    return math.sqrt(a * b) if a > 0 and b > 0 and max(a, b) >= 3 * min(a, b) else (a + b) / 2


def _beyond(value: float, far: float) -> float:
    """As far from the value as the other, on its other side; at most ten times or a tenth."""
    if value <= 0 or far <= 0:
        return 2 * value - far
    return value * min(MAX_FACTOR, max(1 / MAX_FACTOR, value / far))


def _like(value: float, found: float) -> float:
    """Three significant digits are enough for a suggestion; whole numbers stay whole."""
    return round(found) if isinstance(value, int) else float(f"{found:.3g}")
