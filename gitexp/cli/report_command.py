"""`git exp report`: the search as one page, or as the comment under a pull request."""

import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitexp.adapters.system import clock
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import deciding_option, view_option
from gitexp.cli.params.run_argument import known_metric
from gitexp.cli.report.publish import look, publish_page, publishing_options, read_publishing
from gitexp.core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from gitexp.core.model.ids import RunId
    from gitexp.storage.workspace import Workspace


@click.command("report")
@click.option("-o", "--output", metavar="FILE", help="Write the page there, one HTML file.")
@click.option("--select", metavar="EXPR", help="Only runs for which EXPR is true.")
@view_option("Open the page with a view of gitexp.toml.")
@deciding_option
@click.option("--full", is_flag=True, help="Every point of every curve, and all output.")
@click.option("--title", metavar="TEXT", help="What it is called [default: the directory].")
@click.option("--anonymous", is_flag=True, help="Without the names of people and machines.")
@click.option("--open", "open_it", is_flag=True, help="Show it in the browser.")
@publishing_options
@click.option("--md", "as_markdown", is_flag=True, help="A comment for a pull request instead.")
@click.option("--base", metavar="REF", help="With --md: the commit that the request goes to.")
def command(
    output: str | None,
    select: str | None,
    view_name: str | None,
    metric: str | None,
    full: bool,
    title: str | None,
    anonymous: bool,
    open_it: bool,
    remote: str | None,
    branch: str | None,
    directory: str | None,
    force: bool,
    dry_run: bool,
    yes: bool,
    as_markdown: bool,
    base: str | None,
) -> None:
    """Show the search as one page, or as a comment

    Where the search stands and why, all runs, their curves, what differs between them, and the
    tree of ideas, in one HTML file that asks the network for nothing. It shows reasons, notes,
    names and changes of code: everyone who has the file can read them. --md prints what the runs of
    a branch did against those of --base, or the last run against its parent or the best. --publish
    replaces a branch of a remote by the page, after saying what becomes public.

    \b
    git exp report -o report.html --title "all that was tried"
    git exp report --publish origin --anonymous --dry-run
    """
    if base is not None and not as_markdown:
        raise InvalidInput("--base goes with --md")
    publishing = read_publishing(remote, branch, directory, force=force, yes=yes, dry_run=dry_run)
    if as_markdown:
        if publishing is not None:
            raise InvalidInput("--publish publishes a page, not a comment: leave out --md")
        _comment(output, metric, base)
        return
    if output is None and (publishing is None or open_it):
        raise InvalidInput("say where the page is to go", hints=["name a file: `-o report.html`"])
    workspace = open_workspace()
    chosen = _chosen(workspace, select)
    check_views(workspace, view_name)
    place = None if publishing is None else look(workspace, publishing)
    code = place is None or workspace.settings.push_code
    page, payload = _page(
        workspace, chosen, select, view_name, metric, full, title, anonymous, code=code
    )
    if output is not None:
        _write(workspace, output, page, payload["n"], open_it=open_it)
    if publishing is not None and place is not None:
        publish_page(workspace, place, publishing, page, payload, anonymous=anonymous)


def _write(workspace: "Workspace", output: str, page: bytes, count: int, *, open_it: bool) -> None:
    from gitexp.cli.output.user_file import write_user_file
    from gitexp.core.render.text import counted

    write_user_file(workspace.repo, output, page)
    size = f"{len(page) / 1e6:.1f} MB" if len(page) >= 1e6 else f"{len(page) / 1e3:.0f} KB"
    say(f"wrote {counted(count, 'run')} to {output} ({size})")
    if open_it:
        click.launch((workspace.repo.start / output).resolve().as_uri())


def _chosen(workspace: "Workspace", select: str | None) -> "list[RunId] | None":
    """Return the runs of `--select`, `None` for all. Raises `NotFound` if there are none."""
    if not workspace.index.count():
        raise NotFound(
            "there are no runs to report", hints=["`git exp run -- CMD` records the first"]
        )
    if select is None:
        return None
    chosen = workspace.index.ids(workspace.query(select))
    if not chosen:
        from gitexp.core.render.text import no_match

        raise NotFound(
            no_match(workspace.index.count(), select),
            hints=["`git exp list` shows the runs"],
        )
    return chosen


def check_views(workspace: "Workspace", opened: str | None) -> None:
    """Warn of the views that the page leaves out.

    Raises `NotFound` and `InvalidInput` about the view that it is to open with.
    """
    from gitexp.cli.output.errors import warn
    from gitexp.features.runs.views import find_view, find_views

    if opened is not None:
        find_view(workspace, opened)
    for fault in find_views(workspace)[1]:
        warn(f"{fault.what}: {fault.why}; the page leaves it out")


def _page(
    workspace: "Workspace",
    chosen: "list[RunId] | None",
    select: str | None,
    view_name: str | None,
    metric: str | None,
    full: bool,
    title: str | None,
    anonymous: bool,
    *,
    code: bool,
) -> tuple[bytes, dict[str, Any]]:
    """Return the page and its data."""
    from gitexp.cli.output.progress import waiting
    from gitexp.features.report.page import build_page
    from gitexp.features.report.payload import Asked, payload_of

    main = main_or_none(workspace, metric)
    if title is None:
        place = workspace.repo.top or workspace.repo.start
        title = "runs" if anonymous else Path(place).name
    gc.disable()  # nothing of a report is a cycle, and looking for some takes a fifth of its time
    with waiting("making the report"):
        asked = Asked(
            title=title,
            made=clock.now().isoformat(timespec="seconds"),
            chosen=chosen,
            select=select,
            metric=main,
            full=full,
            anonymous=anonymous,
            brief=brief_document(workspace, main, chosen),
            view=view_name,
            code=code,
        )
        payload = payload_of(workspace, asked)
        return build_page(payload, title=f"{title}: runs"), payload


def main_or_none(workspace: "Workspace", metric: str | None) -> str | None:
    """Return the full name of the metric that decides; `None` if no run measured it."""
    from gitexp.features.runs.main_metric import main_metric

    if metric is not None:
        return known_metric(workspace, metric)
    main = main_metric(workspace)
    try:
        return None if main is None else known_metric(workspace, main)
    except NotFound:
        return None


def _comment(output: str | None, metric: str | None, base: str | None) -> None:
    """Print the comment, or write it to a file."""
    from gitexp.features.report.comment import comment_text, find_subject

    workspace = open_workspace()
    _chosen(workspace, None)
    subject = find_subject(workspace, main_or_none(workspace, metric), base)
    text = comment_text(workspace, subject)
    if output is None:
        answer(text)
        return
    from gitexp.cli.output.user_file import write_user_file

    write_user_file(workspace.repo, output, f"{text}\n".encode())
    say(f"wrote the comment to {output}")


def brief_document(
    workspace: "Workspace", metric: str | None, chosen: "list[RunId] | None"
) -> dict[str, Any]:
    """Return the brief of these runs as a document."""
    from gitexp.cli.brief_command import brief_of
    from gitexp.core.render.brief import brief_json

    document: dict[str, Any] = json.loads(brief_json(brief_of(workspace, metric, only=chosen)))
    return document
