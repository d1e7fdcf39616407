"""Count the changes that a fetch or a push made to a run branch."""

from dataclasses import dataclass
from itertools import chain

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import diff_trees_bounded
from gitexp.core.schema.layout import TOMBSTONE, PathKind, parse_path


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchChanges:
    """Counts of changes to a run branch."""

    runs: int = 0
    """New runs."""
    updated: int = 0
    """Runs whose record changed, usually because they ended."""
    annotations: int = 0
    deleted: int = 0
    """Runs that existed before and are deleted now."""
    conflicts: int = 0
    """Conflicting versions of files, stored beside the first version."""

    def __add__(self, other: "BranchChanges") -> "BranchChanges":
        return BranchChanges(
            runs=self.runs + other.runs,
            updated=self.updated + other.updated,
            annotations=self.annotations + other.annotations,
            deleted=self.deleted + other.deleted,
            conflicts=self.conflicts + other.conflicts,
        )


def count_changes(repo: Repo, old: str | None, new: str | None) -> BranchChanges:
    """Count the changes from the older to the newer of two commits of a run branch."""
    if new is None or old == new:
        return BranchChanges()
    found = dict.fromkeys(("runs", "updated", "annotations", "deleted", "conflicts"), 0)
    folders = diff_trees_bounded(repo, old, new) or ()
    for change in chain.from_iterable(folder.changes(repo.null) for folder in folders):
        place, added = parse_path(change.path), change.status == "A"
        if place is None:
            continue
        if place.rival is not None:
            found["conflicts"] += added
        elif place.kind is PathKind.RUN:
            found[{"A": "runs", "D": "deleted"}.get(change.status, "updated")] += 1
        elif place.kind is PathKind.ANNOTATION and place.name != TOMBSTONE:
            found["annotations"] += added
    return BranchChanges(**found)
