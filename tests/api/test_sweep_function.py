"""`gitexp.sweep` with functions, commands and executors of every kind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import gitexp
from gitexp.api.calls import call
from gitexp.cli.app import run as run_command
from gitexp.core.errors import InvalidInput
from tests.conftest import RepoBuilder


@pytest.fixture(autouse=True)
def place(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> Path:
    repo.commit({"a.txt": "a"})
    monkeypatch.chdir(repo.path)
    monkeypatch.setattr(sys, "argv", ["-c"])
    return repo.path


def objective(lr: float, depth: int) -> dict[str, float]:
    if depth == 4:
        raise ValueError("four is too deep")
    return {"loss": lr + depth}


def logging(lr: float) -> None:
    with gitexp.start(tags=["mine"]) as run:
        for step in range(3):
            run.log(loss=lr / (step + 1), step=step)
        run.note(f"lr was {lr}")
        run.params(thread=threading.current_thread().name != "MainThread")


SPACE = {"lr": "0.1,0.2", "depth": [2, 4]}


def noisy(lr: float, seed: int) -> float:
    return lr + seed * (1.0 if lr < 0.15 else 0.1)


def test_seeds_are_arguments_and_their_mean_decides() -> None:
    done = gitexp.sweep({"lr": [0.1, 0.2]}, noisy, seeds=3, minimize="value")
    assert [trial.params["seed"] for trial in done.trials] == [0, 1, 2, 0, 1, 2]
    assert len({trial.run.batch for trial in done.trials}) == 2
    assert done.best is not None and done.best.params["lr"] == 0.2
    assert done.best_value == pytest.approx(0.3)
    assert len(gitexp.sweep({"lr": [0.1, 0.2]}, noisy, seeds=4, minimize="value").reused) == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prune": "median", "optuna": 3}, "cannot be stopped"),
        ({"prune": "no", "optuna": 3}, "median or hyperband"),
        ({"seeds": -1}, "below zero"),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        gitexp.sweep({"lr": [0.1]}, noisy, minimize="value", **options)
    assert words in f"{raised.value.what} {raised.value.why}"


def test_each_point_is_a_run_and_a_failure_is_one_too() -> None:
    seen: list[Any] = []
    done = gitexp.sweep(SPACE, objective, minimize="loss", on_end=seen.append, reason="why not")
    assert [trial.params for trial in done.trials] == [
        {"lr": lr, "depth": depth} for lr in (0.1, 0.2) for depth in (2, 4)
    ]
    assert seen == list(done.trials)
    assert len(done.failed) == 2
    assert "four is too deep" in done.failed[0].run.output_tail
    assert done.best is not None
    assert done.best.params == {"lr": 0.1, "depth": 2}
    assert done.best.run.metrics == {"loss": 2.1}
    assert "best loss 2.1" in str(done)
    assert "4 results, 2 failed" in str(done)
    assert "loss 2.1" in done.verdict
    recorded = {entry.run.id: entry.run for entry in gitexp.runs()}
    assert {run.id: run.metrics for run in done.runs} == {
        run.id: run.metrics for run in recorded.values()
    }
    assert {run.reason for run in recorded.values()} == {"why not"}
    assert {run.sweep.number for run in recorded.values() if run.sweep} == {1, 2, 3, 4}


def test_nothing_runs_twice_and_a_larger_space_runs_what_is_new() -> None:
    calls: list[float] = []

    def counted(lr: float) -> float:
        calls.append(lr)
        return lr

    gitexp.sweep({"lr": [1, 2]}, objective_of_one, minimize="loss")
    done = gitexp.sweep({"lr": [1, 2, 3]}, objective_of_one, minimize="loss")
    assert [trial.is_reused for trial in done.trials] == [True, True, False]
    assert len(gitexp.runs()) == 3
    again = gitexp.sweep({"lr": [1]}, objective_of_one, minimize="loss", again=True)
    assert not again.reused
    assert gitexp.sweep({"lr": "1"}, counted, maximize="x").reused == []  # another function
    assert gitexp.sweep({"lr": "1"}, counted, maximize="x").reused == []  # it holds other values
    assert calls == [1, 1]


def objective_of_one(lr: float) -> float:
    return lr


def test_functions_that_hold_other_values_are_other_trials() -> None:
    def with_factor(factor: int) -> Any:
        return lambda lr: lr * factor

    first = gitexp.sweep({"lr": [1]}, with_factor(2), minimize="loss")
    same = gitexp.sweep({"lr": [1]}, with_factor(2), minimize="loss")
    other = gitexp.sweep({"lr": [1]}, with_factor(3), minimize="loss")
    assert [len(done.reused) for done in (first, same, other)] == [0, 1, 0]
    assert [done.runs[0].metrics["loss"] for done in (first, same, other)] == [2, 2, 3]
    lock = threading.Lock()  # cannot be pickled
    held = [gitexp.sweep({"lr": [1]}, lambda lr: bool(lock) + lr) for _ in range(2)]
    assert [len(done.reused) for done in held] == [0, 0]


def test_threads_log_into_their_own_runs() -> None:
    with ThreadPoolExecutor(3) as pool:
        done = gitexp.sweep({"lr": [1, 2, 3, 4]}, logging, executor=pool, minimize="loss")
    for entry in gitexp.runs():
        lr = entry.run.params["lr"]
        assert isinstance(lr, int)
        assert entry.run.metrics == {"loss": lr / 3}
        assert entry.run.tags == ("mine",)
        assert entry.run.params["thread"] is True
        assert [note.text for note in entry.annotations] == [f"lr was {lr}"]
    assert done.best is not None
    assert done.best.params == {"lr": 1}


def test_dotted_names_come_as_dictionaries_and_parameters_may_vary_together() -> None:
    got: list[Any] = []

    def take(model: dict[str, int], x: str) -> None:
        got.append((model, x))

    gitexp.sweep({"model.width": [1, 2], "x": "a,b"}, take, zipped=[("model.width", "x")])
    assert got == [({"width": 1}, "a"), ({"width": 2}, "b")]


def test_ctrl_c_records_the_trial_as_interrupted_and_the_next_call_runs_it(place: Path) -> None:
    def stopped(lr: int) -> int:
        if lr == 2 and not (place / ".git" / "seen").exists():
            (place / ".git" / "seen").touch()
            raise KeyboardInterrupt
        return lr

    with pytest.raises(KeyboardInterrupt):
        gitexp.sweep({"lr": [1, 2, 3]}, stopped, minimize="loss")
    assert [entry.run.outcome.value for entry in gitexp.runs()] == ["interrupted", "succeeded"]
    done = gitexp.sweep({"lr": [1, 2, 3]}, stopped, minimize="loss")
    assert [trial.is_reused for trial in done.trials] == [True, False, False]
    assert {run.sweep.attempts for run in done.runs if run.sweep and run.sweep.number == 2} == {2}


def test_failures_in_a_row_stop_the_sweep(capfd: pytest.CaptureFixture[str]) -> None:
    done = gitexp.sweep({"depth": [4] * 1 + [*range(5, 20)], "lr": [1]}, fail)
    assert done.stopped_by == "5 trials failed one after the other"
    assert (len(done.failed), done.left) == (5, 11)
    assert "not metrics" not in str(done)
    assert run_command(["sweep", "resume"]) == 128
    assert "its trials call a Python function" in capfd.readouterr().err


def fail(depth: int, lr: int) -> str:
    return "no metrics"


def test_what_is_logged_out_of_reach_comes_with_the_answer(tmp_path: Path) -> None:
    answer = call(logging, {"lr": 6}, "a" * 16, str(tmp_path / "none.journal"), "loss")
    assert answer.has_succeeded
    kinds = [event["event"] for event in answer.events]
    assert kinds == ["tags", "metrics", "metrics", "metrics", "note", "params"]
    assert answer.events[3]["values"] == {"loss": 2.0}


COMMAND = ("sh", "-c", "echo METRIC loss={lr} step=3; exit $(({lr} - 1))")


def test_a_command_is_a_sweep_as_from_the_command_line() -> None:
    done = gitexp.sweep({"lr": [1]}, COMMAND, minimize="loss", jobs=1)
    assert [run.metrics for run in done.runs] == [{"loss": 1}]
    assert run_command(["sweep", "-q", "-S", "lr=1", "--minimize", "loss", "--", *COMMAND]) == 0
    assert len(gitexp.runs()) == 1
    with ThreadPoolExecutor(2) as pool:
        done = gitexp.sweep({"lr": [1, 2]}, COMMAND, executor=pool, minimize="loss")
    assert [trial.is_reused for trial in done.trials] == [True, False]
    assert done.runs[1].command is not None
    assert (done.runs[1].outcome.value, done.runs[1].command.exit_code) == ("failed", 1)


@pytest.mark.parametrize(
    ("space", "options"),
    [
        ({}, {}),
        ({"lr": []}, {}),
        ({"lr": "0.0..1"}, {}),
        ({"lr": [float("nan")]}, {}),
        ({"lr": [object()]}, {}),
        ({"lr": [1]}, {"random": 1, "optuna": 1}),
        ({"lr": [1]}, {"minimize": "a", "maximize": "b"}),
        ({"lr": [1]}, {"optuna": 2}),
        ({"lr": [1]}, {"random": -1}),
        ({"lr": [1], "api_key": ["x"]}, {}),
        ({"lr": [1]}, {"where": "lr > 2"}),
    ],
)
def test_what_makes_no_sweep_is_refused(space: dict[str, Any], options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        gitexp.sweep(space, objective_of_one, **options)
    assert gitexp.runs() == []


def test_an_executor_that_takes_no_trials_has_failed_none() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    done = gitexp.sweep({"lr": [1, 2]}, objective_of_one, executor=pool, minimize="loss")
    assert [run.outcome.value for run in done.runs] == ["interrupted"]
    assert "takes no trials" in str(done.stopped_by)
    with ProcessPoolExecutor(1) as processes, pytest.raises(InvalidInput) as caught:
        gitexp.sweep({"lr": [1, 2]}, lambda lr: lr, executor=processes, minimize="loss")
    assert "other processes" in caught.value.what


# --- processes ------------------------------------------------------------------------------------


def fatal(lr: int) -> int:
    if lr == 2:
        os._exit(3)
    return lr


def wait_or_die(lr: int) -> int:
    if lr == 2:
        time.sleep(0.5)
        os._exit(3)
    time.sleep(60)
    return lr


@pytest.fixture(params=["processes", "dask"])
def pool(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "processes":
        with ProcessPoolExecutor(2) as executor:
            yield executor
        return
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.Client(processes=True, **options) as client:
        yield client.get_executor(pure=False)


@pytest.mark.long
def test_other_processes_run_functions(pool: Executor) -> None:
    done = gitexp.sweep({"lr": [1, 2, 3, 4]}, logging, executor=pool, jobs=2, minimize="loss")
    assert [run.outcome.value for run in done.runs] == ["succeeded"] * 4
    assert {run.metrics["loss"] for run in done.runs} == {1 / 3, 2 / 3, 1, 4 / 3}
    done = gitexp.sweep(SPACE, objective, executor=pool, minimize="loss")
    assert len(done.failed) == 2
    assert "four is too deep" in done.failed[0].run.output_tail


@pytest.mark.long
def test_a_function_that_kills_its_worker_is_a_failed_run() -> None:
    with ProcessPoolExecutor(1) as executor:
        done = gitexp.sweep({"lr": [1, 2, 3]}, fatal, executor=executor, minimize="loss")
    assert [run.outcome.value for run in done.runs] == ["succeeded", "failed"]
    assert "the executor is broken" in str(done.stopped_by)
    assert done.left == 1
    with ProcessPoolExecutor(2) as executor:
        done = gitexp.sweep({"lr": [2, 4]}, wait_or_die, executor=executor, minimize="loss")
    assert [run.outcome.value for run in done.runs] == ["interrupted"] * 2  # which one is unknown
    with ProcessPoolExecutor(1) as executor:
        done = gitexp.sweep({"lr": [1, 2, 3]}, fatal, executor=executor, minimize="loss")
    assert [trial.is_reused for trial in done.trials] == [True, True, False]


@pytest.mark.long
def test_optuna_proposes_points_for_a_function() -> None:
    pytest.importorskip("optuna")
    space = {"lr": "log(1e-3..1)", "depth": "1..9"}
    done = gitexp.sweep(space, product, optuna=12, minimize="loss")
    more = gitexp.sweep(space, product, optuna=15, minimize="loss")
    assert (len(done.trials), len(more.reused), len(more.trials)) == (12, 12, 15)
    assert len({str(trial.params) for trial in more.trials}) == 15


def product(lr: float, depth: int) -> float:
    return lr * depth


KILLED = """
import os, sys, time, gitexp
from pathlib import Path

def slow(lr):
    Path(f"../at-{lr}-{os.getpid()}").touch()
    while lr == 3 and not Path("../go").exists():
        time.sleep(0.05)
    return lr

if __name__ == "__main__":
    print(gitexp.sweep({"lr": [1, 2, 3, 4]}, slow, minimize="loss"))
"""


@pytest.mark.long
def test_a_killed_program_loses_nothing_and_runs_nothing_twice(repo: RepoBuilder) -> None:
    repo.commit({"search.py": KILLED})
    argv = [sys.executable, "search.py"]
    process = subprocess.Popen(argv, cwd=repo.path)
    end = time.monotonic() + 60
    while not list(repo.path.parent.glob("at-3-*")):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (repo.path.parent / "go").touch()
    done = subprocess.run(argv, cwd=repo.path, capture_output=True, text=True, check=True)
    assert "4 results, 2 reused" in done.stdout
    started = sorted(path.name.split("-")[1] for path in repo.path.parent.glob("at-*"))
    assert started == ["1", "2", "3", "3", "4"]
    outcomes = sorted(entry.run.outcome.value for entry in gitexp.runs())
    assert outcomes == ["interrupted", "succeeded", "succeeded", "succeeded", "succeeded"]
