"""Code that git does not report as changed: index flags, submodules, their configuration."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Exp
from tests.conftest import MakeRepo, RepoBuilder

READ = (
    "run",
    "--again",
    "--",
    "python",
    "-c",
    "import os; print('METRIC n=%s' % (open('lib/x').read() if os.path.exists('lib/x') else 0))",
)


def tried(exp: Exp) -> bool:
    return exp("tried", *READ[2:], check=None).code == 1


def code_of(exp: Exp) -> dict[str, Any]:
    (found,) = json.loads(exp("show", "last", "--json").out)["runs"]
    code: dict[str, Any] = found["code"]
    return code


class TestFlags:
    """`git update-index --assume-unchanged` and `--skip-worktree`."""

    @pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
    def test_changed_unwatched_file_makes_another_trial(self, exp: Exp, flag: str) -> None:
        exp.repo.git("update-index", flag, "train.py")
        exp(*READ)
        assert not code_of(exp)["dirty"]
        assert tried(exp)
        exp.repo.write("train.py", "changed = 1\n")
        assert exp.repo.git("status", "--porcelain") == ""
        index = (exp.repo.path / ".git/index").read_bytes()
        assert not tried(exp)
        exp(*READ)
        assert exp.repo.git("show", f"{code_of(exp)['tree']}:train.py") == "changed = 1"
        assert (exp.repo.path / ".git/index").read_bytes() == index

    @pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
    def test_deleted_unwatched_file_makes_another_trial(self, exp: Exp, flag: str) -> None:
        exp.repo.commit({"lib/x": "1"})
        exp.repo.git("update-index", flag, "lib/x")
        exp(*READ)
        (exp.repo.path / "lib/x").unlink()
        assert not tried(exp)

    def test_file_flagged_later_is_noticed(self, exp: Exp) -> None:
        exp(*READ)
        exp.repo.git("update-index", "--assume-unchanged", "train.py")
        exp.repo.write("train.py", "changed = 1\n")
        assert not tried(exp)

    def test_sparse_checkout_is_the_same_trial(self, exp: Exp) -> None:
        exp.repo.commit({"lib/x": "1", "src/y": "1"})
        exp(*READ)
        tree = code_of(exp)["tree"]
        exp.repo.git("sparse-checkout", "set", "src")
        exp(*READ)
        assert (code_of(exp)["tree"], code_of(exp)["dirty"]) == (tree, False)


class TestSubmodules:
    """A repository that git tracks."""

    @pytest.fixture
    def library(self, make_repo: MakeRepo) -> RepoBuilder:
        library = make_repo("library", empty=True)
        library.commit({"x": "1"})
        return library

    @pytest.fixture
    def super_(self, exp: Exp, library: RepoBuilder) -> Exp:
        exp.repo.git(
            *("-c", "protocol.file.allow=always", "submodule", "--quiet", "add"),
            *(str(library.path), "lib"),
        )
        exp.repo.commit(message="a library")
        exp(*READ)
        return exp

    def inner(self, exp: Exp) -> RepoBuilder:
        return RepoBuilder(exp.repo.path / "lib")

    def test_clean_submodule_is_the_same_trial(self, super_: Exp) -> None:
        assert tried(super_)
        assert "unhashed" not in code_of(super_)

    @pytest.mark.parametrize("name", ["x", "new"])
    def test_dirty_submodule_makes_another_trial(self, super_: Exp, name: str) -> None:
        super_.repo.write(f"lib/{name}", "2")
        assert not tried(super_)
        super_(*READ)
        assert list(code_of(super_)["hashed"]) == ["lib/"]
        assert tried(super_)
        super_.repo.write(f"lib/{name}", "3")
        assert not tried(super_)

    @pytest.mark.parametrize("ignore", ["all", "dirty", "untracked"])
    def test_submodule_ignored_by_configuration_counts(self, super_: Exp, ignore: str) -> None:
        super_.repo.git("config", "submodule.lib.ignore", ignore)
        super_.repo.git("config", "diff.ignoreSubmodules", ignore)
        super_.repo.write("lib/x", "2")
        super_.repo.write("lib/new", "2")
        assert not tried(super_)

    def test_ignored_submodule_commit_is_in_the_snapshot(self, super_: Exp) -> None:
        super_.repo.git("config", "submodule.lib.ignore", "all")
        made = self.inner(super_).commit({"x": "2"})
        assert super_.repo.git("status", "--porcelain") == ""
        assert not tried(super_)
        super_(*READ)
        assert made in super_.repo.git("ls-tree", code_of(super_)["tree"], "lib")

    def test_reproduction_has_the_files_of_a_submodule(self, super_: Exp) -> None:
        assert "reproduced" in super_("reproduce", "last").out
        assert super_.repo.git("-C", "lib", "worktree", "list").count("\n") == 0

    def test_reproduction_has_an_older_commit_of_a_submodule(self, super_: Exp) -> None:
        self.inner(super_).commit({"x": "2"})
        super_.repo.git("commit", "--quiet", "-am", "a newer library")
        shutil.rmtree(super_.repo.path / "lib")
        assert "reproduced" in super_("reproduce", "last").out

    def test_reproduction_has_uncommitted_changes_of_a_submodule(self, super_: Exp) -> None:
        super_.repo.write("lib/x", "2")
        super_(*READ)
        done = super_("reproduce", "last")
        assert "reproduced" in done.out
        assert "METRIC n=2" in done.out

    def test_missing_submodule_is_named(
        self,
        super_: Exp,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        super_.repo.git("clone", "--quiet", str(super_.repo.path), str(tmp_path / "clone"))
        monkeypatch.chdir(tmp_path / "clone")
        clone = Exp(RepoBuilder(tmp_path / "clone"), capfd)
        clone("fetch")
        commit = super_.repo.git("rev-parse", "main:lib")
        done = clone("reproduce", "last", "--yes", check=1)
        assert f"lib/ (submodule; its commit {commit[:10]} is not here)" in done.err
