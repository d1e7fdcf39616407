"""Sweeps whose points Optuna proposes: through the command, with real trials."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Exp
from tests.cli.test_sweep import documents, marked, start, until

pytest.importorskip("optuna")

SPACE = ("-S", "n=1..100", "-S", "x=0.0..1")
COMMAND = ("--", "sh", "-c", "echo METRIC loss={n}; : {x}")
OPTUNA = ("-q", "-j", "1", "--minimize", "loss")


def points(exp: Exp) -> list[tuple[int, float]]:
    """The points of all runs that ended, oldest first."""
    runs = [run for run in documents(exp) if run["outcome"] == "succeeded"]
    return [(run["params"]["n"], run["params"]["x"]) for run in runs]


def test_a_larger_sweep_goes_on_where_a_smaller_one_ended(exp: Exp) -> None:
    exp("sweep", *OPTUNA, "--optuna", "3", *SPACE, *COMMAND)
    exp("sweep", *OPTUNA, "--optuna", "5", *SPACE, *COMMAND)
    found = points(exp)
    assert len(found) == len(set(found)) == 5
    shown = exp("sweep", "--dry-run", "--optuna", "7", *OPTUNA[3:], *SPACE, *COMMAND).out
    assert shown.count("has a result") == 6  # the last one is in the count
    assert "6 trials: 1 new, 5 has a result" in shown
    assert "Optuna minimizes loss" in shown
    assert "1 more follow from the results" in shown
    assert "5 points that Optuna proposes" in exp("sweep", "show").out


@pytest.mark.long
def test_other_results_in_the_space_are_known_and_do_not_count(exp: Exp) -> None:
    script = ("--", "sh", "-c", "echo METRIC loss={n}")
    exp("sweep", "-q", "-S", "n=2..3", *script)
    done = exp("sweep", "-j", "1", "--optuna", "9", "--minimize", "loss", "-S", "n=1..4", *script)
    assert "2 trials, 2 to run" in done.err
    assert "2 other results in this space also enter the study" in done.err
    assert "the space has only 2 points without a result" in done.err
    assert [run["params"]["n"] for run in documents(exp)][:2] in ([2, 3], [3, 2])
    assert sorted(run["params"]["n"] for run in documents(exp)) == [1, 2, 3, 4]
    assert "2 results" in exp("sweep", "show").out


def test_a_trial_that_does_badly_is_pruned_and_not_failed(
    exp: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    script = (
        'echo x >> "$COUNT"; echo METRIC loss={n} step=4; '
        'test {n} -lt 45 || test $(wc -l < "$COUNT") -lt 6 || sleep 60'
    )
    # With this seed n is 61 37 38 18 63, and then 67 51 92 6: three of the last four are bad.
    sweep = (
        "--seed",
        "8",
        "--optuna",
        "9",
        "--prune",
        "median",
        *SPACE[:2],
        "--",
        "sh",
        "-c",
        script,
    )
    done = exp("sweep", "-j", "1", "--minimize", "loss", *sweep)
    runs = documents(exp)
    pruned = [run for run in runs if "pruned_at" in run["sweep"]]
    assert [run["params"]["n"] for run in pruned] == [67, 51, 92], done.err
    assert {run["outcome"] for run in pruned} == {"interrupted"}
    assert {run["sweep"]["pruned_at"] for run in pruned} == {4}
    assert all(run["outcome"] == "succeeded" for run in runs if run not in pruned)
    assert "pruned at step 4" in done.err
    assert "failed" not in done.err + done.out
    assert "0 to run" in exp("sweep", "--minimize", "loss", *sweep).err


@pytest.mark.long
def test_seeds_of_a_point_give_one_result(exp: Exp) -> None:
    script = ("--seeds", "2", "-S", "n=1..4", "--", "sh", "-c", "echo METRIC loss={n}{seed}")
    exp("sweep", *OPTUNA, "--optuna", "2", *script)
    runs = documents(exp)
    assert [run["params"]["seed"] for run in runs] == [0, 1, 0, 1]
    assert [run["sweep"]["number"] for run in runs] == [1, 2, 3, 4]
    assert len({run["batch"] for run in runs}) == 2


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--optuna", "3", *SPACE), 129, "Optuna needs a metric to improve"),
        (("--optuna", "3", "--metric", "zz", *SPACE), 129, "say `--minimize zz`"),
        (("--optuna", "3", "--random", "3", *SPACE), 129, "--optuna and --random contradict"),
        (("--optuna", "3", "--print-matrix", *SPACE), 129, "--optuna and --print-matrix"),
        (("--optuna", "0", *SPACE), 129, "0"),
        (("--optuna", "3", "--minimize", "loss"), 129, "there is nothing to vary"),
        (("--prune", "median", *SPACE), 129, "--prune needs --optuna N"),
        (("--optuna", "3", "--prune", "median", "--in-place", *SPACE), 129, "--in-place"),
        (
            ("--optuna", "3", "--minimize", "loss", "-w", "n > 200", *SPACE),
            129,
            "the space is empty",
        ),
    ],
)
def test_what_makes_no_sweep_is_refused(
    exp: Exp, args: tuple[str, ...], code: int, words: str
) -> None:
    assert words in exp("sweep", *args, *COMMAND, check=code).err


def test_without_optuna_one_sentence_names_the_extra(
    exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = exp("sweep", *OPTUNA, "--optuna", "3", *SPACE, *COMMAND, check=128).err
    assert "hint: `pip install 'gitexp[optuna]'`" in said
    assert "there are no runs yet" in exp("list").err


# --- deaths ---------------------------------------------------------------------------------------

WAITING = (
    'echo {n} >> "$COUNT"; while test $(wc -l < "$COUNT") -ge 6 && ! test -e "$GO"; do '
    "sleep 0.05; done; echo METRIC loss={n}"
)


@pytest.mark.long
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_nothing_is_lost_or_run_twice_when_the_sweep_is_killed(
    exp: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    monkeypatch.setenv("GO", str(tmp_path / "go"))
    args = ("-j", jobs, "--optuna", "9", "--minimize", "loss", *SPACE[:2], "--", "sh", "-c")
    process = start(exp, *args, WAITING)
    count = tmp_path / "count"
    until(lambda: count.exists() and len(count.read_text().split()) >= 6)
    name = next((exp.repo.path / ".git/gitexp/sweeps").glob("*.toml")).stem
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    until(lambda: not marked(f"GITEXP_SWEEP={name}"))
    (tmp_path / "go").touch()
    exp("sweep", "resume", "-j", jobs)
    runs = documents(exp)
    ended = [run for run in runs if run["outcome"] == "succeeded"]
    assert sorted(run["sweep"]["number"] for run in ended) == list(range(1, 10))
    assert len({run["params"]["n"] for run in ended}) == 9
    interrupted = {run["params"]["n"] for run in runs if run["outcome"] == "interrupted"}
    assert interrupted <= {run["params"]["n"] for run in ended}
    assert "0 to run" in exp("sweep", *args, WAITING).err
    if jobs == "1":
        found = [run["params"]["n"] for run in ended]
        exp.repo.git("update-ref", "-d", "refs/heads/gitexp")
        exp("sweep", *args, WAITING)
        assert [run["params"]["n"] for run in documents(exp)] == found


@pytest.mark.long
def test_two_clones_that_continue_one_study_merge(
    exp: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, other = tmp_path / "remote.git", tmp_path / "other"
    exp.repo.git("init", "--quiet", "--bare", str(remote))
    exp.repo.git("remote", "add", "origin", str(remote))
    exp.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    sweep: tuple[Any, ...] = (*OPTUNA, "--optuna", "4", *SPACE, *COMMAND)
    exp("sweep", *OPTUNA, "--optuna", "2", *SPACE, *COMMAND)
    exp("push")
    subprocess.run(["git", "clone", "-q", "-b", "main", str(remote), str(other)], check=True)
    exp("sweep", *sweep)
    here = exp.repo.path
    monkeypatch.chdir(other)
    exp("fetch")
    exp("sweep", *sweep)
    exp("sync")
    monkeypatch.chdir(here)
    exp("sync")
    assert len(points(exp)) == 6  # both ran the third and the fourth: the same ones
    assert len(set(points(exp))) == 4
    assert "0 to run" in exp("sweep", *sweep[1:], check=0).err
