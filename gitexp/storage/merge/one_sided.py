"""Runs that only one of two clones knows: most of every merge, and nothing to decide about.

They are told from the rest by the entries of their folders, which stay bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import FILE, Entries, Folder, look_into, name_of
from gitexp.core.model.ids import RUN_ID_LENGTH
from gitexp.core.schema.layout import PathKind, Shelf, parse_shelf
from gitexp.core.schema.union import surroundings

_START = FILE.encode() + b" "
_NONE: Entries = frozenset()


class Parted(NamedTuple):
    """The folders where two commits differ, in two parts."""

    lone: list[Folder]
    """Files of lone runs: the union has them as they are."""
    rest: list[Folder]
    """All else."""


@dataclass(slots=True)
class _Around:
    """The runs of one `yyyy-mm/xx`, by the start of the names of what there is of them."""

    old: set[bytes] = field(default_factory=set)
    new: set[bytes] = field(default_factory=set)
    same: set[bytes] = field(default_factory=set)
    odd: set[bytes] = field(default_factory=set)
    """Those with annotations, rivals, or what is no plain file of ours."""

    def add(self, shelf: Shelf, folder: Folder) -> None:
        """Take note of one of their folders."""
        sides = (self.old, folder.old), (self.new, folder.new), (self.same, folder.same)
        for side, entries in sides:
            names = [name_of(entry) for entry in entries]
            files = (n for n, e in zip(names, entries, strict=True) if e.startswith(_START))
            odd = set(names) - shelf.first_names(files)
            side.update(name[:RUN_ID_LENGTH] for name in names)
            self.odd.update(name[:RUN_ID_LENGTH] for name in odd)

    def busy(self) -> set[bytes]:
        """Those of which both commits have something, and the odd ones."""
        return self.odd | (self.old & self.new) | ((self.old | self.new) & self.same)


def part_lone(repo: Repo, folders: Sequence[Folder]) -> Parted:
    """Tell the files of lone runs, which both have nothing of together, from all others.

    Raises `CommandFailed` when a folder is missing.
    """
    around = {shelf.folder: _Around() for f in folders if (shelf := parse_shelf(f.path))}
    near = surroundings({(folder, "") for folder in around})
    for folder in (*folders, *look_into(repo, folders, near)):
        shelf = parse_shelf(folder.path)
        if shelf is not None and shelf.folder in around:
            around[shelf.folder].add(shelf, folder)
    busy = {folder: runs.busy() for folder, runs in around.items()}
    parted = Parted([], [])
    for folder in folders:
        shelf = parse_shelf(folder.path)
        old, new = _NONE, _NONE
        if shelf is not None and shelf.kind is not PathKind.ANNOTATION:
            old, new = (_without(side, busy[shelf.folder]) for side in (folder.old, folder.new))
            parted.lone.append(Folder(folder.path, old, new, _NONE))
        parted.rest.append(folder._replace(old=folder.old - old, new=folder.new - new))
    return parted


def _without(entries: Entries, busy: set[bytes]) -> Entries:
    if not busy:
        return entries
    return frozenset(entry for entry in entries if name_of(entry)[:RUN_ID_LENGTH] not in busy)
