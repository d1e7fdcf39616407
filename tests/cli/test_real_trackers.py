"""Stores of the real trackers, imported, and runs exported to the real MLflow and read back.

The trackers have their own environment, whose Python `TRACKERS_PYTHON` names (default: this one):
`pip install mlflow-skinny sqlalchemy alembic wandb dvc tensorboardX tensorboard`.
"""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import Any

import pytest

from tests.cli.conftest import Exp
from tests.cli.test_import_export import runs_of

PYTHON = os.environ.get("TRACKERS_PYTHON", sys.executable)

pytestmark = pytest.mark.long


def make(exp: Exp, module: str, script: str, **variables: str) -> None:
    """Run a script of the tracker in the repository; skip when the tracker is not installed."""
    there = subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True, check=False)
    if there.returncode != 0:
        pytest.skip(f"{PYTHON} has no {module}")
    path = exp.repo.path / "make_store.py"
    path.write_text(script)
    done = subprocess.run(
        [PYTHON, str(path)],
        cwd=exp.repo.path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def by_name(exp: Exp) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in runs_of(exp)}


MLFLOW = """
import mlflow
from mlflow.tracking import MlflowClient
mlflow.set_tracking_uri(URI)
mlflow.set_experiment("first: try")
with mlflow.start_run(run_name="brave: one", description="a note"):
    mlflow.log_params({"lr": 0.1, "model/depth": 3, "optimizer.name": "adam", "flag": True})
    for step in range(3):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    for value in (1.0, 2.0):
        mlflow.log_metric("nostep", value)
    mlflow.log_metric("nan", float("nan"))
    mlflow.log_metric("inf", float("inf"))
    mlflow.set_tag("team", "vision")
try:
    with mlflow.start_run(run_name="bad"):
        raise RuntimeError
except RuntimeError:
    pass
client = MlflowClient()
client.set_terminated(client.create_run("0", run_name="killed").info.run_id, "KILLED")
client.create_run("0", run_name="going on")
client.delete_run(client.create_run("0", run_name="deleted").info.run_id)
"""


@pytest.mark.parametrize("uri", ["file:./mlruns", "sqlite:///mlflow.db"], ids=["files", "sqlite"])
def test_mlflow(exp: Exp, uri: str) -> None:
    make(exp, "mlflow", MLFLOW.replace("URI", repr(uri)), MLFLOW_ALLOW_FILE_STORE="true")
    done = exp("import", uri)
    assert "imported 3 runs (1 not ended there" in done.err
    found = by_name(exp)
    assert {name: run["outcome"] for name, run in found.items()} == {
        "brave: one": "succeeded",
        "bad": "failed",
        "killed": "interrupted",
    }
    brave = found["brave: one"]
    assert brave["params"] == {
        "lr": 0.1,
        "model/depth": 3,
        "optimizer": {"name": "adam"},
        "flag": True,
    }
    assert brave["metrics"] == {
        "loss": pytest.approx(1 / 3),
        "nostep": 2.0,
        "nan": "NaN",
        "inf": "Infinity",
    }
    assert brave["tags"] == ["team=vision"]
    assert brave["environment"]["experiment"] == "first: try"
    rows = exp("show", "brave: one", "--series").out.splitlines()
    assert len(rows) == 4 and rows[0].startswith("step,time,")
    assert exp("import", uri).err.startswith(
        "left out: 1 run that was deleted there\nimported 0 runs (3 here already)"
    )


WANDB = """
import wandb
config = {"lr": 0.1, "model": {"depth": 3}, "layers": [1, 2], "none": None}
run = wandb.init(project="p", name="brave", notes="why", tags=["a"], config=config)
for step in range(2000):
    run.log({"loss": 1 / (step + 1), "nested": {"acc": 0.5}})
run.summary["best"] = 0.7
run.finish()
run = wandb.init(project="p", name="bad", config={"lr": 1})
run.log({"loss": 3})
run.finish(exit_code=1)
"""


def test_wandb(exp: Exp) -> None:
    make(exp, "wandb", WANDB, WANDB_MODE="offline", WANDB_SILENT="true")
    exp("import", "wandb")
    found = by_name(exp)
    brave = found["brave"]
    assert (brave["outcome"], found["bad"]["outcome"]) == ("succeeded", "failed")
    assert brave["params"] == {"lr": 0.1, "model": {"depth": 3}, "layers": [1, 2]}
    assert brave["metrics"]["loss"] == pytest.approx(1 / 2000)
    assert brave["metrics"]["best"] == 0.7 and brave["metrics"]["nested"] == {"acc": 0.5}
    assert (brave["tags"], brave["environment"]["project"]) == (["a"], "p")
    assert brave["code"]["commit"] == exp.repo.head
    assert len(exp("show", "brave", "--series").out.splitlines()) == 2001


