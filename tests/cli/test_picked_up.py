"""Unchanged programs under `git exp run`: their record has what they wrote to files."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Exp

CSV = """\
import csv, pathlib
pathlib.Path("logs").mkdir(exist_ok=True)
with open("logs/training.csv", "w", newline="") as file:
    log = csv.writer(file)
    log.writerow(["epoch", "loss", "accuracy"])
    for epoch in range(3):
        log.writerow([epoch, 1 / (epoch + 1), epoch / 4])
"""


def record(exp: Exp, selector: str = "last") -> dict[str, Any]:
    run: dict[str, Any] = json.loads(exp("show", selector, "--json").out)["runs"][0]
    return run


def series(exp: Exp) -> list[str]:
    listed = exp.repo.git("ls-tree", "-r", "--name-only", "gitexp").splitlines()
    files = [path for path in listed if path.startswith("series/")]
    return exp.repo.git("show", f"gitexp:{files[-1]}").splitlines()


def test_run_picks_up_a_log_which_is_never_code(exp: Exp) -> None:
    exp.repo.commit({"log.py": CSV})
    done = exp("run", "--", "python", "log.py")
    assert "picked up 2 metrics and 3 steps from logs/training.csv" in done.err
    run = record(exp)
    assert run["metrics"] == {"loss": 1 / 3, "accuracy": 0.5}
    assert run["harvested"] == {"logs/training.csv": {"kind": "csv", "metrics": 2, "steps": 3}}
    assert run["produced"] == ["logs/training.csv"]
    assert series(exp)[0] == "step,time,accuracy,loss"
    assert "logs/training.csv  csv: 2 metrics and 3 steps" in exp("show", "last").out
    exp("run", "--", "python", "log.py")
    assert record(exp)["fingerprint"] == run["fingerprint"]


def test_hyperparameter_files_do_not_count_as_code(exp: Exp) -> None:
    write = (
        "import pathlib\nfolder = pathlib.Path('lightning_logs/version_0')\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "(folder / 'hparams.yaml').write_text('lr: 0.1\\n')\n"
        "(folder / 'metrics.csv').write_text('epoch,step,loss\\n0,1,0.5\\n')\n"
    )
    exp.repo.commit({"fit.py": write})
    exp("run", "--", "python", "fit.py")
    first = record(exp)
    assert "lightning_logs/version_0/hparams.yaml" in first["produced"]
    assert first["params"] == {"lr": 0.1}
    assert first["parsed"] == {"lr": 0.1}
    found = first["harvested"]["lightning_logs/version_0/hparams.yaml"]
    assert found == {"kind": "lightning", "params": ["lr"]}
    assert "hparams.yaml  lightning: 1 parameter" in exp("show", "last").out
    assert "lr  0.1\n" in exp("show", "last").out + "\n"
    assert exp("list", "--where", "params.lr == 0.1", "--porcelain").out
    exp("run", "--", "python", "fit.py")
    assert record(exp)["fingerprint"] == first["fingerprint"]


def test_printed_and_named_values_win_over_picked_up_ones(exp: Exp) -> None:
    more = CSV + "print('METRIC loss=0.25')\n"
    exp.repo.commit({"log.py": more})
    exp("run", "--", "python", "log.py")
    assert record(exp)["metrics"] == {"loss": 0.25, "accuracy": 0.5}
    exp.repo.commit({"log.py": CSV + "open('m.json', 'w').write('{\"accuracy\": 0.75}')\n"})
    exp("run", "--metrics", "m.json", "--", "python", "log.py")
    assert record(exp)["metrics"] == {"loss": 1 / 3, "accuracy": 0.75}


def test_logged_values_win_over_named_files_and_those_over_printed_values(exp: Exp) -> None:
    script = (
        "import gitexp\nrun = gitexp.active()\n"
        "for step in range(2):\n"
        "    print(f'METRIC a=1 step={step}'); print('METRIC b=1'); print('METRIC c=1')\n"
        "run.log(a=3)\n"
        "open('m.csv', 'w').write('step,a,b\\n0,2,2\\n1,2,2\\n')\n"
    )
    exp.repo.commit({"all.py": script})
    exp("run", "--metrics", "m.csv", "--", "python", "all.py")
    assert record(exp)["metrics"] == {"a": 3, "b": 2, "c": 1}
    rows = [line.split(",") for line in series(exp)]
    assert [row[rows[0].index("b")] for row in rows[1:]] == ["2", "2"]


def test_harvest_can_be_switched_off(exp: Exp) -> None:
    exp.repo.commit({"log.py": CSV})
    exp("run", "--no-harvest", "--", "python", "log.py")
    assert "metrics" not in record(exp)
    exp.repo.git("config", "exp.harvest", "false")
    exp("run", "--", "python", "log.py")
    assert "harvested" not in record(exp)
    exp.repo.git("config", "exp.harvest", "tensorboard,csv")
    exp("run", "--", "python", "log.py")
    assert "harvested" in record(exp)
    exp.repo.git("config", "exp.harvest", "tensorbord")
    done = exp("run", "--", "python", "log.py", check=128)
    assert "'tensorbord' is none of lightning" in done.err


def test_two_metrics_files_keep_both_series(exp: Exp) -> None:
    write = (
        "open('a.csv', 'w').write('step,loss\\n0,2\\n1,1\\n')\n"
        "open('b.csv', 'w').write('step,acc\\n0,0.5\\n1,0.75\\n')\n"
    )
    exp.repo.commit({"two.py": write})
    exp("run", "--metrics", "a.csv", "--metrics", "b.csv", "--", "python", "two.py")
    assert series(exp) == ["step,time,acc,loss", "0,,0.5,2", "1,,0.75,1"]


def test_reproduce_picks_up_and_compares_the_same_metrics(exp: Exp) -> None:
    exp.repo.commit({"log.py": CSV})
    exp("run", "--", "python", "log.py")
    assert "reproduced: 2 metrics equal" in exp("reproduce", "last").out
    assert record(exp)["harvested"].keys() == {"logs/training.csv"}


def test_a_bad_file_is_a_warning_and_the_run_is_recorded(exp: Exp) -> None:
    bad = "open('trainer_state.json', 'w').write('{\"log_history\": [')\n"
    exp.repo.commit({"bad.py": CSV + bad})
    done = exp("run", "--", "python", "bad.py")
    run = record(exp)
    assert run["metrics"]["accuracy"] == 0.5
    (warning,) = run["warnings"]
    assert "cannot read trainer_state.json" in warning
    assert "cannot read trainer_state.json" in done.err


def test_concurrent_runs_take_only_files_that_their_command_names(exp: Exp) -> None:
    """The first run starts a second, independent one and waits for its start."""
    write = CSV.replace('"logs', 'sys.argv[1] + "').replace("import csv", "import sys, csv")
    outer = (
        "import os, subprocess\n"
        "env = {k: v for k, v in os.environ.items() if not k.startswith('GITEXP_')}\n"
        "for place in ('one', 'two'):\n"
        "    subprocess.run(['git-exp', 'run', '--', 'python', 'log.py', place], env=env)\n"
        "open('mine.csv', 'w').write('step,own\\n1,2\\n')\n"
    )
    exp.repo.commit({"log.py": write, "outer.py": outer})
    exp("run", "--", "python", "outer.py")
    runs = json.loads(exp("list", "--json").out)["runs"]
    by_argv = {run["command"]["argv"][-1]: run for run in runs}
    assert by_argv["one"]["harvested"].keys() == {"one/training.csv"}
    assert by_argv["two"]["harvested"].keys() == {"two/training.csv"}
    assert "harvested" not in by_argv["outer.py"]
    assert "other runs were going on here" in by_argv["outer.py"]["warnings"][0]


# --- programs with real frameworks ----------------------------------------------------------------

TENSORBOARDX = """\
from tensorboardX import SummaryWriter
with SummaryWriter("runs/here") as writer:
    for step in range(4):
        writer.add_scalar("train/loss", 1 / (step + 1), step)
        writer.add_scalar("val/accuracy", step / 4, step)
