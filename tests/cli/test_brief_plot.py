"""`git exp brief` and `git exp plot`, as a user and an agent see them."""

import builtins
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Done, Exp

Train = Callable[..., Done]


def test_a_brief_of_nothing(exp: Exp) -> None:
    done = exp("brief")
    assert (done.out, done.err) == (
        "",
        "there are no runs yet; `git exp run -- CMD` records the first",
    )
    assert json.loads(exp("brief", "--json").out)["total"] == 0


def test_a_brief(exp: Exp, train: Train) -> None:
    train("0.30", "first", "-m", "a start")
    train("0.10", "second", "-m", "slower")
    train("0.20", "third")
    exp("decide", "first", "discard", "-m", "too coarse", "--next", "go below 0.1")
    exp("decide", "second", "keep")
    assert exp("brief").out.splitlines() == [
        "3 runs: 3 succeeded",
        "best: accuracy 0.9 by <2> second, AGO, decided keep; higher is better (a guess)",
        "  with lr 0.1",
        "  because: slower",
        "  1 run since did not beat it",
        "",
        "open hints",
        "  go below 0.1 (<1> first; 2 runs since)",
        "",
        "last runs",
        "  <3> third: accuracy 0.8, worse; lr 0.2",
        "  <2> second: accuracy 0.9, better; keep: slower",
        "  <1> first: accuracy 0.7; lr 0.3; discard: too coarse",
        "",
        "given up",
        "  <1> first: accuracy 0.7; lr 0.3; discard: too coarse",
        "",
        "waiting for a decision",
        "  <3> third",
        "",
        "not tried yet, next to the best",
        "  lr 0.05: below every value tried",
        "  lr 0.15: between 0.1 and 0.2",
    ]


def test_a_brief_for_an_agent(exp: Exp, train: Train) -> None:
    train("0.30", "first")
    exp("run", "-n", "broken", "--", "python", "-c", "raise SystemExit(3)", check=3)
    document = json.loads(exp("brief", "--json").out)
    assert document["best"]["params"] == {"lr": 0.3}
    assert document["best"]["argv"] == ["python", "train.py", "--lr", "0.30"]
    assert document["outcomes"] == {"succeeded": 1, "failed": 1}
    assert [found["name"] for found in document["failed"]] == ["broken"]
    assert [found["param"] for found in document["untried"]] == ["lr", "lr"]


def test_a_brief_by_another_metric(exp: Exp, train: Train) -> None:
    train("0.30", "first")
    train("0.10", "second")
    assert "best: loss 0.0333 by <2> second" in exp("brief", "--metric", "loss").out
    done = exp("brief", "--metric", "speed", check=128)
    assert done.err.startswith("error: no run has a metric 'speed'")


# --- plot -----------------------------------------------------------------------------------------


@pytest.fixture
def _plotille() -> None:
    pytest.importorskip("plotille")


@pytest.mark.usefixtures("_plotille")
def test_series_of_several_runs(exp: Exp, train: Train) -> None:
    train("0.30", "first")
    train("0.10", "second")
    done = exp("plot", "loss", "first", "best", "--height", "6")
    lines = done.out.splitlines()
    assert lines[0].split() == ["(loss)", "^"]
    assert lines[-2:] == ["a  <1> first", "b  <2> second"]
    assert "(step)" in done.out and "\x1b" not in done.out
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("_plotille")
def test_a_metric_against_a_parameter(exp: Exp, train: Train) -> None:
    for lr in ("0.3", "0.2", "0.1"):
        train(lr, f"n{lr[-1]}")
    drawn = exp("plot", "accuracy", "--against", "lr", "--height", "6").out
    assert drawn.count("o") == 3 and "(lr)" in drawn
    assert exp("plot", "accuracy", "--against", "speed", check=128).err.startswith("error: ")


@pytest.mark.usefixtures("_plotille")
def test_the_best_so_far(exp: Exp, train: Train) -> None:
    for lr in ("0.3", "0.1", "0.2"):
        train(lr, f"n{lr[-1]}")
    lines = exp("plot", "accuracy", "--best", "--height", "6").out.splitlines()
    assert lines[-2:] == ["o  every run", "-  best mean so far"]


@pytest.mark.usefixtures("_plotille")
def test_the_width_of_the_terminal(exp: Exp, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("0.3", "first")
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("FORCE_COLOR", "1")
    drawn = exp("plot", "loss").out
    assert "\x1b[" in drawn
    monkeypatch.delenv("FORCE_COLOR")
    assert max(map(len, exp("plot", "loss").out.splitlines())) <= 50


def test_nothing_to_draw(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    done = exp("plot", "accuracy", check=125)
    assert done.err.splitlines() == [
        "run <1> first has no series of accuracy",
        "error: there is no series of 'accuracy' to draw",
        "because: a series is kept when a metric is logged more than once in a run",
        "hint: the last values of all runs: `git exp plot accuracy --best`",
    ]


def test_without_plotille(exp: Exp, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("0.3", "first")
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "plotille":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert exp("plot", "loss", check=128).err.splitlines() == [
        "error: cannot draw",
        "because: plotille is not installed",
        "hint: `pip install 'gitexp[plot]'`",
    ]


def test_series_are_drawn_small_by_show(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    shown = exp("show").out
    assert "loss      0.1 (minimize, a guess)  █▂▁ 3 values" in shown
    assert "accuracy  0.7 (maximize, a guess)\n" in shown
