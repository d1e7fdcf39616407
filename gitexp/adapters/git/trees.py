"""Git's tree objects, and the difference of two commits with a limit on its size.

A few small objects can describe more files than any disk holds, and `git diff-tree` collects all of
them before it prints the first. So `diff_trees_bounded` walks the trees level by level. It reads
each distinct tree once, and counts the new entries of a level before it reads the next.
"""

import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from itertools import chain
from typing import NamedTuple, TypeAlias

from gitexp.adapters.git.repository import Change, Repo
from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId

FILE_MODE, SUBMODULE_MODE, TREE_MODE = "100644", "160000", "40000"
"""Modes in a tree."""

_FOLDER_START = TREE_MODE.encode() + b" "
_DEEPEST = 32
"""Maximum tree depth; gitexp writes none deeper."""
_ENTRY_BYTES = 256
"""Upper estimate of the size of a tree's entry."""

Entries: TypeAlias = frozenset[bytes]
"""Raw entries of a tree, as git writes them."""


class TreeDiff(NamedTuple):
    """A directory in two commits. A changed entry is in both `old` and `new`."""

    path: str
    """Ends with a slash; empty for the top."""
    old: Entries
    new: Entries
    same: Entries

    def files(self, entries: Entries) -> Iterator[tuple[str, str, str]]:
        """Yield mode, path and object id of the entries that are no directories."""
        for mode, name, oid in map(_parse_entry, entries):
            if mode != TREE_MODE:
                yield mode, self.path + name, oid

    def folders(self, entries: Entries) -> dict[str, str]:
        """Return the object ids of the entries that are directories, by path."""
        found = (_parse_entry(entry) for entry in entries if entry.startswith(_FOLDER_START))
        return {f"{self.path}{name}/": oid for _, name, oid in found}

    def changes(self, null: ObjectId) -> Iterator[Change]:
        """Yield the files that differ, in no order. A missing side has the null id."""
        before = {path: oid for _, path, oid in self.files(self.old)}
        after = {path: oid for _, path, oid in self.files(self.new)}
        for path in before | after:
            status = "M" if path in before and path in after else "A" if path in after else "D"
            was, now = before.get(path, null), after.get(path, null)
            yield Change(status, path, ObjectId(was), ObjectId(now))


def diff_trees_bounded(
    repo: Repo, old: str | None, new: str, *, at_most: int = sys.maxsize
) -> list[TreeDiff] | None:
    """Return the top directory and each directory that differs, parents first.

    Returns `None` when the newer commit has more than `at_most` new or changed entries, or the
    directories are too deep. Raises `CommandFailed` when a tree is missing.
    """
    found: list[TreeDiff] = []
    brought = 0
    level = [("", f"{old}^{{tree}}" if old else "", f"{new}^{{tree}}")]
    with repo.reading() as reading:
        for _ in range(_DEEPEST):
            ours = {before for _, before, _ in level}
            theirs = {after for _, _, after in level} - ours
            trees = _read(reading, ours if at_most < sys.maxsize else ours | theirs)
            room = sum(map(len, chain.from_iterable(trees.values()))) + at_most * _ENTRY_BYTES
            trees |= _read(reading, theirs - trees.keys(), room)
            if not theirs <= trees.keys():
                return None
            folders = []
            for path, before, after in level:
                was, now = trees[before], trees[after]
                folders.append(TreeDiff(path, was - now, now - was, was & now))
                brought += len(folders[-1].new)
                if brought > at_most:
                    return None
            found += folders
            level = [pair for folder in folders for pair in _below(folder)]
            if not level:
                return found
    return None


def changes(repo: Repo, old: str, new: str) -> Iterator[Change]:
    """Yield changes as `Repo.diff_trees` does, in no order; faster if they are few.

    Raises `CommandFailed` when a tree is missing or too deep.
    """
    folders = diff_trees_bounded(repo, old, new)
    if folders is None:
        raise CommandFailed(("cat-file",), 1, "folders lie too deep")
    for folder in folders:
        yield from folder.changes(repo.null)


