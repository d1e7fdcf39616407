"""A run beside those before it: the verdicts, the repeats, and what they advise.

Floor 4. Finds the runs to compare with; the comparison itself is pure (`comparison`).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from gitexp.comparison import (
    Answer,
    Comparison,
    Kin,
    MetricVerdict,
    compare_runs,
    direction_of,
    kinship,
    next_step,
    overall,
    primary_metric,
)
from gitexp.errors import CommandFailed
from gitexp.ids import RunId
from gitexp.index import RunIndex
from gitexp.model import Decision, Direction, Entry, Origin, Outcome, Run
from gitexp.settings import Settings
from gitexp.workspace import Workspace

SEARCH = 50
"""How many candidates are looked at for one that counts."""

_FEW = 20
"""So many are read at once: kin are mostly among the first."""


class Judgement(NamedTuple):
    """A run against the last and the best comparable one."""

    run: Run
    metric: str | None
    """The metric that decides; absent when the run measured nothing."""
    direction: Direction | None
    guessed: bool
    last: Comparison | None
    """Absent when there is no earlier run with that metric."""
    best: Comparison | None
    """Against the best of the others; absent when there is none or no direction is known."""
    advice: str

    def verdict(self, against: Literal["last", "best"]) -> MetricVerdict | None:
        """What the deciding metric did; absent when there was nothing to compare with."""
        comparison = self.last if against == "last" else self.best
        verdicts = () if comparison is None else comparison.verdicts
        return next((v for v in verdicts if v.metric == self.metric), None)

    @property
    def last_answer(self) -> Answer | None:
        """How the deciding metric did against the last run."""
        return None if self.last is None else overall(self.last.verdicts, self.metric)

    @property
    def best_answer(self) -> Answer | None:
        """How the deciding metric did against the best other run."""
        return None if self.best is None else overall(self.best.verdicts, self.metric)


def judge(
    workspace: Workspace, run: Run, *, metric: str | None = None, refresh: bool = True
) -> Judgement:
    """Compare a run with the last and the best comparable run before it.

    Without `refresh` the answer is about the runs that the index knew when it was opened.
    """
    index, settings = workspace.refreshed() if refresh else workspace.index, workspace.settings
    declared = {**settings.directions, **run.directions}
    metric = metric or choose_metric(settings, run)
    if metric is None or not run.is_sealed:
        return _nothing_to_compare(run, metric)
    direction, guessed = direction_of(metric, declared)
    earlier = index.newest(SEARCH, with_metric=metric, before=run)
    last = _first(index, run, earlier, counts_as_last)
    ranked = [] if direction is None else index.best(metric, direction, SEARCH)
    best = _first(index, run, ranked, counts_as_best)
    to_last = None if last is None else _compare(index, run, last, "last", declared)
    to_best = None if best is None else _compare(index, run, best, "best", declared)
    return Judgement(
        run=run,
        metric=metric,
        direction=direction,
        guessed=guessed,
        last=to_last,
        best=to_best,
        advice=next_step(
            run,
            last=None if to_last is None else overall(to_last.verdicts, metric),
            best=None if to_best is None else overall(to_best.verdicts, metric),
        ),
    )


def counts_as_last(entry: Entry) -> bool:
    """What a run is compared with as the last: one that succeeded and was not made to repeat."""
    return entry.run.outcome is Outcome.SUCCEEDED and entry.run.reproduces is None


def counts_as_best(entry: Entry) -> bool:
    """What a run is compared with as the best: as the last, and not discarded."""
    decided = entry.decision.decision if entry.decision else None
    return counts_as_last(entry) and decided is not Decision.DISCARD


def _first(
    index: RunIndex, run: Run, candidates: list[RunId], counts: Callable[[Entry], bool]
) -> Entry | None:
    others = (index.entry(other) for other in candidates if other not in (run.id, run.reproduces))
    return next((entry for entry in others if counts(entry)), None)


def choose_metric(settings: Settings, run: Run) -> str | None:
    """The metric that decides: the project's, else the likeliest of those the run has."""
    return primary_metric(
        run,
        {
            **({settings.metric: Direction.MAXIMIZE} if settings.metric else {}),
            **settings.directions,
            **run.directions,
        },
    )


