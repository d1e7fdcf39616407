"""Other readers of the branch: dulwich and pygit2 find the same records as git and gitexp."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gitexp.core.schema.toml_codec import decode_run
from tests.campaigns.field import BRANCH, Field
from tests.campaigns.test_writers import write_at_once
from tests.conftest import RepoBuilder

Reader = Callable[[Path], dict[str, bytes]]


def by_git(path: Path) -> dict[str, bytes]:
    repo = RepoBuilder(path)
    entries = [line.split("\t") for line in repo.git("ls-tree", "-r", BRANCH).splitlines()]
    return {
        name: repo.git("cat-file", "blob", head.split()[2]).encode("utf-8", "surrogateescape")
        + b"\n"
        for head, name in entries
        if name.startswith("runs/")
    }


def by_dulwich(path: Path) -> dict[str, bytes]:
    object_store = pytest.importorskip("dulwich.object_store")
    repo_module = pytest.importorskip("dulwich.repo")
    with repo_module.Repo(str(path)) as repo:
        commit = repo[repo.refs[BRANCH.encode()]]
        return {
            entry.path.decode(): repo[entry.sha].data
            for entry in object_store.iter_tree_contents(repo.object_store, commit.tree)
            if entry.path.startswith(b"runs/")
        }


def by_pygit2(path: Path) -> dict[str, bytes]:
    pygit2 = pytest.importorskip("pygit2")
    repo = pygit2.Repository(str(path))
    found: dict[str, bytes] = {}

    def walk(tree: object, prefix: str) -> None:
        for entry in tree:  # type: ignore[attr-defined]
            if entry.type_str == "tree":
                walk(entry, f"{prefix}{entry.name}/")
            else:
                found[prefix + entry.name] = entry.data

    walk(repo.references[BRANCH].peel(pygit2.Tree), "")
    return {name: data for name, data in found.items() if name.startswith("runs/")}


@pytest.mark.parametrize("packed", [False, True])
def test_three_readers_agree(repo: RepoBuilder, packed: bool) -> None:
    """After many concurrent writers, as loose objects and as a pack."""
    result = write_at_once(repo, writers=4, each=2)
    if packed:
        repo.git("gc", "--quiet", "--prune=now")
    expected = by_git(repo.path)
    assert len(expected) == len(result.acknowledged)
    assert by_dulwich(repo.path) == expected
    assert by_pygit2(repo.path) == expected
    assert {decode_run(record).id for record in expected.values()} == set(result.acknowledged)
    Field(repo, {run: float(value) for run, value in result.acknowledged.items()}).check()
