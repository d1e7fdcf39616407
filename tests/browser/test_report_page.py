"""The report in a real browser: every view, by mouse and by keys, with nothing asked or complained.

One way through the page runs every day; widths, themes and the rest are `long`.
"""

import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

from gitexp.core.analysis.student_t import t_quantile
from gitexp.core.model.run import Outcome, Series
from gitexp.features.runs.judge import compare_pair
from gitexp.storage.workspace import Workspace
from tests.browser.conftest import Show, make_report, make_repository
from tests.browser.searches import Search
from tests.conftest import RepoBuilder

VIEWS = ("summary", "runs", "curves", "space", "compare", "ideas")


def test_a_reader_finds_the_way_through_the_page(report: Path, show: Show) -> None:
    """Summary, runs, sort, filter, fault, selection, compare, a run, and back."""
    shown = show(report)
    page = shown.page
    assert "Best so far: val.acc, higher is better" in shown.text(".hero")
    assert "mean of 4 runs" in shown.text(".who")
    assert "worse at every rate tried" in shown.text(".causes")

    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_selector(".grid-row")
    assert "best" in shown.text("#grid-row-0")
    assert "± " in shown.text("#grid-row-0")

    page.keyboard.press("/")
    page.keyboard.insert_text("val.acc > 0.7 and mixup == 0.2")  # typed, `mixup == 0` comes first
    shown.until("document.querySelector('.counted').textContent.includes(' of ')")
    filtered = shown.text(".counted")
    page.keyboard.insert_text(" and nothing > 1")
    page.wait_for_selector(".fault:not(:empty)")
    assert "no run has 'nothing'" in shown.text(".fault")
    assert shown.text(".counted") == filtered, "the rows follow the filter before the fault"
    page.keyboard.press("Escape")
    shown.until("!document.querySelector('.counted').textContent.includes(' of ')")

    page.focus(".grid")
    for key in ("Home", " ", "j", " ", "c"):
        page.keyboard.press(key)
    page.wait_for_selector(".compare")
    assert "Causes" in shown.text(".compare")
    assert "width" in shown.text(".compare")

    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_selector(".tree-list")
    assert "anti-aliased pooling" in shown.text(".tree-list")
    page.click(".tree-list .on-line .link.name >> nth=-1")
    page.wait_for_selector(".run-page")
    assert "mixup, and wider" in shown.text(".lead")
    assert "blur(x).mean" in shown.text(".run-page") or "the same" in shown.text(".run-page")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tree-list")
    for view in ("curves", "space"):
        shown.go(f"v={view}")
        assert page.query_selector(f"main[data-view={view}] canvas") is not None
    shown.check()


def test_an_address_shows_what_its_sender_saw(report: Path, show: Show) -> None:
    shown = show(report, "v=runs&q=mixup+%3D%3D+0.2&s=params.lr&fold=0&t=dark")
    page = shown.page
    assert page.input_value(".where input") == "mixup == 0.2"
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.get_attribute(".head[aria-sort=ascending]", "aria-colindex") is not None
    rates = page.evaluate(
        "globalThis.gitexp.page.grid.given.items.map("
        "(item) => globalThis.gitexp.page.search.columns.get('params.lr', item.row))"
    )
    assert rates == sorted(rates)
    shown.check()


def test_a_view_of_the_project_chooses_rows_columns_and_charts(report: Path, show: Show) -> None:
    shown = show(report, "v=runs")
    page = shown.page
    page.select_option("select[aria-label=view]", "wide")
    assert page.input_value(".where input") == "width >= 128"
    heads = page.evaluate("gitexp.page.grid.given.columns.map((column) => column.key)")
    assert heads == ["select", "name", "metrics.val.acc", "params.width", "reason", "author"]
    widths = page.evaluate(
        "gitexp.page.grid.given.items.map("
        "(item) => gitexp.page.search.columns.get('params.width', item.row))"
    )
    assert widths == sorted(widths)
    assert set(widths) == {128, 192, 256}
    page.click("text=val.acc against lr")
    page.wait_for_selector("main[data-view=space]")
    assert page.evaluate("gitexp.page.state.get('sx')") == "params.lr"
    shown.go("v=curves&view=wide&q=width+%3E%3D+128")
    assert [text.split("by")[0] for text in page.locator(".chart-box h2").all_inner_texts()] == [
        "val.loss"
    ]
    page.select_option("select[aria-label=view]", "")
    assert page.input_value(".where input") == ""
    shown.check()


