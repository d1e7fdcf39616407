"""The comparison of trees equals `git diff-tree` and reads no more directories than necessary."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import TreeDiff, diff_trees_bounded, expand_equal_trees, parse_tree
from gitexp.core.errors import CommandFailed
from tests.conftest import MakeRepo, RepoBuilder

NAMES = st.sampled_from([b"a", b"b", b"sp ace", "ü".encode(), b"\xff", b"line\nbreak", b"40000 x"])
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map(b"/".join),
    st.tuples(st.sampled_from(["100644", "100755", "120000", "160000"]), st.sampled_from("12")),
    max_size=8,
)
Sides = tuple[str, ...]


def write(repo: RepoBuilder, files: dict[bytes, tuple[str, str]]) -> str:
    """Create a commit of files, each with its mode and content."""
    stream = b"commit refs/heads/tree\nmark :1\ncommitter A <a@example.org> 0 +0000\ndata 0\n"
    stream += b"deleteall\n"
    for path, (mode, content) in files.items():
        quoted = '"' + "".join(f"\\{byte:03o}" for byte in path) + '"'
        if mode == "160000":
            stream += f"M {mode} {content * 40} {quoted}\n".encode()
        else:
            stream += f"M {mode} inline {quoted}\ndata 1\n{content}\n".encode()
    stream += b"get-mark :1\ndone\n"
    return repo.git("fast-import", "--quiet", "--force", "--done", stdin=stream)


def told_by_git(repo: RepoBuilder, old: str, new: str, *options: str) -> list[Sides]:
    """Return each path with both modes and both ids, from `git diff-tree`."""
    asked = ("diff-tree", "-r", "-z", "--no-renames", "--no-abbrev", *options, old, new)
    parts = repo.git(*asked).split("\0")[:-1]
    heads = (head.removeprefix(":").split() for head in parts[::2])
    return sorted((path, *head[:4]) for head, path in zip(heads, parts[1::2], strict=True))


def told_by_us(folders: list[TreeDiff], null: str) -> list[Sides]:
    found = []
    for folder in folders:
        old, new = (
            {path: (mode, oid) for mode, path, oid in folder.files(entries)}
            for entries in (folder.old, folder.new)
        )
        for path in old | new:
            (a, c), (b, d) = (side.get(path, ("000000", null)) for side in (old, new))
            found.append((path, a, b, c, d))
    return sorted(found)


@pytest.mark.slow
@given(FILES, FILES, FILES)
@settings(max_examples=60)
def test_differences_equal_those_of_git(
    place: RepoBuilder,
    both: dict[bytes, tuple[str, str]],
    left: dict[bytes, tuple[str, str]],
    right: dict[bytes, tuple[str, str]],
) -> None:
    repo = Repo.discover(place.path)
    old, new = write(place, both | left), write(place, both | right)
    folders = diff_trees_bounded(repo, old, new)
    assert folders is not None
    assert told_by_us(folders, repo.null) == told_by_git(place, old, new)
    brought = [sides for sides in told_by_git(place, old, new, "-t") if int(sides[2])]
    assert diff_trees_bounded(repo, old, new, at_most=len(brought)) == folders
    assert not brought or diff_trees_bounded(repo, old, new, at_most=len(brought) - 1) is None
    equal = [*folders, *expand_equal_trees(repo, folders, lambda _: True)]
    files = {entry for folder in equal for entry in folder.files(folder.new | folder.same)}
    listed = repo.list_tree(new)
    assert files == {(entry.mode, entry.path, entry.oid) for entry in listed}


@pytest.mark.parametrize("sha256", [False, True])
def test_difference_to_an_empty_tree_is_everything(make_repo: MakeRepo, sha256: bool) -> None:
    place = make_repo(sha256=sha256)
    commit = place.commit({"a": "1", "b/c/d": "2", "b/e": "3"})
    repo = Repo.discover(place.path)
    folders = diff_trees_bounded(repo, None, commit)
    assert folders is not None
    assert [folder.path for folder in folders] == ["", "b/", "b/c/"]
    files = {path: oid for folder in folders for _, path, oid in folder.files(folder.new)}
    assert files == {entry.path: entry.oid for entry in repo.list_tree(commit)}
    alike = diff_trees_bounded(repo, commit, commit)
    assert alike is not None
    assert told_by_us(alike, repo.null) == []


def test_only_requested_directories_are_read(repo: RepoBuilder) -> None:
    old = repo.commit({"a/b/c": "1", "a/d/e": "1", "f/g": "1"})
    new = repo.commit({"h": "1"})
    found = Repo.discover(repo.path)
    folders = diff_trees_bounded(found, old, new)
    assert folders is not None
    paths = [
        folder.path for folder in expand_equal_trees(found, folders, {"a/", "a/b/"}.__contains__)
    ]
    assert paths == ["a/", "a/b/"]


def test_modes_of_old_gits_are_normalized(repo: RepoBuilder) -> None:
    """Otherwise gitexp takes a directory for a file and skips its contents."""
    blob, tree = (repo.git("rev-parse", f"HEAD{path}") for path in (":train.py", "^{tree}"))

    def write_tree(**entries: str) -> str:
        pairs = ((name, *entry.split()) for name, entry in entries.items())
        raw = b"".join(
            f"{mode} {name}\0".encode() + bytes.fromhex(oid) for name, mode, oid in pairs
        )
        made = repo.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
        return repo.git("commit-tree", made, "-m", "by hand")

    old = write_tree(a=f"100644 {blob}", b=f"100755 {blob}", c=f"40000 {tree}")
    new = write_tree(
        a=f"100664 {blob}", b=f"0100775 {blob}", c=f"040000 {tree}", d=f"040000 {tree}"
    )
    found = Repo.discover(repo.path)
    folders = diff_trees_bounded(found, old, new)
    assert folders is not None
    assert told_by_us(folders, found.null) == told_by_git(repo, old, new)
    assert [folder.path for folder in folders] == ["", "d/"]
    assert diff_trees_bounded(found, None, new, at_most=5) is None
    raw = subprocess.check_output(["git", "cat-file", "tree", f"{new}:"], cwd=repo.path)
    assert [mode for mode, _, _ in parse_tree(raw, 20)] == ["100664", "100775", "40000", "40000"]


def test_a_missing_folder_is_an_error(repo: RepoBuilder) -> None:
    commit = repo.commit({"a/b": "1"})
    oid = repo.git("rev-parse", f"{commit}:a")
    (repo.path / ".git/objects" / oid[:2] / oid[2:]).unlink()
    with pytest.raises(CommandFailed, match="cat-file"):
        diff_trees_bounded(Repo.discover(repo.path), None, commit)


def test_depth_of_trees_is_limited(repo: RepoBuilder) -> None:
    found = Repo.discover(repo.path)
    assert diff_trees_bounded(found, None, repo.commit({"a/" * 31 + "b": "1"})) is not None
    assert diff_trees_bounded(found, None, repo.commit({"a/" * 32 + "b": "1"})) is None


@pytest.mark.parametrize(
    "raw", [b"100644 a", b"100644 a\0short", b"x" * 30, b"10o644 a\0" + b"x" * 20]
)
def test_object_that_is_no_tree_is_refused(raw: bytes) -> None:
    with pytest.raises(CommandFailed):
        list(parse_tree(raw, 20))
