"""The live page in a real browser: runs that appear and grow, and decisions from the page.

The main path runs every day; names by an attacker, firefox, widths and themes are `long`.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitexp.core.model.annotations import Decision
from gitexp.features.report.live import window
from gitexp.features.report.live.followed_run import SILENCE_S
from gitexp.storage.workspace import Workspace
from tests.browser.conftest import Shown
from tests.browser.searches import Search
from tests.browser.test_hostile import LETTERS, MARKUP, hostile_repository
from tests.browser.test_report_page import axe
from tests.conftest import MakeRepo, RepoBuilder
from tests.features.report.live_server import Live, begin_run, seal_run, serving, small_search

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Look = Callable[..., "Watched"]


class Watched(Shown):
    """A live page in a browser."""

    live: Live

    def go(self, fragment: str = "") -> None:
        """Load the page anew at a fragment and wait until it is drawn and connected."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.live.server.url}#{fragment}")
        self.page.wait_for_selector("html[data-ready]", timeout=60_000)
        self.page.wait_for_selector(".live-mark:not(.is-lost)", timeout=60_000)

    def says(self, selector: str, words: str) -> None:
        """Wait until a part of the page has these words."""
        self.page.wait_for_selector(f"{selector}:has-text('{words}')", timeout=60_000)

    def check(self) -> None:
        """Nothing was complained about, and nothing asked for but parts of the page."""
        assert self.complaints == []
        assert [url for url in self.asked if not url.startswith(self.live.server.url)] == []


@contextmanager
def watching(
    browser: "Browser", live: Live, fragment: str = "", **options: Any
) -> Iterator[Watched]:
    """The live page in a window of its own."""
    page = browser.new_page(**{"viewport": {"width": 1440, "height": 900}, **options})
    shown = Watched(page, live.repo.path)
    shown.live = live
    page.on("console", lambda message: shown.complaints.append(message.text))
    page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    page.on("request", lambda request: shown.asked.append(request.url.partition("#")[0]))
    try:
        shown.go(fragment)
        yield shown
    finally:
        page.close()


@pytest.fixture
def repo(make_repo: MakeRepo) -> RepoBuilder:
    """A repository with an identity of its own."""
    return make_repo("petrel")


def test_a_run_appears_grows_and_is_decided_on(browser: "Browser", repo: RepoBuilder) -> None:
    """From its start to a decision on the branch, without loading the page again."""
    search, _ = small_search(repo)
    with serving(repo, follows=True) as live, watching(browser, live) as shown:
        page = shown.page
        assert shown.text(".counted") == "3 runs"
        run, journal = begin_run(repo, search, reason="does it grow?")
        shown.says(".running", "does it grow?")
        journal.metrics({"val.acc": 0.25}, step=1, time_s=0.1)
        journal.metrics({"val.acc": 0.375}, step=2, time_s=0.2)
        shown.says(".running", "0.375 at step 2")
        shown.says(".counted", "4 runs")
        shown.page.evaluate(f"location.hash = 'run={run.id}'")
        shown.says(".notice", "It is at step 2")
        assert "from 0.25 to 0.375 at step 2" in shown.text(".small-curves")
        page.keyboard.press("Escape")

        seal_run(search, run, journal, 0.95)
        shown.says("#note", "succeeded, val.acc 0.95")
        shown.says(".hero", "0.95")
        for key in ("g", "r"):
            page.keyboard.press(key)
        page.wait_for_selector(".grid-row")
        page.focus(".grid")
        for key in ("Home", "d"):
            page.keyboard.press(key)
        assert axe(shown) == []
        page.keyboard.insert_text("it's the best")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowLeft")
        shown.says(".same-as", "git exp decide")
        assert "improve -m 'it'\"'\"'s the best'" in shown.text(".same-as")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        shown.says("#grid-row-0", "improve")
        shown.check()
    (made,) = Workspace.open(repo.path).index.entry(run.id).decisions
    assert (made.decision, made.text) == (Decision.IMPROVE, "it's the best")


@pytest.mark.long
def test_notes_and_tags_are_recorded_by_keys(browser: "Browser", repo: RepoBuilder) -> None:
    _, runs = small_search(repo)
    with serving(repo, follows=True) as live, watching(browser, live, f"run={runs[0].id}") as shown:
        page = shown.page
        page.keyboard.press("n")
        assert axe(shown) == []
        page.keyboard.press("Enter")
        shown.says(".said-fault", "there is nothing to note")
        shown.complaints.clear()  # the browser names the answer to what was refused
        page.keyboard.insert_text("flat after step 40")
        page.keyboard.press("Enter")
        shown.says(".story", "flat after step 40")
        page.keyboard.press("t")
        page.keyboard.insert_text("paper best")
        page.keyboard.press("Enter")
        shown.says(".facts", "best, paper")
        page.keyboard.press("t")
        assert axe(shown) == []
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        shown.says(".same-as", "-d best")
        page.click(".dialog >> text=Record")
        shown.until("!document.querySelector('.facts').textContent.includes('best')")
        page.keyboard.press("d")
        page.keyboard.press("Escape")
        shown.until("document.querySelector('dialog') === null")
        assert page.query_selector(".run-page") is not None, "Escape closes the dialog only"
        shown.check()


