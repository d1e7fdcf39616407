"""Run every example in the help of every command, in a suitable repository."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gitexp.cli.app import COMMANDS, context_of, root

TRAIN = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.2)
rate = parser.parse_args().lr
for step in range(3):
    print(f"METRIC loss={rate / (step + 1):.4f} step={step}")
print(f"METRIC val_loss={rate:.4f}")
print(f"METRIC accuracy={1 - rate:.4f}")
"""
SETTINGS = """\
metric = "accuracy"

[metrics.accuracy]
direction = "maximize"
"""
PROJECT = """\
git init --quiet --bare ../remote.git
git init --quiet . && git remote add origin ../remote.git
git add . && git commit --quiet -m start && git push --quiet origin HEAD:main
git exp run -q -t sweep -- python train.py --lr 0.01
git exp run -q -t sweep -n brave-otter -- python train.py --lr 0.05
git exp run -q -- python train.py --lr 0.02
git exp push -q
"""
FILES = {
    "train.py": TRAIN,
    "gitexp.toml": SETTINGS,
    "params.toml": "lr = 0.1\n",
    "metrics.json": '{"accuracy": 0.8}\n',
    "results.csv": "run,lr,test_accuracy\nfirst,0.1,0.8\nsecond,0.2,0.7\n",
    "mlruns/0/meta.yaml": "experiment_id: '0'\nname: Default\nlifecycle_stage: active\n",
    ".gitignore": "mlruns/\n*.csv\n*.html\n*.svg\n*.png\n",
}
NEED_OPEN_RUN = ("finish", "note", "recover")

EXITS = {
    "git exp tried -- python train.py --lr 0.01": 1,
    "git exp tried -S lr=0.1 --json -- python train.py --lr {lr}": 0,
    "git exp compare": 0,
    "git exp compare last best:accuracy": 1,
    "git exp hooks status": 0,
}
"""Exit codes that are an answer; all other examples exit with 0."""

ELSEWHERE = {
    "demo": "tests/e2e/test_demo.py plays it",
    "ui": "it serves until Ctrl-C; tests/cli/test_ui_command.py starts and ends it",
}


def examples(command: click.Command) -> list[str]:
    """Return the lines of the last block of the help."""
    _, _, block = inspect.cleandoc(command.help or "").rpartition("\b\n")
    return [line for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_in_words_and_fits_80_columns(name: str) -> None:
    context = context_of(name)
    context.terminal_width = 80
    shown = context.get_help()
    assert not re.search(r"INTEGER|FLOAT|RANGE|BOOLEAN|<=", shown)
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def type_it(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    binaries = str(Path(sys.executable).parent)
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join([binaries, os.environ["PATH"]])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


_made: list[Path] = []


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of a repository with three runs, a remote, settings and files of every kind."""
    if not _made:
        first = tmp_path_factory.mktemp("examples") / "both" / "project"
        for name, text in FILES.items():
            (first / name).parent.mkdir(parents=True, exist_ok=True)
            (first / name).write_text(text)
        done = type_it("set -e\n" + PROJECT, first)
        assert done.returncode == 0, done.stderr
        _made.append(first)
    shutil.copytree(_made[0].parent, tmp_path / "both", symlinks=True)
    return tmp_path / "both" / "project"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ELSEWHERE])
def test_examples_of_the_help_do_what_they_say(name: str, project: Path, sealed: Path) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    typed = examples(command)
    assert len(typed) == 2, f"`git exp {name} -h` ends with two examples, not {len(typed)}"

    faults = []
    run = open_run(name, project)
    for example in typed:
        known = run or brave_otter(project) if "7f3a9c0" in example else ""
        done = type_it(f"RUN={run}\n(exit 0)\n" + example.replace("7f3a9c0", known), project)
        if done.returncode != EXITS.get(example, 0):
            faults.append(f"$ {example}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
        if name == "finish":
            run = open_run(name, project)
    assert not faults, "\n\n".join(faults)


def open_run(name: str, project: Path) -> str:
    """Return the id of a manual run, for the commands that need one."""
    if name not in NEED_OPEN_RUN:
        return ""
    done = type_it("git exp start", project)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def brave_otter(project: Path) -> str:
    return type_it("git exp list --name-only -w 'name == \"brave-otter\"'", project).stdout.strip()
