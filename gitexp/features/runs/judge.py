"""Compare a run's group with other groups: verdicts, guards, repeats, advice.

Finds the groups to compare; the comparison itself is pure (`core.analysis`).
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from gitexp.core.analysis.advice import Advised, next_step
from gitexp.core.analysis.grouping import keys_of
from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.guards import GuardState, GuardVerdict, judge_checks, judge_guards
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import Against, Comparison, MetricVerdict
from gitexp.core.model.annotations import KEPT
from gitexp.core.model.directions import last_part
from gitexp.core.model.run import Direction, Outcome, Run, numbers
from gitexp.features.runs.main_metric import metric_by, metric_of
from gitexp.features.runs.standings import Shared, Standings, rule_of
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.settings.options import Settings
from gitexp.storage.workspace import Workspace

Claim = Literal["", "best", "group", "leads"]
"""Claim about the rank. `best`: the best so far. `group`: the group of a repeat is the best.
`leads`: the group has the best mean, which is not shown to be better."""


class RunVerdict(NamedTuple):
    """A run's group against the last and the best comparable group."""

    run: Run
    metric: str | None
    """The main metric; `None` when the run measured nothing."""
    direction: Direction | None = None
    guessed: bool = False
    group: Group | None = None
    """The run's own group; `None` when it measured nothing."""
    last: Comparison | None = None
    """Against the last group, or the parent's; `None` when there is none."""
    best: Comparison | None = None
    """Against the best other group; `None` when there is none or the direction is unknown."""
    guards: tuple[GuardVerdict, ...] = ()
    claim: Claim = ""
    is_repeat: bool = False
    """True when its group has an earlier run of another occasion."""
    advice: str = ""

    def verdict(self, against: Literal["last", "best"]) -> MetricVerdict | None:
        """Return the verdict on the main metric; `None` when there was no group to compare with."""
        comparison = self.last if against == "last" else self.best
        verdicts = () if comparison is None else comparison.verdicts
        return next((v for v in verdicts if v.metric == self.metric), None)

    @property
    def last_answer(self) -> Answer | None:
        """Answer against the last group, guards included."""
        verdict = self.verdict("last")
        return None if verdict is None else with_guards(verdict.answer, self.guards)


def with_guards(answer: Answer, guards: Iterable[GuardVerdict]) -> Answer:
    """Combine the answer for a metric with its guards.

    A broken guard makes the answer worse. An unknown guard makes it unknown, unless it is worse.
    """
    states = {guard.state for guard in guards}
    if GuardState.BROKEN in states:
        return Answer.WORSE
    if GuardState.UNKNOWN in states and answer is not Answer.WORSE:
        return Answer.UNKNOWN
    return answer


def judge_run(
    workspace: Workspace,
    run: Run,
    *,
    metric: str | None = None,
    refresh: bool = True,
    every_metric: bool = False,
    shared: Shared | None = None,
    then: bool = False,
) -> RunVerdict:
    """Compare the group of a run with the last and the best other group.

    Without `refresh`, uses the runs that the index had when it was opened. `shared` keeps what the
    verdicts on several runs of that index share. If `then`, only what was known when this run ended
    counts: runs that began before it and had ended, with their current metrics, and the decisions
    made by then. Compares the main metric, or `every_metric`.
    """
    index, settings = workspace.refreshed() if refresh else workspace.index, workspace.settings
    shared = shared or Shared(workspace)
    metric = metric or metric_by(settings, shared.main_metric, run)
    if metric is None or not run.is_sealed:
        return _unjudged(run, metric)
    standings = shared.then(metric, run) if then else shared.today(metric, run.directions)
    own = standings.group(trial_of(index, settings, run))
    measured = own is not None and any(m.run == run.id for m in own.measurements)
    if own is None or not measured or run.outcome is not Outcome.SUCCEEDED:
        return _unjudged(run, metric)
    if run.reproduces is not None:
        return _unjudged(run, metric)._replace(group=own, is_repeat=True)
    ranking = standings.ranking(without=own.key)
    metrics = list(numbers(run.metrics)) if every_metric else [metric]
    index.prepare("metrics." + name for name in metrics)
    last = last_group(index, standings, run, own)
    to_last: Against = "parent" if last is not None and _is_parents(index, run, last) else "last"
    judgement = RunVerdict(
        run=run,
        metric=metric,
        direction=standings.direction,
        guessed=standings.guessed,
        group=own,
        last=_compare(run, own, last, metrics, standings, to_last),
        best=_compare(
            *(run, own, ranking.leader, metrics, standings, "best"), rivals=ranking.contenders
        ),
        guards=tuple(judge_all_guards(workspace, run, standings, own)),
        is_repeat=is_repeat(own, run),
    )
    judgement = judgement._replace(claim=_claim(judgement, standings))
    return judgement._replace(advice=next_step(advised(judgement)))