@pytest.mark.long
def test_a_page_that_only_reads_composes_the_command(browser: "Browser", repo: RepoBuilder) -> None:
    _, runs = small_search(repo)
    before = repo.git("for-each-ref")
    with (
        serving(repo, follows=True, read_only=True) as live,
        watching(browser, live, f"run={runs[0].id}") as shown,
    ):
        assert "read-only" in shown.text(".live-mark")
        shown.page.keyboard.press("d")
        shown.says(".dialog", "This page is read-only. In the repository:")
        assert shown.page.query_selector(".dialog >> text=Record") is None
        shown.page.keyboard.press("Enter")
        shown.check()
    assert repo.git("for-each-ref") == before


@pytest.mark.long
def test_a_stalled_run_is_said_to_be_stalled(browser: "Browser", repo: RepoBuilder) -> None:
    search, _ = small_search(repo)
    run, journal = begin_run(repo, search)
    with serving(repo, follows=True) as live, watching(browser, live) as shown:
        shown.says(".running", "heard")
        past = journal.path.stat().st_mtime - SILENCE_S - 61
        os.utime(journal.path, (past, past))
        shown.says(".running .stalled", "no sign of life for 11 min")
        assert axe(shown) == []
        shown.page.evaluate(f"location.hash = 'run={run.id}'")
        shown.says(".notice.stalled", "no sign of life")
        journal.metrics({"val.acc": 0.5}, step=1)
        shown.says(".notice:not(.stalled)", "heard just now")
        shown.check()
    journal.remove()


@pytest.mark.long
def test_a_lost_connection_is_said_and_comes_back(browser: "Browser", repo: RepoBuilder) -> None:
    search, runs = small_search(repo)
    with serving(repo, follows=True) as live, watching(browser, live) as shown:
        page = shown.page
        page.context.set_offline(True)
        for reader in live.server.page.watcher.subscribers._all:
            reader.put(None)
        shown.says(".live-mark.is-lost", "last heard")
        assert axe(shown) == []
        assert shown.text(".counted") == "3 runs"
        shown.complaints.clear()
        search.decide(runs[0], Decision.KEEP, "kept elsewhere")
        search.finish()
        page.context.set_offline(False)
        shown.says(".live-mark:not(.is-lost)", "Live on 127.0.0.1")
        page.evaluate(f"location.hash = 'run={runs[0].id}'")
        shown.says(".story", "kept elsewhere")


@pytest.mark.long
def test_the_page_keeps_focus_scroll_and_zoom_while_it_changes(
    browser: "Browser", repo: RepoBuilder
) -> None:
    search, runs = small_search(repo)
    run, journal = begin_run(repo, search)
    journal.metrics({"val.acc": 0.1}, step=0)
    journal.metrics({"val.acc": 0.2}, step=1)
    with serving(repo, follows=True) as live, watching(browser, live, "v=runs") as shown:
        page = shown.page
        page.focus(".grid")
        page.keyboard.press("End")
        name = page.evaluate(
            "globalThis.gitexp.page.search.name(globalThis.gitexp.page.grid.item.row)"
        )
        search.decide(runs[0], Decision.DISCARD, "no")
        search.run({"lr": 0.25}, 0.99)
        search.finish()
        shown.says(".counted", "5 runs")
        assert page.evaluate("document.activeElement.className") == "grid"
        now = "globalThis.gitexp.page.search.name(globalThis.gitexp.page.grid.item.row)"
        assert page.evaluate(now) == name

        shown.go(f"v=curves&sel={run.id}")
        box = page.query_selector(".u-over").bounding_box()  # type: ignore[union-attr]
        assert box is not None
        page.mouse.move(box["x"] + 100, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 300, box["y"] + 50)
        page.mouse.up()
        journal.metrics({"val.acc": 0.3}, step=2)
        shown.says(".legend", "0.3")
        journal.metrics({"val.acc": 0.4}, step=3)
        shown.says(".legend", "0.4")
        page.click("figcaption .link")
        rows = page.inner_text(".as-table")
        journal.metrics({"val.acc": 0.5}, step=4)
        page.wait_for_timeout(1500)
        assert page.inner_text(".as-table") == rows, "an open table does not change"
        shown.check()
    journal.remove()


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1024, 1440])
def test_live_parts_are_for_everybody(
    browser: "Browser", repo: RepoBuilder, width: int, theme: str
) -> None:
    search, runs = small_search(repo)
    _, journal = begin_run(repo, search)
    journal.metrics({"val.acc": 0.5}, step=1)
    viewport = {"width": width, "height": 800}
    with (
        serving(repo, follows=True) as live,
        watching(browser, live, f"t={theme}", viewport=viewport) as shown,
    ):
        for fragment, key in ((f"t={theme}", None), (f"t={theme}&run={runs[0].id}", "d")):
            shown.go(fragment)
            if key is not None:
                shown.page.keyboard.press(key)
                shown.page.wait_for_selector(".dialog")
            assert axe(shown) == []
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
            box = shown.page.evaluate(
                "(() => { const d = document.querySelector('dialog');"
                " return d ? d.scrollWidth <= d.clientWidth : true; })()"
            )
            assert box, "the dialog scrolls sideways"
        shown.check()
    journal.remove()


