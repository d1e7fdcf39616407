"""`git exp log`: the verdict at the end of a run, and today's verdict."""

from collections.abc import Callable

import pytest

from gitexp.adapters.system import clock
from tests.cli.conftest import Done, Exp

Train = Callable[..., Done]


def verdicts(exp: Exp, name: str) -> list[str]:
    """Return the lines of the log with the verdicts of a run."""
    lines = [line.strip() for line in exp("log", name).out.splitlines()]
    return [line for line in lines if line.startswith(("accuracy", "today:"))]


def test_later_run_changes_only_todays_verdict(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    train("0.2", "second")
    before = verdicts(exp, "second")
    assert len(before) == 1 and "best so far" in before[0]
    train("0.1", "third")
    then, today = verdicts(exp, "second")
    assert then == before[0]
    assert today.startswith("today: accuracy 0.8: better than the last, 0.7")
    assert "worse than the best, 0.9" in today
    assert len(verdicts(exp, "third")) == 1
    assert exp("log", "--oneline", "second").out == f"<2> second: {then}"


def test_later_decision_does_not_change_the_earlier_verdict(exp: Exp, train: Train) -> None:
    train("0.1", "wrong")
    train("0.3", "middle")
    train("0.2", "second")
    (before,) = verdicts(exp, "second")
    assert "worse than the best, 0.9" in before
    exp("decide", "wrong", "discard", "-m", "the data leaked")
    then, today = verdicts(exp, "second")
    assert then == before
    assert "best so far" in today


def test_earlier_decision_counts_for_the_verdict(exp: Exp, train: Train) -> None:
    train("0.1", "wrong")
    exp("decide", "wrong", "discard", "-m", "the data leaked")
    train("0.3", "middle")
    train("0.2", "second")
    exp("decide", "wrong", "keep", "-m", "it did not")
    then, today = verdicts(exp, "second")
    assert "best so far" in then
    assert "worse than the best, 0.9" in today


def test_run_that_ended_later_does_not_count_for_the_verdict(
    exp: Exp, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp("start", "-n", "slow", "-S", "lr=1")
    train("0.3", "first")
    train("0.2", "second")
    (before,) = verdicts(exp, "second")
    assert "best so far" in before
    monkeypatch.setenv("GITEXP_NOW", str(clock.now().timestamp() + 10))
    exp("finish", "slow", "-M", "accuracy=0.99")
    then, today = verdicts(exp, "second")
    assert then == before
    assert "worse than the best, 0.99" in today


def test_metric_added_later_has_no_earlier_verdict(exp: Exp, train: Train) -> None:
    train("0.3", "first")
    exp("run", "-n", "quiet", "--", "python", "-c", "print(1)")
    exp("note", "quiet", "-M", "accuracy=0.9")
    (today,) = verdicts(exp, "quiet")
    assert today.startswith("today: accuracy 0.9: better than the last, 0.7")
