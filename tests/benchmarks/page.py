"""The page of a large search in a real browser: first paint, sort, filter, many curves.

Each time is the median of a few, with layout, in a window of 1440 x 900.
"""

import math
import random
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitexp.core.model.run import Series
from gitexp.storage.branch.events import sealed
from gitexp.storage.workspace import Workspace
from tests.benchmarks.building import make_runs
from tests.benchmarks.timing import Figure

WITH_CURVES = 100
"""Runs that have a curve."""

LONG_CURVE = 10_000
"""Points of each."""

TURNS = 5


def add_curves(folder: Path, count: int, runs: int, points: int) -> None:
    """Record some more runs, each with a curve."""
    workspace = Workspace.open(folder)
    chance = random.Random(5)
    events = [
        sealed(run, _curve(chance, points), run.outcome.value)
        for run in make_runs(folder, count, seed=9, clock=runs)
    ]
    workspace.record(events)


def _curve(chance: random.Random, points: int) -> Series:
    return [
        {"step": n, "accuracy": 1 - math.exp(-n / points * 5) + chance.gauss(0, 0.01)}
        for n in range(points)
    ]


def page_figures(file: Path, full: Path, runs: int) -> Iterator[Figure]:
    """Open the pages of `runs` runs with thinned and with whole curves, and measure."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        for name, view in (("Summary", "v=summary"), ("Runs", "v=runs")):
            taken = [_first_paint(page, file, view) for _ in range(TURNS)]
            yield _figure(f"page of {runs:,} runs, first paint of {name}", taken, 1.0)
        for name, changes in (
            ("sort by metric", [{"s": "-metrics.accuracy"}, {"s": "metrics.accuracy"}]),
            ("sort by text", [{"s": "params.optimizer.name"}, {"s": "-params.optimizer.name"}]),
            ("filter", [{"q": "accuracy > 0.5 and p1 < 0.5"}, {"q": ""}]),
        ):
            taken = [_change(page, changes[n % 2]) for n in range(2 * TURNS)]
            yield _figure(f"the same, {name}", taken, 0.1)
        taken = [_curves(page, full) for _ in range(TURNS)]
        yield _figure(f"{WITH_CURVES} curves of {LONG_CURVE:,} points", taken, 0.3)
        browser.close()


def _figure(name: str, taken_s: list[float], limit_s: float) -> Figure:
    middle = statistics.median(taken_s)
    return Figure(name, middle, limit_s, middle, unit="s")


def _first_paint(page: Any, file: Path, fragment: str) -> float:
    """Seconds from the start of the load until the view stands and was painted."""
    page.goto("about:blank")
    page.goto(f"{file.as_uri()}#{fragment}")
    page.wait_for_selector("html[data-ready]")
    taken = page.evaluate(
        """() => new Promise((done) => requestAnimationFrame(() => setTimeout(() =>
            done(performance.now() / 1000))))"""
    )
    begun = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    return float(begun / 1000) if begun else float(taken)


def _change(page: Any, change: dict[str, str]) -> float:
    """Seconds until a change of the address is drawn, layout with it."""
    return float(
        page.evaluate(
            """(change) => {
                const start = performance.now();
                globalThis.gitexp.page.state.set(change);
                document.body.getBoundingClientRect();
                return (performance.now() - start) / 1000;
            }""",
            change,
        )
    )


def _curves(page: Any, file: Path) -> float:
    """Seconds to draw the curves of all runs that have one."""
    page.goto("about:blank")
    page.goto(f"{file.as_uri()}#v=runs")
    page.wait_for_selector("html[data-ready]")
    return float(
        page.evaluate(
            """(most) => {
                const { search, state } = globalThis.gitexp.page;
                const rows = Object.keys(search.payload.series).slice(0, most);
                const ids = rows.map((row) => search.shortIds[row]);
                const start = performance.now();
                state.set({ v: "curves", sel: ids.join(".") });
                document.body.getBoundingClientRect();
                return (performance.now() - start) / 1000;
            }""",
            WITH_CURVES,
        )
    )
