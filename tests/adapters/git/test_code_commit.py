"""Object ids computed in Python equal those of git."""

import pytest

from gitexp.adapters.git.code_commit import code_commit_id, empty_tree, write_code_commit
from gitexp.adapters.git.repository import Repo
from tests.conftest import MakeRepo


@pytest.mark.parametrize("sha256", [False, True])
def test_code_commit_ids_equal_those_of_git(make_repo: MakeRepo, *, sha256: bool) -> None:
    made = make_repo(sha256=sha256)
    repo = Repo.discover(made.path)
    assert empty_tree(repo) == made.git("hash-object", "-t", "tree", "--stdin", stdin=b"")
    tree = made.git("rev-parse", "HEAD^{tree}")
    identity = "Ada <ada@example.org>"
    computed = code_commit_id(repo, tree, identity)
    assert computed == write_code_commit(repo, tree, identity, durable=False)
