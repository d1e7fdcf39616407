"""Where the search stands by one metric: the best trial, the noise, verdicts, the way to the best.

The statistics are those of `git exp best` and `git exp compare`; nothing is judged here.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.noise import Noise
from gitexp.core.analysis.verdicts import MetricVerdict
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction, MetricRule
from gitexp.core.render.text import clean
from gitexp.core.render.verdict_sentence import run_sentence
from gitexp.features.report.pair_judging import eligible_trials
from gitexp.features.runs.standings import Standings

RANKED: Final = 100
"""Trials that are named in their order."""


class Standing:
    """One metric of the runs of a report."""

    def __init__(
        self,
        standings: Standings,
        runs: Mapping[RunId, int],
        trials: Mapping[RunId, str],
        discarded: set[str],
        *,
        is_selection: bool,
        names: Mapping[RunId, str],
    ) -> None:
        """`runs` has the row of every run, oldest first; `trials` the key of its group."""
        self.standings = standings
        self.rows = runs
        self.discarded = discarded
        self.names = names
        keys = dict.fromkeys(trials.values())
        self.groups = {group.key: group for group in standings.groups(keys)}
        among = keys if is_selection else None
        self.ranking = None if standings.direction is None else standings.ranking(among=among)
        ranked = () if self.ranking is None else self.ranking.groups
        self.ranks = {group.key: rank for rank, group in enumerate(ranked)}

    @property
    def leader(self) -> Group | None:
        """The trial that ranks first."""
        return None if self.ranking is None else self.ranking.leader

    def document(self) -> dict[str, Any]:
        """Return what the page knows of the metric."""
        standings, leader = self.standings, self.leader
        document: dict[str, Any] = {
            "name": standings.metric,
            "direction": standings.direction and standings.direction.value,
            "guessed": standings.guessed,
            "timelike": standings.is_time_like,
            "rule": rule_document(standings.rule),
            "best": None,
        }
        eligible = eligible_trials(standings, set(self.groups))
        if eligible is not None:
            document["eligible"] = [
                (None if run is None else self.rows.get(run), kept) for run, kept in eligible
            ]
        if leader is None or self.ranking is None:
            return document
        ranked = self.ranking.groups
        first = self._first(leader)
        noise = standings.noise(leader)
        return {
            **document,
            "best": self.trial(leader),
            "contenders": max(0, self.ranking.contenders - 1),
            "ranked": [row for group in ranked[:RANKED] if (row := self.row_of(group)) is not None],
            "noise": _noise(noise),
            "first": self._against(leader, first),
            "second": self._against(leader, ranked[1] if len(ranked) > 1 else None),
            "history": self.history(),
        }

    def row_of(self, group: Group) -> int | None:
        """Return the row of the run that stands for a trial."""
        return self.rows.get(group.typical.run)

    def trial(self, group: Group) -> dict[str, Any]:
        """Return a trial with its mean."""
        return {
            "row": self.row_of(group),
            "mean": _finite(group.mean),
            "sd": None if group.sd is None else _finite(group.sd),
            "n": group.runs,
            "cells": len(group.sample),
        }

    def compare(self, new: Group, old: Group) -> dict[str, Any]:
        """Return the verdict on one trial against another."""
        verdict = self.standings.compare(new, old)
        return verdict_document(verdict, self.names.get(old.typical.run, old.typical.run[:7]))

    def history(self) -> list[list[float]]:
        """Return row and value of each change of the best mean, without discarded trials."""
        kept = (group for key, group in self.groups.items() if key not in self.discarded)
        changes = best_changes(kept, self.standings.direction)
        return [[self.rows[run], best] for run, best in changes if run in self.rows]

    def _first(self, leader: Group) -> Group | None:
        """Return the trial that was measured first, unless it is the best."""
        known = [g for g in self.groups.values() if g.sample]
        oldest = min(known, key=lambda g: (g.measurements[0].clock, g.key), default=None)
        return None if oldest is None or oldest.key == leader.key else oldest

    def _against(self, new: Group, old: Group | None) -> dict[str, Any] | None:
        if old is None:
            return None
        return {**self.trial(old), "verdict": self.compare(new, old)}


def best_changes(
    groups: Iterable[Group], direction: Direction | None
) -> Iterator[tuple[RunId, float]]:
    """Yield each run with which the best mean changed, oldest first, and that mean."""
    sign = -1 if direction is Direction.MINIMIZE else 1
    counted = (m for group in groups for m in group.measurements if m.value is not None)
    known: dict[str, list[float]] = {}
    best_key, best = "", -math.inf
    for m in sorted(counted, key=lambda m: (m.clock, m.run)):
        values = known.setdefault(m.group, [])
        values.append(m.value or 0.0)
        mean = sign * math.fsum(values) / len(values)
        if m.group != best_key and mean <= best:
            continue
        if m.group == best_key and mean < best:
            means = {key: sign * math.fsum(v) / len(v) for key, v in known.items()}
            best_key = max(means, key=means.__getitem__)
            mean = means[best_key]
        else:
            best_key = m.group
        if mean != best:
            best = mean
            yield m.run, sign * best


def verdict_document(verdict: MetricVerdict, against: str) -> dict[str, Any]:
    """Return a verdict as the page shows it."""
    return {
        "answer": verdict.answer.value,
        "shown": verdict.shown,
        "basis": verdict.basis.value,
        "difference": _optional(verdict.difference),
        "half": _optional(verdict.half),
        "runs": [verdict.runs, verdict.reference_runs],
        "words": _without_subject(run_sentence(verdict, against=against), verdict.metric),
    }


def _without_subject(sentence: str, metric: str) -> str:
    """Return the sentence without the metric and its value, which stand beside it."""
    _, _, told = sentence[len(clean(metric)) :].partition(": ")
    return told or sentence


def rule_document(rule: MetricRule) -> dict[str, Any]:
    """Return what a verdict needs of the project's rule for a metric."""
    effect = rule.min_effect
    return {
        "noise": rule.noise,
        "absolute": None if effect is None else effect.absolute,
        "relative": None if effect is None else effect.relative,
        "guard": None if rule.guard is None else (rule.guard.absolute, rule.guard.relative),
        "least": rule.least,
        "most": rule.most,
    }


def _noise(noise: Noise) -> dict[str, Any]:
    return {
        "basis": noise.basis.value,
        "sd": noise.sd,
        "dof": _finite(noise.dof),
        "groups": noise.groups,
    }


def _optional(value: float | None) -> float | None:
    return None if value is None else _finite(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def measurements_by_row(
    groups: Sequence[Group], rows: Mapping[RunId, int]
) -> dict[str, dict[int, Any]]:
    """Return the family and the seeds of each run by row: the page needs them to judge pairs."""
    family: dict[int, Any] = {}
    seeds: dict[int, Any] = {}
    for group in groups:
        for m in group.measurements:
            row = rows.get(m.run)
            if row is not None:
                family[row] = m.family
                if m.seeds:
                    seeds[row] = m.seeds
    return {"family": family, "seeds": seeds}
