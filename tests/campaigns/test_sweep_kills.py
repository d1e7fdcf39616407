"""`kill -9` of a sweep, its guardian or one of its trials at random moments, then `sweep resume`.

Each point has exactly one result, each trial that started has a record, and no process is left.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitexp.features.sweeps.marks import OWNER_VARIABLE, marks_of
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder

KILLS = int(os.environ.get("GITEXP_TEST_KILLS", "60"))
POINTS = 5
SCRIPT = 'echo "$GITEXP_RUN" >> "$STARTED"; sleep 0.1; echo METRIC loss={n}; : {turn}'
VICTIMS = ("sweep", "guardian", "both", "trial", "children")


def exp(repo: RepoBuilder, *args: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gitexp", *args],
        cwd=repo.path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def mark_of(repo: RepoBuilder) -> str:
    """The end of the mark that all trials of this clone have, whatever their sweep."""
    mark = marks_of(Workspace.open(repo.path), "")[OWNER_VARIABLE]
    return f"{OWNER_VARIABLE}= {mark}"


def processes(mark: str) -> list[int]:
    """The processes of trials, by their mark."""
    name, _, clone = mark.partition(" ")
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(v.startswith(name.encode()) and v.endswith(clone.encode()) for v in variables):
            found.append(int(path.parent.name))
    return found


def guardians(parent: int) -> list[int]:
    """The guardian of a sweep: its child that was started with `guardian.py`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
            stat = (path.parent / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if b"guardian.py" in words and int(stat[1]) == parent:
            found.append(int(path.parent.name))
    return found


def strike(victim: str, parent: int, sweep_mark: str) -> None:
    """Kill the named processes that exist."""
    targets = {
        "sweep": [parent],
        "guardian": guardians(parent),
        "both": [*guardians(parent), parent],
        "trial": processes(sweep_mark)[:1],
        "children": processes(sweep_mark),
    }
    for pid in targets[victim]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_each_point_is_recorded_once_whatever_is_killed(
    repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(16)
    repo.commit({"code.txt": str(tmp_path)})
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))
    (tmp_path / "started").touch()
    for turn in range(KILLS):
        words = ("-j", "2", "--stop-after-failures", "0", "-S", f"n=1..{POINTS}", "-S")
        command = (*words, f"turn={turn}", "--", "sh", "-c", SCRIPT)
        process = subprocess.Popen(
            [sys.executable, "-m", "gitexp", "sweep", "-q", *command],
            cwd=repo.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(rng.uniform(0.1, 2.5))
        strike(VICTIMS[turn % len(VICTIMS)], process.pid, mark_of(repo))
        process.wait(timeout=120)
        again = exp(repo, "sweep", "-q", "--retry-failed", *command)
        assert again.returncode == 0, f"turn {turn}: {again.stdout}{again.stderr}"
        check(repo, tmp_path, turn)
    assert exp(repo, "doctor").returncode == 0


def check(repo: RepoBuilder, tmp_path: Path, turn: int) -> None:
    """Compare what started with what is recorded."""
    runs = json.loads(exp(repo, "list", "--json").stdout)["runs"]
    results = [
        run["params"]["n"]
        for run in runs
        if run["params"]["turn"] == turn and run["outcome"] == "succeeded"
    ]
    assert sorted(results) == list(range(1, POINTS + 1)), f"turn {turn}: {sorted(results)}"
    started = set((tmp_path / "started").read_text().split())
    assert started <= {run["id"] for run in runs}, f"turn {turn}: a trial that ran has no record"
    assert {run["outcome"] for run in runs} <= {"succeeded", "interrupted", "failed"}
    end = time.monotonic() + 15
    while processes(mark_of(repo)):
        assert time.monotonic() < end, f"turn {turn}: a process is left"
        time.sleep(0.1)
    assert len(repo.git("worktree", "list").splitlines()) == 1