def test_repeats_are_one_line_with_a_band(report: Path, show: Show) -> None:
    shown = show(report, "v=curves")
    page = shown.page
    legend = shown.text(".legend")
    assert re.search(r"mean of 4 ± sd", legend)
    assert "Repeats that succeeded are one line, their mean" in legend
    told = page.evaluate(
        """() => {
            const { lines } = globalThis.gitexp;
            const { meanLine, smooth, pointsInOrder } = lines;
            const mean = meanLine([[[0, 2, 4], [1, 3, 5]], [[0, 1, 4], [3, 4, 7]]]);
            return [mean, smooth([1, 2, 4], 0.5), pointsInOrder([0, 4, 2, 2], [1, 2, 3, 4])];
        }"""
    )
    mean, smoothed, ordered = told
    assert mean["x"] == [0, 1, 2, 4]
    assert mean["y"] == [2, 3, 4, 6]
    assert [round(b - a, 9) for a, b in zip(mean["low"], mean["high"], strict=True)] == [
        round(2 * 2**0.5, 9)
    ] * 4
    assert [round(value, 6) for value in smoothed] == [1, 1.666667, 3]
    assert ordered == [[0, 2, 4], [1, 4, 2]]
    page.select_option("label:has-text('smooth') select", "0.9")
    assert "exponential moving average of weight 0.9" in shown.text(".legend")
    assert "sm=0.9" in page.url
    lines = page.locator(".legend tbody tr").count()
    page.click("text=Repeats as one line")
    assert page.locator(".legend tbody tr").count() >= lines
    assert "mean of" not in shown.text(".legend")
    shown.check()


def test_the_brief_by_the_main_metric_is_not_shown_for_another(report: Path, show: Show) -> None:
    shown = show(report)
    parts = ("Not tried next to the best", "Waiting for a decision")
    assert all(words in shown.text(".summary") for words in parts)
    shown.go("v=summary&m=val.loss")
    assert "Best so far: val.loss" in shown.text(".summary")
    assert not any(words in shown.text(".summary") for words in parts)
    shown.check()


def test_a_brief_of_some_runs_says_of_how_many(report: Path, show: Show) -> None:
    shown = show(report)
    assert "summed up" not in shown.text(".summary")
    shown.page.evaluate(
        """() => {
            const { page } = globalThis.gitexp;
            page.search.payload.brief.considered = 40;
            page.repaint();
        }"""
    )
    assert " trials of 40 runs summed up, " in shown.text(".summary")
    shown.check()


class LossCurves(Search):
    """Curves of the loss alone; that of a run without success ends in NaN."""

    def curve(self, last: float) -> Series:
        """None for the best; lower than any other at its last number, if that is not the end."""
        if last > 0.85:
            return []
        losses = [1.0, 0.01, math.nan] if last < 0.5 else [1.0, 0.5, 1 - last]
        return [{"step": step, "val.loss": loss} for step, loss in enumerate(losses)]


def test_curves_of_another_metric_and_those_that_end_in_nan(tmp_path: Path, show: Show) -> None:
    repo = make_repository(tmp_path / "petrel")
    repo.commit({"train.py": "pass\n"}, "a model")
    search = LossCurves(repo)
    search.run({"lr": 0.1}, 0.8, name="steady")
    search.run({"lr": 0.2}, 0.9, name="best")
    broken = search.run({"lr": 9.0}, 0.1, name="broken")
    failed = search.run({"lr": 1.0}, None, outcome=Outcome.FAILED)
    search.finish()
    shown = show(make_report(repo, "--metric", "val.acc"), "v=curves")
    assert shown.page.locator(".chart-box h2").all_inner_texts() == ["val.lossby step"]
    assert "the best and its line" not in shown.text(".bar").lower()
    assert "val.loss of 2 lines: steady ends lowest, at 0.2." in shown.text(".chart-box")
    shown.page.click(".chart-box >> text=Show as table")
    assert "NaN" in shown.text(".as-table tr:has-text('broken')")
    shown.go(f"run={broken.id[:9]}")
    assert "from 1 to 0.01 at step 1, then NaN" in shown.text(".small-curves")
    shown.go(f"run={failed.id[:9]}")
    assert shown.text(".notice") == "Outcome failed: its numbers are not counted."
    shown.check()