"""


def test_values_of_a_tensorboardx_program_are_recorded(exp: Exp) -> None:
    pytest.importorskip("tensorboardX")
    exp.repo.commit({"tb.py": TENSORBOARDX})
    done = exp("run", "--", "python", "tb.py")
    assert "picked up 2 metrics and 4 steps from runs/here" in done.err
    assert record(exp)["metrics"] == {"train/loss": 0.25, "val/accuracy": 0.75}
    assert len(series(exp)) == 5


HPARAMS = """\
import tensorboardX
for lr in (RATES):
    with tensorboardX.SummaryWriter("runs/%s" % lr) as writer:
        writer.add_scalar("loss", lr, 1)
        hparams = {"lr": lr, "layers": 4, "opt": "sgd", "amp": True, "api_key": "abcdefgh1"}
        writer.add_hparams(hparams, {"acc": 0.5})
"""


def test_hyperparameters_of_tensorboardx_are_recorded(exp: Exp) -> None:
    pytest.importorskip("tensorboardX")
    exp.repo.commit({"hp.py": HPARAMS.replace("RATES", "0.25,")})
    exp("run", "--", "python", "hp.py")
    run = record(exp)
    assert run["params"] == {
        "lr": 0.25,
        "layers": 4,
        "opt": "sgd",
        "amp": True,
        "api_key": "[redacted]",
    }
    assert run["metrics"] == {"loss": 0.25, "acc": 0.5}


def test_a_parameter_with_several_values_is_left_out_and_named(exp: Exp) -> None:
    pytest.importorskip("tensorboardX")
    exp.repo.commit({"hp.py": HPARAMS.replace("RATES", "0.25, 0.5")})
    done = exp("run", "--", "python", "hp.py")
    assert record(exp)["params"].keys() == {"layers", "opt", "amp", "api_key"}
    assert "lr left out: tensorboard files have several values" in done.err


PYTHON = os.environ.get("FRAMEWORKS_PYTHON", sys.executable)
"""An environment with the large frameworks:
`pip install lightning transformers accelerate mlflow-skinny sqlalchemy alembic dvclive wandb
pytest-benchmark lightgbm xgboost-cpu scikit-learn`."""

LIGHTNING = """\
import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