TENSORBOARD_X = """
from tensorboardX import SummaryWriter
writer = SummaryWriter("logs/a")
for step in range(5):
    writer.add_scalar("loss", 1 / (step + 1), step)
writer.add_histogram("weights", [1, 2, 3], 0)
writer.add_text("words", "x", 0)
writer.close()
"""
TENSORBOARD = """
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
writer = EventFileWriter("logs/a")
for step in range(5):
    writer.add_event(Event(wall_time=1e9 + step, step=step,
        summary=scalar_pb("loss", 1 / (step + 1))))
writer.close()
"""


@pytest.mark.parametrize(
    ("module", "script"), [("tensorboardX", TENSORBOARD_X), ("tensorboard", TENSORBOARD)]
)
def test_tensorboard(exp: Exp, module: str, script: str) -> None:
    make(exp, module, script)
    exp("import", "logs")
    (run,) = runs_of(exp)
    assert (run["name"], run["metrics"]) == ("a", {"loss": 0.2})
    assert len(exp("show", "last", "--series").out.splitlines()) == 6


def test_dvc(exp: Exp) -> None:
    pytest.importorskip("yaml")
    train = (
        "import json, yaml\n"
        "lr = yaml.safe_load(open('params.yaml'))['lr']\n"
        "json.dump({'loss': lr * 2, 'val': {'acc': 1 - lr}}, open('metrics.json', 'w'))\n"
    )
    pipeline = (
        "stages:\n  train:\n    cmd: python learn.py\n    deps: [learn.py]\n    params: [lr]\n"
        "    metrics:\n      - metrics.json:\n          cache: false\n"
    )
    script = f"""
import os, subprocess, sys
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
open("learn.py", "w").write({train!r})
open("dvc.yaml", "w").write({pipeline!r})
open("params.yaml", "w").write("lr: 0.1")
for line in (
    "git config user.name Ada", "git config user.email ada@example.org", "dvc init -q",
    "git add -A", "git commit -qm pipeline", "dvc exp run -S lr=0.2 -n first -m faster",
    "dvc exp run -S lr=0.3 -n second",
):
    subprocess.run(line.split(), check=True)
"""
    make(exp, "dvc", script, DVC_NO_ANALYTICS="1")
    exp("import", ".")
    found = by_name(exp)
    assert found["first"]["params"] == {"lr": 0.2} and found["first"]["reason"] == "faster"
    assert found["second"]["metrics"] == {"loss": 0.6, "val": {"acc": 0.7}}
    assert found["first"]["code"]["commit"] == exp.repo.head and found["first"]["code"]["dirty"]
    exp("apply", "first", check=None)
    assert exp("doctor").code == 0


def test_runs_sent_to_mlflow_come_back(exp: Exp) -> None:
    make(exp, "mlflow", "")
    exp("run", "-n", "brave", "-S", "lr=0.1", "--", "python", "train.py", "--lr", "0.1")
    script = f"""
import sys
sys.path[:0] = {[p for p in sys.path if p]!r}
from gitexp.cli.app import run
sys.exit(run(["export", "--to", "mlflow", "sqlite:///there.db"]))
"""
    for _ in range(2):
        make(exp, "mlflow", script)
    found = exp("import", "there.db", "--dry-run")
    assert found.err == "would import 0 runs (1 here already) from mlflow"
    with closing(sqlite3.connect(exp.repo.path / "there.db")) as base:
        assert base.execute("SELECT key, value FROM params").fetchall() == [("lr", "0.1")]
        assert base.execute("SELECT count(*) FROM metrics").fetchone() == (4,)


def test_interrupted_export_is_repeated(exp: Exp) -> None:
    make(exp, "mlflow", "")
    exp("run", "-n", "brave", "-S", "lr=0.1", "--", "python", "train.py", "--lr", "0.1")
    script = f"""
import sys
sys.path[:0] = {[p for p in sys.path if p]!r}
from mlflow.tracking import MlflowClient
from gitexp.cli.app import run
log_batch = MlflowClient.log_batch
def cut_off(*args, **options):
    raise OSError("the connection is lost")
MlflowClient.log_batch = cut_off
assert run(["export", "--to", "mlflow", "sqlite:///there.db"]) == 128
MlflowClient.log_batch = log_batch
sys.exit(run(["export", "--to", "mlflow", "sqlite:///there.db"]))
"""
    make(exp, "mlflow", script)
    found = exp("import", "there.db", "--dry-run")
    assert "would import 0 runs (1 here already) from mlflow" in found.err
    with closing(sqlite3.connect(exp.repo.path / "there.db")) as base:
        alive = "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'"
        assert base.execute(alive).fetchone() == (1,)
        assert base.execute("SELECT count(*) FROM metrics").fetchone() == (4,)
