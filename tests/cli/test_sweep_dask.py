"""Sweeps on a real Dask cluster: workers without gitexp, in directories and homes of their own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RepoBuilder
from tests.dask_cluster import Cluster

PATIENCE_S = 240

TRIAL = """\
import os, subprocess, sys
from pathlib import Path
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int)
parser.add_argument("--hidden", type=int, default=7)
n = parser.parse_args().n
assert "gitexp" not in sys.modules
print(Path("code.txt").read_text(), Path("data/big.csv").read_text(), os.getcwd())
head = subprocess.run(["git", "rev-parse", "HEAD^{tree}"], capture_output=True, text=True)
print("tree", head.stdout.strip(), os.environ.get("PASSED"), os.environ.get("SECRET"))
Path("metrics.json").write_text('{"score": %d}' % n)
for step in range(3):
    print(f"METRIC loss={n / (step + 1)} step={step}")
"""


def exp(
    repo: RepoBuilder, *args: str, check: int = 0, **env: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "gitexp", *args],
        cwd=repo.path,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == check, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def runs_of(repo: RepoBuilder) -> list[dict[str, Any]]:
    """All runs, oldest first."""
    return list(reversed(json.loads(exp(repo, "list", "--json").stdout)["runs"]))


@pytest.fixture
def two(cluster: Cluster) -> Cluster:
    """A scheduler and two workers with data."""
    for name in ("w1", "w2"):
        data = cluster.home(name) / "data" / "data"
        data.mkdir(parents=True)
        (data / "big.csv").write_text("1,2,3")
        cluster.start_worker(name)
    return cluster


def outboxes(cluster: Cluster) -> list[Path]:
    """The results that wait on the workers."""
    return sorted(cluster.folder.glob("*/.cache/gitexp-worker/*/outbox/*/*.json"))


def test_trials_run_elsewhere_with_the_exact_code_and_data_and_are_recorded_here(
    repo: RepoBuilder, two: Cluster
) -> None:
    repo.commit(
        {
            "trial.py": TRIAL,
            "code.txt": "old",
            "dos.txt": "a\r\nb\r\n",
            ".gitignore": "data/\n",
            ".gitattributes": "dos.txt export-ignore\n",
        }
    )
    (repo.path / "code.txt").write_text("uncommitted")
    (repo.path / "data").mkdir()
    (repo.path / "data" / "big.csv").write_text("1,2,3")
    space = ("-S", "n=1..4", "--input", "data/big.csv")
    command = ("--", "python", "trial.py", "--n", "{n}")
    options = ("--executor", two.address, "--env", "PASSED", "--prefix-output")
    done = exp(repo, "sweep", *options, *space, *command, PASSED="yes", SECRET="no")
    runs = runs_of(repo)
    assert sorted(run["params"]["n"] for run in runs) == [1, 2, 3, 4], done.stderr
    assert "| tree " in done.stderr
    for run in runs:
        n, tree = run["params"]["n"], run["code"]["tree"]
        assert run["outcome"] == "succeeded", run
        assert run["metrics"] == {"score": n, "loss": n / 3}
        assert run["params"]["hidden"] == 7
        assert run["environment"]["host"]
        assert "metrics.json" in run["produced"]
        assert f"uncommitted 1,2,3 {two.folder}" in run["output_tail"]
        assert f"tree {tree} yes None" in run["output_tail"]
    assert not outboxes(two)
    assert not list((repo.path / ".git/gitexp/journal").glob("*.journal"))
    again = exp(repo, "sweep", "--executor", "dask://127.0.0.1:1", *space, *command)
    assert "0 to run, 4 have a result" in again.stderr
    (repo.path / "data" / "big.csv").write_text("other")
    other = exp(repo, "sweep", "--executor", two.address, *space, *command, check=128)
    assert "data/big.csv has other content" in other.stderr
    assert len(runs_of(repo)) == 4


def test_a_trial_on_this_machine_goes_on_when_its_coordinator_is_killed(
    repo: RepoBuilder, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`resume` ends what a killed sweep left as its own children, not what workers run."""
    for name in ("COUNT", "GO"):
        monkeypatch.setenv(name, str(tmp_path / name))
    repo.commit({"unique.txt": str(tmp_path)})
    cluster.start_worker("w1")
    script = 'echo {n} >> "$COUNT"; while ! test -e "$GO"; do sleep 0.05; done; echo METRIC x={n}'
    space = ("--executor", cluster.address, "--env", "COUNT", "--env", "GO", "-S", "n=1")
    first = start_sweep(repo, *space, "--", "sh", "-c", script)
    until((tmp_path / "COUNT").exists)
    first.kill()
    first.wait()
    second = start_sweep(repo, "resume")
    (journal,) = (repo.path / ".git/gitexp/journal").glob("*.journal")
    until(lambda: f'"pid":{second.pid},' in journal.read_text())
    (tmp_path / "GO").touch()
    assert second.wait(timeout=PATIENCE_S) == 0
    (run,) = runs_of(repo)
    assert (run["outcome"], run["metrics"]) == ("succeeded", {"x": 1})
    assert (tmp_path / "COUNT").read_text() == "1\n"


def start_sweep(repo: RepoBuilder, *args: str) -> "subprocess.Popen[bytes]":
    """Start a sweep."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitexp", "sweep", *args],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.05)
