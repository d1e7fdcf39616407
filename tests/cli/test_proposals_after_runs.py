"""After a run without metrics, the proposed commands work."""

import json
import shlex
import tomllib
from typing import Any

import pytest

from tests.cli.conftest import Exp

TRAINER = """
for n in range(4):
    print(f"step {n * 10}: train loss {4 - n}.63, val loss {5 - n}.65")
print("done in 12s")
"""
COMMAND = ("--", "python", "trainer.py")


def document_of(exp: Exp, run: str = "last") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("show", run, "--json").out)["runs"][0]
    return document


@pytest.fixture
def told(exp: Exp) -> tuple[Exp, str]:
    """Run a program that prints no METRIC line. Return the run and the messages."""
    exp.repo.write("trainer.py", TRAINER)
    return exp, exp("run", *COMMAND).err


def line_of(err: str, start: str) -> list[str]:
    """Return the words of the proposed command line."""
    (line,) = [line for line in err.splitlines() if line.startswith(start)]
    return shlex.split(line.removeprefix(start))


def test_patterns_are_proposed_with_their_values(told: tuple[Exp, str]) -> None:
    lines = told[1].splitlines()
    heading = "no metric was recorded, but the output has numbers that look like metrics:"
    start = lines.index(heading)
    assert [" ".join(line.split()) for line in lines[start + 1 : start + 4]] == [
        r"--metric-pattern 'step=step (\d+)' gives 0, 10, ..., 30",
        r"--metric-pattern 'train_loss=train loss ([\d.]+)' gives 4.63, 3.63, ..., 1.63",
        r"--metric-pattern 'val_loss=val loss ([\d.]+)' gives 5.65, 4.65, ..., 2.65",
    ]


def test_the_proposed_note_adds_them_to_this_run(told: tuple[Exp, str]) -> None:
    exp, err = told
    _, *options = line_of(err, "add them to this run: git exp note ")
    exp("note", "last", *options)
    assert document_of(exp)["metrics"] == {"train_loss": 1.63, "val_loss": 2.65}


def test_the_proposed_setting_records_them_from_then_on(told: tuple[Exp, str]) -> None:
    exp, err = told
    words = line_of(err, "record them in this project: git exp ")
    assert not (exp.repo.path / "gitexp.toml").exists()
    exp(*words)
    exp("run", "-q", "--again", *COMMAND)
    document = document_of(exp)
    assert document["metrics"] == {"train_loss": 1.63, "val_loss": 2.65}
    assert exp("show", "--series").out.splitlines()[1].startswith("0,")


@pytest.mark.parametrize("program", ["print('hello')", "print('METRIC loss=1'); print('acc: 3')"])
def test_nothing_is_proposed_for_a_run_with_metrics(exp: Exp, program: str) -> None:
    assert "metric-pattern" not in exp("run", "--", "python", "-c", program).err


def test_quiet_runs_propose_nothing(exp: Exp) -> None:
    assert exp("run", "-q", "--", "echo", "accuracy: 97.3%").err == ""


# --- git exp config --add -------------------------------------------------------------------------

P, Q = r"a=a ([\d.]+)", r"b=b's ([\d.]+)"

FILES = [
    "",
    "# mine\nmetric = 'a'",
    "metric = 'a'\n\n[metrics.a]\ndirection = 'maximize'\n",
    "metric-patterns = ['x=x (.)']  # old\nmetric = 'a'\n",
    "metric-patterns = [\n  'x=x [(.)]', # one\n]\n[metrics.a]\ngate = 1\n",
]


@pytest.mark.parametrize("before", FILES)
def test_adding_to_a_setting_keeps_the_rest_of_the_file(exp: Exp, before: str) -> None:
    file = exp.repo.path / "gitexp.toml"
    if before:
        file.write_text(before)
    old = tomllib.loads(before)
    exp("config", "--add", "metric-patterns", P, Q)
    exp("config", "--add", "metricPatterns", P)
    text = file.read_text()
    new = tomllib.loads(text)
    assert new.pop("metric-patterns") == [*old.pop("metric-patterns", []), P, Q]
    assert new == old
    assert ("# mine" in text) is ("# mine" in before)


def test_refused_addition_to_a_setting_changes_nothing(exp: Exp) -> None:
    file = exp.repo.path / "gitexp.toml"
    for content in ("metric-patterns = 'one'\n", "not toml", "[metrics.a]\nmetric-patterns = []\n"):
        file.write_text(content)
        done = exp("config", "--add", "metric-patterns", P, check=None)
        if "[metrics" not in content:
            assert done.code != 0
            assert file.read_text() == content
    file.write_text("")
    assert exp("config", "--add", "metric-patterns", "a=([", check=None).code != 0
    assert exp("config", "--add", "metric", "x", check=None).code != 0
    assert exp("config", "--add", "metric-patterns", check=None).code != 0
    assert exp("config", "metric", "x", check=None).code != 0
    assert file.read_text() == ""


def test_settings_in_pyproject_are_not_hidden_by_a_new_file(exp: Exp) -> None:
    exp.repo.write("pyproject.toml", "[tool.gitexp]\nmetric = 'a'\n")
    done = exp("config", "--add", "metric-patterns", P, check=None)
    assert done.code != 0
    assert "pyproject.toml" in done.err
    assert not (exp.repo.path / "gitexp.toml").exists()