class Net(L.LightningModule):
    def __init__(self, hidden=8, lr=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, hidden), torch.nn.Linear(hidden, 1))
    def training_step(self, batch, index):
        loss = ((self.net(batch[0]) - batch[1]) ** 2).mean()
        self.log("train_loss", loss)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", ((self.net(batch[0]) - batch[1]) ** 2).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

torch.manual_seed(0)
x = torch.randn(64, 4)
data = TensorDataset(x, x.sum(1, keepdim=True))
trainer = L.Trainer(
    max_epochs=2, log_every_n_steps=2, enable_progress_bar=False, accelerator="cpu"LOGGER)
trainer.fit(Net(), DataLoader(data, 8), DataLoader(data, 16))
"""
TRANSFORMERS = """\
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

torch.manual_seed(0)
config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=32, max_position_embeddings=16)
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 32
    def __getitem__(self, i):
        ids = torch.arange(8) + i % 40
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": i % 2}
trainer = Trainer(
    model=BertForSequenceClassification(config),
    args=TrainingArguments(output_dir="out", num_train_epochs=2, per_device_train_batch_size=8,
                           logging_steps=2, eval_strategy="epoch", use_cpu=True),
    train_dataset=Data(), eval_dataset=Data())
trainer.train()
"""
MLFLOW = """\
import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
with mlflow.start_run():
    X, y = load_iris(return_X_y=True)
    mlflow.log_param("C", 0.5)
    for step in range(3):
        model = LogisticRegression(C=0.5, max_iter=10 * (step + 1)).fit(X, y)
        mlflow.log_metric("accuracy", model.score(X, y), step=step)
"""
DVCLIVE = """\
from dvclive import Live
with Live(save_dvc_exp=False, report=None) as live:
    live.log_param("lr", 0.1)
    for step in range(3):
        live.log_metric("train/loss", 1 / (step + 1))
        live.next_step()
