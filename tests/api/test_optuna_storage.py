"""`gitexp.optuna.storage()`: Optuna's own tests of a storage, several processes, and deaths."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import gitexp
from tests.conftest import RepoBuilder

optuna = pytest.importorskip("optuna")
if TYPE_CHECKING:

    class StorageTestCase:
        """Optuna's own, of the installed version."""

else:
    StorageTestCase = pytest.importorskip("optuna.testing.pytest_storages").StorageTestCase

WORK = """
import sys
import gitexp, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="shared", storage=gitexp.optuna.storage())
for _ in range(int(sys.argv[1])):
    trial = study.ask()
    trial.set_user_attr("pid", "x" * 50)
    study.tell(trial, trial.suggest_float("x", 0, 1))
    print(trial.number, flush=True)
"""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(level)


@pytest.fixture
def place(repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> Path:
    repo.commit({"a.txt": "a"})
    monkeypatch.chdir(repo.path)
    return repo.path


def objective(trial: Any) -> float:
    x = trial.suggest_float("x", 0, 1)
    for step in range(3):
        trial.report(x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(x + trial.suggest_categorical("kind", [1, 2]))


def test_a_study_is_the_same_from_every_storage_of_the_repository(place: Path) -> None:
    sampler = optuna.samplers.TPESampler(seed=1)
    study = optuna.create_study(
        study_name="s", storage=gitexp.optuna.storage(), sampler=sampler, pruner=None
    )
    study.optimize(objective, n_trials=12)
    again = optuna.load_study(study_name="s", storage=gitexp.optuna.storage(directory=place))
    assert again.trials == study.trials
    assert {trial.state.name for trial in again.trials} == {"COMPLETE", "PRUNED"}
    backend = gitexp.optuna.GitJournal()
    copied = pickle.loads(pickle.dumps(backend))
    assert list(copied.read_logs(5)) == list(backend.read_logs(5))
    assert backend.branch == "gitexp-studies/main"
    assert optuna.get_all_study_names(gitexp.optuna.storage("other")) == []


def test_the_storage_leaves_the_entries_on_the_branch(place: Path, repo: RepoBuilder) -> None:
    optuna.create_study(study_name="s", storage=gitexp.optuna.storage())
    assert '"study_name":"s"' in repo.git("show", "gitexp-studies/main:logs/000000.jsonl")
    assert repo.git("status", "--porcelain") == ""


@pytest.mark.long
class TestOptunasOwn(StorageTestCase):
    """The tests that Optuna has for the storages of others."""

    @pytest.fixture
    def storage(self, place: Path) -> Any:
        return gitexp.optuna.storage(directory=place)


def start(place: Path, trials: int) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", WORK, str(trials)]
    return subprocess.Popen(argv, cwd=place, stdout=subprocess.PIPE, text=True)


@pytest.mark.long
def test_processes_share_one_study(place: Path, repo: RepoBuilder) -> None:
    study = optuna.create_study(study_name="shared", storage=gitexp.optuna.storage())
    workers = [start(place, 15) for _ in range(4)]
    printed = [int(line) for each in workers for line in each.communicate(timeout=200)[0].split()]
    assert [each.returncode for each in workers] == [0] * 4
    assert sorted(printed) == list(range(60))
    assert [trial.number for trial in study.trials] == list(range(60))
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
    log = place / ".git" / "gitexp" / "studies" / "main.log"
    names = repo.git("ls-tree", "-r", "--name-only", "gitexp-studies/main", "logs/").split()
    shown = "".join(repo.git("show", f"gitexp-studies/main:{name}") + "\n" for name in names)
    assert shown.encode() == log.read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("lines", [1, 4, 9, 13, 21])
def test_a_killed_process_loses_nothing_that_was_acknowledged(place: Path, lines: int) -> None:
    optuna.create_study(study_name="shared", storage=gitexp.optuna.storage())
    other, killed = start(place, 30), start(place, 1000)
    assert killed.stdout is not None
    printed = [int(killed.stdout.readline()) for _ in range(lines)]
    os.kill(killed.pid, signal.SIGKILL)
    printed += [int(line) for line in killed.communicate(timeout=200)[0].split()]
    printed += [int(line) for line in other.communicate(timeout=200)[0].split()]
    assert other.returncode == 0
    study = optuna.load_study(study_name="shared", storage=gitexp.optuna.storage())
    ended = {trial.number for trial in study.trials if trial.state.name == "COMPLETE"}
    assert set(printed) <= ended
    assert len(printed) == len(set(printed)) >= 30
    assert len(study.trials) - len(printed) <= 1  # the one that it was at
