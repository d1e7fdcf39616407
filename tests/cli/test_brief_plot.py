"""`git exp brief` and `git exp plot` for users and agents."""

import builtins
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from gitexp.cli import brief_command
from tests.cli.conftest import Done, Exp

Train = Callable[..., Done]


def test_brief_without_runs(exp: Exp) -> None:
    done = exp("brief")
    assert (done.out, done.err) == (
        "",
        "there are no runs yet; `git exp run -- CMD` records the first",
    )
    assert json.loads(exp("brief", "--json").out)["total"] == 0


def test_brief_shows_best_hints_and_rejected_trials(exp: Exp, train: Train) -> None:
    train("0.30", "first", "-m", "a start")
    train("0.10", "second", "-m", "slower")
    train("0.20", "third")
    train("0.15", "fourth")
    exp("decide", "first", "discard", "-m", "too coarse", "--next", "go below 0.1")
    exp("decide", "second", "keep")
    exp("decide", "fourth", "improve", "-m", "nearly")
    assert exp("brief").out.splitlines() == [
        "4 runs: 4 succeeded",
        "noise unknown: the best is so by the numbers",
        "best: accuracy 0.9 by <2> second, AGO, decided keep; higher is better (a guess)",
        "  with lr 0.1",
        "  because: slower",
        "  the work tree has its code",
        "  2 trials since",
        "",
        "open hints",
        "  go below 0.1 (<1> first; 3 runs since)",
        "",
        "given up, by cause",
        "  too coarse: <1> first lr 0.3, accuracy 0.7 (1)",
        "",
        "waiting for a decision",
        "  <3> third: accuracy 0.8; lr 0.2",
        "",
        "kept",
        "  <4> fourth: accuracy 0.85; lr 0.15; improve: nearly",
        "",
        "not tried yet, next to the best",
        "  lr 0.0667: below every value tried",
        "  lr 0.125: between 0.1 and 0.15",
    ]


def test_brief_as_json_fits_its_budget(exp: Exp, train: Train) -> None:
    train("0.30", "first")
    exp("run", "-n", "broken", "--", "python", "-c", "raise SystemExit('no data')", check=1)
    done = exp("brief", "--json").out
    assert "\n" not in done
    document = json.loads(done)
    assert document["schema"] == 2
    assert document["best"]["params"] == {"lr": 0.3}
    assert document["best"]["argv"] == ["python", "train.py", "--lr", "0.30"]
    assert document["best"]["in_work_tree"] is True
    assert document["outcomes"] == {"succeeded": 1, "failed": 1}
    assert [(c["cause"], c["kind"], c["count"]) for c in document["failed"]] == [
        ("no data", "failed", 1)
    ]
    assert [found["param"] for found in document["untried"]] == ["lr", "lr"]


def test_repeats_are_one_trial_and_noise_decides(exp: Exp, noisy: None) -> None:
    exp("run", "-n", "near", "--", "python", "noisy.py", "--lr", "0.11", "--seed", "1")
    exp("run", "-n", "far", "--", "python", "noisy.py", "--lr", "0.9", "--seed", "1")
    lines = exp("brief").out.splitlines()
    assert lines[0] == "5 runs: 5 succeeded; 3 trials"
    assert "noise unknown" not in "\n".join(lines)
    assert lines[1].startswith("best?: score 0.9, mean of 3, typical run <1> base, AGO")
    assert lines[2] == "  1 other (?) cannot be told from it"
    waiting = lines[lines.index("waiting for a decision") + 1 :]
    assert waiting[:2] == [
        "  <4> near: score 0.9 ?; lr 0.11",
        "  <5> far: score 0.11, worse; lr 0.9",
    ]
    best = json.loads(exp("brief", "--json").out)["best"]
    assert (best["n"], best["contenders"]) == (3, 1)


@pytest.fixture(name="noisy")
def _noisy(exp: Exp) -> None:
    """Three runs of one trial: 0.9, 0.91 and 0.89."""
    program = (
        "import sys\n"
        "lr, seed = float(sys.argv[2]), int(sys.argv[4])\n"
        "print(f'METRIC score={1 - lr + (0, 0.01, -0.01)[seed % 3]:.4f}')\n"
    )
    exp.repo.commit({"noisy.py": program}, "a noisy program")
    for seed in ("0", "1", "2"):
        exp("run", "-n", "base", "--", "python", "noisy.py", "--lr", "0.1", "--seed", seed)


