"""Trials of a search: runs that differ only in their seeds, with their results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.ranking import Ranking
from gitexp.core.analysis.seeds import without_seeds
from gitexp.core.model.annotations import REJECTED
from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import (
    Annotation,
    Code,
    Decision,
    Direction,
    Outcome,
    RecordedRun,
    Table,
    Value,
    annotation_order,
    flatten,
    run_order,
)

Standing: TypeAlias = Literal["better", "same", "worse", "unknown"]
"""Result of a trial against the best.

While the noise is unknown it compares the numbers; else it is `worse` if that is shown, and
`unknown` if not. Only a discarded trial can be `better`.
"""


class CodeChange(NamedTuple):
    """File of the code that differs, with its numbers of changed lines."""

    path: str
    added: int | None
    """`None` if the file is not text."""
    removed: int | None


@frozen
class Attempt:
    """Trial with its result."""

    key: str
    """Key of its group."""
    entry: RecordedRun
    """Run that represents it: the nearest to the mean, else its newest."""
    entries: tuple[RecordedRun, ...]
    """All its covered runs, oldest first."""
    group: Group | None
    """Measurements of the metric; `None` if no run has ended."""
    decided: RecordedRun | None = None
    """Run with the latest decision; `RecordedRun.decision` is the decision in force."""
    standing: Standing = "unknown"
    params: Table | None = None
    """Parameters that differ from the best trial's, by dotted name."""
    has_other_code: bool = False
    """True if its counting code differs from the best's."""
    near: RecordedRun | None = None
    """Kept trial with the fewest differences from it; `None` if that is the best trial."""
    changed: Table | None = None
    """Parameters that differ from those of `near`, or of the best; set for discarded and failed
    trials.
    """
    changed_code: bool = False
    """True if its counting code differs from that of `near`, or of the best."""

    @property
    def value(self) -> float | None:
        """Mean of the metric; `None` if it was not measured."""
        return self.group.mean if self.group is not None and self.group.sample else None

    @property
    def runs(self) -> int:
        """Number of runs behind the mean; a seed that ran several times counts once."""
        return 0 if self.group is None else self.group.counted

    @property
    def decision(self) -> Decision | None:
        """Decision in force: the latest about any of its runs."""
        decided = self.decided
        return None if decided is None else _decision(decided).decision

    @property
    def is_rejected(self) -> bool:
        """True if it was discarded or stopped."""
        return self.decision in REJECTED

    @property
    def is_running(self) -> bool:
        """True while one of its runs is running."""
        return any(not entry.run.is_sealed for entry in self.entries)

    def ended(self, *outcomes: Outcome) -> RecordedRun | None:
        """Return its newest run with one of the outcomes."""
        found = (e for e in reversed(self.entries) if e.run.outcome in outcomes)
        return next(found, None)

    @property
    def clock(self) -> int:
        """Logical time of its newest run or annotation."""
        clocks = [e.run.clock for e in self.entries]
        return max(*clocks, *(a.clock for e in self.entries for a in e.annotations), 0)


def _last_decided(entries: Iterable[RecordedRun]) -> RecordedRun | None:
    found = [(annotation_order(e.decision), e) for e in entries if e.decision is not None]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _decision(entry: RecordedRun) -> Annotation:
    assert entry.decision is not None  # noqa: S101 - the caller looked
    return entry.decision


def attempts_of(
    entries: Sequence[RecordedRun], trial_of: Mapping[RunId, str], groups: Mapping[str, Group]
) -> list[Attempt]:
    """Return the trials of entries, given oldest first, in the order of their newest runs."""
    members: dict[str, list[RecordedRun]] = {}
    for entry in entries:
        members.setdefault(trial_of.get(entry.run.id, entry.run.id), []).append(entry)
    found = []
    for key, runs in members.items():
        group = groups.get(key)
        typical = group.typical.run if group is not None and group.sample else None
        shown = next((e for e in runs if e.run.id == typical), runs[-1])
        found.append(Attempt(key, shown, tuple(runs), group, _last_decided(runs)))
    return sorted(found, key=lambda attempt: run_order(attempt.entries[-1].run))


def goes_by_numbers(ranking: Ranking) -> bool:
    """Return whether the values are compared without noise."""
    return not ranking.noise.is_known or ranking.noise.basis is Basis.DETERMINISTIC


def standings_of(
    attempts: Iterable[Attempt], ranking: Ranking | None, direction: Direction | None
) -> Iterator[Standing]:
    """Return the result of every trial against the one that ranks first, in the given order."""
    leader = None if ranking is None else ranking.leader
    if ranking is None or leader is None or direction is None:
        for _ in attempts:
            yield "unknown"
        return
    shown_worse = {group.key for group in ranking.groups[ranking.contenders :]}
    is_known = not goes_by_numbers(ranking)
    for attempt in attempts:
        value = attempt.value
        if value is None:
            yield "unknown"
        elif is_known:
            yield "worse" if attempt.key in shown_worse else "unknown"
        elif value == leader.mean:
            yield "same"
        else:
            yield "better" if beats(value, leader.mean, direction) else "worse"


def beats(value: float, other: float, direction: Direction) -> bool:
    """Return whether a value is better than another, as numbers."""
    return value > other if direction is Direction.MAXIMIZE else value < other


def with_nearest(
    attempts: Iterable[Attempt], best: Attempt | None, kept: Sequence[Attempt]
) -> Iterator[Attempt]:
    """Set the changes of every trial against the nearest of the best and the kept trials.

    In a search the best trial changes: one change against the best of that time may be several
    changes against the best of today. Of equally near trials the best comes first, then the first
    of `kept`.
    """
    bases = [] if best is None else [best, *(b for b in kept if b.key != best.key)][:_BASES]
    tables = [_canonical(base.entry) for base in bases]
    for attempt in attempts:
        own = _canonical(attempt.entry)
        distances = [
            sum(table.get(name) != text for name, text in own.items())
            + sum(name not in own for name in table)
            + (not has_same_code(base.entry.run.code, attempt.entry.run.code))
            for base, table in zip(bases, tables, strict=True)
        ]
        base = bases[distances.index(min(distances))] if bases else None
        yield replace(
            attempt,
            near=None if base is best or base is None else base.entry,
            changed=differing(attempt.entry, None if base is None else base.entry),
            changed_code=base is not None
            and not has_same_code(base.entry.run.code, attempt.entry.run.code),
        )


_BASES = 50
"""Number of newest kept trials that are compared with each discarded one."""


def _canonical(entry: RecordedRun) -> dict[str, str]:
    """Return the parameters without seeds, each value as text that is equal for equal values."""
    table = flatten(without_seeds(entry.run.parameters))
    return {name: canonical(value) for name, value in table}


def has_same_code(code: Code, other: Code) -> bool:
    """Return whether two runs had the same files, of those that count as code."""
    return code.tree == other.tree or bool(code.digest and code.digest == other.digest)


def differing(entry: RecordedRun, best: RecordedRun | None) -> Table:
    """Return the parameters that differ from the best run's, without seeds."""
    usual: Mapping[str, Value] = {}
    if best is not None:
        usual = dict(flatten(without_seeds(best.run.parameters)))
    return {
        name: value
        for name, value in flatten(without_seeds(entry.run.parameters))
        if name not in usual or canonical(usual[name]) != canonical(value)
    }
