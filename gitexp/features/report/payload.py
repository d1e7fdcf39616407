"""Everything the page shows, as one document.

The page computes no statistics of the search: what is best, how noisy it is and what may be said
about it come from here. Pairs that the reader picks are judged in the page by the same rules, for
which each run has its family, its seeds and its occasion.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gitexp.core.analysis.groups import Group
from gitexp.core.model.directions import direction_of, is_time_like
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import MetricRule
from gitexp.features.report.anonymous import Replaced, without_names
from gitexp.features.report.columns import Column, Document, columns_of, encode, number_groups
from gitexp.features.report.curve_reading import MOST_SERIES, read_curves
from gitexp.features.report.ideas import ideas_of, line_of
from gitexp.features.report.pair_judging import guarded_metrics, runs_outside
from gitexp.features.report.patches import Pair, patches_of
from gitexp.features.report.standing import Standing, measurements_by_row, rule_document
from gitexp.features.report.thinning import count_points
from gitexp.features.report.view_documents import view_documents
from gitexp.features.runs.standings import Standings, discarded_trials, rule_of
from gitexp.features.runs.views import find_views
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.workspace import Workspace

PAYLOAD_SCHEMA: Final = 1

MOST_METRICS: Final = 8
"""Metrics with a standing of their own, the main one first; the others are columns only."""

MOST_TAILS: Final = 300
"""Runs whose last printed lines are in the page, unless all are wanted."""

TAIL_LETTERS: Final = 1500

NAME_LETTERS: Final = 40
"""Of the name of a run in a sentence."""

MOST_FINGERPRINTS: Final = 2000
"""A file of more runs is without their fingerprints: they are a fifth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the report is to hold."""

    title: str
    made: str
    """When it was made, ISO 8601."""
    chosen: Sequence[RunId] | None = None
    """The runs, any order; absent for all."""
    select: str | None = None
    """The filter they were chosen by."""
    metric: str | None = None
    """What decides."""
    full: bool = False
    """Every series exactly, and all that was printed."""
    anonymous: bool = False
    brief: Mapping[str, Any] | None = None
    """The document of the brief."""
    view: str | None = None
    """The view that the page opens with."""
    code: bool = True
    """With diffs of the code."""
    is_live: bool = False
    """The page follows a server, which may send it more runs."""
    held: Sequence[RunId] | None = None
    """The runs in the page, when it cannot hold all; they are judged among all."""


def payload_of(workspace: Workspace, asked: Asked) -> dict[str, Any]:
    """Return the data of a page."""
    index = workspace.index
    # As one text, so that the parser keeps one copy of every key.
    original = json.loads(f"[{','.join(index.documents(asked.held or asked.chosen))}]")
    original.sort(key=lambda document: (document["clock"], document["id"]))
    trials = [document.get("group") or document["id"] for document in original]
    documents, shown = _shown(workspace, original, anonymous=asked.anonymous)
    rows = {RunId(document["id"]): row for row, document in enumerate(documents)}
    names = {run: f"{run[:7]} {_cut(documents[row]['name'])}" for run, row in rows.items()}
    standings = _standings(workspace, original, asked, rows, trials, names)
    main = standings[0] if standings else None
    columns = _columns(documents, trials, [] if main is None else list(main.groups.values()), rows)
    if not asked.is_live:
        columns |= _numbered_groups(documents, trials, columns)
    line = [] if main is None else line_of(documents, trials, main)
    ideas = ideas_of(documents, trials, main)
    wanted = _looked_at(documents, line, standings)
    series = read_curves(workspace, index, list(rows), documents, wanted, full=asked.full)
    return {
        "schema": PAYLOAD_SCHEMA,
        "project": asked.title,
        "mode": "frozen",
        "made": asked.made,
        "branch": None if asked.anonymous else workspace.settings.branch,
        "tip": None if asked.anonymous or index.tip is None else index.tip[:12],
        "select": shown(asked.select),
        "total": index.count(),
        "n": len(rows),
        "keys": shown(index.keys()),
        "metrics": [standing.document() for standing in standings],
        **_known_of_metrics(workspace, documents, index),
        **_outside(workspace, asked, rows, trials),
        "columns": columns,
        "line": line,
        "ideas": ideas,
        "views": shown(view_documents(find_views(workspace)[0], workspace.settings)),
        "view": shown(asked.view),
        "brief": _brief(shown(asked.brief), rows),
        "story": _stories(documents),
        "series": series,
        "thinned": None if asked.full else True,
        "points": count_points(series.values()),
        "tails": _tails(documents, wanted, full=asked.full),
        "warnings": {row: d["warnings"] for row, d in enumerate(documents) if d.get("warnings")},
        "patches": shown(_patches(workspace, original, line, ideas, wanted)) if asked.code else {},
    }


def _cut(name: str) -> str:
    """Return the start of a long name; its id stands before it."""
    return name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"


def _columns(
    documents: Sequence[Document],
    trials: Sequence[str],
    groups: Sequence[Group],
    rows: Mapping[RunId, int],
) -> dict[str, Column]:
    """Return the columns of the runs, with what the page needs to group and judge them."""
    columns = columns_of(_with_text_commands(documents))
    for name, cells in measurements_by_row(groups, rows).items():
        if cells:
            columns[name] = encode(cells, len(documents))
    columns["trial"] = encode(dict(enumerate(trials)), len(documents))
    columns.pop("group", None)
    return columns


def _numbered_groups(
    documents: Sequence[Document], trials: Sequence[str], columns: dict[str, Column]
) -> dict[str, Column]:
    """Return the groups of runs by number: keys of no meaning are a fifth of a large file.

    Take away the fingerprints if there are many.
    """
    found = {"trial": number_groups(trials)}
    if len(documents) > MOST_FINGERPRINTS:
        found["cell"] = number_groups(d.get("fingerprint") or d["id"] for d in documents)
        columns.pop("fingerprint", None)
    return found


def _shown(
    workspace: Workspace, documents: Sequence[dict[str, Any]], *, anonymous: bool
) -> tuple[list[dict[str, Any]], Replaced]:
    """Return the documents to show, and a function that makes other values anonymous too."""
    if not anonymous:
        return list(documents), lambda value: value
    top = workspace.repo.top
    return without_names(documents, () if top is None else (str(top), top.name))


def _with_text_commands(documents: Sequence[Document]) -> list[Document]:
    """Return the documents with the command as one text, quoted for a shell."""
    found = []
    texts: dict[tuple[str, ...], str] = {}
    for document in documents:
        command = document.get("command")
        if command is None:
            found.append(document)
            continue
        words = tuple(command.get("template") or command["argv"])
        text = texts.get(words) or texts.setdefault(words, shlex.join(words))
        found.append({**document, "command": {**command, "argv": text, "template": None}})
    return found


def _standings(
    workspace: Workspace,
    documents: Sequence[Document],
    asked: Asked,
    rows: Mapping[RunId, int],
    trials: Sequence[str],
    names: Mapping[RunId, str],
) -> list[Standing]:
    """Return the standings by the main metric and by others with a known direction."""
    index, settings = workspace.index, workspace.settings
    said = documents[-1].get("directions", {}) if documents else {}
    named = [key.removeprefix("metrics.") for key in index.keys("metrics")]
    if asked.metric is None or asked.metric not in named:
        return []
    declared = dict(settings.directions)
    others = [n for n in named if n != asked.metric and direction_of(n, declared)[0] is not None]
    keys = dict(zip(rows, trials, strict=True))
    discarded = discarded_trials(index, list(dict.fromkeys(trials)))
    return [
        Standing(
            Standings(index, settings, metric, directions=_parsed(said)),
            rows,
            keys,
            discarded,
            is_selection=asked.chosen is not None,
            names=names,
        )
        for metric in [asked.metric, *others[: MOST_METRICS - 1]]
    ]


def _parsed(said: Mapping[str, str]) -> dict[str, Any]:
    from gitexp.core.model.run import Direction

    return {name: Direction(way) for name, way in said.items()}


def _known_of_metrics(
    workspace: Workspace, documents: Sequence[Document], index: CachedRuns
) -> dict[str, Any]:
    """Return the known directions of metrics, their rules, and which depend on the machine."""
    settings = workspace.settings
    declared = dict(settings.directions)
    for document in documents[-1:]:
        declared |= _parsed(document.get("directions", {}))
    names = [key.removeprefix("metrics.") for key in index.keys("metrics")]
    ways = {name: direction_of(name, declared)[0] for name in names}
    guarded = guarded_metrics(settings, names)
    ruled = dict.fromkeys([*names, *(found["name"] for found in guarded)])
    rules = {name: rule_of(settings, name) for name in ruled}
    return {
        "directions": {name: way.value for name, way in ways.items() if way is not None},
        "rules": {n: rule_document(rule) for n, rule in rules.items() if rule != MetricRule()},
        "guarded": guarded,
        "timelike": [name for name in names if is_time_like(name)],
    }


def _outside(
    workspace: Workspace, asked: Asked, rows: Mapping[RunId, int], trials: Sequence[str]
) -> dict[str, Any]:
    """Return what a page without all runs lacks to judge pairs; empty for a page with all."""
    if len(rows) == workspace.index.count():
        return {}
    names = [key.removeprefix("metrics.") for key in workspace.index.keys("metrics")]
    first = [] if asked.metric is None else [asked.metric]
    metrics = list(dict.fromkeys([*first, *names]))
    partial, noise = runs_outside(workspace, rows, trials, metrics)
    return {
        "outside": {
            "rows": [row for row, trial in enumerate(trials) if trial in partial],
            "noise": noise,
        }
    }


def _looked_at(
    documents: Sequence[Document], line: Sequence[Mapping[str, Any]], standings: Sequence[Standing]
) -> list[int]:
    """Return the rows by interest: the line to the best, the best, running runs, the newest."""
    found: dict[int, None] = {step["row"]: None for step in line}
    if line:
        found[line[-1]["row"]] = None
    for standing in standings[:1]:
        ranked = () if standing.ranking is None else standing.ranking.groups[:25]
        for group in ranked:
            found |= {
                standing.rows[m.run]: None for m in group.measurements if m.run in standing.rows
            }
    newest = range(len(documents) - 1, -1, -1)
    found |= {row: None for row in newest if documents[row]["outcome"] == "running"}
    found |= dict.fromkeys(newest)
    return list(found)


def _tails(documents: Sequence[Document], wanted: Sequence[int], *, full: bool) -> dict[str, str]:
    """Return the last lines of output by row."""
    chosen = wanted if full else wanted[:MOST_TAILS]
    tails = ((row, documents[row].get("output_tail", "")) for row in chosen)
    return {str(row): text if full else end_of(text) for row, text in tails if text.strip()}


def end_of(text: str) -> str:
    """Return the last lines of an output; a line of which only the end would be left is not one."""
    if len(text) <= TAIL_LETTERS:
        return text
    kept = text[-TAIL_LETTERS:]
    if text[-TAIL_LETTERS - 1] == "\n":
        return kept
    _, _, whole = kept.partition("\n")
    return whole if whole.strip() else f"…{kept[1:]}"


def _stories(documents: Sequence[Document]) -> dict[str, list[dict[str, Any]]]:
    """Return the annotations of each run by row, oldest first."""
    kept = ("kind", "time", "author", "decision", "text", "hint", "tags", "verdict", "by")
    found = {}
    for row, document in enumerate(documents):
        if "annotations" in document:
            found[str(row)] = [{k: a[k] for k in kept if k in a} for a in document["annotations"]]
    return found


def _patches(
    workspace: Workspace,
    documents: Sequence[Document],
    line: Sequence[Mapping[str, Any]],
    ideas: Sequence[Mapping[str, Any]],
    wanted: Sequence[int],
) -> dict[str, str]:
    """Return diffs of code: each step of the line, first to best, and runs to their parents."""
    rows = {document["id"]: row for row, document in enumerate(documents)}
    trees = [document["code"]["tree"] for document in documents]
    pairs: list[Pair] = [(trees[s["above"]], trees[s["row"]]) for s in line if "above" in s]
    if line:
        pairs.append((trees[line[-1]["row"]], trees[line[0]["row"]]))
    best = [idea["best"]["row"] for idea in ideas if idea.get("best") and idea["best"]["row"]]
    for row in [*best, *wanted[:MOST_SERIES]]:
        parent = rows.get(documents[row].get("parent", ""))
        if parent is not None:
            pairs.append((trees[parent], trees[row]))
    produced = {path for document in documents[-200:] for path in document.get("produced", ())}
    return patches_of(workspace, pairs, produced)


def _brief(brief: Any, rows: Mapping[RunId, int]) -> Any:
    """Return the brief with rows for its runs, and without commits."""
    if isinstance(brief, list):
        return [_brief(inner, rows) for inner in brief]
    if not isinstance(brief, Mapping):
        return brief
    found = {k: _brief(v, rows) for k, v in brief.items() if k not in ("commit", "snapshot")}
    if isinstance(brief.get("run"), str) and brief["run"] in rows:
        found["row"] = rows[RunId(brief["run"])]
    return found


def rows_document(workspace: Workspace, runs: Sequence[RunId], metric: str | None) -> Document:
    """Return more rows, in this order, for a page that does not hold all runs."""
    documents = json.loads(f"[{','.join(workspace.index.documents(runs))}]")
    trials = [document.get("group") or document["id"] for document in documents]
    groups: Sequence[Group] = ()
    if metric is not None:
        groups = Standings(workspace.index, workspace.settings, metric).groups(trials)
    columns = _columns(documents, trials, groups, {run: row for row, run in enumerate(runs)})
    tails = _tails(documents, range(len(documents)), full=False)
    story = _stories(documents)
    return {"n": len(documents), "columns": columns, "story": story, "tails": tails}
