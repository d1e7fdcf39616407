"""Tree objects as git keeps them, and how much a commit brings, before anything lists it.

Floor 2. A few small objects can spell out more files than fit anywhere, and `git diff-tree` gathers
them all before it prints the first. So each distinct folder is looked at once, and counted as often
as it occurs.
"""

from collections import Counter
from collections.abc import Collection, Iterator

from gitexp.errors import CommandFailed
from gitexp.repo.repository import Repo

FOLDER = "40000"
"""The mode of a folder in a tree."""

_DEEPEST = 32
"""Folders within folders; what goes deeper is nobody's."""
_ENTRY_BYTES = 256
"""A generous entry of a folder."""
_TOGETHER = 250
"""So many names fit into a pipe, whatever git does meanwhile."""

_Folder = dict[str, tuple[bool, str]]
"""By name: whether it is a folder, and its object."""


def count_brought(repo: Repo, old: str | None, new: str, *, at_most: int) -> int:
    """How many files and folders of a commit are not, just so, in an older one.

    One more than `at_most` when there are more. Raises `CommandFailed` when a folder is missing.
    """
    level = Counter([(f"{old}^{{tree}}" if old else "", f"{new}^{{tree}}")])
    found = 0
    for _ in range(_DEEPEST):
        names = {name for pair in level for name in pair if name}
        folders = dict(_read_folders(repo, names, at_most * _ENTRY_BYTES))
        if len(folders) < len(names):
            break
        below: Counter[tuple[str, str]] = Counter()
        for (before, after), places in level.items():
            known = folders.get(before, {})
            for name, entry in folders[after].items():
                is_folder, was = known.get(name, (False, ""))
                if (is_folder, was) != entry:
                    found += places
                    if entry[0]:
                        below[was if is_folder else "", entry[1]] += places
        if not below or found > at_most:
            return min(found, at_most + 1)
        level = below
    return at_most + 1


def _read_folders(
    repo: Repo, names: Collection[str], max_bytes: int
) -> Iterator[tuple[str, _Folder]]:
    """The folders in the order asked, until `max_bytes` would be too few for them together."""
    wanted = list(names)
    process = repo.launcher.open("cat-file", "--batch")
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - opened with pipes
    try:
        for n, name in enumerate(wanted):
            if n % _TOGETHER == 0:
                process.stdin.write("\n".join([*wanted[n : n + _TOGETHER], ""]).encode())
                process.stdin.flush()
            head = process.stdout.readline().split()
            if len(head) != 3 or head[1] != b"tree":
                raise CommandFailed(("cat-file",), 1, f"folder {name} is not in this repository")
            max_bytes -= int(head[2])
            if max_bytes < 0:
                return
            tree = process.stdout.read(int(head[2]) + 1)[:-1]
            entries = parse_tree(tree, len(repo.null) // 2)
            yield name, {inner: (mode == FOLDER, oid) for mode, inner, oid in entries}
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


def parse_tree(tree: bytes, oid_bytes: int) -> Iterator[tuple[str, str, str]]:
    """Mode, name and object id of each entry of a tree object, whose ids have so many bytes."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        mode, _, name = tree[at:end].partition(b" ")
        at = end + 1 + oid_bytes
        yield mode.decode(), name.decode(errors="surrogateescape"), tree[end + 1 : at].hex()
