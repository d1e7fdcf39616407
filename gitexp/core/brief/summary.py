"""Brief: the state of a search, from its runs and their measurements."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.ranking import Ranking
from gitexp.core.brief.causes import FAILED, Cause, causes_of
from gitexp.core.brief.hints import Hint, open_hints
from gitexp.core.brief.neighbours import Neighbour, neighbours
from gitexp.core.brief.trials import (
    Attempt,
    CodeChange,
    attempts_of,
    beats,
    differing,
    goes_by_numbers,
    has_same_code,
    standings_of,
    with_nearest,
)
from gitexp.core.model.annotations import KEPT
from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Decision, Direction, Origin, Outcome, RecordedRun, Run, run_order

SECTIONS: Final = (
    *("running", "hints", "rejected", "undecided", "failed", "kept", "untried", "interrupted"),
)
"""Lists of a brief, the most useful first."""


@frozen(kw_only=True)
class Brief:
    """What to know before the next trial. Each trial is in at most one list."""

    total: int
    """Number of all runs."""
    outcomes: Mapping[str, int]
    """Number of runs by outcome."""
    considered: int
    """Number of runs that the brief covers; the others are only counted."""
    trials: int
    """Trials of the covered runs."""
    metric: str | None
    direction: Direction | None
    guessed: bool
    basis: Basis | None = None
    """Noise of the main metric; `None` if nothing was compared."""
    best: Attempt | None = None
    """Trial that ranks first; it succeeded and was not discarded."""
    contenders: int = 0
    """Number of other trials that may be the best."""
    better_rejected: int = 0
    """Number of discarded trials with a better value."""
    since_best: int = 0
    """Number of trials that ended after the best one."""
    since: Run | None = None
    """Besides the best, only trials newer than this run are listed."""
    older: int = 0
    """Number of trials left out as older."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Number of runs beyond the limit, by list."""
    running: tuple[Attempt, ...] = ()
    unseen: frozenset[RunId] = frozenset()
    """Runs that are running by their record, but not on this machine."""
    hints: tuple[Hint, ...] = ()
    rejected: tuple[Cause, ...] = ()
    """Trials with the decision discard or stop."""
    undecided: tuple[Attempt, ...] = ()
    """Succeeded trials without a decision; those that may be the best come first."""
    failed: tuple[Cause, ...] = ()
    """Failed or timed out trials without a decision."""
    kept: tuple[Attempt, ...] = ()
    """Trials with the decision keep or improve; those that may be the best come first."""
    untried: tuple[Neighbour, ...] = ()
    interrupted: tuple[Attempt, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of trials, hints or neighbours that did not fit, by list."""
    code: Mapping[RunId, tuple[CodeChange, ...]] = field(default_factory=dict)
    """Difference of a run's code from the best's; of the best's code from its parent's."""
    here: tuple[CodeChange, ...] | None = None
    """Difference of the work tree from the best's code; `None` if unknown."""

    @property
    def by_numbers(self) -> bool:
        """True if trials were compared although the noise is unknown."""
        return self.basis is Basis.UNKNOWN

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Return every trial of the lists, the best first."""
        causes = (a for cause in (*self.rejected, *self.failed) for a in cause.attempts)
        best = () if self.best is None else (self.best,)
        return (*best, *self.running, *self.undecided, *self.kept, *self.interrupted, *causes)


def make_brief(
    entries: Sequence[RecordedRun],
    *,
    total: int,
    outcomes: Mapping[str, int],
    metric: str | None,
    direction: Direction | None,
    guessed: bool = False,
    trial_of: Mapping[RunId, str] | None = None,
    groups: Mapping[str, Group] | None = None,
    ranking: Ranking | None = None,
    since: Run | None = None,
    unread: Mapping[str, int] | None = None,
    unseen: frozenset[RunId] = frozenset(),
) -> Brief:
    """Summarize runs, given in any order. Reproductions count only as repeats.

    `trial_of` maps every run to its group's key, `groups` has the measurements, `ranking` the
    groups that may be the best.
    """
    searched = sorted(
        (entry for entry in entries if entry.run.origin is not Origin.REPRODUCTION),
        key=lambda entry: run_order(entry.run),
    )
    found = attempts_of(searched, trial_of or {}, groups or {})
    leader = None if ranking is None else ranking.leader
    best = next((a for a in found if leader is not None and a.key == leader.key), None)
    usual = None if best is None else best.entry
    found = [
        replace(
            attempt,
            standing=standing,
            params=differing(attempt.entry, usual),
            has_other_code=usual is not None
            and not has_same_code(usual.run.code, attempt.entry.run.code),
        )
        for attempt, standing in zip(found, standings_of(found, ranking, direction), strict=True)
    ]
    best = next((attempt for attempt in found if best and attempt.key == best.key), None)
    newest = found[::-1]
    is_several = sum(attempt.value is not None for attempt in found) > 1
    brief = Brief(
        total=total,
        outcomes=outcomes,
        considered=len(entries),
        trials=len(found),
        metric=metric,
        direction=direction,
        guessed=guessed,
        basis=ranking.noise.basis if ranking is not None and is_several else None,
        best=best,
        contenders=0 if ranking is None else max(0, ranking.contenders - 1),
        better_rejected=_count_better(found, best, direction),
        since_best=_count_since(newest, best),
        since=since,
        unread=unread or {},
        left_out=unread or {},
        unseen=unseen,
    )
    others = [attempt for attempt in newest if best is None or attempt.key != best.key]
    listed = [attempt for attempt in others if _is_new(attempt, since)]
    brief = replace(brief, older=len(others) - len(listed))
    return _with_lists(brief, newest, listed, searched, ranking)


def _with_lists(
    brief: Brief,
    attempts: Sequence[Attempt],
    listed: Sequence[Attempt],
    searched: Sequence[RecordedRun],
    ranking: Ranking | None,
) -> Brief:
    """Fill the lists; `attempts` are all trials, `listed` those to list, both newest first."""
    since, best = brief.since, brief.best
    place: dict[str, list[Attempt]] = {}
    for attempt in listed:
        place.setdefault(_place(attempt), []).append(attempt)
    may_lead = () if ranking is None or goes_by_numbers(ranking) else ranking.rivals
    first = {group.key for group in may_lead}
    by_rank: Callable[[Attempt], bool] = lambda attempt: attempt.key not in first  # noqa: E731
    hints = (h for h in open_hints(searched) if since is None or h.clock > since.clock)
    untried: tuple[Neighbour, ...] = ()
    if best is not None and best.decision is not Decision.STOP and since is None:
        # A running trial must not be suggested.
        untried = tuple(neighbours(best.entry, searched, are_all=brief.considered == brief.total))
    kept = [a for a in attempts if a.decision in KEPT]
    rejected, failed = (
        causes_of(with_nearest(place.get(name, ()), best, kept)) for name in ("rejected", "failed")
    )
    return replace(
        brief,
        running=tuple(place.get("running", ())),
        hints=tuple(hints),
        rejected=tuple(rejected),
        undecided=tuple(sorted(place.get("undecided", ()), key=by_rank)),
        failed=tuple(failed),
        kept=tuple(sorted(place.get("kept", ()), key=by_rank)),
        untried=untried,
        interrupted=tuple(place.get("interrupted", ())),
    )


def _place(attempt: Attempt) -> str:
    """Return the list of a trial."""
    if attempt.is_running:
        return "running"
    if attempt.is_rejected:
        return "rejected"
    if attempt.decision is not None:
        return "kept"
    if attempt.ended(Outcome.SUCCEEDED) is not None:
        return "undecided"
    return "interrupted" if attempt.ended(*FAILED) is None else "failed"


def _is_new(attempt: Attempt, since: Run | None) -> bool:
    """Return whether a run of the trial, or an annotation of one, is newer than a run."""
    if since is None or attempt.clock > since.clock:
        return True
    return any(run_order(entry.run) > run_order(since) for entry in attempt.entries)


def _count_better(
    attempts: Sequence[Attempt], best: Attempt | None, direction: Direction | None
) -> int:
    bar = None if best is None else best.value
    if bar is None or direction is None:
        return 0
    found = [a.value for a in attempts if a.decision is Decision.DISCARD]
    return sum(value is not None and beats(value, bar, direction) for value in found)


def _count_since(newest: Sequence[Attempt], best: Attempt | None) -> int:
    if best is None:
        return 0
    last = run_order(best.entries[-1].run)
    return sum(a.entry.run.is_sealed and run_order(a.entries[-1].run) > last for a in newest)
