"""Sweeps on a real Dask cluster that take minutes: late and killed workers, trials that kill their
worker, pruning, a thousand trials."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns.test_dask_kills import trials_of
from tests.cli.test_sweep_dask import exp, outboxes, runs_of
from tests.conftest import RepoBuilder
from tests.dask_cluster import Cluster

PATIENCE_S = 300.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def until(is_so: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.05)


def start(repo: RepoBuilder, *args: str, **env: str) -> "subprocess.Popen[str]":
    """Start a sweep."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitexp", "sweep", *args],
        cwd=repo.path,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """Wait for a sweep to end; returns what it printed on standard error."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
    return err


def test_a_bad_trial_is_pruned_although_the_others_print_and_end_at_once(
    repo: RepoBuilder, cluster: Cluster
) -> None:
    repo.commit({"a.txt": "a"})
    cluster.start_worker("w1")
    # With this seed n is 61 37 38 18 63, and then 67 51 92 6: three of the last four are bad.
    script = "echo METRIC loss={n} step=4; case {n} in 67|51|92) sleep 300; esac"
    options = ("--executor", cluster.address, "-j", "1", "--minimize", "loss", "--seed", "8")
    study = ("--optuna", "9", "--prune", "median", "-S", "n=1..100")
    done = exp(repo, "sweep", *options, *study, "--", "sh", "-c", script)
    pruned = [run for run in runs_of(repo) if "pruned_at" in run["sweep"]]
    assert [run["params"]["n"] for run in pruned] == [67, 51, 92], done.stderr
    assert all(run["sweep"]["pruned_at"] == 4 for run in pruned)


def test_a_worker_that_joins_late_gets_the_code_and_trials(
    repo: RepoBuilder, cluster: Cluster
) -> None:
    repo.commit({"code.txt": "exact"})
    cluster.start_worker("early")
    space = ("-S", "n=1..16", "--executor", cluster.address)
    process = start(repo, *space, "--", "sh", "-c", "cat code.txt; pwd; sleep 1; : {n}")
    until(lambda: trials_of(cluster))
    cluster.start_worker("late")
    printed = ended(process)
    runs = runs_of(repo)
    assert sorted(run["params"]["n"] for run in runs) == list(range(1, 17)), printed
    assert all(run["outcome"] == "succeeded" for run in runs)
    places = [run["output_tail"].split("\n")[0] for run in runs]
    assert all(place.startswith("exact") for place in places)
    assert any(f"{cluster.folder}/late/" in place for place in places)
    assert any(f"{cluster.folder}/early/" in place for place in places)
    assert not outboxes(cluster)


def test_a_trial_that_kills_its_worker_each_time_fails_and_the_others_do_not(
    repo: RepoBuilder, cluster: Cluster
) -> None:
    repo.commit({"a.txt": "a"})
    for name in ("w1", "w2"):
        cluster.start_worker(name, nanny=True)
    script = "test {n} -ne 3 || kill -9 $PPID; sleep 0.2"
    space = ("-S", "n=1..12", "--executor", cluster.address)
    done = exp(repo, "sweep", *space, "--", "sh", "-c", script, check=1)
    runs = {run["params"]["n"]: run for run in runs_of(repo)}
    assert sorted(runs) == list(range(1, 13)), done.stderr
    assert {n for n, run in runs.items() if run["outcome"] != "succeeded"} == {3}
    assert runs[3]["outcome"] == "failed"
    assert any("its worker died 4 times while it ran" in text for text in runs[3]["warnings"])
    assert "0 to run" in exp(repo, "sweep", *space, "--", "sh", "-c", script, check=1).stderr
    assert not trials_of(cluster)


def test_a_trial_whose_worker_was_killed_has_the_lines_of_its_last_attempt_only(
    repo: RepoBuilder, cluster: Cluster, tmp_path: Path
) -> None:
    repo.commit({"a.txt": "a"})
    cluster.start_worker("w1")
    script = (
        'echo x >> "$COUNT"; n=$(wc -l < "$COUNT"); echo METRIC loss=$n step=1; '
        "while test $n = 1; do sleep 0.05; done; echo METRIC loss=9 step=2; : {n}"
    )
    names = ("--env", "COUNT", "--prefix-output")
    space = ("--executor", cluster.address, *names, "-S", "n=1", "--", "sh", "-c", script)
    process = start(repo, *space, COUNT=str(tmp_path / "count"))
    assert process.stderr is not None
    said = ""
    while "loss=1 step=1" not in said:
        said = process.stderr.readline()
        assert said, process.wait()
    os.kill(cluster.workers["w1"].pid, signal.SIGKILL)
    cluster.start_worker("w2")
    ended(process)
    (run,) = runs_of(repo)
    assert run["outcome"] == "succeeded"
    assert run["output_tail"] == "METRIC loss=2 step=1\nMETRIC loss=9 step=2\n"
    shown = json.loads(exp(repo, "show", run["id"], "--series", "--json").stdout)
    assert "loss=1" not in json.dumps(shown)
    assert "its worker was lost, so it ran again" in run["warnings"]


def test_a_thousand_trials_are_recorded_while_they_return(
    repo: RepoBuilder, cluster: Cluster
) -> None:
    repo.commit({"a.txt": "a"})
    for name in ("w1", "w2"):
        cluster.start_worker(name)
    space = ("-q", "-S", "n=1..1000", "--executor", cluster.address)
    process = start(repo, *space, "--", "sh", "-c", "echo METRIC x={n}")
    until(lambda: len(runs_of(repo)) > 100)
    assert process.poll() is None
    ended(process)
    runs = runs_of(repo)
    assert sorted(run["params"]["n"] for run in runs) == list(range(1, 1001))
    assert all(run["metrics"] == {"x": run["params"]["n"]} for run in runs)
    assert not outboxes(cluster)
    assert not list((repo.path / ".git/gitexp/journal").glob("*.journal"))
    exp(repo, "doctor")