def test_nothing_but_the_page_itself_may_run(report: Path, show: Show) -> None:
    """The policy refuses what is put into the page later: scripts, styles, pictures, requests."""
    shown = show(report)
    shown.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "globalThis.broken = true";
            const style = document.createElement("style");
            style.textContent = "body { display: none }";
            const image = document.createElement("img");
            image.src = "https://example.org/x.png";
            document.body.append(script, style, image);
            try { fetch("https://example.org/").catch(() => {}); } catch {}
        }"""
    )
    shown.page.wait_for_timeout(100)
    assert shown.page.evaluate("globalThis.broken") is None
    assert shown.page.evaluate("getComputedStyle(document.body).display") == "block"
    refused = "\n".join(shown.complaints)
    assert refused.count("Content Security Policy") >= 3, refused


def test_pairs_are_judged_as_the_command_judges_them(
    searched: RepoBuilder, report: Path, show: Show
) -> None:
    """What the page says of two trials is what `git exp compare` says."""
    shown = show(report)
    rows = shown.page.evaluate(
        """() => {
            const { search } = globalThis.gitexp.page;
            const last = [...search.trials.values()].map((rows) => rows[rows.length - 1]);
            const ids = search.columns.ids;
            return last.flatMap((a) => last.slice(0, 12).map((b) => {
                const verdict = search.compare("val.acc", a, b);
                const { answer, basis, shown, difference, half } = verdict;
                return [ids[a], ids[b], answer, basis, shown, difference, half ?? null];
            }));
        }"""
    )
    workspace = Workspace.open(searched.path)
    chance = random.Random(1)
    faults = []
    for new, old, answer, basis, is_shown, difference, half in chance.sample(rows, 60):
        runs = [workspace.index.entry(run).run for run in (new, old)]
        if new == old or any(not run.is_sealed or not run.metrics for run in runs):
            continue
        verdicts = compare_pair(workspace, runs[0], runs[1], main="val.acc").verdicts
        verdict = next(v for v in verdicts if v.metric == "val.acc")
        told = (verdict.answer.value, verdict.basis.value, verdict.shown)
        if told != (answer, basis, is_shown) or not near(verdict.difference, difference):
            faults.append(
                f"{new} {old}: {answer} {basis} {difference}, not {told} {verdict.difference}"
            )
        elif not near(verdict.half, half):
            faults.append(f"{new} {old}: half {half}, not {verdict.half}")
    assert not faults, "\n".join(faults)


def near(a: float | None, b: float | None) -> bool:
    """Return whether two numbers are the same but for rounding."""
    if a is None or b is None:
        return a is b
    return abs(a - b) <= 1e-9 * max(1.0, abs(a))


def test_quantiles_are_those_of_python(report: Path, show: Show) -> None:
    pairs = [(tail, dof) for tail in (0.2, 0.025, 0.005) for dof in (1, 2, 3.7, 8, 40, 1e6)]
    shown = show(report)
    found = shown.page.evaluate(
        "(pairs) => pairs.map((p) => globalThis.gitexp.tQuantile(...p))", pairs
    )
    for (tail, dof), value in zip(pairs, found, strict=True):
        expected = t_quantile(tail, dof)
        assert abs(value - expected) < 2e-5 * expected, (tail, dof, value, expected)


# --- everybody ------------------------------------------------------------------------------------


def axe(shown: Any) -> list[str]:
    """What axe-core finds wrong by WCAG 2.2, levels A and AA."""
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    source = next(Path(package.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")
    shown.page.evaluate(source)  # as a debugger, past the page's own policy
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = shown.page.evaluate(
        "(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", tags
    )
    return [
        f"{fault['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for fault in found["violations"]
        for node in fault["nodes"][:3]
    ]


def test_the_first_view_is_for_everybody(report: Path, show: Show) -> None:
    assert axe(show(report)) == []


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", [*VIEWS, "run"])
def test_every_view_is_for_everybody(report: Path, show: Show, view: str, theme: str) -> None:
    shown = show(report, f"v={view}&t={theme}")
    if view == "run":
        shown.page.evaluate("globalThis.gitexp.page.state.open(12)")
        shown.page.wait_for_selector(".run-page")
    assert axe(shown) == []


@pytest.mark.long
@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1440])
@pytest.mark.parametrize("view", [*VIEWS, "run"])
def test_no_view_scrolls_sideways(report: Path, show: Show, view: str, width: int) -> None:
    shown = show(report, f"v={view}", viewport={"width": width, "height": 800})
    if view == "run":
        shown.page.evaluate("globalThis.gitexp.page.state.open(12)")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    shown.check()


@pytest.mark.long
def test_columns_are_chosen_and_rows_copied(report: Path, show: Show) -> None:
    shown = show(report, "v=runs")
    page = shown.page
    page.click("text=Columns")
    page.fill(".dialog input[type=text]", "torch")
    page.check(".choices input")
    page.click(".dialog >> text=Close")
    assert "torch" in shown.text(".grid-head")
    assert re.search("show=env.torch", page.url)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert "torch" in shown.text(".grid-head")
    shown.check()


@pytest.mark.long
def test_a_range_is_kept_by_keys_and_becomes_a_filter(report: Path, show: Show) -> None:
    shown = show(report, "v=space")
    page = shown.page
    page.focus("[aria-label='range of width']")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".chip")
    assert "96, 128, 192" in shown.text(".chip")
    page.click("text=To filter")
    shown.until("document.querySelector('.where input').value !== ''")
    assert page.input_value(".where input") == "params.width in (96, 128, 192)"
    shown.check()


@pytest.mark.long
def test_the_page_prints_its_runs(report: Path, show: Show) -> None:
    shown = show(report, "v=runs")
    shown.page.emulate_media(media="print")
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.page.eval_on_selector(".tabs", "e => getComputedStyle(e).display") == "none"
    assert len(shown.page.query_selector_all(".grid-row")) > 30
    shown.check()


@pytest.mark.long
def test_a_report_names_nobody_when_asked_to(searched: RepoBuilder, show: Show) -> None:
    shown = show(make_report(searched, "--anonymous", "--full", name="anonymous.html"), "v=runs")
    said = shown.page.evaluate("JSON.stringify(globalThis.gitexp.page.search.payload)")
    assert not re.search("Ada|Beispiel|example.org|lab-gpu|petrel", said)
    assert "author 1" in said
    shown.check()
