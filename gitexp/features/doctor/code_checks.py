"""Checks of the code of runs: it exists, it is complete, and the keep branch holds it."""

from collections.abc import Collection, Iterator, Sequence

from gitexp.adapters.git.verify import (
    LOCAL,
    Header,
    find_damaged,
    is_partial,
    list_objects,
    objects_named_by_fsck,
    read_headers,
)
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.render.text import counted
from gitexp.features.doctor.findings import Finding, Fix, Level, listed
from gitexp.features.doctor.inventory import Inventory, RunFacts
from gitexp.features.recording.made_here import is_recorded_here
from gitexp.features.sync.publication import runs_on
from gitexp.storage.merge.code_states import read_code_states
from gitexp.storage.merge.purged import sift

_FEW_TREES = 300
"""Most trees to search for the runs that use a damaged file."""

_MUCH_BYTES = 256 << 20
"""Bytes of snapshot content above which the check does not read it."""


def check_code(inventory: Inventory) -> Iterator[Finding]:
    """Report runs whose code is missing or incomplete."""
    repo = inventory.workspace.repo
    runs = [f for f in inventory.runs if f.tree not in inventory.purges.states]
    headers = read_headers(repo, [f.tree for f in runs], env=LOCAL)
    lost = [f for f in runs if not _is_tree(headers[f.tree])]
    unsent = _unpublished(inventory, lost)
    lost = [f for f in lost if f not in unsent]
    if unsent:
        yield Finding(
            level=Level.WARNING,
            text=f"the code of {counted(unsent, 'run')} was not published: no branch that keeps"
            f" code has it: {listed(f.title for f in unsent)}",
            hints=("the clones that recorded them have it (setting `push-code`)",),
            runs=tuple(f.id for f in unsent),
        )
    if lost:
        yield Finding(
            level=Level.FAULT,
            text=f"the code of {counted(lost, 'run')} is not in this repository:"
            f" {listed(f.title for f in lost)}",
            hints=(
                "`git exp doctor --fix` looks for it on the remote",
                "another clone may have it: `git fetch PATH 'refs/heads/*:refs/gitexp/rescue/*'`",
            ),
            runs=tuple(f.id for f in lost),
            items=tuple(sorted({f.tree for f in lost})),
            fix=Fix.FETCH_OBJECTS,
        )
    damaged = _damaged_files(inventory, {f.tree for f in runs if _is_tree(headers[f.tree])})
    if damaged:
        owners = _owners(inventory, damaged)
        named = f"; damaged runs: {listed(map(inventory.name, owners))}" if owners else ""
        yield Finding(
            level=Level.FAULT,
            text=f"{counted(len(damaged), 'object')} of the runs' code cannot be read{named}",
            hints=("`git exp doctor --fix` looks for them on the remote",),
            runs=tuple(owners),
            items=tuple(sorted(damaged)),
            fix=Fix.FETCH_OBJECTS,
        )


def _unpublished(inventory: Inventory, lost: Sequence[RunFacts]) -> list[RunFacts]:
    """Return those runs that came from other clones, which did not push their code."""
    workspace = inventory.workspace
    came = [f for f in lost if not is_recorded_here(workspace, f.id)]
    if not came:
        return []
    repo, branch = workspace.repo, workspace.branch
    code, runs = (ref.removeprefix("refs/heads") for ref in (branch.code_ref, branch.run_ref))
    refs = repo.read_refs(branch.code_ref, "refs/gitexp/remotes", "refs/remotes")
    sent = {oid for ref, oid in refs.items() if ref.endswith(runs)}
    published_runs = set[str]().union(*(runs_on(repo, tip) for tip in sent))
    came = [f for f in came if f.id in published_runs]
    tips = {oid for ref, oid in refs.items() if ref.endswith(code)}
    result = repo.git("rev-list", "--missing=allow-any", *tips, check=False) if tips else None
    if result is not None and result.status != 0:
        return []
    kept = set(result.text.split()) if result is not None else set()
    return [f for f in came if kept.isdisjoint((f.kept, f.revision))]


def check_purged(inventory: Inventory) -> Iterator[Finding]:
    """Report purged code that is on the keep branch again, and which runs lost code by a purge."""
    purges, workspace = inventory.purges, inventory.workspace
    if not purges:
        return
    tip = workspace.repo.read_ref(workspace.branch.code_ref)
    kept = set() if tip is None else read_code_states(workspace.repo, tip).trees
    back = sift(workspace.repo, kept, purges).changed
    if back:
        yield Finding(
            level=Level.WARNING,
            text=f"{counted([*back], 'code state')} on the keep branch holds what was purged",
            hints=("`git exp purge` takes it out; a push of the runs does so too",),
            items=tuple(sorted(back)),
        )
    runs = [f for f in inventory.runs if f.tree in purges.states]
    if runs:
        yield Finding(
            level=Level.WARNING,
            text=f"code of {counted(runs, 'run')} was purged: {listed(f.title for f in runs)}",
            hints=("their records stay; they cannot be reproduced",),
            runs=tuple(f.id for f in runs),
        )