def expand_equal_trees(
    repo: Repo, folders: Iterable[TreeDiff], wanted: Callable[[str], bool]
) -> Iterator[TreeDiff]:
    """Yield directories that are equal in both commits, below those that differ.

    Yields and enters only directories whose path is `wanted`.
    """

    def below(folders: Iterable[TreeDiff]) -> dict[str, str]:
        return {
            path: oid
            for folder in folders
            for path, oid in folder.folders(folder.same).items()
            if wanted(path)
        }

    level = below(folders)
    while level:
        trees = _read(repo, set(level.values()))
        found = [TreeDiff(path, _NONE, _NONE, trees[oid]) for path, oid in level.items()]
        yield from found
        level = below(found)


_NONE: Entries = frozenset()


def _below(folder: TreeDiff) -> Iterator[tuple[str, str, str]]:
    before, after = folder.folders(folder.old), folder.folders(folder.new)
    for path in before | after:
        yield path, before.get(path, ""), after.get(path, "")


def _read(repo: Repo, names: Collection[str], max_bytes: int = sys.maxsize) -> dict[str, Entries]:
    """Return trees by name, as many as fit in `max_bytes`."""
    found = {"": _NONE}
    wanted = [name for name in names if name]
    for name, tree in zip(wanted, repo.read_objects(wanted, max_bytes=max_bytes), strict=False):
        if tree is None or tree.kind != "tree":
            raise CommandFailed(("cat-file",), 1, f"folder {name} is not in this repository")
        found[name] = frozenset(e for e, _ in _split(tree.content, len(tree.oid) // 2, _as_shown))
    return found


# --- one tree object ------------------------------------------------------------------------------


def parse_tree(tree: bytes, oid_bytes: int) -> Iterator[tuple[str, str, str]]:
    """Yield mode, name and object id of each entry of a tree; an id has `oid_bytes` bytes.

    Raises `CommandFailed` when the content is no tree.
    """
    return (_parse_entry(entry) for entry, _ in _split(tree, oid_bytes, _as_written))


def _parse_entry(entry: bytes) -> tuple[str, str, str]:
    head, _, oid = entry.partition(b"\0")
    mode, _, name = head.decode(errors="surrogateescape").partition(" ")
    return mode, name, oid.hex()


def name_of(entry: bytes) -> bytes:
    """Return the name in a raw entry."""
    return entry[entry.index(b" ") + 1 : entry.index(b"\0")]


def split_tree(tree: bytes, oid_bytes: int) -> dict[bytes, bytes]:
    """Return the raw entries of a tree by name.

    Raises `CommandFailed` when the content is no tree.
    """
    return {name: entry for entry, name in _split(tree, oid_bytes, _as_written)}


def _split(
    tree: bytes, oid_bytes: int, change_mode: Callable[[int], int]
) -> list[tuple[bytes, bytes]]:
    """Return the raw entries, each with its name."""
    entries = _pattern("100644|40000|100755|120000|160000", oid_bytes).findall(tree)
    if sum(len(entry) for entry, _ in entries) == len(tree):
        return entries
    entries = _pattern("[0-7]+", oid_bytes).findall(tree)
    if sum(len(entry) for entry, _ in entries) != len(tree):
        raise CommandFailed(("cat-file",), 1, "a tree object is malformed")
    parts = ((*entry.partition(b" "), name) for entry, name in entries)
    return [
        (b"%o %b" % (change_mode(int(mode, 8) & 0xFFFF), rest), name)
        for mode, _, rest, name in parts
    ]


@cache
def _pattern(modes: str, oid_bytes: int) -> re.Pattern[bytes]:
    return re.compile(rf"((?:{modes}) ([^\0]+)\0.{{{oid_bytes}}})".encode(), re.DOTALL)


def _as_written(mode: int) -> int:
    """Keep the mode. Old versions of git, and attackers, write leading zeros; git drops them."""
    return mode


def _as_shown(mode: int) -> int:
    """Normalize other bits of the mode as git shows it; old versions and attackers write them."""
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        return 0o100755 if mode & stat.S_IXUSR else 0o100644
    return kind if kind in (stat.S_IFLNK, stat.S_IFDIR) else 0o160000
