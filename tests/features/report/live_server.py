"""A live page over a real repository, asked over a real socket."""

import http.client
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gitexp.adapters.journal.journal import Journal
from gitexp.cli.ui_command import SearchPage
from gitexp.core.model.run import Outcome, Run
from gitexp.core.schema.toml_codec import encode_run
from gitexp.features.report.live.server import PageServer
from gitexp.storage.workspace import Workspace
from tests.browser.searches import MODEL, Search
from tests.conftest import RepoBuilder


@dataclass
class Reply:
    """What the server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.body)


@dataclass
class Live:
    """A server and how to ask it."""

    server: PageServer
    repo: RepoBuilder
    bugs: list[Exception] = field(default_factory=list)

    @property
    def secret(self) -> str:
        """The first part of every path."""
        return self.server.page.secret

    @property
    def origin(self) -> str:
        """What a browser says that shows the page."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, name: str = "", **headers: str) -> Reply:
        """Ask for a part of the page."""
        return self.ask("GET", f"/{self.secret}/{name}", headers=headers)

    def say(self, document: Any, **headers: str) -> Reply:
        """Ask to record something, as the page does."""
        usual = {"Origin": self.origin, "Content-Type": "application/json"}
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.ask("POST", f"/{self.secret}/say", body, {**usual, **headers})

    def tip(self) -> str:
        """The tip of the run branch."""
        return self.repo.git("rev-parse", "gitexp")


@contextmanager
def serving(repo: RepoBuilder, *, follows: bool = False, **options: Any) -> Iterator[Live]:
    """Serve a repository; the watcher checks on request, or continuously if it `follows`."""
    page = SearchPage(Workspace.open(repo.path), **options).page()
    live = Live(PageServer(page, 0), repo)
    page.on_bug = live.bugs.append
    threads = [threading.Thread(target=live.server.serve_forever, args=(0.01,), daemon=True)]
    if follows:
        threads.append(threading.Thread(target=page.watcher.follow, daemon=True))
    else:
        page.watcher.look()
    for thread in threads:
        thread.start()
    try:
        yield live
    finally:
        live.server.end()
        for thread in threads:
            thread.join(30)
    assert live.bugs == []
    assert not any(thread.is_alive() for thread in threads)


class Events:
    """The events of one reader."""

    def __init__(self, live: Live) -> None:
        """Connect; the first events are there then."""
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", live.server.server_port, timeout=60
        )
        self.connection.request("GET", f"/{live.secret}/events")
        self.answer = self.connection.getresponse()

    def next(self, *names: str) -> tuple[str, Any]:
        """The next event of one of these names; all but beats without names."""
        for _ in range(200):
            name = self._field("event")
            document = json.loads(self._field("data"))
            self.answer.readline()
            if name in names or (not names and name != "beat"):
                return name, document
        raise AssertionError(f"no {names} came")

    def close(self) -> None:
        """Leave."""
        self.answer.close()
        self.connection.close()

    def _field(self, name: str) -> str:
        line = self.answer.readline().decode()
        assert line.startswith(f"{name}: "), line
        return line.removeprefix(f"{name}: ").strip()


def small_search(repo: RepoBuilder) -> tuple[Search, list[Run]]:
    """Three runs with an accuracy each, recorded."""
    repo.commit({"model.py": MODEL, "train.py": "import model\n"}, "a model")
    search = Search(repo)
    runs = [search.run({"lr": lr}, 0.6 + lr, reason=f"rate {lr}") for lr in (0.1, 0.2, 0.3)]
    search.finish()
    search.events.clear()
    return search, runs


def begin_run(repo: RepoBuilder, search: Search, **changes: Any) -> tuple[Run, Journal]:
    """A run that goes on: its start is on the branch, its journal is this process's."""
    run = search.run({"lr": 0.5}, None, outcome=Outcome.RUNNING, **changes)
    workspace = search.finish()
    search.events.clear()
    journal = Journal.create(workspace.journals, run.id, encode_run(run), durable=False)
    return run, journal


def seal_run(search: Search, run: Run, journal: Journal, accuracy: float) -> None:
    """End a run that goes on."""
    from gitexp.storage.branch.events import sealed

    ended = replace(
        run, outcome=Outcome.SUCCEEDED, duration_s=3.0, metrics={"val": {"acc": accuracy}}
    )
    search.events.append(sealed(ended, [], "succeeded"))
    search.finish()
    search.events.clear()
    journal.remove()


def files_below(folder: Path) -> dict[str, int]:
    """All files with their times, to see that none changes."""
    return {
        os.path.join(place, name): os.stat(os.path.join(place, name)).st_mtime_ns  # noqa: PTH116, PTH118
        for place, _, names in os.walk(folder)
        for name in names
    }
