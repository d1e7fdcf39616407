"""A run whose `git exp` was killed: its record has what it wrote and read, and nothing else."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitexp.adapters.system.command import run_command
from gitexp.features.execution.unfinished import beat
from tests.cli.conftest import Exp

LOG = """\
import os, pathlib, signal
open("data.csv").read()
pathlib.Path("logs").mkdir(exist_ok=True)
with open("logs/training.csv", "a") as file:
    if not file.tell():
        file.write("step,loss\\n")
    for step in range(3, 6):
        file.write(f"{step},{1 / step}\\n")
"""
KILL = "os.kill(os.getppid(), signal.SIGKILL)\n"


@pytest.fixture
def killed(exp: Exp) -> Callable[..., dict[str, Any]]:
    """Run a program that kills its `git exp`. Return the record that `recover` creates."""

    def start(
        *options: str, script: str = LOG, before: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        exp.repo.commit({"log.py": script + KILL, ".gitignore": "data.csv\n"})
        data = exp.repo.write("data.csv", "1\n")
        os.utime(data, (1e9, 1e9))
        argv = ["python", "-m", "gitexp", "run", *options, "--", "python", "log.py"]
        subprocess.run(argv, check=False, capture_output=True)
        if before is not None:
            before()
        exp("recover")
        run: dict[str, Any] = json.loads(exp("show", "last", "--json").out)["runs"][0]
        assert run["outcome"] == "interrupted"
        return run

    return start


Killed = Callable[..., dict[str, Any]]


def rows(exp: Exp) -> list[str]:
    listed = exp.repo.git("ls-tree", "-r", "--name-only", "gitexp").splitlines()
    (file,) = [path for path in listed if path.startswith("series/")]
    return exp.repo.git("show", f"gitexp:{file}").splitlines()


def left_over(exp: Exp) -> list[str]:
    folder = exp.repo.path / ".git" / "gitexp" / "journal"
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_recovery_records_only_the_runs_own_rows_and_reads(exp: Exp, killed: Killed) -> None:
    exp.repo.write("logs/training.csv", "step,loss\n1,8\n2,4\n")
    run = killed()
    assert run["metrics"] == {"loss": 1 / 5}
    assert run["harvested"] == {"logs/training.csv": {"kind": "csv", "metrics": 1, "steps": 3}}
    assert rows(exp) == ["step,time,loss", *(f"{n},,{1 / n}" for n in range(3, 6))]
    assert run["produced"] == ["logs/training.csv"]
    assert [*run["reads"]] == ["data.csv"]
    assert "warnings" not in run
    assert left_over(exp) == []


def test_recovery_names_files_changed_after_the_death(exp: Exp, killed: Killed) -> None:
    def write_later() -> None:
        for path, text in (("logs/training.csv", "step,loss\n9,9\n"), ("metrics.json", "{}")):
            later = exp.repo.write(path, text)
            os.utime(later, (4e9, 4e9))

    run = killed(before=write_later)
    assert "metrics" not in run
    assert "metrics_files" not in run["command"]
    (warning,) = run["warnings"]
    assert "logs/training.csv was not picked up: it changed after the run was last seen" in warning


def test_recovery_reads_metrics_files_that_the_run_wrote(exp: Exp, killed: Killed) -> None:
    exp.repo.write("metrics.yaml", "old: 1\n")
    run = killed(script=LOG + "open('metrics.json', 'w').write('{\"new\": 2}')\n")
    assert run["metrics"] == {"new": 2, "loss": 1 / 5}
    assert run["command"]["metrics_files"] == ["metrics.json"]


def test_recovery_respects_no_harvest(killed: Killed) -> None:
    run = killed("--no-harvest")
    assert "metrics" not in run
    assert [*run["reads"]] == ["data.csv"]


def test_damaged_notes_of_a_dead_run_are_a_warning(exp: Exp, killed: Killed) -> None:
    def damage() -> None:
        (note,) = (exp.repo.path / ".git/gitexp/journal").glob("*.report.start")
        note.write_bytes(b'{"directory": "/')

    run = killed(before=damage)
    assert "metrics" not in run
    assert "the files of the run were not read: JSONDecodeError" in run["warnings"][0]
    assert left_over(exp) == []


def test_files_of_another_dead_run_are_not_recorded(exp: Exp, killed: Killed) -> None:
    other = LOG.replace("logs", "other")
    exp.repo.write("other.py", other + KILL)
    start_other = (
        "import subprocess\n"
        "env = {k: v for k, v in os.environ.items() if not k.startswith('GITEXP_')}\n"
        "argv = ['python', '-m', 'gitexp', 'run', '--', 'python', 'other.py']\n"
        "subprocess.run(argv, env=env, capture_output=True)\n"
    )
    exp.repo.commit({})
    run = killed(script=LOG + start_other)
    assert "other/training.csv" not in run.get("harvested", {})


def test_running_run_writes_signs_of_life(tmp_path: Path) -> None:
    calls = []
    note = beat(tmp_path / "run.report")

    def on_wait() -> None:
        note()
        calls.append(1)

    run_command(["true"], directory=tmp_path, env=dict(os.environ), on_wait=on_wait)
    note()
    assert (tmp_path / "run.report.alive").exists()
