"""The pattern search in a separate process: its results, and that it never blocks gitexp."""

import pytest

from gitexp.adapters.system import line_matcher
from gitexp.adapters.system.line_matcher import Matcher, Searched


def search(
    patterns: list[tuple[str, str | None]], lines: list[str], patience_s: float = 60
) -> tuple[list[tuple[float, dict[str, str]]], Searched]:
    found: list[tuple[float, dict[str, str]]] = []
    searching = Matcher(patterns, lambda seconds, texts, _: found.append((seconds, texts)))
    for number, line in enumerate(lines):
        searching.feed(line, number / 2)
    return found, searching.close(patience_s)


def test_matches_come_in_order_with_the_time_of_their_line() -> None:
    lines = ["loss 1.5", "nothing", "loss 0.5 tab\there", "lös 3 loss 7 \ud800"]
    found, searched = search([(r"loss ([\d.]+)", "loss")], lines)
    assert found == [(0.0, {"loss": "1.5"}), (1.0, {"loss": "0.5"}), (1.5, {"loss": "7"})]
    assert searched == (0, ())


@pytest.mark.slow
def test_every_line_of_many_is_searched() -> None:
    found, searched = search([(r"loss ([\d.]+)", "loss")], [f"loss {n}" for n in range(20_000)])
    assert [texts["loss"] for _, texts in found] == [str(n) for n in range(20_000)]
    assert searched == (0, ())


def test_slow_pattern_is_dropped_and_the_others_continue() -> None:
    lines = ["a" * 60 + "b loss 1"] * 10
    found, searched = search([(r"(a+)+$", "x"), (r"loss (\d)", "loss")], lines)
    assert [texts for _, texts in found] == [{"loss": "1"}] * 10
    assert searched == (0, (0,))


def test_feeding_never_waits_and_counts_skipped_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_matcher, "MAX_WAITING", 1 << 16)
    searching = Matcher([(r"(a+)+$", "x")] * 90, lambda *_: None)
    for _ in range(2000):
        searching.feed("a" * 200 + "b", 0.0)
    searched = searching.close(patience_s=0.1)
    assert searched.unsearched > 0
