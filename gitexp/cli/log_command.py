"""`git exp log`: show runs in the style of `git log`."""

import click

from gitexp.cli.output.terminal import answer, open_workspace, view_of
from gitexp.cli.output.verdicts import judgement_sentence
from gitexp.cli.params.options import count_option, json_option, where_option
from gitexp.cli.params.run_argument import find_id
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import RecordedRun, numbers
from gitexp.features.runs.judge import judge_run
from gitexp.features.runs.standings import Shared
from gitexp.storage.workspace import Workspace


@click.command("log")
@count_option("At most N")
@where_option()
@click.option("--oneline", is_flag=True, help="One line a run.")
@json_option
@click.argument("runs", nargs=-1, metavar="[RUN]...")
def command(
    count: int | None, where: str | None, oneline: bool, as_json: bool, runs: tuple[str, ...]
) -> None:
    """Tell the history of the runs, newest first

    The verdict of a run uses what was known at its end: the runs that began before it and had
    ended, and the decisions made by then. If today's verdict differs, it follows as `today:`.

    \b
    git exp log -n 5
    git exp log --where "accuracy > 0.9" --oneline
    """
    workspace = open_workspace()
    index = workspace.index
    chosen = (
        [find_id(workspace, text) for text in runs]
        if runs
        else index.ids(workspace.query(where), limit=count)
    )
    if as_json:
        _print_json(workspace, chosen)
        return
    if not chosen:
        from gitexp.cli.list_command import say_empty

        say_empty(workspace, where)
    view = view_of(workspace, chosen)
    shared = Shared(workspace)
    for n, entry in enumerate(index.entries(chosen)):
        then, today = _sentences(workspace, entry, shared, colour=view.colour)
        if oneline:
            from gitexp.cli.output.verdicts import one_line
            from gitexp.core.render.text import fold

            answer(fold(one_line(entry, view, then or today), view.width))
        else:
            from gitexp.core.render.run_detail import log_lines

            answer(
                "\n".join(
                    [
                        *([""] if n else []),
                        *log_lines(entry, view=view, verdicts=_told(then, today)),
                    ]
                )
            )


def _sentences(
    workspace: Workspace, entry: RecordedRun, shared: Shared, *, colour: bool
) -> tuple[str, str]:
    """Return the verdict at the end of a run, and the verdict with all runs known today.

    The first is empty if the metric was missing at the end or has another value today.
    """
    now = judge_run(workspace, entry.measured, refresh=False, shared=shared)
    today = judgement_sentence(workspace, now, colour=colour)
    name = now.metric or ""
    measured = numbers(entry.run.metrics).get(name)
    if measured is None or measured != numbers(entry.metrics).get(name):
        return "", today  # the value was added or changed later
    then = judge_run(workspace, entry.run, metric=name, refresh=False, shared=shared, then=True)
    return judgement_sentence(workspace, then, colour=colour), today


def _told(then: str, today: str) -> tuple[str, ...]:
    """Return the earlier verdict, and today's if it differs."""
    if then == today:
        return (then,) if then else ()
    return (*([then] if then else []), f"today: {today}")


def _print_json(workspace: Workspace, chosen: list[RunId]) -> None:
    from gitexp.cli.output.tables import print_documents

    print_documents(workspace.index.documents(chosen))
