"""Tree objects as git keeps them, and where two commits differ, counted before it is listed.

A few small objects can spell out more files than fit anywhere, and `git diff-tree` gathers them all
before it prints the first. So folders are compared level by level: each distinct one is read once,
and what they bring is counted before anything below them is looked at.
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

FILE, SUBMODULE, FOLDER = "100644", "160000", "40000"
"""Modes in a tree."""

_FOLDER_START = FOLDER.encode() + b" "
_DEEPEST = 32
"""Folders within folders; what goes deeper is nobody's."""
_ENTRY_BYTES = 256
"""A generous entry of a folder."""

Entries: TypeAlias = frozenset[bytes]
"""Entries of a folder, each as git writes it."""


class Folder(NamedTuple):
    """A folder of two commits. An entry that changed is in `old` and in `new`."""

    path: str
    """Ends with a slash; empty for the top."""
    old: Entries
    new: Entries
    same: Entries

    def files(self, entries: Entries) -> Iterator[tuple[str, str, str]]:
        """Mode, path and object id of those entries that are no folders."""
        for mode, name, oid in map(_parse_entry, entries):
            if mode != FOLDER:
                yield mode, self.path + name, oid

    def folders(self, entries: Entries) -> dict[str, str]:
        """Object id by path of those entries that are folders."""
        found = (_parse_entry(entry) for entry in entries if entry.startswith(_FOLDER_START))
        return {f"{self.path}{name}/": oid for _, name, oid in found}

    def changes(self, null: ObjectId) -> Iterator[Change]:
        """The files that differ, in no order; a missing side has the null id."""
        before = {path: oid for _, path, oid in self.files(self.old)}
        after = {path: oid for _, path, oid in self.files(self.new)}
        for path in before | after:
            status = "M" if path in before and path in after else "A" if path in after else "D"
            was, now = before.get(path, null), after.get(path, null)
            yield Change(status, path, ObjectId(was), ObjectId(now))


def compare(
    repo: Repo, old: str | None, new: str, *, at_most: int = sys.maxsize
) -> list[Folder] | None:
    """The top folder, and those where two commits differ, each after the one it is in.

    `None` when more than `at_most` files and folders of the newer commit are not, just so, in the
    older, or lie too deep. Raises `CommandFailed` when a folder is missing.
    """
    found: list[Folder] = []
    brought = 0
    level = [("", f"{old}^{{tree}}" if old else "", f"{new}^{{tree}}")]
    with repo.session():
        for _ in range(_DEEPEST):
            ours = {before for _, before, _ in level}
            theirs = {after for _, _, after in level} - ours
            trees = _read(repo, ours if at_most < sys.maxsize else ours | theirs)
            room = sum(map(len, chain.from_iterable(trees.values()))) + at_most * _ENTRY_BYTES
            trees |= _read(repo, theirs - trees.keys(), room)
            if not theirs <= trees.keys():
                return None
            folders = []
            for path, before, after in level:
                was, now = trees[before], trees[after]
                folders.append(Folder(path, was - now, now - was, was & now))
                brought += len(folders[-1].new)
                if brought > at_most:
                    return None
            found += folders
            level = [pair for folder in folders for pair in _below(folder)]
            if not level:
                return found
    return None


def changes(repo: Repo, old: str, new: str) -> Iterator[Change]:
    """As `Repo.diff_trees`, in no order; quicker for few, as git may be answering already.

    Raises `CommandFailed` when a folder is missing, or lies too deep.
    """
    folders = compare(repo, old, new)
    if folders is None:
        raise CommandFailed(("cat-file",), 1, "folders lie too deep")
    for folder in folders:
        yield from folder.changes(repo.null)


def look_into(
    repo: Repo, folders: Iterable[Folder], wanted: Callable[[str], bool]
) -> Iterator[Folder]:
    """Folders that are the same in both commits, `folders` being where they differ.

    Only those whose paths are wanted are found, and looked into for further ones.
    """

    def below(folders: Iterable[Folder]) -> dict[str, str]:
        return {
            path: oid
            for folder in folders
            for path, oid in folder.folders(folder.same).items()
            if wanted(path)
        }

    level = below(folders)
    while level:
        trees = _read(repo, set(level.values()))
        found = [Folder(path, _NONE, _NONE, trees[oid]) for path, oid in level.items()]
        yield from found
        level = below(found)


_NONE: Entries = frozenset()


def _below(folder: Folder) -> Iterator[tuple[str, str, str]]:
    before, after = folder.folders(folder.old), folder.folders(folder.new)
    for path in before | after:
        yield path, before.get(path, ""), after.get(path, "")


def _read(repo: Repo, names: Collection[str], max_bytes: int = sys.maxsize) -> dict[str, Entries]:
    """The folders by name, until `max_bytes` would be too few for them together."""
    found = {"": _NONE}
    wanted = [name for name in names if name]
    for name, tree in zip(wanted, repo.read_objects(wanted, max_bytes=max_bytes), strict=False):
        if tree is None or tree.kind != "tree":
            raise CommandFailed(("cat-file",), 1, f"folder {name} is not in this repository")
        found[name] = frozenset(e for e, _ in _split(tree.content, len(tree.oid) // 2, _as_shown))
    return found


# --- one tree object ------------------------------------------------------------------------------


def parse_tree(tree: bytes, oid_bytes: int) -> Iterator[tuple[str, str, str]]:
    """Mode, name and object id of each entry of a tree object, whose ids have so many bytes.

    Raises `CommandFailed` when it is no tree object.
    """
    return (_parse_entry(entry) for entry, _ in _split(tree, oid_bytes, _as_written))


def _parse_entry(entry: bytes) -> tuple[str, str, str]:
    head, _, oid = entry.partition(b"\0")
    mode, _, name = head.decode(errors="surrogateescape").partition(" ")
    return mode, name, oid.hex()


def name_of(entry: bytes) -> bytes:
    """The name in an entry of a tree object."""
    return entry[entry.index(b" ") + 1 : entry.index(b"\0")]


def split_tree(tree: bytes, oid_bytes: int) -> dict[bytes, bytes]:
    """The entries of a tree object as git writes them, by name.

    Raises `CommandFailed` when it is none.
    """
    return {name: entry for entry, name in _split(tree, oid_bytes, _as_written)}


def _split(
    tree: bytes, oid_bytes: int, change_mode: Callable[[int], int]
) -> list[tuple[bytes, bytes]]:
    """The entries, each with its name."""
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
    """Gits of old, and enemies, write zeros in front; a git that edits such a tree drops them."""
    return mode


def _as_shown(mode: int) -> int:
    """Gits of old, and enemies, wrote other bits; no git of today shows them."""
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        return 0o100755 if mode & stat.S_IXUSR else 0o100644
    return kind if kind in (stat.S_IFLNK, stat.S_IFDIR) else 0o160000
