"""`kill -9` of a worker, a trial, the coordinator or the scheduler of a Dask cluster at random
moments, then `sweep resume`.

Each point has exactly one result, each trial that started has a record, and no process is left.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import RepoBuilder
from tests.dask_cluster import Cluster

KILLS = int(os.environ.get("GITEXP_TEST_KILLS", "60"))
POINTS = 6
SCRIPT = 'echo "$GITEXP_RUN" >> "$STARTED"; sleep 0.4; echo METRIC loss={n}; : {turn}'
VICTIMS = ("coordinator", "worker", "trial", "scheduler")


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


def trials_of(cluster: Cluster) -> list[int]:
    """The processes of trials on the workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except OSError:
            continue
        is_ours = any(v.startswith(f"HOME={cluster.folder}/".encode()) for v in variables)
        if is_ours and any(v.startswith(b"GITEXP_RUN=") for v in variables):
            found.append(int(path.parent.name))
    return found


def strike(victim: str, coordinator: int, cluster: Cluster) -> None:
    """Kill what the name says, and start it again unless it is the coordinator or a trial."""
    if victim == "coordinator":
        os.kill(coordinator, signal.SIGKILL)
    elif victim == "trial":
        for pid in trials_of(cluster)[:1]:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
    elif victim == "worker":
        os.kill(cluster.workers["w1"].pid, signal.SIGKILL)
        cluster.workers["w1"].wait()
        cluster.start_worker("w1", STARTED=str(cluster.folder.parent / "started"))
    else:
        assert cluster.scheduler is not None
        os.kill(cluster.scheduler.pid, signal.SIGKILL)
        cluster.scheduler.wait()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_each_point_is_recorded_once_whatever_of_a_cluster_is_killed(
    repo: RepoBuilder, tmp_path: Path
) -> None:
    rng = random.Random(16)
    repo.commit({"code.txt": str(tmp_path)})
    started = tmp_path / "started"
    started.touch()
    cluster = Cluster(tmp_path / "cluster")
    try:
        cluster.start_scheduler()
        for name in ("w1", "w2"):
            cluster.start_worker(name, STARTED=str(started))
        for turn in range(KILLS):
            run_turn(repo, cluster, turn, rng)
            check(repo, cluster, started, turn)
    finally:
        cluster.close()
    assert exp(repo, "doctor").returncode == 0


def run_turn(repo: RepoBuilder, cluster: Cluster, turn: int, rng: random.Random) -> None:
    """Begin a sweep, kill something, and go on until it is done."""
    started = str(cluster.folder.parent / "started")
    space = ("-S", f"n=1..{POINTS}", "-S", f"turn={turn}", "--stop-after-failures", "0")
    command = (*space, "--", "sh", "-c", SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "-m", "gitexp", "sweep", "-q", "--executor", cluster.address, *command],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(rng.uniform(0.5, 6.0))
    victim = VICTIMS[turn % len(VICTIMS)]
    if process.poll() is None:
        strike(victim, process.pid, cluster)
    process.wait(timeout=240)
    if victim == "scheduler":
        cluster.close()
        cluster.start_scheduler()
        for name in ("w1", "w2"):
            cluster.start_worker(name, STARTED=started)
    again = exp(repo, "sweep", "-q", "--retry-failed", "--executor", cluster.address, *command)
    assert again.returncode == 0, f"turn {turn} {victim}: {again.stdout}{again.stderr}"


def check(repo: RepoBuilder, cluster: Cluster, started: Path, turn: int) -> None:
    """Compare what started with what is recorded."""
    runs = json.loads(exp(repo, "list", "--json").stdout)["runs"]
    results = [
        run["params"]["n"]
        for run in runs
        if run["params"]["turn"] == turn and run["outcome"] == "succeeded"
    ]
    assert sorted(results) == list(range(1, POINTS + 1)), f"turn {turn}: {sorted(results)}"
    ids = set(started.read_text().split())
    assert ids <= {run["id"] for run in runs}, f"turn {turn}: a trial that ran has no record"
    assert not list((repo.path / ".git/gitexp/journal").glob("*.journal")), f"turn {turn}"
    # A worker that came back after the end of the sweep was not told what is recorded.
    kept = {path.stem for path in cluster.folder.glob("*/.cache/gitexp-worker/*/outbox/*/*.json")}
    over = {run["id"] for run in runs if run["outcome"] != "running"}
    assert kept <= over, f"turn {turn}: a result that waits has no record"
    end = time.monotonic() + 30
    while trials_of(cluster):
        assert time.monotonic() < end, f"turn {turn}: a process is left"
        time.sleep(0.1)
