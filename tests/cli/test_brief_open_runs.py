"""`git exp brief` with unsealed runs, and with commands that did not start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gitexp
from gitexp.adapters.journal.journal import claimed
from tests.cli.conftest import Exp

WAIT = "touch ready; while ! [ -e go ]; do sleep 0.05; done"


def begin(exp: Exp) -> "subprocess.Popen[bytes]":
    """Start a run in the background and wait until its command runs."""
    exp.repo.commit({".gitignore": "ready\ngo\n"}, "ignore")
    process = subprocess.Popen(
        [sys.executable, "-m", "gitexp", "run", "-n", "long", "--", "sh", "-c", WAIT],
        cwd=exp.repo.path,
        env={**os.environ, "PYTHONPATH": str(Path(gitexp.__file__).parents[1])},
        start_new_session=True,
    )
    while not (exp.repo.path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.02)
    return process


def journal_of(exp: Exp) -> Path:
    (journal,) = (exp.repo.path / ".git/gitexp/journal").glob("*.journal")
    return journal


def test_brief_shows_a_running_run(exp: Exp) -> None:
    process = begin(exp)
    lines = exp("brief").out.splitlines()
    assert lines[lines.index("running") + 1].startswith("  <1> long: since ")
    (exp.repo.path / "go").touch()
    assert process.wait() == 0
    assert "running" not in exp("brief").out


def test_brief_counts_an_unrecovered_dead_run_as_interrupted(exp: Exp) -> None:
    process = begin(exp)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with claimed(journal_of(exp)) as is_ours:  # as if another command recovered it now
        assert is_ours
        brief = exp("brief").out
        document = json.loads(exp("brief", "--json").out)
        assert 'outcome = "running"' in exp.repo.git("cat-file", "-p", blob_of(exp))
    assert brief.startswith("1 run: 1 interrupted\n")
    assert "\nrunning\n" not in brief and "\ninterrupted\n  <1> long: interrupted" in brief
    assert document["running"] == [] and document["outcomes"] == {"interrupted": 1}


def blob_of(exp: Exp) -> str:
    """Return the path of the only record."""
    return "gitexp:" + exp.repo.git("ls-tree", "-r", "--name-only", "gitexp", "--", "runs")


def test_brief_marks_a_run_of_another_clone_as_unsure(exp: Exp) -> None:
    process = begin(exp)
    journal = journal_of(exp)
    aside = journal.rename(journal.with_suffix(".aside"))
    brief = exp("brief").out
    document = json.loads(exp("brief", "--json").out)
    aside.rename(journal)
    (exp.repo.path / "go").touch()
    process.wait()
    assert ", as far as is known: it was not started here" in brief
    assert [run["unseen"] for run in document["running"]] == [True]


def test_brief_says_why_a_command_did_not_start(exp: Exp) -> None:
    exp("run", "-n", "typo", "--", "no-such-command", check=127)
    (exp.repo.path / "folder").mkdir()
    exp("run", "-n", "folder", "--", "./folder", check=126)
    exp("run", "-n", "shell", "--", "sh", "-c", "exit 127", check=127)
    lines = exp("brief").out.splitlines()
    assert "  command not found: no-such-command: <1> typo (1)" in lines
    assert "  cannot run './folder': it is a folder: <2> folder (1)" in lines
    assert "  no output, exit code 127: <3> shell (1)" in lines