def _nothing_to_compare(run: Run, metric: str | None) -> Judgement:
    return Judgement(
        run=run,
        metric=metric,
        direction=None,
        guessed=False,
        last=None,
        best=None,
        advice=next_step(run),
    )


def _compare(
    index: RunIndex, run: Run, other: Entry, against: str, declared: dict[str, Direction]
) -> Comparison:
    repeats = [entry.run for entry in repeats_of(index, run) + repeats_of(index, other.run)]
    verdicts = compare_runs(run, other.run, declared=declared, repeats=repeats)
    return Comparison(
        run=run.id, against="best" if against == "best" else "last", verdicts=tuple(verdicts)
    )


def repeats_of(index: RunIndex, run: Run) -> list[Entry]:
    """Runs of the same trial, newest first, the run itself among them."""
    return index.by_fingerprint(run.fingerprint) if run.fingerprint else []


class Tried(NamedTuple):
    """What is known of a trial before it runs."""

    identical: tuple[Entry, ...] = ()
    """Runs of this very trial that came to an end, newest first."""
    kin: tuple[tuple[Kin, Entry], ...] = ()
    """The nearest relatives, newest first."""
    changed: tuple[tuple[Entry, str], ...] = ()
    """Runs of this trial that are none after all: a file that each read has changed since."""

    @property
    def decided(self) -> Entry | None:
        """The newest identical run that was decided."""
        return next((entry for entry in self.identical if entry.decision is not None), None)

    @property
    def is_rejected(self) -> bool:
        """True when the decision in force says that this is not worth doing again."""
        decided = self.decided
        verdict = None if decided is None or decided.decision is None else decided.decision.decision
        return verdict in (Decision.DISCARD, Decision.STOP)


def differing_code(workspace: Workspace, run: Run, other: Run) -> list[str]:
    """The paths that count as code and differ between two runs; empty when it cannot be told."""
    settings = workspace.settings
    from gitexp.fingerprint import DEFAULT_EXCLUDE, path_matcher  # noqa: PLC0415 - rarely needed

    left_out = path_matcher((*DEFAULT_EXCLUDE, *settings.code_exclude))
    written = {*run.produced, *other.produced}
    try:
        changes = list(workspace.repo.diff_trees(other.code.tree, run.code.tree))
    except CommandFailed:
        return []  # the other's code is not in this repository
    return [c.path for c in changes if c.path not in written and not left_out(c.path)]


def find_tried(workspace: Workspace, run: Run, *, kin: int = 3, search: int = 200) -> Tried:
    """Look for earlier runs of this trial and its kin among the newest `search` runs.

    Interrupted and unfinished runs do not count as tried, nor do reproductions.
    """
    index = workspace.index
    counted = (Outcome.SUCCEEDED, Outcome.FAILED)
    identical = tuple(
        entry
        for entry in index.by_fingerprint(run.fingerprint)
        if entry.run.outcome in counted
        and entry.run.origin is not Origin.REPRODUCTION
        and entry.run.id != run.id
    )
    identical, changed = _with_changed_reads(workspace, identical)
    related: list[tuple[Kin, Entry]] = []
    if kin:
        newest = index.ids(limit=search)
        few = (newest[start : start + _FEW] for start in range(0, len(newest), _FEW))
        for entry in (entry for ids in few for entry in index.entries(ids)):
            relation = kinship(run, entry.run)
            if relation not in (None, Kin.IDENTICAL) and entry.run.id != run.id:
                related.append((relation, entry))
            if len(related) == kin:
                break
    return Tried(identical, tuple(related), changed)


def _with_changed_reads(
    workspace: Workspace, entries: tuple[Entry, ...]
) -> tuple[tuple[Entry, ...], tuple[tuple[Entry, str], ...]]:
    """The entries whose files are as they were, and those whose are not, each with a path."""
    top = workspace.repo.top
    if top is None or not any(entry.run.reads for entry in entries):
        return entries, ()
    from gitexp.running.reads import changed_reads  # noqa: PLC0415 - few runs have any

    found = changed_reads((entry.run for entry in entries), top)
    same = tuple(entry for entry in entries if entry.run.id not in found)
    return same, tuple((e, found[e.run.id]) for e in entries if e.run.id in found)
