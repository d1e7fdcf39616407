"""Discovery of a repository without git gives the same paths as git."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitexp.adapters.git.discovery import RepositoryLocation, find_location, runner_for
from gitexp.core.errors import NotARepository
from tests.conftest import MakeRepo, RepoBuilder

Shape = Callable[[RepoBuilder, Path], Path]
"""A function of a repository and a directory beside it: changes them, returns where to start."""


def at_its_top(repo: RepoBuilder, _beside: Path) -> Path:
    return repo.path


def below_it(repo: RepoBuilder, _beside: Path) -> Path:
    (repo.path / "a" / "b").mkdir(parents=True)
    return repo.path / "a" / "b"


def in_its_git_dir(repo: RepoBuilder, _beside: Path) -> Path:
    return repo.path / ".git"


def by_a_link_to_it(repo: RepoBuilder, beside: Path) -> Path:
    (beside / "link").symlink_to(repo.path)
    return beside / "link"


def with_a_git_dir_elsewhere(repo: RepoBuilder, beside: Path) -> Path:
    (repo.path / ".git").rename(beside / "moved")
    (repo.path / ".git").symlink_to(beside / "moved")
    return repo.path


def with_a_git_file(repo: RepoBuilder, beside: Path) -> Path:
    (repo.path / ".git").rename(beside / "moved")
    repo.write(".git", f"gitdir: {beside / 'moved'}\n")
    return repo.path


def with_its_files_elsewhere(repo: RepoBuilder, beside: Path) -> Path:
    repo.git("config", "core.worktree", str(beside))
    return repo.path


def bare_all_the_same(repo: RepoBuilder, _beside: Path) -> Path:
    repo.git("config", "core.bare", "true")
    return repo.path


def bare(repo: RepoBuilder, beside: Path) -> Path:
    repo.git("clone", "--quiet", "--bare", ".", str(beside / "bare"))
    return beside / "bare"


def linked(repo: RepoBuilder, beside: Path) -> Path:
    repo.git("worktree", "add", "--quiet", "--detach", str(beside / "linked"))
    return beside / "linked"


def detached(repo: RepoBuilder, _beside: Path) -> Path:
    repo.git("checkout", "--quiet", "--detach")
    return repo.path


def _nested(repo: RepoBuilder) -> Path:
    repo.git("init", "--quiet", "inner")
    return repo.path / "inner"


def in_another(repo: RepoBuilder, _beside: Path) -> Path:
    return _nested(repo)


def in_a_broken_one_without_head(repo: RepoBuilder, _beside: Path) -> Path:
    (_nested(repo) / ".git" / "HEAD").unlink()
    return repo.path / "inner"


def in_a_broken_one_with_a_bad_head(repo: RepoBuilder, _beside: Path) -> Path:
    (_nested(repo) / ".git" / "HEAD").write_text("nothing that git knows\n")
    return repo.path / "inner"


def in_a_broken_one_without_objects(repo: RepoBuilder, _beside: Path) -> Path:
    (_nested(repo) / ".git" / "objects").rename(repo.path / "objects")
    return repo.path / "inner"


def in_a_broken_one_without_configuration(repo: RepoBuilder, _beside: Path) -> Path:
    (_nested(repo) / ".git" / "config").unlink()
    return repo.path / "inner"


SHAPES: list[Shape] = [
    *(at_its_top, below_it, in_its_git_dir, by_a_link_to_it, with_a_git_dir_elsewhere),
    *(with_a_git_file, with_its_files_elsewhere, bare_all_the_same, bare, linked, detached),
    *(in_another, in_a_broken_one_without_head, in_a_broken_one_with_a_bad_head),
    *(in_a_broken_one_without_objects, in_a_broken_one_without_configuration),
]


def told_by_git(folder: Path) -> RepositoryLocation:
    def ask(*args: str) -> str:
        argv = ["git", "rev-parse", *args]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    top = ask("--show-toplevel") if ask("--is-inside-work-tree") == "true" else ""
    return RepositoryLocation(
        Path(ask("--absolute-git-dir")).resolve(),
        (folder / ask("--git-common-dir")).resolve(),
        Path(top) if top else None,
        ask("--show-object-format"),
    )


@pytest.mark.parametrize("sha256", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_discovery_finds_the_repository_that_git_finds(
    make_repo: MakeRepo, tmp_path: Path, shape: Shape, sha256: bool
) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    folder = shape(make_repo(sha256=sha256), beside)
    found, config = find_location(runner_for(folder))
    assert found == told_by_git(folder)
    assert config.get("user.name") is not None


def test_discovery_uses_the_variables_of_a_hook(
    make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = make_repo("ours"), make_repo("other")
    monkeypatch.chdir(ours.path)
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    found, _ = find_location(runner_for(None))
    assert found.git_dir == other.path / ".git"


def test_missing_repository_is_an_error(tmp_path: Path) -> None:
    assert not os.environ.get("GIT_DIR")
    with pytest.raises(NotARepository, match="there is no git repository here"):
        find_location(runner_for(tmp_path))
