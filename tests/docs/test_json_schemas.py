"""`--json` output matches `docs/json.md`: every command, every key of every object."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest

from gitexp.cli.app import COMMANDS, root
from gitexp.core.schema.fields import ANNOTATION, RUN
from tests.cli.conftest import TRAIN, Exp
from tests.conftest import RepoBuilder

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
KEY = re.compile(r"`(\w+)`(?: \((\w+)( by name)?\))?")

Keys = dict[str, tuple[str, bool]]
"""Content of an object by key: the object it holds, if any, and whether its key is a name."""


def documented() -> dict[str, tuple[Keys, Keys]]:
    """Keys that every object has always and sometimes, from the tables of the page."""
    found = {}
    section = PAGE.read_text().partition("\n## Every object\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or cells[0] in ("object", "---"):
            continue
        always, sometimes = (
            {key: (inner, bool(named)) for key, inner, named in KEY.findall(cell)}
            for cell in cells[1:]
        )
        for name in cells[0].replace("`", "").split(", "):
            found[name] = (always, sometimes)
    return found


OBJECTS = documented()


def faults_of(value: Any, name: str, where: str) -> list[str]:
    """Return the differences between a value and its documented object."""
    always, sometimes = OBJECTS[name]
    if not isinstance(value, dict):
        return [f"{where} is no object but {value!r}"]
    faults = [f"{where} lacks '{key}'" for key in always if key not in value]
    known = {**always, **sometimes}
    for key, inner in value.items():
        if key not in known:
            faults.append(f"{where} has '{key}', which the page does not name")
            continue
        kind, by_name = known[key]
        if not kind:
            continue
        parts = inner.values() if by_name else inner if isinstance(inner, list) else [inner]
        for part in parts:
            faults += faults_of(part, kind, f"{where}.{key}")
    return faults


def commands_with_json() -> list[str]:
    """Return every command with `--json`."""
    context = click.Context(root)
    found = []
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        if any("--json" in option.opts for option in command.params):
            found.append(name)
    return found


@pytest.fixture
def full(
    repo: RepoBuilder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Exp:
    """A repository with runs that use almost every field."""
    repo.commit({"train.py": TRAIN, "in.csv": "1\n"}, "a training")
    rules = '[metrics.accuracy]\ndirection = "maximize"\ntolerance = 0.1\n'
    repo.write("gitexp.toml", rules + '[metrics.loss]\nguard = "5%"\n')
    monkeypatch.chdir(repo.path)
    exp = Exp(repo, capfd)
    for lr, name in (("0.3", "first"), ("0.1", "second"), ("0.2", "third")):
        exp(
            "run",
            "-n",
            name,
            "-S",
            f"lr={lr}",
            *OPTIONS,
            "--",
            "python",
            "train.py",
            "--lr",
            "{lr}",
        )
    exp("sweep", "-q", "-S", "n=1", "--", "sh", "-c", "echo METRIC other={n}")
    exp("run", "-n", "broken", "--", "python", "-c", "raise SystemExit(3)", check=3)
    exp("decide", "first", "discard", "-m", "too coarse", "--next", "go lower")
    exp("decide", "second", "keep", "-m", "good", "--next", "finer")
    exp("note", "second", "a note")
    exp("note", "second", "-M", "accuracy=90%")
    exp("note", "broken", "-M", "accuracy=0.1")
    exp("tag", "second", "paper")
    exp("reproduce", "second", check=None)
    return exp


OPTIONS = ("-m", "why", "-t", "tagged", "--input", "in.csv", "--output", "train.py")

SCHEMA_2 = ("best", "brief", "compare", "diff")
"""Documents whose keys changed their meaning with the groups of repeats."""

ASKED: dict[str, list[tuple[str, ...]]] = {
    "apply": [("apply", "second", "--dry-run"), ("apply", "second")],
    "best": [("best", "accuracy")],
    "brief": [("brief",), ("brief", "--budget", "3"), ("brief", "--since", "second", "-n", "1")],
    "compare": [("compare", "third"), ("compare", "first", "second"), ("compare", "broken")],
    "config": [("config",)],
    "config NAME": [("config", "repeat")],
    "decide": [
        ("decide", "third", "improve"),
        ("decide", "second", "discard", "-m", "why", "--next", "hint"),
    ],
    "diff": [("diff", "first", "second"), ("diff", "second", "second")],
    "doctor": [("doctor",)],
    "list": [("list",), ("list", "--where", "accuracy > 5")],
    "log": [("log",)],
    "noise": [("noise",), ("noise", "accuracy")],
    "note": [("note", "third", "a word")],
    "reproduce": [("reproduce", "third")],
    "run": [
        ("run", "--", "python", "train.py", "--lr", "0.4"),
        ("run", "--repeat", "2", "--again", "--", "python", "train.py", "--lr", "0.4"),
        ("run", "-S", "lr=0.3", *OPTIONS, "--", "python", "train.py", "--lr", "{lr}"),
    ],
    "show": [("show", "second"), ("show", "broken")],
    "sweep list": [("sweep", "list")],
    "sweep show": [("sweep", "show")],
    "sweep status": [("sweep", "status")],
    "tag": [("tag", "third", "new"), ("tag", "third"), ("tag", "third", "-d", "new")],
    "tried": [
        ("tried", "--", "python", "train.py", "--lr", "0.7"),
        ("tried", "-S", "lr=0.1", "--input", "in.csv", "--", "python", "train.py", "--lr", "{lr}"),
    ],
}


def test_every_json_command_is_tested_and_documented() -> None:
    asked = {name.partition(" ")[0] for name in ASKED}
    assert set(commands_with_json()) <= asked, "ask the new command here and document it"
    assert {name for name in OBJECTS if name.islower() or " " in name} == set(ASKED)


def test_json_of_every_command_matches_the_document(full: Exp) -> None:
    faults, seen = [], set()
    for name, all_words in ASKED.items():
        for words in all_words:
            split = words.index("--") if "--" in words else len(words)
            done = full(*words[:split], "--json", *words[split:], check=None)
            if not done.out:
                assert done.code == 125, done.err  # a run without metrics has no verdict
                continue
            document = json.loads(done.out)
            assert document["schema"] == (2 if name in SCHEMA_2 else 1)
            faults += faults_of(document, name, " ".join(words))
            seen.add(name)
    assert not faults, "\n".join(faults)
    assert seen == set(ASKED)


def test_json_of_an_empty_brief_matches_the_document(full: Exp, make_repo: Any) -> None:
    empty = make_repo("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(empty.path)
        document = json.loads(Exp(empty, full._capfd)("brief", "--json").out)
    assert faults_of(document, "brief", "brief") == []


def test_documented_keys_of_a_run_are_complete() -> None:
    section = PAGE.read_text().partition("\n## A run\n")[2].partition("\n## ")[0]
    keys = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    always, sometimes = OBJECTS["RUN"]
    assert keys == {*always, *sometimes}


def test_page_names_every_field_of_the_schema_table() -> None:
    kinds = {field.name: field.kind for field in RUN.fields}
    objects = {
        "RUN": RUN,
        "ANNOTATION": ANNOTATION,
        **{name.upper(): kinds[name] for name in ("code", "command", "parser", "checks")},
        "FILE": kinds["inputs"].inner,
        "HARVESTED": kinds["harvested"].inner,
    }
    for name, kind in objects.items():
        assert kind is not None
        keys = {field.json_name or field.name for field in kind.fields}
        always, sometimes = OBJECTS[name]
        assert sorted(keys - {*always, *sometimes}) == [], f"name them in the row {name} of {PAGE}"


def test_json_check_finds_differences() -> None:
    assert faults_of({"name": 1, "more": 2}, "CHANGE", "x") == [
        "x lacks 'before'",
        "x lacks 'after'",
        "x has 'more', which the page does not name",
    ]
    assert faults_of({"schema": 1, "runs": [3]}, "list", "x") == ["x.runs is no object but 3"]
    assert faults_of({"inputs": {"a": {"sha256": ""}}}, "RUN", "x")[-1] == (
        "x.inputs lacks 'bytes'"
    )
