"""Input of the checks, read once with few git processes."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from gitexp.adapters.git.verify import Listing, TreeWalk, find_damaged, list_objects, walk_commit
from gitexp.core.errors import CommandFailed, GitexpError, Refused, UnreadableRecord
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Outcome
from gitexp.core.schema.layout import FORMAT_PATH, PathKind, parse_path
from gitexp.core.schema.purges import Purges
from gitexp.features.recording.open_runs import OpenRuns, list_open_runs
from gitexp.storage.cache.cache import Cache
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.merge.purged import read_purges
from gitexp.storage.workspace import Workspace

_TRIES = 3
"""Retries when the branch moves during the inspection."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The fields of a run that the checks use."""

    id: RunId
    name: str
    started: datetime
    clock: int
    outcome: Outcome
    commit: str
    tree: str
    kept: str
    """The code commit of its tree, which the keep branch should contain."""
    revision: str
    """The commit whose tree ran, from the record."""
    is_dirty: bool
    packages: str | None
    """Digest of its package list."""

    @property
    def title(self) -> str:
        """Short id and name, for findings."""
        return f"{self.id[:7]} {self.name}"


@dataclass(slots=True)
class Inventory:
    """The state of gitexp's branches, cache and local files at one moment."""

    workspace: Workspace
    tip: ObjectId | None
    refusal: GitexpError | None = None
    """Why the branch cannot be used: not gitexp's, or too new."""
    walk: TreeWalk = field(default_factory=TreeWalk)
    damaged: dict[str, list[str]] = field(default_factory=dict)
    """Current paths on the branch, by the id of a missing or damaged object."""
    older_damaged: set[str] = field(default_factory=set)
    """Damaged objects that only older commits of the branch use."""
    promised: set[str] = field(default_factory=set)
    """Objects of the branch that a partial clone left at its remote."""
    runs: list[RunFacts] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of each unreadable file."""
    purges: Purges = field(default_factory=Purges)
    """Everything that was purged from both branches."""
    rivals: list[RunId] = field(default_factory=list)
    index_fault: str | None = None
    """How the run index differs from a newly built one."""
    index_unknown: str | None = None
    """Why the comparison was not possible."""
    journals: OpenRuns = field(default_factory=OpenRuns)
    pending: dict[str, ObjectId] = field(default_factory=dict)
    """Pinned snapshots, by ref."""
    _by_id: dict[RunId, RunFacts] = field(default_factory=dict, repr=False)
    moved: bool = False
    """True when the branch moved during the inspection."""

    @property
    def is_ours(self) -> bool:
        """True when a readable branch of gitexp exists, so that its content can be checked."""
        return self.tip is not None and self.refusal is None and "" not in self.walk.damaged

    def fact(self, run: str) -> RunFacts | None:
        """Return the facts of one run."""
        if len(self._by_id) != len(self.runs):
            self._by_id = {facts.id: facts for facts in self.runs}
        return self._by_id.get(RunId(run))

    def name(self, run: str) -> str:
        """Return how findings name a run; the short id if its record is damaged."""
        facts = self.fact(run)
        return facts.title if facts else run[:7]


def take_inventory(workspace: Workspace) -> Inventory:
    """Inspect everything. On disk, only the run index changes."""
    for _ in range(_TRIES):
        inventory = _gather_once(workspace)
        if not inventory.moved:
            break
    return inventory


def _gather_once(workspace: Workspace) -> Inventory:
    repo, branch = workspace.repo, workspace.branch
    inventory = Inventory(workspace, repo.resolve(branch.run_ref))
    inventory.journals = list_open_runs(workspace)
    inventory.pending = repo.read_refs("refs/gitexp/pending")
    if inventory.tip is None:
        return inventory
    inventory.walk = walk_commit(repo, inventory.tip)
    _gather_damage(inventory)
    lost = inventory.walk.damaged.keys() & {"", "."}
    if not lost and inventory.walk.files.get(FORMAT_PATH) not in inventory.damaged:
        try:
            branch.check()
        except (Refused, UnreadableRecord) as error:
            inventory.refusal = error
        except CommandFailed:
            pass  # the keep branch is damaged; check_keep reports it
    if inventory.is_ours:
        _gather_runs(inventory)
    return inventory


def _gather_damage(inventory: Inventory) -> None:
    repo, walk = inventory.workspace.repo, inventory.walk
    listing = Listing()
    if "" not in walk.damaged and inventory.tip is not None:
        listing = list_objects(repo, [inventory.tip])
    inventory.promised = listing.promised
    for path, oid in walk.damaged.items():
        if oid not in listing.promised:
            inventory.damaged.setdefault(oid, []).append(path)
    files = {path: oid for path, oid in walk.files.items() if oid not in listing.promised}
    unreadable = find_damaged(repo, files.values())
    for path, oid in files.items():
        if oid in unreadable:
            inventory.damaged.setdefault(oid, []).append(path)
    known = {*walk.files.values(), *walk.trees}
    older = [oid for oid, name in listing.present.items() if "." in name and oid not in known]
    found = listing.damaged | find_damaged(repo, older)
    inventory.older_damaged = found - inventory.damaged.keys()


def _gather_runs(inventory: Inventory) -> None:
    workspace = inventory.workspace
    inventory.purges = read_purges(workspace.repo, inventory.tip)
    if inventory.damaged:
        # Do not rebuild the index: it may hold records that the branch has lost.
        inventory.index_unknown = "part of the branch is damaged"
        with suppress(CommandFailed):
            _take_index(inventory, workspace.refreshed())
        return
    with fresh_index(workspace) as fresh:
        inventory.moved = fresh.tip != inventory.tip
        _take_index(inventory, fresh)
        _compare_indexes(inventory, fresh)


@contextmanager
def fresh_index(workspace: Workspace) -> Iterator[CachedRuns]:
    """Build a temporary run index, apart from the one on disk."""
    with tempfile.TemporaryDirectory(prefix="gitexp-doctor-") as folder:
        cache = Cache(
            workspace.repo,
            workspace.branch.run_ref,
            path=Path(folder) / "index.sqlite",
            progress=workspace.progress,
            seed_params=workspace.settings.seed_params,
        )
        with cache.newest() as fresh:
            yield fresh


def _take_index(inventory: Inventory, index: CachedRuns) -> None:
    inventory.broken = index.broken
    inventory.rivals = index.conflicting()
    branch, kept = inventory.workspace.branch, dict[str, str]()
    for text in index.documents():
        document = json.loads(text)
        tree = document["code"]["tree"]
        if tree not in kept:
            kept[tree] = branch.code_commit(tree)
        inventory.runs.append(_facts(document, kept[tree]))


def _facts(document: dict[str, Any], kept: str) -> RunFacts:
    code, environment = document["code"], document.get("environment", {})
    packages = environment.get("packages")
    return RunFacts(
        id=RunId(document["id"]),
        name=document["name"],
        started=datetime.fromisoformat(document["started"]),
        clock=document["clock"],
        outcome=Outcome(document["outcome"]),
        commit=code["commit"],
        tree=code["tree"],
        kept=kept,
        revision=code.get("snapshot") or code["commit"],
        is_dirty=bool(code["dirty"]),
        packages=packages if isinstance(packages, str) else None,
    )


def _compare_indexes(inventory: Inventory, fresh: CachedRuns) -> None:
    kept = inventory.workspace.refreshed()
    if kept.tip != fresh.tip:
        inventory.index_unknown = "the branch moved while it was checked"
        return
    different = sum(one != other for one, other in zip_longest(kept.documents(), fresh.documents()))
    if different:
        inventory.index_fault = f"{different:,} of {fresh.count():,} runs differ"
    elif tables := kept.differences(fresh):
        inventory.index_fault = f"its content is not that of the branch: {', '.join(tables)}"


def files_of(inventory: Inventory) -> dict[PathKind, dict[str, str]]:
    """Return gitexp's files on the branch, by kind and path."""
    found: dict[PathKind, dict[str, str]] = {kind: {} for kind in PathKind}
    for path, oid in inventory.walk.files.items():
        place = parse_path(path)
        if place is not None:
            found[place.kind][path] = oid
    return found