@pytest.mark.long
def test_a_page_of_many_runs_asks_for_those_that_fit(
    browser: "Browser", searched: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in (("MOST_WHOLE", 20), ("NEWEST", 10), ("RANKED", 2), ("SHOWN", 8)):
        monkeypatch.setattr(window, name, limit)
    with serving(searched, follows=True) as live, watching(browser, live, "v=runs") as shown:
        page = shown.page
        assert re.match(r"the first 8 of \d+ runs", shown.text(".counted"))
        page.keyboard.press("/")
        page.keyboard.insert_text("mixup == 0.4 and width > 64")
        shown.until("/^[0-9]+ of [0-9]+ runs/.test(document.querySelector('.counted').textContent)")
        names = page.evaluate(
            "globalThis.gitexp.page.grid.given.items.map("
            "(item) => globalThis.gitexp.page.search.columns.ids[item.row])"
        )
        workspace = Workspace.open(searched.path)
        query = workspace.query("mixup == 0.4 and width > 64")
        assert set(names) == set(workspace.index.ids(query))
        page.keyboard.insert_text(" and >")
        page.wait_for_selector(".fault:not(:empty)")
        page.keyboard.press("Escape")
        shown.says(".counted", "the first 8")
        page.click(".head >> text=Started")
        shown.until("globalThis.gitexp.page.search.payload.window.sort === '-started'")
        first = page.evaluate(
            "globalThis.gitexp.page.search.columns.ids[globalThis.gitexp.page.grid.given.items[0].row]"
        )
        assert first == workspace.index.ids(None, "started", descending=True, limit=1)[0]
        for view in ("summary", "curves", "space", "compare", "ideas"):
            page.evaluate(f"globalThis.gitexp.page.state.set({{v: '{view}'}})")
        shown.check()


@pytest.mark.long
def test_hostile_texts_stay_texts_in_the_live_page(browser: "Browser", tmp_path: Path) -> None:
    """Names and values by an attacker, in dialogs and among the runs that go on too."""
    count = len(MARKUP) + len(LETTERS)
    repo = hostile_repository(tmp_path, count)
    search = Search(repo, clock=10_000)
    journals = []
    for text in (MARKUP[1], LETTERS[0]):
        _, journal = begin_run(repo, search, reason=text, name=text[:60])
        journal.metrics({"val.acc": 0.5, text[:40]: 0.1, "said": text}, step=0)
        journals.append(journal)
    with (
        serving(repo, follows=True, title=MARKUP[0]) as live,
        watching(browser, live) as shown,
    ):
        page = shown.page
        shown.says(".running", "at step 0")
        for view in ("summary", "runs", "curves", "space", "compare", "ideas"):
            shown.go(f"v={view}&fold=0&diff=0")
        for row in range(1, count, 5):
            page.evaluate(f"globalThis.gitexp.page.state.open({row})")
            for key in "dnt":
                page.keyboard.press(key)
                page.wait_for_selector(".dialog")
                box = "document.querySelector('.dialog')"
                assert page.evaluate(f"{box}.scrollWidth <= {box}.clientWidth"), (row, key)
                page.keyboard.press("Escape")
                shown.until(f"{box} === null")
        odd = "iframe, img, object, embed, base, link, form, video, audio"
        assert page.evaluate(f"document.querySelectorAll({odd!r}).length") == 0
        assert page.evaluate("document.scripts.length") == 3
        assert page.evaluate("globalThis.broken") is None
        shown.check()
    for journal in journals:
        journal.remove()


@pytest.mark.long
def test_a_thousand_runs_are_followed(browser: "Browser", repo: RepoBuilder) -> None:
    """A change of one run among many is shown without a second look of the reader."""
    search, _ = small_search(repo)
    for number in range(1000):
        search.run({"lr": number / 1000}, 0.5 + number / 10_000, seed=number % 3)
    search.finish()
    search.events.clear()
    with serving(repo, follows=True) as live, watching(browser, live, "v=runs") as shown:
        assert shown.text(".counted").startswith("1003 ")
        run, journal = begin_run(repo, search)
        shown.says(".counted", "1004 runs")
        seal_run(search, run, journal, 0.99)
        shown.says("#grid-row-0", "0.99")
        shown.check()
