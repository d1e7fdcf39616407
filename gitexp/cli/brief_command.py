"""`git exp brief`: summarize the search."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

import click

from gitexp.cli.output.terminal import answer, open_workspace, say, view_of
from gitexp.cli.params.options import (
    IntegerRange,
    count_option,
    deciding_option,
    json_option,
    precision_option,
    sweep_option,
)
from gitexp.cli.params.run_argument import find_entry, known_metric
from gitexp.core.analysis.ranking import Ranking
from gitexp.core.brief.budget import fit
from gitexp.core.brief.summary import Brief, make_brief
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome, RecordedRun, Run
from gitexp.features.runs.judge import standings_by
from gitexp.features.runs.main_metric import main_metric
from gitexp.storage.workspace import Workspace

NEWEST: Final = 300
"""Number of newest runs to read in full."""
BEST: Final = 20
REJECTED: Final = 1000
"""Number of rejected runs to group by cause. The others are only counted."""
FAILED: Final = 300
RUNNING: Final = 50

CHARACTERS: Final = 4
"""Characters of a token, about."""

COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
"""Colour codes, which do not count for the budget."""


@click.command("brief")
@deciding_option
@click.option(
    "--budget",
    type=IntegerRange(1),
    default=600,
    metavar="TOKENS",
    help="Approximate length; omitted entries are counted [default: 600].",
)
@click.option("--since", metavar="RUN", help="Only what is newer than RUN, besides the best.")
@sweep_option
@count_option("At most N lines of each kind")
@precision_option
@json_option
def command(
    metric: str | None,
    budget: int,
    since: str | None,
    sweep: str | None,
    count: int | None,
    precision: int,
    as_json: bool,
) -> None:
    """Say where the search stands, and what to try next

    Shows the best trial with its parameters, running trials, open hints, discarded and failed
    trials by cause, trials without a decision, and untried neighbours of the best. Repeats are one
    trial. For people after a break, and for a coding agent before each attempt.

    \b
    git exp brief --since @{2}
    git exp brief --json --budget 300
    """
    workspace = open_workspace()
    newer = None if since is None else find_entry(workspace, since).run
    metric = main_metric(workspace) if metric is None else known_metric(workspace, metric)
    only = None
    if sweep is not None:
        from gitexp.features.sweeps.known import filter_of

        only = workspace.index.ids(workspace.query(filter_of(workspace, sweep)))
    brief = brief_of(workspace, metric, since=newer, only=only)
    if not brief.total and not as_json:
        say("there are no runs yet; `git exp run -- CMD` records the first")
        return
    form = _json_form() if as_json else _text_form(workspace, brief, precision)
    answer(form(_cut(workspace, brief, form, budget * CHARACTERS, count)))


Form = Callable[[Brief], str]


def _json_form() -> Form:
    from gitexp.core.render.brief import brief_json

    return brief_json


def _text_form(workspace: Workspace, brief: Brief, precision: int) -> Form:
    from gitexp.core.render.brief import brief_text

    runs = {entry.run.id for attempt in brief.attempts for entry in attempt.entries}
    runs |= {hint.entry.run.id for hint in brief.hints}
    runs |= set() if brief.since is None else {brief.since.id}
    view = view_of(workspace, runs, precision=precision)
    return lambda cut: brief_text(cut, view=view)


def _cut(workspace: Workspace, brief: Brief, form: Form, room: int, most: int | None) -> Brief:
    """Cut the brief to its budget, and add the code changes of the runs that fit.

    Fit twice: the code changes take room as well.
    """

    def measure(cut: Brief) -> int:
        return len(COLOUR.sub("", form(cut)))

    cut = fit(brief, measure, room, most=most)
    if brief.best is None:
        return cut
    from gitexp.cli.output.code_changes import code_changes

    changes, here = code_changes(workspace, cut)
    return fit(replace(brief, code=changes, here=here), measure, room, most=most)


def brief_of(
    workspace: Workspace,
    metric: str | None,
    *,
    since: Run | None = None,
    only: Collection[RunId] | None = None,
) -> Brief:
    """Return the brief of all runs, or `only` of some, by the full name of a metric."""
    index = workspace.index
    standings = None if metric is None else standings_by(workspace, metric)
    ranking = None
    if standings is not None and standings.direction is not None:
        among = None if only is None else index.groups.of_runs(only).values()
        ranking = standings.ranking(among=among)
    chosen, unread = _chosen(workspace, ranking, None if only is None else frozenset(only))
    entries, unseen = _as_they_are(workspace, index.entries(chosen))
    trial_of = index.groups.of_runs(chosen)
    groups = [] if standings is None else standings.groups(trial_of.values())
    outcomes = index.column("outcome", only) | {
        entry.run.id: entry.run.outcome.value for entry in entries
    }
    counted = Counter(str(value) for value in outcomes.values())
    return make_brief(
        entries,
        total=len(outcomes),
        outcomes={o.value: counted[o.value] for o in Outcome if counted[o.value]},
        metric=metric,
        direction=None if standings is None else standings.direction,
        guessed=standings is not None and standings.guessed,
        trial_of=trial_of,
        groups={group.key: group for group in groups},
        ranking=ranking,
        since=since,
        unread=unread,
        unseen=unseen,
    )


def _as_they_are(
    workspace: Workspace, entries: list[RecordedRun]
) -> tuple[list[RecordedRun], frozenset[RunId]]:
    """Return the entries. A running run whose process is dead becomes interrupted.

    Return also the running runs without a journal in this clone: their process is unknown.
    """
    if all(entry.run.is_sealed for entry in entries):
        return entries, frozenset()
    from gitexp.features.execution.recover import open_states

    states = open_states(workspace)
    found, unseen = [], set()
    for entry in entries:
        run = entry.run
        if run.is_sealed or states.get(run.id, True):
            found.append(entry)
            if not run.is_sealed and run.id not in states:
                unseen.add(run.id)
        else:
            found.append(replace(entry, run=replace(run, outcome=Outcome.INTERRUPTED)))
    return found, frozenset(unseen)


def _chosen(
    workspace: Workspace, ranking: Ranking | None, only: Collection[RunId] | None
) -> tuple[list[RunId], dict[str, int]]:
    """Choose the runs to read: the newest, best, rejected, failed and running ones.

    Return also how many rejected, failed and running runs are left out, by kind.
    """
    index = workspace.index
    newest = index.ids(limit=NEWEST) if only is None else [r for r in index.ids() if r in only]
    chosen: dict[RunId, None] = dict.fromkeys(newest[:NEWEST])
    if ranking is not None:
        for group in ranking.groups[:BEST]:
            chosen |= dict.fromkeys([group.typical.run, group.newest.run])
    unread = {}
    for name, text, limit in (
        ("rejected", 'decision in ("discard", "stop")', REJECTED),
        ("failed", 'outcome in ("failed", "timed out") and decision is None', FAILED),
        ("running", 'outcome == "running"', RUNNING),
    ):
        found = index.ids(workspace.query(text))
        found = found if only is None else [run for run in found if run in only]
        chosen |= dict.fromkeys(found[:limit])
        if more := sum(run not in chosen for run in found):
            unread[name] = more
    return list(chosen), unread
