"""Counts of changed lines between trees equal those of git."""

from pathlib import Path

import pytest

from gitexp.adapters.git.line_counts import LineCount, count_lines
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed
from tests.conftest import MakeRepo, RepoBuilder


def tree(repo: RepoBuilder) -> str:
    """Return the tree of HEAD."""
    return repo.git("rev-parse", "HEAD^{tree}")


@pytest.mark.parametrize("sha256", [False, True])
def test_several_pairs_are_counted_at_once(make_repo: MakeRepo, *, sha256: bool) -> None:
    made = make_repo("r", sha256=sha256)
    first = tree(made)
    odd = f"{'ab' * 20} {'cd' * 20}\n x.py"
    made.commit({"train.py": "a\nb\n", "bin": b"\0\1", odd: "1\n"})
    second = tree(made)
    found = count_lines(Repo.discover(made.path), [(first, second), (second, second)])
    assert found == {
        (first, second): (
            LineCount(odd, 1, 0),
            LineCount("bin", None, None),
            LineCount("train.py", 2, 1),
        ),
        (second, second): (),
    }
    assert count_lines(Repo.discover(made.path), []) == {}


def test_missing_tree_hides_no_other_pair(repo: RepoBuilder) -> None:
    first = tree(repo)
    repo.commit({"more.py": "1\n"})
    second = tree(repo)
    gone = "12" * 20
    found = count_lines(Repo.discover(repo.path), [(gone, first), (first, second)])
    assert found == {(first, second): (LineCount("more.py", 1, 0),)}


def test_missing_file_is_an_error(repo: RepoBuilder) -> None:
    first = tree(repo)
    repo.commit({"train.py": "1\n"})
    oid = repo.git("rev-parse", "HEAD:train.py")
    repo.write("train.py", "another\n")  # else git takes the blob from the work tree
    Path(repo.path, ".git", "objects", oid[:2], oid[2:]).unlink()
    with pytest.raises(CommandFailed):
        count_lines(Repo.discover(repo.path), [(first, tree(repo))])