def _unjudged(run: Run, metric: str | None) -> RunVerdict:
    advice = next_step(
        Advised(outcome=run.outcome, measured=metric is not None, reproduction=bool(run.reproduces))
    )
    return RunVerdict(run=run, metric=metric, advice=advice)


def advised(judgement: RunVerdict) -> Advised:
    """Return the input of the advice after a run."""
    last, best = judgement.verdict("last"), judgement.verdict("best")
    verdict = best or last
    return Advised(
        outcome=judgement.run.outcome,
        measured=judgement.metric is not None,
        reproduction=judgement.run.reproduces is not None,
        last=last,
        best=best,
        guards=judgement.guards,
        claim=judgement.claim,
        is_repeat=judgement.is_repeat,
        runs=0 if judgement.group is None else judgement.group.runs,
        seeded=judgement.group is not None and any(m.seeds for m in judgement.group.measurements),
        unknown_noise=verdict is None or verdict.basis is Basis.UNKNOWN,
    )


def trial_of(index: CachedRuns, settings: Settings, run: Run) -> str:
    """Return the key of a run's group, even if the index does not have the run yet."""
    found = index.groups.of_runs([run.id]).get(run.id)
    return found or keys_of(run, settings.seed_params).group


def is_repeat(group: Group, run: Run) -> bool:
    """Return whether a group has an earlier run, of another occasion, that measured something."""
    own = next((m for m in group.measurements if m.run == run.id), None)
    return own is not None and any(
        m.value is not None
        and m.occasion != own.occasion
        and (m.clock, m.run) < (own.clock, own.run)
        for m in group.measurements
    )


def _is_parents(index: CachedRuns, run: Run, last: Group) -> bool:
    """Return whether a group is that of the parent that the user gave."""
    if run.parent is None or run.parent_rule is not None:
        return False
    return index.groups.of_runs([run.parent]).get(run.parent) == last.key


def last_group(index: CachedRuns, standings: Standings, run: Run, own: Group) -> Group | None:
    """Return the group of the parent that the user gave, else of the newest run of another trial.

    That run belongs to the same session, or to the repository if the session has none.
    """
    if run.parent is not None and run.parent_rule is None:
        parent = index.groups.of_runs([run.parent]).get(run.parent)
        found = None if parent in (None, own.key) else standings.group(str(parent))
        if found is not None and found.sample:
            return found
    for session in dict.fromkeys((run.session, None)):
        others = index.groups.recent(
            *(standings.metric, 1),
            upto=run,
            reproductions=False,
            session=session,
            without=own.key,
        )
        if others:
            return standings.group(others[0])
    return None


def _compare(
    run: Run,
    own: Group,
    other: Group | None,
    metrics: Sequence[str],
    main: Standings,
    against: Against,
    *,
    rivals: int = 1,
) -> Comparison | None:
    """Compare two groups by some metrics; only the main one is tested at the full level."""
    if other is None:
        return None
    found = []
    for metric in metrics:
        is_main = metric == main.metric
        standings = main if is_main else main.about(metric)
        found.append(
            standings.compare(
                standings.group(own.key),
                standings.group(other.key),
                run=run.id,
                rivals=rivals if is_main else 1,
                metrics=1 if is_main else len(metrics),
            )
        )
    return Comparison(run=run.id, against=against, verdicts=tuple(found))


