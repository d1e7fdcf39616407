"""How many git processes the commands start: each costs the user milliseconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

import gitexp
from gitexp.cli.app import run
from tests.cli.conftest import TRAIN, Exp

Count = Callable[[], list[str]]


@pytest.fixture
def started(exp: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Count:
    """Return a function that lists the git processes since its last call."""
    exp.repo.commit({"train.py": TRAIN})
    trace = tmp_path / "trace"
    monkeypatch.setenv("GIT_TRACE2", str(trace))

    def since_the_last_call() -> list[str]:
        lines = trace.read_text().splitlines() if trace.exists() else []
        trace.unlink(missing_ok=True)
        return [line.partition(" start ")[2] for line in lines if " start " in line]

    return since_the_last_call


@pytest.mark.parametrize(
    ("most", "args"),
    [
        (11, ("run", "-q", "--", "python", "train.py", "--lr", "0.2")),
        (3, ("list",)),
        (5, ("show", "last")),
        (3, ("best", "loss")),
        (5, ("decide", "last", "keep", "-m", "good")),
        (7, ("tried", "--", "python", "train.py", "--lr", "0.1")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_command_starts_few_git_processes(
    exp: Exp, started: Count, most: int, args: tuple[str, ...]
) -> None:
    exp("run", "-q", "--", "python", "train.py", "--lr", "0.1")
    exp("list")
    started()
    run(args)  # `exp` asks git for the names of runs, to normalise what is printed
    processes = started()
    assert processes
    assert len(processes) <= most, "\n".join(processes)


def test_a_run_from_python_starts_few_git_processes(
    exp: Exp, started: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exp.repo.path)
    with gitexp.start(params={"lr": 0.1}):
        pass
    started()
    with gitexp.start(params={"lr": 0.2}) as tracked:
        start = started()
        tracked.log(loss=1.0)
    seal = started()
    assert len(start) <= 5, "\n".join(start)
    assert len(seal) <= 2, "\n".join(seal)
