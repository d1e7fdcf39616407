"""S3, S4, S19: recorded code with names or links that lead out of the work tree.

gitexp reads and writes nothing outside.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.adapters.system.probe import hash_path
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Code, Command, FileState, Origin, Outcome, Run
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.events import identity_of, sealed
from tests.cli.conftest import Exp

ADA = "Ada <ada@example.org>"
HARMLESS = Command(argv=("python", "-c", "print('METRIC a=1')"))


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory that must not change during the test."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "metrics.json").write_text('{"secret": 42}')
    (folder / "kept.txt").write_text("kept")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    yield folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def hostile_run(exp: Exp, links: dict[str, Path], **fields: Any) -> str:
    """A run of another user with links in its code; the own files do not change."""
    repo = exp.repo
    home = repo.head
    for name, target in links.items():
        place = repo.path / name
        if place.is_dir():
            repo.git("rm", "-r", "-q", name)
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(target)
        repo.git("add", name)
    commit = ObjectId(repo.commit(message="hostile"))
    tree = ObjectId(repo.git("rev-parse", "HEAD^{tree}"))
    repo.git("checkout", "--quiet", home)
    return put_run(exp, Code(commit=commit, tree=tree), **fields)


def put_run(exp: Exp, code: Code, **fields: Any) -> str:
    """Record a run of another user with some code."""
    run = Run(
        id=RunId("ab" * 8),
        name="hostile",
        outcome=Outcome.SUCCEEDED,
        clock=1,
        started=clock.now(),
        author=ADA,
        origin=Origin.RUN,
        metrics={"a": 1},
        code=code,
        **{"command": HARMLESS, **fields},
    )
    store = RunBranch(Repo.discover(exp.repo.path), "gitexp", durable=False)
    with store.transaction(identity_of(ADA), run.started) as transaction:
        transaction.add(sealed(run, [], "done"))
    return run.id


@pytest.mark.parametrize(
    "fields",
    [
        {"command": replace(HARMLESS, directory="way/new")},
        {"command": replace(HARMLESS, metrics_files=("way/metrics.json",))},
        {"command": replace(HARMLESS, metrics_files=("file.json",))},
        {"command": HARMLESS, "outputs": {"way/kept.txt": FileState(sha256="0" * 64, bytes=1)}},
        {"command": HARMLESS, "inputs": {"way/kept.txt": FileState(sha256="0" * 64, bytes=1)}},
    ],
)
def test_a_recorded_path_through_a_link_is_refused(
    exp: Exp, outside: Path, fields: dict[str, Any]
) -> None:
    run = hostile_run(exp, {"way": outside, "file.json": outside / "metrics.json"}, **fields)
    done = exp("reproduce", run, "--yes", check=125)
    assert "is outside its work tree" in done.err


def test_metrics_files_outside_the_work_tree_are_not_read(exp: Exp, outside: Path) -> None:
    run = hostile_run(exp, {"metrics.json": outside / "metrics.json"})
    exp("reproduce", run, "--yes")
    assert "secret" not in exp("list", "--json").out


def test_inputs_are_not_placed_through_a_link(exp: Exp, outside: Path) -> None:
    exp.repo.commit({"data/sub/new.csv": "1"}, "data")
    state = hash_path(exp.repo.path / "data")
    run = hostile_run(exp, {"data/sub": outside}, inputs={"data": state})
    assert "reproduced" in exp("reproduce", run, "--yes").out


def test_apply_does_not_put_a_link_where_a_folder_is(exp: Exp, outside: Path) -> None:
    exp.repo.commit({"docs/kept.txt": "mine"}, "documents")
    run = hostile_run(exp, {"docs": outside})
    assert "would be overwritten" in exp("apply", run, check=128).err
    assert (exp.repo.path / "docs/kept.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["..", ".", ".git", ".GIT", "git~1", ".g\u200cit"])
def test_a_tree_with_a_dangerous_name_is_not_checked_out(
    exp: Exp, tmp_path: Path, name: str
) -> None:
    """Created with git commands, since gitexp's fetch would refuse it."""
    git = exp.repo.git
    blob = git("hash-object", "-w", "--stdin", stdin="#!/bin/sh\n")
    inner = git("mktree", stdin=f"100755 blob {blob}\tpost-checkout\n")
    tree = git("mktree", stdin=f"040000 tree {inner}\t{name}\n100644 blob {blob}\tcode.py\n")
    commit = git("commit-tree", tree, "-m", "hostile")
    run = put_run(exp, Code(commit=ObjectId(commit), tree=ObjectId(tree)), command=HARMLESS)
    before = sorted(tmp_path.rglob("post-checkout"))
    exp("reproduce", run, "--yes", check=128)
    exp("apply", run, check=128)
    assert sorted(tmp_path.rglob("post-checkout")) == before == []
    assert exp.repo.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize(
    "name",
    [
        "x HEAD\nupdate refs/heads/xx-code HEAD\ndelete refs/heads/mine\nupdate refs/heads/y",
        *("a b", "a\0b", "a..b", "a.lock/b", "a/.b", "/a", "a/", "a//b", "a.", "a@{1}", "a\\b"),
    ],
)
def test_branch_name_of_a_project_cannot_inject_git_commands(exp: Exp, name: str) -> None:
    """S19: the setting comes with the code, and gitexp passes it to git line by line."""
    exp.repo.git("branch", "mine")
    refs = exp.repo.git("for-each-ref")
    exp.repo.write("gitexp.toml", f"branch = {json.dumps(name)}\n")
    done = exp("record", "-M", "a=1", check=128)
    assert "git rejects this branch name" in done.err
    assert exp.repo.git("for-each-ref") == refs