"""
WANDB = """\
import wandb
run = wandb.init(mode="offline", project="p", config={"lr": 0.1})
for step in range(3):
    run.log({"loss": 1 / (step + 1)})
run.finish()
"""
BENCHMARK = """\
def test_sort(benchmark):
    benchmark.pedantic(sorted, args=(list(range(50)),), rounds=3)
"""
BOOSTERS = """\
import lightgbm, xgboost
from sklearn.datasets import load_breast_cancer
import csv
X, y = load_breast_cancer(return_X_y=True)
found = {}
lightgbm.train({"objective": "binary", "metric": "auc", "verbose": -1, "num_threads": 1},
               lightgbm.Dataset(X[:400], y[:400]), 4,
               valid_sets=[lightgbm.Dataset(X[400:], y[400:])],
               callbacks=[lightgbm.record_evaluation(found)])
xgb = {}
xgboost.train({"objective": "binary:logistic", "eval_metric": "auc", "nthread": 1},
              xgboost.DMatrix(X[:400], y[:400]), 4,
              evals=[(xgboost.DMatrix(X[400:], y[400:]), "valid")], evals_result=xgb,
              verbose_eval=False)
with open("history.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["iteration", "lgb_auc", "xgb_auc"])
    rows.writerows(zip(range(4), found["valid_0"]["auc"], xgb["valid"]["auc"]))
"""

PRINTING = """\
import argparse
import lightgbm, xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=4)
parser.add_argument("--iterations", type=int, default=100)
args = parser.parse_args()
X, y = load_breast_cancer(return_X_y=True)
lightgbm.train(
    {"objective": "binary", "metric": "auc", "verbose": -1, "num_threads": 1},
    lightgbm.Dataset(X[:400], y[:400]), args.rounds,
    valid_sets=[lightgbm.Dataset(X[400:], y[400:])], callbacks=[lightgbm.log_evaluation(1)])
xgboost.train(
    {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1},
    xgboost.DMatrix(X[:400], y[:400]), args.rounds,
    evals=[(xgboost.DMatrix(X[400:], y[400:]), "valid")])
