"""Removal of files from trees, without a work tree or an index."""

from collections.abc import Collection, Mapping

from gitexp.adapters.git.process import FSYNC
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import TREE_MODE, parse_tree, split_tree
from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId


class TreeEditor:
    """Removes files from trees. Reads a tree that several code states share only once."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._entries: dict[str, dict[str, tuple[str, str]]] = {}

    def files_at(self, tree: str, path: str) -> dict[str, str]:
        """Return the file at a path, or all files below it, as blob ids by path.

        Raises `CommandFailed`.
        """
        mode, oid = self._find(tree, path)
        if mode is None or oid is None:
            return {}
        if mode != TREE_MODE:
            return {path: oid}
        return {f"{path}/{e.path}": e.oid for e in self._repo.list_tree(oid)}

    def holds(self, tree: str, files: Mapping[str, Collection[str]]) -> list[str]:
        """Return the paths that have one of their blobs in a tree. Raises `CommandFailed`."""
        return [path for path, blobs in files.items() if self._find(tree, path)[1] in blobs]

    def without(self, tree: str, paths: Collection[str]) -> ObjectId:
        """Store the tree without some files, and without the directories that become empty.

        Raises `CommandFailed`.
        """
        return self._without(tree, paths) or self._write(b"")

    def _without(self, tree: str, paths: Collection[str]) -> ObjectId | None:
        content = self._read(tree)
        entries = split_tree(content, len(tree) // 2)
        known = self._entries_of(tree)
        below: dict[str, list[str]] = {}
        for path in paths:
            name, _, rest = path.partition("/")
            below.setdefault(name, []).append(rest)
        for name, rests in below.items():
            raw = name.encode(errors="surrogateescape")
            if name not in known:
                continue
            mode, oid = known[name]
            if mode != TREE_MODE and "" not in rests:
                continue  # a file in place of a directory of the path
            left = None if "" in rests else self._without(oid, rests)
            if left is None:
                del entries[raw]
            else:
                head = entries[raw].partition(b"\0")[0]
                entries[raw] = head + b"\0" + bytes.fromhex(left)
        return self._write(b"".join(entries.values())) if entries else None

    def _write(self, content: bytes) -> ObjectId:
        argv = (*FSYNC, "hash-object", "-t", "tree", "-w", "--stdin")
        return ObjectId(self._repo.git(*argv, stdin=content).text.strip())

    def _find(self, tree: str, path: str) -> tuple[str | None, str | None]:
        mode, oid = TREE_MODE, tree
        for name in path.split("/"):
            if mode != TREE_MODE:
                return None, None
            found = self._entries_of(oid).get(name)
            if found is None:
                return None, None
            mode, oid = found
        return mode, oid

    def _entries_of(self, tree: str) -> dict[str, tuple[str, str]]:
        if tree not in self._entries:
            listed = parse_tree(self._read(tree), len(tree) // 2)
            self._entries[tree] = {name: (mode, oid) for mode, name, oid in listed}
        return self._entries[tree]

    def _read(self, tree: str) -> bytes:
        [found] = self._repo.read_objects([tree])
        if found is None or found.kind != "tree":
            raise CommandFailed(("cat-file",), 1, f"fatal: tree {tree} is not in this repository")
        return found.content
