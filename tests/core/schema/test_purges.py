"""Purges on a run branch, and trees without some of their files."""

import subprocess
from pathlib import Path

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.tree_edits import TreeEditor
from gitexp.core.schema.layout import PathKind, parse_path, purge_path
from gitexp.core.schema.purges import (
    PurgedState,
    Purges,
    decode_purges,
    encode_purge,
    encode_state,
)
from gitexp.core.schema.union import union

TREE, LEFT, BLOB = "a" * 40, "b" * 40, "c" * 40


def test_purges_survive_the_round_trip() -> None:
    name, content = encode_purge(["7f3a"], [TREE], {"a/b c.txt": {BLOB}})
    state = PurgedState(LEFT, ("a/b c.txt",))
    purges = decode_purges([(name, content), (TREE, encode_state(state))])
    assert purges == Purges({name}, {"7f3a"}, {TREE}, {"a/b c.txt": {BLOB}}, {TREE: state})
    assert encode_purge(["7f3a"], [TREE], {"a/b c.txt": {BLOB}}) == (name, content)
    whole = decode_purges([(TREE, encode_state(PurgedState(None)))])
    assert whole.states == {TREE: PurgedState(None)}
    assert not whole


def test_a_purge_that_cannot_be_read_still_counts() -> None:
    assert decode_purges([("0" * 16, b"\xff"), ("1" * 16, None)]).names == {"0" * 16, "1" * 16}


@pytest.mark.parametrize(
    "content", [b"runs = 3", b'files = ["x"]', b'runs = [1, "x"]\n[files]\nx = 2']
)
def test_purge_file_with_unexpected_content_is_ignored(content: bytes) -> None:
    assert decode_purges([("0" * 16, content)]).names == {"0" * 16}


def test_a_merge_keeps_the_purges_of_both() -> None:
    one, other = purge_path("1" * 16), purge_path(TREE)
    united = union({one: BLOB}, {other: BLOB}, lambda _: {})
    assert united == {one: BLOB, other: BLOB}
    place = parse_path(other)
    assert place is not None and place.kind is PathKind.PURGE and place.run is None
    assert parse_path("purged/xyz.toml") is None


def test_files_are_removed_from_trees_as_by_git(tmp_path: Path) -> None:
    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("init", "--quiet")
    for name in ("a/b/secret", "a/b/x", "a/only/secret", "a-b", "a.c", "top", "d/é"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    git("add", ".")
    tree = git("write-tree")
    editor = TreeEditor(Repo.discover(tmp_path))
    blob = git("hash-object", "top")
    assert editor.files_at(tree, "top") == {"top": blob}
    assert editor.files_at(tree, "a").keys() == {"a/b/secret", "a/b/x", "a/only/secret"}
    assert editor.files_at(tree, "top/x") == editor.files_at(tree, "none") == {}
    assert editor.holds(tree, {"top": {blob}, "a-b": {blob}, "d": {blob}}) == ["top"]
    gone = ["a/b/secret", "a/only/secret", "top", "d/é", "not/there", "a.c/x"]
    git("rm", "--quiet", "--cached", *gone[:4])
    assert editor.without(tree, gone) == git("write-tree")
    everything = ["a/b/secret", "a/b/x", "a/only/secret", "a-b", "a.c", "top", "d/é"]
    assert editor.without(tree, everything) == git("hash-object", "-t", "tree", "/dev/null")
