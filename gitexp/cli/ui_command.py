"""`git exp ui`: the search as a live page."""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gitexp.adapters.system import clock
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import IntegerRange, deciding_option, view_option
from gitexp.core.errors import GitexpError
from gitexp.storage.workspace import Workspace

if TYPE_CHECKING:
    from gitexp.core.model.ids import RunId
    from gitexp.features.report.live.server import Page, PageServer

USUAL_PORT: Final = 7878
"""Tried first without `--port`, so that an address behind an ssh tunnel stays the same."""


@click.command("ui")
@click.option(
    "--port",
    type=IntegerRange(0, 65535),
    metavar="N",
    help=f"The port, 0 for a free one [default: {USUAL_PORT}, or a free one].",
)
@click.option("--read-only", is_flag=True, help="Decide, note and tag nothing from the page.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--select", metavar="EXPR", help="Only runs for which EXPR is true.")
@view_option("Open the page with a view of gitexp.toml.")
@deciding_option
@click.option("--title", metavar="TEXT", help="What it is called [default: the directory].")
def command(
    port: int | None,
    read_only: bool,
    no_browser: bool,
    select: str | None,
    view_name: str | None,
    metric: str | None,
    title: str | None,
) -> None:
    """Show the search as a live page

    The page of `git exp report`, served on this machine only: new runs and their steps appear
    within a second, and you decide, note and tag in it. The address holds a secret: every program
    on this machine that knows it can read the runs and, without --read-only, decide in your name.
    Ctrl-C ends it. On another machine, forward the port: ssh -L 7878:127.0.0.1:7878 HOST.

    \b
    git exp ui
    git exp ui --read-only --no-browser --port 0
    """
    workspace = open_workspace(complete=not read_only)
    made = SearchPage(
        workspace,
        select=select,
        view=view_name,
        metric=metric,
        title=title,
        read_only=read_only,
    )
    server = _listen(made.page(), port)
    if not workspace.index.count():
        say("there are no runs yet; those that `git exp run` records will appear in the page")
    answer(server.url)
    say(f"{'reading only; ' if read_only else ''}Ctrl-C ends it")
    _serve(server, opens=not no_browser)


class SearchPage:
    """What the live page shows of this repository."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        select: str | None = None,
        view: str | None = None,
        metric: str | None = None,
        title: str | None = None,
        read_only: bool = False,
    ) -> None:
        """Raises `InvalidQuery`, `NotFound` or `InvalidInput` for a bad filter, metric or view."""
        from gitexp.cli.params.run_argument import known_metric
        from gitexp.cli.report_command import check_views

        self._start = workspace.repo.start
        self._select = select
        self._view = view
        self._read_only = read_only
        self._metric = None if metric is None else known_metric(workspace, metric)
        self._title = title or Path(workspace.repo.top or workspace.repo.start).name
        workspace.query(select)  # a fault in it is said before the page opens
        check_views(workspace, view)

    def page(self) -> "Page":
        """Return what the server serves."""
        from gitexp.features.report.live.server import Page
        from gitexp.features.report.live.watcher import Watcher
        from gitexp.features.report.page import build_live_page

        shell, policy = build_live_page(title=f"{self._title}: runs")
        watcher = Watcher(self.open, self.documents, _report_bug)
        return Page(shell, policy, watcher, self.open, self.fitting, self._read_only, _report_bug)

    def open(self) -> Workspace:
        """Open the repository, with the settings of this moment."""
        return Workspace.open(self._start)

    def documents(self, workspace: Workspace, *, is_first: bool) -> Iterator[Mapping[str, Any]]:
        """Yield the document of the page; the first time at once, and then with the brief."""
        from gitexp.cli.report_command import brief_document, main_or_none
        from gitexp.features.report.live.window import is_whole

        index = workspace.refreshed()
        chosen = None if self._select is None else index.ids(workspace.query(self._select))
        metric = main_or_none(workspace, self._metric)
        if is_first and chosen is None and not is_whole(workspace):
            yield self._document(workspace, metric, chosen, None)
        brief = brief_document(workspace, metric, chosen)
        yield self._document(workspace, metric, chosen, brief)

    def _document(
        self,
        workspace: Workspace,
        metric: str | None,
        chosen: "list[RunId] | None",
        brief: Mapping[str, Any] | None,
    ) -> Mapping[str, Any]:
        from gitexp.features.report.live.window import first_window, held_runs
        from gitexp.features.report.payload import Asked, payload_of

        held = None
        if chosen is None:
            held = held_runs(workspace, metric, is_quick=brief is None)
        asked = Asked(
            title=self._title,
            made=clock.now().isoformat(timespec="seconds"),
            chosen=chosen,
            select=self._select,
            metric=metric,
            brief=brief,
            is_live=True,
            held=held,
            view=self._view,
        )
        document = {**payload_of(workspace, asked), "mode": "live", "read_only": self._read_only}
        return document if held is None else {**document, "window": first_window(workspace, metric)}

    def fitting(self, workspace: Workspace, where: str, sort: str) -> Mapping[str, Any]:
        """Return the runs that fit a filter, for a page that does not hold all."""
        from gitexp.cli.report_command import main_or_none
        from gitexp.features.report.live.window import fitting_document

        workspace.refreshed()
        metric = main_or_none(workspace, self._metric)
        key = sort.removeprefix("-") or None
        descending = sort.startswith("-")
        return fitting_document(workspace, metric, where, key, descending=descending)


def _listen(page: "Page", port: int | None) -> "PageServer":
    """Return a server that listens. Raises `GitexpError` when the port is in use."""
    from gitexp.features.report.live.server import PageServer

    try:
        return PageServer(page, USUAL_PORT if port is None else port)
    except OSError as error:
        if port is None:
            say(f"port {USUAL_PORT} is in use, perhaps by another `git exp ui`: taking another")
            return PageServer(page, 0)
        raise GitexpError(
            f"cannot listen on port {port}",
            why=f"{error.strerror}, perhaps by another `git exp ui`",
            hints=["`git exp ui --port 0` takes a free one"],
        ) from error


def _serve(server: "PageServer", *, opens: bool) -> None:
    """Serve until Ctrl-C."""
    watcher = server.page.watcher
    threads = [
        threading.Thread(target=server.serve_forever, name="server", daemon=True),
        threading.Thread(target=watcher.follow, name="watcher", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        if opens:
            _open_browser(server.url_once)
        threading.Event().wait()
    except KeyboardInterrupt:
        say("ended")
    finally:
        server.end()
        for thread in threads:
            thread.join(2.0)


def _open_browser(url: str) -> None:
    """Show a page in the browser of this desktop. Without a desktop the printed address is enough.

    The browser outlives this command, so it gets no Ctrl-C from this terminal.
    """
    import webbrowser

    has_desktop = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if not has_desktop or not webbrowser.open(url):
        say("open this address in a browser")


def _report_bug(error: Exception) -> None:
    from gitexp.cli.output.errors import report

    report(error)
