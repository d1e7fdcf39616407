"""A real browser that looks at reports; without one, the tests are skipped and say why."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitexp.cli.app import run
from tests.conftest import RepoBuilder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """The system's chromium, headless."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'"
    )
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=options)
        yield started
        started.close()


@dataclass
class Shown:
    """A report in a browser, and all that it complained about or asked for."""

    page: "Page"
    file: Path
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def go(self, fragment: str = "") -> None:
        """Load the page anew at a fragment and wait until it is drawn."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.file.as_uri()}#{fragment}")
        self.page.wait_for_selector("html[data-ready]")

    def until(self, expression: str) -> None:
        """Wait until an expression is true; the page's policy forbids the driver's own way."""
        for _ in range(600):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")

    def text(self, selector: str) -> str:
        """What a part of the page says."""
        return self.page.inner_text(selector)

    def check(self) -> None:
        """Nothing was complained about, and nothing asked for but the file itself."""
        assert self.complaints == []
        assert [url for url in self.asked if url != self.file.as_uri()] == []


Show = Callable[..., Shown]


@pytest.fixture
def show(browser: "Browser") -> Iterator[Show]:
    """Open a report in a new window; what it complains about is kept."""
    pages = []

    def open_page(file: Path, fragment: str = "", **options: Any) -> Shown:
        page = browser.new_page(**{"viewport": {"width": 1440, "height": 900}, **options})
        pages.append(page)
        shown = Shown(page, file)
        page.on("console", lambda message: shown.complaints.append(message.text))
        page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        page.on("request", lambda request: shown.asked.append(request.url.partition("#")[0]))
        page.on("dialog", lambda dialog: shown.complaints.append(f"dialog {dialog.message}"))
        shown.go(fragment)
        return shown

    yield open_page
    for page in pages:
        page.close()


SETTINGS = """\
metric = "val.acc"

[views.wide]
columns = ["val.acc", "width", "reason", "author"]
filter = "width >= 128"
sort = "width"
charts = ["val.loss", "val.acc against lr", "best val.acc"]
"""
"""The project's file of the usual search."""


def make_repository(folder: Path) -> RepoBuilder:
    """A repository with an identity of its own: these are made once for several tests."""
    folder.mkdir(parents=True)
    repo = RepoBuilder(folder)
    repo.git("init", "--quiet")
    repo.git("config", "user.name", "Ada Example")
    repo.git("config", "user.email", "ada@example.org")
    return repo


def make_report(repo: RepoBuilder, *options: str, name: str = "report.html") -> Path:
    """The report of a repository, made as users make it."""
    before = Path.cwd()
    os.chdir(repo.path)
    try:
        assert run(["report", "-o", name, *options]) == 0
    finally:
        os.chdir(before)
    return repo.path / name


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> RepoBuilder:
    """A repository with the usual search."""
    from tests.browser.searches import usual_search

    repo = make_repository(tmp_path_factory.mktemp("search") / "petrel")
    repo.write("gitexp.toml", SETTINGS)
    usual_search(repo).finish()
    return repo


@pytest.fixture(scope="module")
def report(searched: RepoBuilder) -> Path:
    """The report of the usual search."""
    return make_report(searched)
