"""The live page of a large search: until it shows something, filters, and what it costs at rest."""

import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import Figure

TURNS = 5
REST_S = 20.0
"""Seconds at rest that are measured."""

FILTERS = ("accuracy > 0.5 and lr < 0.01", "m1 > 1", 'optimizer.name == "adam"', "p1 < 0.1", "")

_FILTERED = """async (text) => {
    const { page } = globalThis.gitexp;
    const begun = performance.now();
    page.state.set({ q: text });
    const isThere = () => {
        const { window } = page.search.payload;
        return window ? window.where === text : page.found.text === text;
    };
    while (!isThere()) await new Promise((done) => setTimeout(done, 2));
    await new Promise((done) => requestAnimationFrame(done));
    return (performance.now() - begun) / 1000;
}"""


def live_figures(
    folder: Path, command: tuple[str, ...], environment: Mapping[str, str], runs: int
) -> Iterator[Figure]:
    """Serve a repository of `runs` runs, and look at its page in a browser."""
    from playwright.sync_api import sync_playwright

    begun = time.monotonic()
    process = subprocess.Popen(
        [*command, "ui", "--no-browser", "--port", "0"],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    found = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        url = process.stdout.readline().strip()
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            _open(page, f"{url}#v=runs")
            yield _seconds(f"ui of {runs:,} runs, from the command to rows", begun, None)
            page.wait_for_timeout(1000 * REST_S)  # the brief of a large search comes later
            taken = [_open(page, f"{url}#v=runs") for _ in range(TURNS)]
            yield _figure("the same, opening the page", taken, 1.5)
            taken = [page.evaluate(_FILTERED, FILTERS[n % len(FILTERS)]) for n in range(2 * TURNS)]
            yield _figure("the same, filter", taken[TURNS:], 0.2)
            yield _rest(process.pid, "the same, at rest with a page open", page)
            browser.close()
        time.sleep(1)
        yield _rest(process.pid, "the same, at rest without a page", None)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _open(page: Any, url: str) -> float:
    """Seconds until the rows are there, as the browser counts them."""
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_selector(".grid-row", timeout=600_000)
    return float(page.evaluate("performance.now() / 1000"))


def _rest(pid: int, name: str, page: Any) -> Figure:
    """Processor time over time, in percent of one processor."""
    before, begun = _spent_s(pid), time.monotonic()
    if page is None:
        time.sleep(REST_S)
    else:
        page.wait_for_timeout(1000 * REST_S)
    share = 100 * (_spent_s(pid) - before) / (time.monotonic() - begun)
    return Figure(name, share, 1.0, REST_S, unit="%")


def _spent_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _seconds(name: str, begun: float, limit_s: float | None) -> Figure:
    taken_s = time.monotonic() - begun
    return Figure(name, taken_s, limit_s, taken_s, unit="s")


def _figure(name: str, taken_s: list[float], limit_s: float) -> Figure:
    middle = statistics.median(taken_s)
    return Figure(name, middle, limit_s, middle, unit="s")
