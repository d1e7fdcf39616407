"""`git exp brief`: where the search stands."""

from collections import Counter

import click

from gitexp.briefing import Brief, make_brief
from gitexp.cli.options import count_option, deciding_option, json_option, precision_option
from gitexp.cli.selection import known_metric
from gitexp.cli.terminal import answer, open_workspace, say, view_of
from gitexp.comparison import direction_of
from gitexp.ids import RunId
from gitexp.main_metric import choose_metric
from gitexp.model import Direction, Outcome
from gitexp.workspace import Workspace

NEWEST = 300
"""So many runs are looked at closely."""
BEST = 20
REJECTED = 50


@click.command("brief")
@deciding_option
@count_option("At most so many lines of each kind", default=8)
@precision_option
@json_option
def command(metric: str | None, count: int, precision: int, as_json: bool) -> None:
    """Say where the search stands, and what to try next

    The best run with its parameters, the last verdicts, what was given up and why, hints that
    are open still, runs without a decision, and untried neighbours of the best run. For Monday
    morning, and for a coding agent before each attempt.

    \b
    git exp brief
    git exp brief --json
    """
    workspace = open_workspace()
    brief = _brief(workspace, metric, count)
    if as_json:
        from gitexp.render.brief import brief_document  # noqa: PLC0415 - one of two
        from gitexp.render.machine import format_json  # noqa: PLC0415 - one of two

        document = brief_document(brief)
        answer(format_json({key: value for key, value in document.items() if value is not None}))
        return
    if not brief.total:
        say("there are no runs yet; `git exp run -- CMD` records the first")
        return
    from gitexp.render.brief import brief_text  # noqa: PLC0415 - one of two

    attempts = [*brief.recent, *brief.rejected, *brief.failed, *brief.undecided, *brief.unfinished]
    attempts += [brief.best] if brief.best else []
    entries = [*(a.entry for a in attempts), *(hint.entry for hint in brief.hints)]
    view = view_of(workspace, {entry.run.id for entry in entries}, precision=precision)
    answer(brief_text(brief, view=view))


def _brief(workspace: Workspace, metric: str | None, count: int) -> Brief:
    index, settings = workspace.index, workspace.settings
    chosen: dict[RunId, None] = dict.fromkeys(index.ids(limit=NEWEST))
    newest = index.entries(list(chosen))
    if metric is not None:
        metric = known_metric(workspace, metric)
    elif settings.metric:
        metric = settings.metric
    else:
        found = (choose_metric(settings, entry.measured) for entry in newest)
        metric = next((name for name in found if name), None)
    direction: Direction | None = None
    guessed = False
    if metric is not None:
        said = next((e.run.directions for e in newest if metric in e.run.directions), {})
        direction, guessed = direction_of(metric, {**settings.directions, **said})
        if direction is not None:
            chosen |= dict.fromkeys(index.best(metric, direction, BEST))
    chosen |= dict.fromkeys(
        index.ids(workspace.query('decision in ("discard", "stop")'), limit=REJECTED)
    )
    chosen |= dict.fromkeys(index.ids(workspace.query('outcome == "running"'), limit=REJECTED))
    known = {entry.run.id for entry in newest}
    counted = Counter(str(value) for value in index.column("outcome").values())
    return make_brief(
        [*newest, *index.entries([run for run in chosen if run not in known])],
        total=index.count(),
        outcomes={o.value: counted[o.value] for o in Outcome if counted[o.value]},
        metric=metric,
        direction=direction,
        guessed=guessed,
        limit=count,
    )
