"""`last` with several writers in one repository: the caller's own run, or a message."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done, Exp


@pytest.fixture
def beside(exp: Exp) -> Path:
    """Create a second work tree of the repository."""
    path = exp.repo.path.parent / "beside"
    exp.repo.git("worktree", "add", "--quiet", "--detach", str(path))
    return path


def test_last_is_the_newest_run_of_the_work_tree(
    exp: Exp,
    train: Callable[..., Done],
    beside: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train("0.1", "mine")
    monkeypatch.chdir(beside)
    train("0.2", "theirs")
    monkeypatch.chdir(exp.repo.path)
    assert exp("decide", "last", "keep").err == "run <1> mine decided keep"
    assert exp("note", "last:any", "hello").err == "noted for run <2> theirs"
    monkeypatch.chdir(beside)
    assert exp("decide", "last", "discard").err == "run <2> theirs decided discard"
    assert exp("show", "@{1}", check=128).err.startswith("error: cannot go back 1 runs")
    assert exp("list", "--where", "decision == 'keep'", "--name-only").out == "<run 1>"


def test_work_tree_without_runs_reads_but_does_not_change_other_runs(
    exp: Exp,
    train: Callable[..., Done],
    beside: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train("0.1", "mine")
    monkeypatch.chdir(beside)
    shown = exp("show", "last")
    assert shown.out.startswith("run <run 1> mine")
    assert shown.err == "this work tree has no run yet: 'last' counts those of the repository"
    for words in (
        ("decide", "last", "discard"),
        ("note", "last", "a word"),
        ("tag", "last", "good"),
        ("remove", "last", "--yes"),
        ("finish",),
    ):
        refused = exp(*words, check=128)
        assert refused.err == (
            "error: cannot tell which run 'last' means\n"
            "because: this work tree has no run yet\n"
            "hint: the newest of the repository is <1> mine, by Ada Test:"
            " if you mean it, name it by its id"
        ), words
    assert exp("tag", "last").out == ""
    assert exp("list", "--json").out.count('"annotations"') == 0


def test_session_variable_separates_two_writers_in_one_work_tree(
    exp: Exp, train: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITEXP_SESSION", "agent-1")
    train("0.1", "one")
    monkeypatch.setenv("GITEXP_SESSION", "agent-2")
    train("0.2", "two")
    monkeypatch.setenv("GITEXP_SESSION", "agent-1")
    assert exp("decide", "last", "keep").err == "run <1> one decided keep"
    assert exp("list", "--where", "session == 'agent-2'", "--name-only").out == "<run 2>"
    monkeypatch.setenv("GITEXP_SESSION", "../x")
    assert exp("show", "last", check=128).err.startswith("error: cannot use GITEXP_SESSION")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("run", "--", "python", "train.py", "--lr", "0.1"), id="refused"),
        pytest.param(("run", "--no-such-option", "--", "python"), id="no option"),
        pytest.param(("run",), id="no command"),
        pytest.param(("run", "--input", "no-such-file", "--", "python"), id="no input"),
        pytest.param(("record", "-M", "accuracy"), id="record"),
        pytest.param(("start", "--parent", "no-such-run"), id="start"),
    ],
)
def test_last_is_refused_for_changes_after_a_failed_start(
    exp: Exp, train: Callable[..., Done], words: tuple[str, ...]
) -> None:
    train("0.1", "first")
    exp("decide", "last", "discard")
    assert exp(*words, check=None).code >= 128
    refused = exp("decide", "last", "keep", check=128)
    assert refused.err == (
        "error: cannot tell which run 'last' means\n"
        "because: the last attempt to start a run in this work tree started none\n"
        "hint: the newest of this work tree is <1> first: if you mean it, name it by its id"
    )
    assert exp("show", "last").err == ""
    exp("note", "first", "it may be named")
    train("0.2", "second")
    assert exp("decide", "last", "keep").err == "run <2> second decided keep"


def test_a_run_whose_program_cannot_be_started_is_the_last(
    exp: Exp, train: Callable[..., Done]
) -> None:
    """The failed run is recorded, so `last` means it and not an earlier run."""
    train("0.1", "first")
    exp("decide", "last", "keep")
    exp("run", "-n", "second", "--", "no-such-program", check=127)
    assert exp("decide", "last", "discard").err == "run <2> second decided discard"
    assert exp("list", "--where", "decision == 'keep'", "--name-only").out == "<run 1>"


def test_a_trial_that_was_skipped_started_no_run(
    exp: Exp, train: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    train("0.1", "first")
    train("0.2", "second")
    monkeypatch.setenv("GITEXP_REPEAT", "skip")
    train("0.1", "third")
    exp("decide", "last", "keep", check=128)


def test_failed_run_is_the_last(exp: Exp) -> None:
    exp("run", "-n", "crash", "--", "python", "-c", "raise SystemExit(3)", check=3)
    assert exp("decide", "last", "discard").err == "run <1> crash decided discard"


def test_a_run_that_was_recorded_or_begun_by_hand_is_the_last(exp: Exp) -> None:
    exp("record", "-n", "made", "-M", "accuracy=0.5")
    assert exp("note", "last", "x").err == "noted for run <1> made"
    exp("start", "-n", "begun")
    assert exp("finish").out == "<run 2>"
    assert exp("note", "last", "x").err == "noted for run <2> begun"
