"""A run whose recording process was killed while its command lives: all commands agree on it."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitexp.adapters.journal.journal import list_journals, read_journal
from gitexp.adapters.journal.liveness import Liveness, liveness
from gitexp.adapters.system import clock
from gitexp.storage.workspace import Workspace
from tests.cli.conftest import Exp
from tests.cli.test_tried import await_file, begin

WAIT = "echo $$ > ready.part; mv ready.part ready; while ! [ -e go ]; do sleep 0.05; done"
COMMAND = ("--", "sh", "wait.sh")


@pytest.fixture
def survivor(exp: Exp) -> Iterator[int]:
    """Return the pid of a command that outlives its killed `git exp run`."""
    exp.repo.commit({".gitignore": "ready*\ngo\n", "wait.sh": WAIT}, "a command that waits")
    recorder = begin(exp.repo.path, *COMMAND)
    ready = exp.repo.path / "ready"
    await_file(ready, recorder)
    os.kill(recorder.pid, signal.SIGKILL)
    recorder.wait()
    pid = int(ready.read_text())
    yield pid
    end(exp, pid)


def end(exp: Exp, pid: int) -> None:
    """Let the command end, and wait for its end."""
    (exp.repo.path / "go").touch()
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
        clock.sleep(0.02)


def outcome(exp: Exp) -> str:
    (run,) = json.loads(exp("list", "--json").out)["runs"]
    return str(run["outcome"])


def test_all_commands_agree_on_a_run_whose_command_survived(exp: Exp, survivor: int) -> None:
    would, did = exp("recover", "--dry-run"), exp("recover")
    told = "goes on: its command runs, though the process that records it was killed"
    assert (would.out, did.out) == ("", "")
    assert told in would.err
    assert told in did.err
    assert "ended without reaching the branch" not in exp("doctor").out
    assert outcome(exp) == "running"
    assert "running" in exp("list").out
    assert "running" in exp("brief").out
    assert "this very trial is running now" in exp("tried", *COMMAND, check=1).out
    refused = exp("recover", exp.ids()[0], check=128)
    assert "its command runs, though the process that records it was killed" in refused.err


def test_all_commands_agree_once_the_command_has_ended(exp: Exp, survivor: int) -> None:
    end(exp, survivor)
    assert "would complete run" in exp("recover", "--dry-run").out
    assert "ended without reaching the branch" in exp("doctor", check=1).out
    assert ": interrupted" in exp("recover").out
    assert outcome(exp) == "interrupted"
    assert "running" not in exp("list").out


def test_liveness_of_a_surviving_command_is_read_from_its_journal(exp: Exp, survivor: int) -> None:
    (path,) = list_journals(Workspace.open(exp.repo.path).journals)
    content = read_journal(path)
    assert liveness(content) is Liveness.SURVIVES
    end(exp, survivor)
    assert liveness(content) is Liveness.DEAD