def test_brief_shows_the_code_changes_of_runs(exp: Exp, train: Train) -> None:
    train("0.1", "first")
    script = exp.repo.path / "train.py"
    original = script.read_text()
    script.write_text(original + "# one\n# two\n")
    exp.repo.write("notes.py", "x = 1\n")
    train("0.1", "second")
    brief = exp("brief").out
    assert "\n  the work tree has its code\n" in brief  # the newest of equal trials is the best
    assert "\n  changed against its parent: notes.py +1 -0, train.py +2 -0\n" in brief
    assert "  <1> first: accuracy 0.9, same; notes.py +0 -1, train.py +0 -2\n" in brief
    script.write_text(original + "# one\n# two\n# three\n")
    status = exp.repo.git("status", "--porcelain")
    found = json.loads(exp("brief", "--json").out)
    assert found["best"]["in_work_tree"] is False
    assert found["best"]["work_tree"] == ["train.py +1 -0"]
    assert found["undecided"][0]["code"] == ["notes.py +0 -1", "train.py +0 -2"]
    assert exp.repo.git("status", "--porcelain") == status


def test_code_that_is_not_in_this_clone_is_other_code(exp: Exp, train: Train) -> None:
    train("0.2", "first")
    exp.repo.commit({"more.py": "1\n"}, "more")
    tree = exp.repo.git("rev-parse", "HEAD^{tree}")
    train("0.1", "second")
    exp.repo.git("reset", "--quiet", "--hard", "HEAD~")
    (exp.repo.path / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    lines = exp("brief").out.splitlines()
    assert not any("work tree" in line for line in lines)
    assert "  <1> first: accuracy 0.8; lr 0.2; other code" in lines


def test_a_small_budget_counts_what_it_leaves_out(exp: Exp, train: Train) -> None:
    for number in range(1, 10):
        train(f"0.{number}", f"n{number}")
        exp("decide", "last", "discard", "-m", f"for cause {chr(96 + number)}")
    train("0.05", "best")
    whole = exp("brief", "--budget", "5000").out
    assert whole.count("for cause") == 9 and "more" not in whole
    small = exp("brief", "--budget", "120").out
    assert len(small) <= 480
    shown = small.count("for cause")
    assert 0 < shown < 9 and f"  and {9 - shown} more\n" in small
    none = exp("brief", "--budget", "1").out.splitlines()
    assert none[-1] == "left out: 9 given up, 2 not tried yet; a larger --budget has room"
    document = json.loads(exp("brief", "--json", "-n", "1").out)
    assert document["left_out"] == {"rejected": 8, "untried": 1}
    assert len(exp("brief", "--json", "--budget", "300").out) <= 1200


def test_rejected_trials_of_one_cause_are_one_line(exp: Exp, train: Train) -> None:
    for lr in ("0.7", "0.5", "0.6"):
        train(lr, "high")
        exp("decide", "last", "discard", "-m", f"diverges at {lr}")
    train("0.1", "low")
    assert "\n  diverges at …: lr 0.5, 0.6, 0.7 (3)\n" in exp("brief").out
    (cause,) = json.loads(exp("brief", "--json").out)["rejected"]
    assert (cause["count"], cause["params"]) == (3, {"lr": [0.5, 0.6, 0.7]})
    assert [trial["run"] for trial in cause["trials"]] == ["<run 3>"]


def test_the_values_of_one_cause_are_listed_by_parameter(exp: Exp, train: Train) -> None:
    def tried(lr: str, *options: str, said: str) -> None:
        exp("run", "--", "python", "train.py", "--lr", lr, *options)
        exp("decide", "last", said, "-m", "as expected")

    tried("0.4", said="keep")
    for lr in ("0.9", "0.8"):
        tried(lr, said="discard")
    tried("0.4", "--hidden", "64", said="discard")
    tried("0.2", said="keep")
    tried("0.2", "--hidden", "8", said="discard")
    brief = exp("brief").out
    assert "\ngiven up, by cause; changes against the nearest kept trial\n" in brief
    assert "\n  as expected: hidden 8, 64; lr 0.8, 0.9 (4)\n" in brief
    (cause,) = json.loads(exp("brief", "--json").out)["rejected"]
    assert cause["alone"] == {"hidden": [8, 64], "lr": [0.8, 0.9]}
    assert cause["trials"] == [] and "params" not in cause


def test_a_long_list_of_one_cause_is_shortened_to_the_budget(exp: Exp) -> None:
    exp("record", "-S", "a=0", "-M", "accuracy=0.9")
    for n in range(1, 13):
        exp("record", "-S", f"parameter{n}=value{n}", "-M", "accuracy=0.1")
        exp("decide", "last", "discard", "-m", "no gain")
    whole = exp("brief", "--budget", "5000").out
    assert whole.count("value") == 12 and " older" not in whole
    small = exp("brief", "--budget", "90").out
    assert "; 6 older (12)" in small or "; 9 older (12)" in small, small
    assert len(small) <= 360 and "and 6 more" not in small and "and 9 more" not in small


def test_runs_beyond_the_limit_are_counted(
    exp: Exp, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        train(f"0.{number}", f"n{number}")
        exp("decide", "last", "discard", "-m", f"for cause {chr(96 + number)}")
    train("0.6", "last")
    monkeypatch.setattr(brief_command, "NEWEST", 1)
    monkeypatch.setattr(brief_command, "REJECTED", 3)
    brief = exp("brief").out
    assert "; summed up here are 4: the newest, the best," in brief
    assert brief.count("for cause") == 3 and "\n  and 2 more\n" in brief
    assert json.loads(exp("brief", "--json").out)["left_out"] == {"rejected": 2}


def test_since_lists_only_newer_trials(exp: Exp, train: Train) -> None:
    train("0.1", "first")
    train("0.3", "second")
    train("0.2", "third")
    lines = exp("brief", "--since", "second").out.splitlines()
    assert lines[0] == "3 runs: 3 succeeded"
    assert lines[1] == "listed is what is newer than <2> second; 1 older trial left out"
    assert lines[-2:] == ["waiting for a decision", "  <3> third: accuracy 0.8; lr 0.2"]
    assert any(line.startswith("best: accuracy 0.9 by <1> first") for line in lines)


def test_a_hint_is_dropped_by_a_later_decision(exp: Exp, train: Train) -> None:
    train("0.1", "first")
    exp("decide", "last", "keep", "--next", "halve lr")
    exp("decide", "last", "keep", "--next", "double lr")
    found = json.loads(exp("brief", "--json").out)["hints"]
    assert [hint["hint"] for hint in found] == ["double lr", "halve lr"]
    exp("decide", "last", "keep", "--next", "-")
    assert json.loads(exp("brief", "--json").out)["hints"] == []


def test_brief_by_another_metric(exp: Exp, train: Train) -> None:
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
def test_plot_draws_series_of_several_runs(exp: Exp, train: Train) -> None:
    train("0.30", "first")
    train("0.10", "second")
    done = exp("plot", "loss", "first", "best", "--height", "6")
    lines = done.out.splitlines()
    assert lines[0].split() == ["(loss)", "^"]
    assert lines[-2:] == ["a  <1> first", "b  <2> second"]
    assert "(step)" in done.out and "\x1b" not in done.out
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("_plotille")
def test_plot_draws_a_metric_against_a_parameter(exp: Exp, train: Train) -> None:
    for lr in ("0.3", "0.2", "0.1"):
        train(lr, f"n{lr[-1]}")
    drawn = exp("plot", "accuracy", "--against", "lr", "--height", "6").out
    assert drawn.count("o") == 3 and "(lr)" in drawn
    assert exp("plot", "accuracy", "--against", "speed", check=128).err.startswith("error: ")


@pytest.mark.usefixtures("_plotille")
def test_plot_draws_the_best_so_far(exp: Exp, train: Train) -> None:
    for lr in ("0.3", "0.1", "0.2"):
        train(lr, f"n{lr[-1]}")
    lines = exp("plot", "accuracy", "--best", "--height", "6").out.splitlines()
    assert lines[-2:] == ["o  every run", "-  best mean so far"]


@pytest.mark.usefixtures("_plotille")
def test_plot_fits_the_terminal(exp: Exp, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("0.3", "first")
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("FORCE_COLOR", "1")
    drawn = exp("plot", "loss").out
    assert "\x1b[" in drawn
    monkeypatch.delenv("FORCE_COLOR")
    assert max(map(len, exp("plot", "loss").out.splitlines())) <= 50


def test_plot_without_data_is_an_error(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    done = exp("plot", "accuracy", check=125)
    assert done.err.splitlines() == [
        "run <1> first has no series of accuracy",
        "error: there is no series of 'accuracy' to draw",
        "because: a series is kept when a metric is logged more than once in a run",
        "hint: the last values of all runs: `git exp plot accuracy --best`",
    ]


def test_plot_without_plotille_says_what_to_install(
    exp: Exp, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_show_draws_sparklines(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    shown = exp("show").out
    assert "loss      0.1 (minimize, a guess)  █▂▁ 3 values" in shown
    assert "accuracy  0.7 (maximize, a guess)\n" in shown


def test_a_picture_is_written_where_the_user_says(exp: Exp, train: Train) -> None:
    train("0.1", "first")
    train("0.2", "second <b>")
    done = exp("plot", "loss", "first", "last", "--svg", "loss.svg")
    assert done.out == ""
    assert re.fullmatch(r"wrote loss\.svg \(\d+ KB\)", done.err)
    text = (exp.repo.path / "loss.svg").read_text()
    assert "second &lt;b&gt;</text>" in text
    exp("plot", "accuracy", "--against", "lr", "--svg", "a.svg", "--png", "a.png")
    assert (exp.repo.path / "a.png").read_bytes().startswith(b"\x89PNG")
    told = exp("plot", "loss", "--svg", "no/a.svg", check=128).err
    assert told.startswith("error: cannot write to 'no/a.svg'")
