"""The report in the system's firefox, by the protocol that browsers share (WebDriver BiDi); `long`.

Playwright drives only a firefox of its own, so this speaks the protocol itself: a few messages of
https://w3c.github.io/webdriver-bidi/.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

VIEWS = ("summary", "runs", "curves", "space", "compare", "ideas")
PATIENCE_S = 120

pytestmark = pytest.mark.long


@dataclass
class Firefox:
    """One window, and all that it complained about."""

    socket: Any
    window: str = ""
    complaints: list[str] = field(default_factory=list)
    number: int = 0

    def ask(self, method: str, **params: Any) -> Any:
        """Send a command and wait for its answer; events before it are kept."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            heard = json.loads(self.socket.recv(timeout=PATIENCE_S))
            if heard.get("method") == "log.entryAdded":
                self.complaints.append(f"{heard['params']['level']}: {heard['params']['text']}")
            if heard.get("id") == self.number:
                assert heard["type"] == "success", heard
                return heard["result"]

    def go(self, address: str) -> None:
        """Load a page anew and wait until it is drawn."""
        for url in ("about:blank", address):
            self.ask("browsingContext.navigate", context=self.window, url=url, wait="complete")
        self.until("document.documentElement.dataset.ready === 'yes'")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE_S
        while self.value(expression) is not True:
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.1)

    def value(self, expression: str) -> Any:
        """The value of an expression in the page, as JSON has it."""
        told = self.ask(
            "script.evaluate",
            expression=f"JSON.stringify({expression})",
            target={"context": self.window},
            awaitPromise=False,
        )
        assert told["type"] == "success", told
        return json.loads(told["result"].get("value", "null"))


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """The system's firefox, headless, with a profile of its own."""
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    found = shutil.which("firefox") or shutil.which("firefox-esr")
    if found is None:
        pytest.skip("there is no firefox: apt-get install firefox-esr")
    home = tmp_path_factory.mktemp("firefox")
    log = home / "log.txt"
    argv = (found, "--headless", "--no-remote", "--profile", str(home), "--remote-debugging-port=0")
    with log.open("wb") as file:
        process = subprocess.Popen(
            argv,
            stdout=file,
            stderr=file,
            env={**os.environ, "HOME": str(home), "MOZ_HEADLESS": "1"},
        )
    try:
        with client.connect(f"{listening_at(log)}/session", max_size=None) as socket:
            window = Firefox(socket)
            window.ask("session.new", capabilities={})
            window.ask("session.subscribe", events=["log.entryAdded"])
            window.window = window.ask("browsingContext.getTree")["contexts"][0]["context"]
            yield window
    finally:
        process.terminate()
        process.wait(30)


def listening_at(log: Path) -> str:
    """The address that firefox prints once it listens."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = re.search(
            r"WebDriver BiDi listening on (ws://\S+)", log.read_text(errors="replace")
        )
        if found:
            return found[1]
        time.sleep(0.2)
    raise AssertionError(f"firefox does not listen: {log.read_text(errors='replace')[-500:]}")


def test_every_view_is_drawn_without_a_complaint(report: Path, firefox: Firefox) -> None:
    for view in VIEWS:
        for theme in ("light", "dark"):
            firefox.go(f"{report.as_uri()}#v={view}&t={theme}")
            assert firefox.value("document.querySelector('main').dataset.view") == view
            assert firefox.value("document.querySelector('main').innerText.length") > 100
    assert firefox.complaints == []


def test_sort_filter_and_a_run_work(report: Path, firefox: Firefox) -> None:
    firefox.go(f"{report.as_uri()}#v=runs&fold=0&q=mixup+%3D%3D+0.2&s=params.lr")
    rates = firefox.value(
        "gitexp.page.grid.given.items.map("
        "(item) => gitexp.page.search.columns.get('params.lr', item.row))"
    )
    assert rates == sorted(rates)
    assert len(rates) > 2
    firefox.value("document.querySelector('.grid-row .link.name').click()")
    firefox.until("document.querySelector('.run-page') !== null")
    told = firefox.value("document.documentElement.scrollWidth <= innerWidth")
    assert told is True
    firefox.go(f"{report.as_uri()}#v=curves&sm=0.9")
    assert firefox.value("document.querySelectorAll('canvas').length") > 2
    assert firefox.complaints == []
