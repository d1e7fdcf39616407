"""The tree of ideas: trials with one parent and one reason, and the way from the first to the best.

Trials are runs that differ by their seeds only, so a repeat is never its own parent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gitexp.core.analysis.groups import Group
from gitexp.core.model.run import Direction
from gitexp.features.report.columns import Document
from gitexp.features.report.standing import Standing

MOST_IDEAS: Final = 600
"""More are not told apart in the page; the newest and those on the way to the best are kept."""

MOST_STEPS: Final = 60
"""Steps of the way to the best that are shown, the newest."""


@dataclass(slots=True)
class Idea:
    """Trials with one parent and one reason."""

    reason: str | None
    parent: "Idea | None"
    rows: list[int] = field(default_factory=list)
    trials: dict[str, None] = field(default_factory=dict)
    on_line: bool = False
    number: int = -1


def ideas_of(
    documents: Sequence[Document], trials: Sequence[str], standing: Standing | None
) -> list[dict[str, Any]]:
    """Return the ideas, oldest first; `trials` has the group key of each document."""
    rows = {document["id"]: row for row, document in enumerate(documents)}
    of_trial: dict[str, Idea] = {}
    known: dict[tuple[int, str | None], Idea] = {}
    found: list[Idea] = []
    for row, document in enumerate(documents):
        key = trials[row]
        idea = of_trial.get(key)
        if idea is None:
            parent = rows.get(document.get("parent", ""))
            above = None if parent is None or parent >= row else of_trial.get(trials[parent])
            idea = _idea_for(document, above, known, found)
            of_trial[key] = idea
        idea.rows.append(row)
        idea.trials[key] = None
    leader = None if standing is None else standing.leader
    _mark_line(of_trial.get(leader.key) if leader is not None else None)
    kept = [idea for idea in found if idea.on_line]
    room = max(0, MOST_IDEAS - len(kept))
    kept += [idea for idea in found if not idea.on_line][-room:] if room else []
    kept.sort(key=lambda idea: idea.rows[0])
    for number, idea in enumerate(kept):
        idea.number = number
    return [_document(idea, standing) for idea in kept]


def _idea_for(
    document: Document,
    above: Idea | None,
    known: dict[tuple[int, str | None], Idea],
    found: list[Idea],
) -> Idea:
    """Return the idea of a new trial: that of its automatic parent if the reasons are the same."""
    reason = document.get("reason")
    words = " ".join(reason.split()).casefold() if reason else None
    chosen = "parent_rule" not in document
    if above is not None and not chosen and _words(above) == words:
        return above
    at = (id(above), words)
    if at not in known:
        known[at] = Idea(reason, above)
        found.append(known[at])
    return known[at]


def _words(idea: Idea) -> str | None:
    return " ".join(idea.reason.split()).casefold() if idea.reason else None


def _mark_line(idea: Idea | None) -> None:
    while idea is not None and not idea.on_line:
        idea.on_line = True
        idea = idea.parent


def _document(idea: Idea, standing: Standing | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "reason": idea.reason,
        "parent": -1 if idea.parent is None else idea.parent.number,
        "rows": idea.rows,
        "line": idea.on_line,
    }
    if standing is None:
        return document
    best = _best_group(idea, standing)
    if best is None:
        return document
    document["best"] = standing.trial(best)
    above = None if idea.parent is None else _best_group(idea.parent, standing)
    if above is not None and above.key != best.key:
        document["verdict"] = standing.compare(best, above)
        document["above"] = standing.row_of(above)
    return document


def _best_group(idea: Idea, standing: Standing) -> Group | None:
    """Return the trial of an idea that ranks first; of those without a rank, the best mean."""
    groups = [g for key in idea.trials if (g := standing.groups.get(key)) is not None and g.sample]
    sign = -1 if standing.standings.direction is Direction.MINIMIZE else 1
    ranks = standing.ranks
    order = {g.key: (-ranks.get(g.key, len(ranks)), sign * g.mean) for g in groups}
    return max(groups, key=lambda group: order[group.key], default=None)


def line_of(
    documents: Sequence[Document], trials: Sequence[str], standing: Standing
) -> list[dict[str, Any]]:
    """Return the trials from the best back to the first, each against its parent."""
    leader = standing.leader
    if leader is None:
        return []
    rows = {document["id"]: row for row, document in enumerate(documents)}
    oldest: dict[str, int] = {}
    for row, trial in enumerate(trials):
        oldest.setdefault(trial, row)
    steps: list[dict[str, Any]] = []
    key: str | None = leader.key
    seen: set[str] = set()
    while key is not None and key in oldest and key not in seen and len(steps) < MOST_STEPS:
        seen.add(key)
        above = _parent_trial(key, documents, trials, oldest, rows)
        steps.append(_step(key, above, documents, oldest, standing))
        key = above
    return steps


def _parent_trial(
    key: str,
    documents: Sequence[Document],
    trials: Sequence[str],
    oldest: Mapping[str, int],
    rows: Mapping[str, int],
) -> str | None:
    """Return the trial of the parent of a trial's first run."""
    parent = rows.get(documents[oldest[key]].get("parent", ""))
    if parent is None or trials[parent] == key:
        return None
    return trials[parent]


def _step(
    key: str,
    above: str | None,
    documents: Sequence[Document],
    oldest: Mapping[str, int],
    standing: Standing,
) -> dict[str, Any]:
    group = standing.groups.get(key)
    step: dict[str, Any] = {"row": oldest[key]}
    if group is not None and group.sample:
        trial = standing.trial(group)
        step = {**step, **trial, "row": oldest[key] if trial["row"] is None else trial["row"]}
    other = None if above is None else standing.groups.get(above)
    if group is not None and other is not None and group.sample and other.sample:
        step["verdict"] = standing.compare(group, other)
    if above is not None:
        step["above"] = oldest[above]
        step["code"] = _code(documents[oldest[key]]) != _code(documents[oldest[above]])
    return step


def _code(document: Document) -> str:
    code = document["code"]
    return str(code.get("digest") or code.get("tree"))
