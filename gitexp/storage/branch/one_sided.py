"""Separate the runs that only one of two commits has: most of every merge, without conflicts.

The entries of their directories decide this and are compared as bytes, without parsing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import FILE_MODE, Entries, TreeDiff, expand_equal_trees, name_of
from gitexp.core.model.ids import RUN_ID_LENGTH
from gitexp.core.schema.layout import MonthShard, PathKind, parse_shard
from gitexp.core.schema.union import affected_paths

_START = FILE_MODE.encode() + b" "
_NONE: Entries = frozenset()


class OneSidedRuns(NamedTuple):
    """Directories in which two commits differ, in two parts."""

    lone: list[TreeDiff]
    """Files of lone runs, which the union takes unchanged."""
    rest: list[TreeDiff]
    """All other files."""


@dataclass(slots=True)
class _Around:
    """Runs of one `yyyy-mm/xx` directory, by file name prefix."""

    old: set[bytes] = field(default_factory=set)
    new: set[bytes] = field(default_factory=set)
    same: set[bytes] = field(default_factory=set)
    odd: set[bytes] = field(default_factory=set)
    """Runs with annotations, conflicting versions, or files that gitexp does not write."""

    def add(self, shelf: MonthShard, folder: TreeDiff) -> None:
        """Add one directory of the runs."""
        sides = (self.old, folder.old), (self.new, folder.new), (self.same, folder.same)
        for side, entries in sides:
            names = [name_of(entry) for entry in entries]
            files = (n for n, e in zip(names, entries, strict=True) if e.startswith(_START))
            odd = set(names) - shelf.first_names(files)
            side.update(name[:RUN_ID_LENGTH] for name in names)
            self.odd.update(name[:RUN_ID_LENGTH] for name in odd)

    def busy(self) -> set[bytes]:
        """Return the runs of which both commits have files, and the odd runs."""
        return self.odd | (self.old & self.new) | ((self.old | self.new) & self.same)


def split_one_sided(repo: Repo, folders: Sequence[TreeDiff]) -> OneSidedRuns:
    """Separate the files of lone runs, which only one commit has, from all other files.

    Raises `CommandFailed` if a directory is missing.
    """
    around = {shelf.folder: _Around() for f in folders if (shelf := parse_shard(f.path))}
    near = affected_paths({(folder, "") for folder in around})
    for folder in (*folders, *expand_equal_trees(repo, folders, near)):
        shelf = parse_shard(folder.path)
        if shelf is not None and shelf.folder in around:
            around[shelf.folder].add(shelf, folder)
    busy = {folder: runs.busy() for folder, runs in around.items()}
    parted = OneSidedRuns([], [])
    for folder in folders:
        shelf = parse_shard(folder.path)
        old, new = _NONE, _NONE
        if shelf is not None and shelf.kind is not PathKind.ANNOTATION:
            old, new = (_without(side, busy[shelf.folder]) for side in (folder.old, folder.new))
            parted.lone.append(TreeDiff(folder.path, old, new, _NONE))
        parted.rest.append(folder._replace(old=folder.old - old, new=folder.new - new))
    return parted


def _without(entries: Entries, busy: set[bytes]) -> Entries:
    if not busy:
        return entries
    return frozenset(entry for entry in entries if name_of(entry)[:RUN_ID_LENGTH] not in busy)
