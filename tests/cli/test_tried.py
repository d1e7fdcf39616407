"""`git exp tried` and the repeat check of `git exp run`: which runs of a trial count."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gitexp
from tests.cli.conftest import Exp

TRIAL = ("--", "python", "train.py", "--lr", "0.2")
WAIT = "touch ready; while ! [ -e go ]; do sleep 0.05; done"


def begin(directory: Path, *args: str) -> "subprocess.Popen[bytes]":
    """Start `git exp run` in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitexp", "run", *args],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(Path(gitexp.__file__).parents[1])},
        start_new_session=True,
    )


def await_file(path: Path, process: "subprocess.Popen[bytes]") -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.02)


@pytest.fixture
def tree_b(exp: Exp, tmp_path: Path) -> Iterator[Path]:
    """A second work tree of the repository, called `b`."""
    exp.repo.write(".gitignore", "ready\ngo\n")
    exp.repo.git("add", "-A")
    exp.repo.git("commit", "-qm", "ignore")
    path = tmp_path / "b"
    exp.repo.git("worktree", "add", "-q", "--detach", str(path))
    yield path
    (path / "go").touch()


def asked(exp: Exp, *args: str, check: int = 1) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("tried", "--json", *args, check=check).out)
    return document


class TestWhatCounts:
    def test_a_run_that_timed_out(self, exp: Exp) -> None:
        exp("run", "--timeout", "0.1s", "--", "sleep", "600", check=124)
        assert "timed out" in exp("tried", "--", "sleep", "600", check=1).out

    def test_a_run_that_timed_out_and_was_decided_is_refused(self, exp: Exp) -> None:
        exp("run", "--timeout", "0.1s", "--", "sleep", "600", check=124)
        exp("decide", "last", "discard", "-m", "too slow")
        done = exp("run", "--", "sleep", "600", check=128)
        assert "timed out; decided discard: too slow" in done.err
        document = asked(exp, "--", "sleep", "600")
        assert (document["rejected"], document["refused"]) == (True, True)

    def test_an_interrupted_run_once_it_was_decided(self, exp: Exp) -> None:
        exp("start", *TRIAL)
        exp("finish", exp.ids()[0], "--outcome", "interrupted")
        assert exp("tried", *TRIAL).err.startswith("new: ")
        exp("decide", "last", "discard", "-m", "hangs")
        assert "interrupted; decided discard: hangs" in exp("tried", *TRIAL, check=1).out

    def test_a_refusal_that_the_settings_turn_off_is_none(self, exp: Exp) -> None:
        exp("run", *TRIAL)
        exp("decide", "last", "discard")
        exp.repo.git("config", "exp.repeat", "warn")
        document = asked(exp, *TRIAL)
        assert (document["rejected"], document["refused"]) == (True, False)


class TestRunning:
    def test_a_run_in_another_work_tree(self, exp: Exp, tree_b: Path) -> None:
        process = begin(tree_b, "--", "sh", "-c", WAIT)
        await_file(tree_b / "ready", process)
        told = exp("tried", "--", "sh", "-c", WAIT, check=1).out
        assert "this very trial is running now:\n  <1> " in told
        assert ": running in work tree b since " in told
        document = asked(exp, "--", "sh", "-c", WAIT)
        assert [run["outcome"] for run in document["running"]] == ["running"]
        assert document["identical"] == []
        (tree_b / "go").touch()
        assert process.wait() == 0
        assert asked(exp, "--", "sh", "-c", WAIT)["running"] == []

    def test_a_dead_run_is_not_running(self, exp: Exp, tree_b: Path) -> None:
        process = begin(tree_b, "--", "sh", "-c", WAIT)
        await_file(tree_b / "ready", process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert "new: " in exp("tried", "--", "sh", "-c", WAIT).err

    def test_a_run_by_hand(self, exp: Exp) -> None:
        exp("start", *TRIAL)
        told = exp("tried", *TRIAL, check=1).out
        assert ", begun by hand" in told
        assert "work tree" not in told

    def test_a_run_without_a_journal_here_may_go_on(self, exp: Exp, tree_b: Path) -> None:
        """As a run that was fetched: its journal is in the clone that started it."""
        process = begin(tree_b, "--", "sh", "-c", WAIT)
        await_file(tree_b / "ready", process)
        (journal,) = (exp.repo.path / ".git/gitexp/journal").glob("*.journal")
        aside = journal.rename(journal.with_suffix(".aside"))
        told = exp("tried", "--", "sh", "-c", WAIT, check=1).out
        aside.rename(journal)
        (tree_b / "go").touch()
        process.wait()
        assert ", as far as is known: it was not started here" in told