model = LogisticRegression(max_iter=args.iterations).fit(X[:400], y[:400])
print("accuracy: %.3f" % model.score(X[400:], y[400:]))
"""


def program(exp: Exp, module: str, script: str, *argv: str, **variables: str) -> dict[str, Any]:
    """Run a program with a framework of the other environment; skip if it lacks the framework."""
    there = subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True, check=False)
    if there.returncode != 0:
        pytest.skip(f"{PYTHON} has no {module}")
    exp.repo.commit({"program.py": script})
    os.environ.update(variables)
    exp("run", "--", PYTHON, *(argv or ("program.py",)))
    return record(exp)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("logger", ["", ', logger=CSVLogger(".")'], ids=["default", "csv"])
def test_values_of_a_lightning_program_are_recorded(exp: Exp, logger: str) -> None:
    run = program(exp, "lightning", LIGHTNING.replace("LOGGER", logger))
    assert run["metrics"].keys() == {"train_loss", "val_loss"}
    assert len(series(exp)) > 5
    assert "lightning_logs/version_0/hparams.yaml" in run["produced"]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_values_of_a_transformers_program_are_recorded(exp: Exp) -> None:
    run = program(exp, "transformers", TRANSFORMERS)
    assert run["metrics"].keys() >= {"loss", "eval_loss", "grad_norm"}
    assert run["harvested"].keys() == {"out/checkpoint-8/trainer_state.json"}
    assert len(series(exp)) == 5


@pytest.mark.long
@pytest.mark.parametrize("uri", ["file:./mlruns", "sqlite:///mlflow.db"], ids=["files", "sqlite"])
def test_values_of_an_mlflow_program_are_recorded(exp: Exp, uri: str) -> None:
    told = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_ALLOW_FILE_STORE": "true"}
    run = program(exp, "mlflow", MLFLOW, **told)
    assert run["metrics"].keys() == {"accuracy"}
    assert len(series(exp)) == 4
    again = program(exp, "mlflow", MLFLOW.replace("0.5", "0.25"), **told)
    assert again["metrics"].keys() == {"accuracy"}  # only of its own run


@pytest.mark.long
def test_values_of_a_dvclive_program_are_recorded(exp: Exp) -> None:
    run = program(exp, "dvclive", DVCLIVE)
    assert run["metrics"]["train"] == {"loss": 1 / 3}
    assert len(series(exp)) == 4


@pytest.mark.long
def test_values_of_a_wandb_program_are_recorded(exp: Exp) -> None:
    run = program(exp, "wandb", WANDB, WANDB_SILENT="true")
    assert run["metrics"] == {"loss": 1 / 3}
    assert len(series(exp)) == 4


@pytest.mark.long
def test_results_of_pytest_benchmark_are_recorded(exp: Exp) -> None:
    run = program(
        *(exp, "pytest_benchmark", BENCHMARK),
        *("-m", "pytest", "-q", "program.py", "--benchmark-json=out.json"),
    )
    assert run["metrics"]["test_sort"].keys() >= {"mean", "median", "ops"}
    assert run["directions"]["test_sort.mean"] == "minimize"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_csv_history_of_boosters_is_recorded(exp: Exp) -> None:
    run = program(exp, "lightgbm, xgboost, sklearn", BOOSTERS)
    assert run["metrics"].keys() == {"lgb_auc", "xgb_auc"}
    assert len(series(exp)) == 5


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_printed_metrics_of_boosters_are_recorded(exp: Exp) -> None:
    """The proposed patterns, added to the settings, read metrics and series of the next run."""
    run = program(exp, "lightgbm, xgboost, sklearn", PRINTING, "program.py", "--rounds", "3")
    assert run["params"] == {"rounds": 3, "iterations": 100}
    assert "metrics" not in run
    done = exp("run", "--again", "--", PYTHON, "program.py", "--rounds", "3")
    assert "failed=" not in done.err
    (line,) = [line for line in done.err.splitlines() if "config --add metric-patterns" in line]
    exp(*shlex.split(line.partition("git exp ")[2]))
    again = exp("run", "--again", "--", PYTHON, "program.py", "--rounds", "3")
    assert "proposed" not in again.err
    assert record(exp)["metrics"].keys() == {"valid_0_auc", "valid_logloss", "accuracy"}
    assert len(series(exp)) > 3


@pytest.mark.long
def test_results_of_hyperfine_and_google_benchmark_are_recorded(exp: Exp, tmp_path: Path) -> None:
    done = subprocess.run(["hyperfine", "--version"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("hyperfine is not installed")
    exp("run", "--", "hyperfine", "-N", "-r", "3", "--export-json", "out.json", "true")
    assert record(exp)["metrics"]["true"].keys() >= {"mean", "median", "stddev"}


def test_a_named_metrics_file_that_was_not_written_is_a_warning_with_its_path(exp: Exp) -> None:
    code = "import pathlib; pathlib.Path('out.json').write_text('{\"loss\": 1}')"
    (exp.repo.path / "sub").mkdir()
    exp.repo.write("sub/out.json", '{"loss": 7}')
    done = exp(
        *("run", "--metrics", "nope.json", "--metrics", "sub/out.json"), "--", "python", "-c", code
    )
    assert "warning: nope.json was not written: there is no such file" in done.err
    assert "warning: sub/out.json was not written by this run" in done.err
    done = exp("run", "--metrics", "out.json", "--", "python", "-c", code)
    assert "was not written" not in done.err


def test_the_mean_of_a_benchmark_is_the_main_metric(exp: Exp) -> None:
    document = {"results": [{"command": "zstd", "max": 3, "mean": 2, "median": 2, "min": 1}]}
    code = f"import pathlib; pathlib.Path('bench.json').write_text({json.dumps(document)!r})"
    assert "\nzstd.mean 2: " in exp("run", "--", "python", "-c", code).err