def compare_pair(
    workspace: Workspace, run: Run, other: Run, *, main: str | None = None, single: bool = False
) -> Comparison:
    """Compare the groups of two runs by every metric that either measured.

    `main` is tested at the full level. `single` compares the two runs as numbers.
    """
    index, settings = workspace.index, workspace.settings
    main = main or metric_of(workspace, run)
    metrics = list(dict.fromkeys([*numbers(run.metrics), *numbers(other.metrics)]))
    directions = {**other.directions, **run.directions}
    found = []
    for metric in metrics:
        standings = Standings(index, settings, metric, directions=directions)
        new, old = (standings.group(trial_of(index, settings, r)) for r in (run, other))
        if single:
            verdict = standings.compare_single(new, run, old, other)
        else:
            share = 1 if metric == main else len(metrics)
            verdict = standings.compare(new, old, run=run.id, metrics=share)
        found.append(verdict)
    return Comparison(run=run.id, against="run", verdicts=tuple(found))


def _claim(judgement: RunVerdict, standings: Standings) -> Claim:
    """Return the claim about the rank. A repeat is no improvement, so the claim names its group."""
    best, group = judgement.verdict("best"), judgement.group
    if best is None or group is None:
        return ""
    if best.answer is Answer.BETTER:
        return "group" if judgement.is_repeat else "best"
    if best.basis in (Basis.MEASURED, Basis.DECLARED, Basis.PAIRED):
        leader = standings.ranking().leader
        return "leads" if leader is not None and leader.key == group.key else ""
    return ""


# --- guards ---------------------------------------------------------------------------------------


def judge_all_guards(
    workspace: Workspace, run: Run, main: Standings, own: Group
) -> list[GuardVerdict]:
    """Judge every guard of the project for a run's group, against the best kept group."""
    settings = workspace.settings
    guarded = [name for name, rule in settings.rules.items() if rule.is_guarded]
    found: list[GuardVerdict] = judge_checks(run.checks)
    if not guarded:
        return found
    reference = kept_reference(main, own)
    measured = list(numbers(run.metrics))
    for name in guarded:
        metric = next((m for m in measured if name in (m, last_part(m))), name)
        standings = main.about(metric)
        old = None if reference is None else standings.group(reference.key)
        verdict = standings.compare(standings.group(own.key), old or standings.group(own.key))
        has_reference = old is not None and bool(old.sample)
        found += judge_guards(verdict, rule_of(settings, metric), has_reference=has_reference)
    return found


def judge_run_guards(workspace: Workspace, run: Run, metric: str | None) -> list[GuardVerdict]:
    """Judge every guard for a run, with `metric` as the main one.

    Empty for a run without a verdict: one that failed, measured nothing, or is a reproduction.
    """
    if metric is None or run.outcome is not Outcome.SUCCEEDED or run.reproduces is not None:
        return []
    index, settings = workspace.index, workspace.settings
    standings = Standings(index, settings, metric, directions=run.directions)
    own = standings.group(trial_of(index, settings, run))
    return [] if own is None else judge_all_guards(workspace, run, standings, own)


def standings_by(
    workspace: Workspace, metric: str, direction: Direction | None = None
) -> Standings:
    """Return the standings by a metric, with the given direction or that of its newest run."""
    index = workspace.index
    newest = index.newest(1, with_metric=metric)
    said = index.entry(newest[0]).run.directions if newest else {}
    if direction is not None:
        said = {**said, metric: direction}
    return Standings(index, workspace.settings, metric, directions=said)


def kept_reference(main: Standings, own: Group) -> Group | None:
    """Return the best group with a keep or improve decision, else the best other group."""
    ranked = main.ranking(without=own.key).groups
    found = main.decided(group.key for group in ranked)
    kept = (g for g in ranked if any(decision in KEPT for _, decision in found.get(g.key, ())))
    return next(kept, ranked[0] if ranked else None)