def _is_tree(header: Header | None) -> bool:
    return header is not None and header.kind == "tree"


def _damaged_files(inventory: Inventory, trees: Collection[str]) -> set[str]:
    """Return objects missing from the trees, and damaged objects that the snapshots added."""
    repo = inventory.workspace.repo
    damaged = list_objects(repo, trees, "--no-walk").damaged
    if is_partial(repo):
        return damaged
    snapshots = [f for f in inventory.runs if f.is_dirty and f.tree in trees]
    headers = read_headers(repo, [f.commit for f in snapshots], env=LOCAL)
    known = {f.commit for f in snapshots if headers[f.commit] is not None}
    own = list_objects(
        repo, [*{f.tree for f in snapshots}, *(f"^{commit}^{{tree}}" for commit in known)]
    )
    headers = read_headers(repo, own.present)
    damaged |= own.damaged | {oid for oid, header in headers.items() if header is None}
    if sum(header.size for header in headers.values() if header) <= _MUCH_BYTES:
        damaged |= find_damaged(repo, headers)
    return damaged


def _owners(inventory: Inventory, damaged: Collection[str]) -> list[RunId]:
    """Return the runs whose code contains one of the objects; none with more than 300 trees."""
    repo = inventory.workspace.repo
    trees = {f.tree for f in inventory.runs}
    if len(trees) > _FEW_TREES:
        return []
    touched = set()
    for tree in trees:
        result = repo.git("ls-tree", "-r", "-t", "--full-tree", tree, check=False)
        words = set(result.text.split()) | set(result.stderr.split())
        if result.status != 0 or not words.isdisjoint(damaged):
            touched.add(tree)
    return sorted(f.id for f in inventory.runs if f.tree in touched)


def check_keep(inventory: Inventory) -> Iterator[Finding]:
    """Report code that the keep branch does not hold, so that git may drop it or not push it."""
    repo, branch = inventory.workspace.repo, inventory.workspace.branch
    name = branch.code_ref.removeprefix("refs/heads/")
    tip = repo.resolve(branch.code_ref)
    every = [f for f in inventory.runs if f.tree not in inventory.purges.states]
    revisions = {oid for f in every for oid in (f.revision, f.kept)}
    headers = read_headers(repo, revisions, env=LOCAL)
    present = [oid for oid in revisions if headers[oid] is not None]
    result = repo.git(
        *("rev-list", "--stdin"),
        stdin="\n".join([*present, *([f"^{tip}"] if tip else [])]).encode(),
        check=False,
    )
    damaged = find_damaged(repo, [tip]) if tip else set()
    if result.status != 0:
        damaged |= objects_named_by_fsck(repo, result.stderr)
    if damaged:
        yield Finding(
            level=Level.FAULT,
            text=f"the history of branch '{name}' cannot be read:"
            f" {counted(len(damaged), 'object')} of it, or of what it keeps, are damaged",
            hints=(
                "`git exp doctor --fix` looks for them on the remote",
                f"`git branch -D {name}` gives it up; `git exp doctor --fix` then makes a new one",
            ),
            items=tuple(sorted(damaged)),
            fix=Fix.FETCH_OBJECTS,
        )
        return
    kept = set(present) - set(result.text.split()) if tip else set()
    runs = [f for f in every if kept.isdisjoint((f.kept, f.revision))]
    trees = read_headers(repo, [f.tree for f in runs])
    runs = [f for f in runs if _is_tree(trees[f.tree])]  # check_code reports lost trees
    yield from _not_kept(inventory, runs, tip)


def _not_kept(
    inventory: Inventory, runs: Sequence[RunFacts], tip: ObjectId | None
) -> Iterator[Finding]:
    """Yield findings for runs whose code exists here but is not on the keep branch."""
    others = _unpublished(inventory, runs)
    runs = [f for f in runs if f not in others]
    if others:
        yield Finding(
            level=Level.WARNING,
            text=f"the code of {counted(others, 'run')} was not published, and is here only while"
            f" your own branches have it: {listed(f.title for f in others)}",
            hints=("`git exp doctor --fix` keeps it",),
            runs=tuple(f.id for f in others),
            items=tuple(sorted({f.tree for f in others})),
            fix=Fix.KEEP_CODE,
        )
    if runs:
        name = inventory.workspace.branch.code_ref.removeprefix("refs/heads/")
        why = "" if tip else f", because branch '{name}' is gone"
        yield Finding(
            level=Level.FAULT,
            text=f"git may drop the code of {counted(runs, 'run')}{why}:"
            f" {listed(f.title for f in runs)}",
            hints=("`git exp doctor --fix` keeps it again",),
            runs=tuple(f.id for f in runs),
            items=tuple(sorted({f.tree for f in runs})),
            fix=Fix.KEEP_CODE,
        )
