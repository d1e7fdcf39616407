"""The pre-push hook beside the real tools that manage hooks. Long: each starts many processes.

A tool that is not installed is skipped: `pip install pre-commit`, `npm install husky lefthook`, the
package git-lfs. Programs in the folder `GITEXP_TEST_TOOLS` are found, too.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import MakeRepo, RepoBuilder

pytestmark = pytest.mark.long

TOOLS = os.environ.get("GITEXP_TEST_TOOLS", "")
PATH = os.pathsep.join([str(Path(sys.executable).parent), TOOLS, os.environ["PATH"]])
WAIT_S = 30.0


def needs(tool: str) -> pytest.MarkDecorator:
    there = shutil.which(tool, path=PATH)
    return pytest.mark.skipif(there is None, reason=f"{tool} is not installed")


@pytest.fixture
def work(make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch) -> RepoBuilder:
    """A repository with one run and an empty remote."""
    monkeypatch.setenv("PATH", PATH)
    repo = make_repo("work")
    make_repo("remote", bare=True)
    repo.git("remote", "add", "origin", "../remote")
    repo.git("exp", "record", "-q", "-M", "accuracy=1")
    monkeypatch.chdir(repo.path)
    return repo


def exp(repo: RepoBuilder, *words: str) -> tuple[int, str]:
    """Run a command. Return exit code and output."""
    done = subprocess.run(
        ["git", "exp", *words],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def push(repo: RepoBuilder, branch: str = "main") -> None:
    """Push the user's branch, and check that the runs arrive."""
    repo.git("push", "--quiet", "origin", f"HEAD:{branch}")
    arrived = repo.path.parent / "remote"
    end = time.monotonic() + WAIT_S
    while True:
        there = repo.git("-C", str(arrived), "for-each-ref", "--format=%(refname:short)")
        if {branch, "gitexp", "gitexp-code"} <= set(there.split()):
            return
        log = repo.path / ".git" / "gitexp" / "push.log"
        assert time.monotonic() < end, log.read_text() if log.exists() else there
        time.sleep(0.1)


def hook(repo: RepoBuilder) -> Path:
    return repo.path / repo.git("rev-parse", "--git-path", "hooks/pre-push")


def works(repo: RepoBuilder, through: str = "yes") -> bool:
    code, told = exp(repo, "hooks", "status")
    lines = [line.split(maxsplit=1) for line in told.splitlines()]
    return code == 0 and ["installed", through] in lines and ["working", "yes"] in lines


def lines_to_add(told: str) -> str:
    """Return the lines that the error tells the user to add."""
    _, _, rest = told.partition("hint: add to ")
    return rest.partition("\n")[2].partition("\nhint: ")[0] + "\n"


@needs("pre-commit")
def test_pre_commit_runs_the_suggested_lines(work: RepoBuilder) -> None:
    config = work.write(".pre-commit-config.yaml", "repos:\n")
    code, told = exp(work, "hooks", "install")
    assert code == 128
    assert "managed by pre-commit" in told
    config.write_text("repos:\n" + lines_to_add(told))
    subprocess.run(["pre-commit", "install", "--hook-type", "pre-push"], check=True)
    work.commit({}, "x")
    assert exp(work, "hooks", "install") == (
        0,
        "nothing to do: pre-commit calls gitexp already\n",
    )
    assert works(work, "through pre-commit")
    push(work)


@needs("pre-commit")
def test_pre_commit_works_beside_the_shim(work: RepoBuilder) -> None:
    work.write(".pre-commit-config.yaml", "repos: []\n")
    subprocess.run(["pre-commit", "install", "--hook-type", "pre-push"], check=True)
    before = hook(work).read_bytes()
    assert exp(work, "hooks", "install", "--force")[0] == 0
    assert works(work)
    push(work)
    assert exp(work, "hooks", "uninstall")[0] == 0
    assert hook(work).read_bytes() == before


@needs("pre-commit")
def test_pre_commit_installed_over_the_shim_calls_it(work: RepoBuilder) -> None:
    """It moves the shim aside and calls it; gitexp's own push must not recurse."""
    assert exp(work, "hooks", "install")[0] == 0
    work.write(".pre-commit-config.yaml", "repos: []\n")
    subprocess.run(["pre-commit", "install", "--hook-type", "pre-push"], check=True)
    assert hook(work).with_name("pre-push.legacy").exists()
    assert works(work, "through pre-commit")
    push(work)
    assert exp(work, "hooks", "uninstall")[0] == 0
    assert not hook(work).with_name("pre-push.legacy").exists()


@needs("husky")
def test_husky_runs_the_suggested_lines(work: RepoBuilder) -> None:
    work.write("package.json", "{}\n")
    subprocess.run(["husky"], check=True)
    code, told = exp(work, "hooks", "install")
    assert code == 128
    assert "managed by husky" in told
    work.write(".husky/pre-push", lines_to_add(told))
    work.commit({"package.json": "{}\n"}, "husky")
    assert works(work, "through husky")
    push(work)


@needs("lefthook")
def test_lefthook_runs_the_suggested_lines(work: RepoBuilder) -> None:
    config = work.write("lefthook.yml", "")
    code, told = exp(work, "hooks", "install")
    assert code == 128
    assert "managed by lefthook" in told
    config.write_text(lines_to_add(told))
    subprocess.run(["lefthook", "install"], check=True)
    work.commit({}, "lefthook")
    assert works(work, "through lefthook")
    push(work)


@needs("git-lfs")
def test_hook_of_git_lfs_runs_first_and_is_restored(work: RepoBuilder) -> None:
    work.git("lfs", "install", "--local")
    work.git("lfs", "track", "*.bin")
    work.commit({".gitattributes": (work.path / ".gitattributes").read_bytes(), "a.bin": b"\0\1"})
    before = hook(work).read_bytes()
    assert exp(work, "hooks", "install")[0] == 0
    assert works(work)
    push(work)
    stored = work.path.parent / "remote" / "lfs" / "objects"
    assert [path for path in stored.rglob("*") if path.is_file()], "git-lfs has pushed its file"
    assert exp(work, "hooks", "uninstall")[0] == 0
    assert hook(work).read_bytes() == before


@pytest.mark.parametrize("absolute", [False, True])
def test_hook_works_with_an_own_hooks_path(
    work: RepoBuilder, tmp_path: Path, absolute: bool
) -> None:
    folder = tmp_path / "elsewhere" if absolute else work.path / ".githooks"
    folder.mkdir()
    foreign = folder / "pre-push"
    foreign.write_text(f"#!/bin/sh\ncat >> {tmp_path}/seen\n")
    foreign.chmod(0o755)
    before = foreign.read_bytes()
    work.git("config", "core.hooksPath", str(folder) if absolute else ".githooks")
    code, told = exp(work, "hooks", "install")
    assert (code == 0) is absolute, told
    assert exp(work, "hooks", "install", "--force")[0] == 0
    assert works(work)
    push(work)
    assert "refs/heads/main" in (tmp_path / "seen").read_text()
    assert exp(work, "hooks", "uninstall")[0] == 0
    assert foreign.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["pre-push"]


def test_a_linked_worktree_shares_the_hook(work: RepoBuilder, tmp_path: Path) -> None:
    assert exp(work, "hooks", "install")[0] == 0
    work.git("worktree", "add", "-q", str(tmp_path / "linked"))
    linked = RepoBuilder(tmp_path / "linked")
    assert works(linked)
    push(linked, "linked")
    assert exp(linked, "hooks", "uninstall")[0] == 0
    assert not works(work)
