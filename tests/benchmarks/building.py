"""Build repositories to measure in, with gitexp's batch recording."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Code, Command, Origin, Outcome, Run, Table
from gitexp.core.model.run_names import memorable_name
from gitexp.features.recording.batch import record_many
from gitexp.storage.workspace import Workspace

_STARTED = datetime(2025, 1, 1, tzinfo=UTC)


def git(folder: Path, *args: str, stdin: bytes = b"") -> str:
    """Return the output of git without the line end. Raises `CalledProcessError`."""
    done = subprocess.run(
        ["git", *args], cwd=folder, input=stdin, stdout=subprocess.PIPE, check=True
    )
    return done.stdout.decode().strip()


def make_repository(folder: Path) -> Path:
    """Create a repository with one small commit of code and no runs; records are not flushed."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "train.py").write_text("print('METRIC accuracy=0.9')\n")
    git(folder, "add", "train.py")
    git(folder, "commit", "--quiet", "-m", "code")
    git(folder, "config", "exp.durability", "fast")
    git(folder, "config", "gc.auto", "0")
    return folder


def make_runs(folder: Path, count: int, *, seed: int = 1, clock: int = 0) -> Iterator[Run]:
    """Return runs with ten parameters and ten metrics each, four minutes apart."""
    chance = random.Random(seed)
    head, tree = git(folder, "rev-parse", "HEAD", "HEAD^{tree}").split()
    code = Code(commit=ObjectId(head), tree=ObjectId(tree), branch="main")
    for number in range(clock, clock + count):
        run_id = RunId(f"{chance.getrandbits(64):016x}")
        yield Run(
            id=run_id,
            name=memorable_name(run_id),
            outcome=Outcome.SUCCEEDED if number % 10 else Outcome.FAILED,
            clock=number + 1,
            started=_STARTED + timedelta(minutes=4 * number),
            author="Ada Example <ada@example.org>",
            origin=Origin.IMPORT,
            code=code,
            fingerprint=f"2:{chance.getrandbits(256):064x}",
            duration_s=round(chance.uniform(1, 5000), 3),
            tags=("sweep",) if number % 3 == 0 else (),
            command=Command(argv=("python", "train.py"), exit_code=0 if number % 10 else 1),
            params=_params(chance),
            metrics={
                "accuracy": chance.random(),
                **{f"m{n}": chance.gauss(0, 1) for n in range(1, 10)},
            },
            environment={"python": "3.11.7", "platform": "Linux-x86_64"},
        )


def _params(chance: random.Random) -> Table:
    return {
        "lr": round(10 ** chance.uniform(-4, 0), 6),
        "batch": chance.choice([16, 32, 64, 128]),
        "optimizer": {"name": chance.choice(["adam", "sgd"]), "nesterov": chance.random() < 0.5},
        **{f"p{n}": round(chance.random(), 4) for n in range(7)},
    }


def add_runs(folder: Path, count: int, *, seed: int = 1, clock: int = 0) -> None:
    """Record `count` runs in batches."""
    record_many(Workspace.open(folder), make_runs(folder, count, seed=seed, clock=clock))


def add_seeds(folder: Path, count: int) -> None:
    """Record `count` runs in batches, three seeds of each trial one after the other."""
    record_many(Workspace.open(folder), _with_seeds(make_runs(folder, count)))


def _with_seeds(runs: Iterator[Run]) -> Iterator[Run]:
    chance = random.Random(1)
    trial, mean = None, 0.0
    for number, run in enumerate(runs):
        if trial is None or number % 3 == 0:
            trial, mean = run, chance.gauss(0.8, 0.05)
        yield replace(
            run,
            outcome=Outcome.SUCCEEDED,
            fingerprint=trial.fingerprint,
            params={**trial.params, "seed": number % 3},
            metrics={**run.metrics, "accuracy": chance.gauss(mean, 0.01)},
        )


def sealed_environment(folder: Path) -> dict[str, str]:
    """Return the environment of child processes: no settings of the user, compiled modules kept."""
    config = folder / "gitconfig"
    config.write_text(
        "[user]\n\tname = Ada Example\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "GITEXP_", "PYTHON"))
    }
    return {
        **kept,
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "200",
    }


if __name__ == "__main__":
    add_runs(Path(sys.argv[1]), int(sys.argv[2]))
