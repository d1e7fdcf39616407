"""Apply the safe fixes of findings. No fix deletes or replaces a recorded run.

Damaged object files are moved aside, never deleted. They are moved back if the remote does not
have the object.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from gitexp.adapters.git.process import FSYNC
from gitexp.adapters.git.remotes import Remote, fetch_remote, remotes_by_key
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.transaction import apply
from gitexp.adapters.git.verify import find_damaged
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError, NotFound
from gitexp.core.render.text import counted
from gitexp.core.schema.layout import remote_ref
from gitexp.features.doctor.cleanup import (
    clear_locks,
    delete_leftovers,
    drop_pins,
    find_leftovers,
    rebuild_index,
)
from gitexp.features.doctor.findings import Diagnosis, Finding, Fix
from gitexp.features.execution.recover import recover
from gitexp.storage.branch.keep import keep_steps
from gitexp.storage.branch.lost_records import find_lost, restore_lost
from gitexp.storage.merge.branches import merge_keep_branch
from gitexp.storage.workspace import Workspace


def apply_fixes(workspace: Workspace, diagnosis: Diagnosis) -> Iterator[str]:
    """Apply every safe fix. Yield one message each, failures included."""
    findings = diagnosis.fixable
    for kind in Fix:
        found = [finding for finding in findings if finding.fix is kind]
        if not found:
            continue
        try:
            yield from _FIXES[kind](workspace, found)
        except (GitexpError, OSError) as error:
            why = f" ({error.why})" if isinstance(error, GitexpError) and error.why else ""
            yield f"could not {kind}: {error}{why}"


def _items(findings: Collection[Finding]) -> list[str]:
    return sorted({item for finding in findings for item in finding.items})


def _clear_locks(workspace: Workspace, findings: Collection[Finding]) -> Iterator[str]:
    yield from clear_locks(workspace, map(Path, _items(findings)))


# --- objects ------------------------------------------------------------------------------------


def _fetch_objects(workspace: Workspace, findings: Collection[Finding]) -> Iterator[str]:
    repo, wanted = workspace.repo, _items(findings)
    try:
        remote = fetch_remote(repo, workspace.settings.remote)
    except NotFound:
        yield f"could not fetch {counted(wanted, 'object')}: there is no remote to fetch from"
        return
    with workspace.branch.lock():
        aside = _move_aside(repo, wanted)
        try:
            _refetch(workspace, remote)
        finally:
            lost = find_damaged(repo, wanted)
            _put_back(repo, {oid: path for oid, path in aside.items() if oid in lost})
    came = len(wanted) - len(lost)
    yield f"fetched {counted(came, 'object')} again from '{remote.name}'"
    if lost:
        yield f"'{remote.name}' does not have {counted(len(lost), 'object')}"
    elif workspace.index.broken:
        yield rebuild_index(workspace)  # it was built while objects were unreadable


def _refetch(workspace: Workspace, remote: Remote) -> None:
    """Fetch gitexp's branches with all objects, as if the clone were empty."""
    repo, branch = workspace.repo, workspace.branch
    refs = (branch.run_ref, branch.code_ref)
    listed = repo.launcher.porcelain("ls-remote", "--quiet", "--", remote.name, *refs).text
    remote_refs = [line.partition("\t")[2] for line in listed.splitlines()]
    specs = [f"+{ref}:{remote_ref(remote.key, ref)}" for ref in refs if ref in remote_refs]
    if not specs:
        return
    repo.launcher.porcelain(
        *(*FSYNC, "-c", "fetch.fsckObjects=true", "-c", "fetch.writeCommitGraph=false"),
        *("-c", "maintenance.auto=false", "-c", "gc.auto=0"),
        *("fetch", "--refetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head"),
        *("--no-recurse-submodules", "--no-filter", "--refmap=", "--", remote.name, *specs),
    )


def _loose_path(folder: Path, oid: str) -> Path:
    return folder / oid[:2] / oid[2:]


def _move_aside(repo: Repo, oids: Collection[str]) -> dict[str, Path]:
    """Move damaged loose objects out of git's object store, since git does not overwrite them."""
    folder = repo.state_dir / "damaged-objects"
    moved = {}
    for oid in oids:
        path = _loose_path(repo.common_dir / "objects", oid)
        if path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            moved[oid] = path.rename(folder / f"{oid}.{clock.new_id()}")
    return moved


def _put_back(repo: Repo, moved: Mapping[str, Path]) -> None:
    for oid, path in moved.items():
        place = _loose_path(repo.common_dir / "objects", oid)
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            path.rename(place)


# --- code ---------------------------------------------------------------------------------------


def _keep_code(workspace: Workspace, findings: Collection[Finding]) -> Iterator[str]:
    """Add the code of runs to the keep branch. If the branch is missing, merge a remote's first."""
    repo, branch = workspace.repo, workspace.branch
    trees = _items(findings)
    with branch.lock():
        if repo.read_ref(branch.code_ref) is None:
            short = branch.code_ref.removeprefix("refs/heads/")
            names = remotes_by_key(repo)
            for ref, kept in repo.read_refs("refs/gitexp/remotes").items():
                if ref.endswith(f"/{short}"):
                    key = ref.removeprefix("refs/gitexp/remotes/").removesuffix(f"/{short}")
                    remote = names.get(key, key)
                    runs = repo.read_ref(remote_ref(key, branch.run_ref))
                    merge_keep_branch(branch, remote, kept, runs=runs)
                    yield f"took branch '{short}' over from remote '{remote}'"
        tip = repo.read_ref(branch.code_ref)
        steps = keep_steps(branch, trees, tip, workspace.identity, clock.now())
        apply(repo, steps, durable=branch.durable)
    yield f"kept {counted(trees, 'code state')} on branch '{branch.name}-code'"


def _restore_records(workspace: Workspace, _findings: Collection[Finding]) -> Iterator[str]:
    branch = workspace.branch
    with branch.lock():
        tip = branch.tip()
        if tip is not None:
            lost = find_lost(workspace.repo, tip, whole=True)
            restore_lost(branch, tip, lost)
            yield f"restored the records of {counted(lost.runs, 'run')}"


# --- local state --------------------------------------------------------------------------------


def _complete_runs(workspace: Workspace, _findings: Collection[Finding]) -> Iterator[str]:
    found = recover(workspace)
    for run in found.completed:
        yield f"completed the record of run {run.id[:7]} {run.name}: {run.outcome}"
    for path in found.damaged:
        yield f"moved a damaged journal aside to '{path}'"


def _drop_pending(workspace: Workspace, findings: Collection[Finding]) -> Iterator[str]:
    refs = workspace.repo.read_refs("refs/gitexp/pending")
    yield from drop_pins(workspace, {ref: refs[ref] for ref in _items(findings) if ref in refs})


def _rebuild_index(workspace: Workspace, _findings: Collection[Finding]) -> Iterator[str]:
    yield rebuild_index(workspace)


def _delete_leftovers(workspace: Workspace, _findings: Collection[Finding]) -> Iterator[str]:
    yield from delete_leftovers(workspace, find_leftovers(workspace))


_FIXES: dict[Fix, Callable[[Workspace, Collection[Finding]], Iterator[str]]] = {
    Fix.CLEAR_LOCKS: _clear_locks,
    Fix.FETCH_OBJECTS: _fetch_objects,
    Fix.RESTORE_RECORDS: _restore_records,
    Fix.KEEP_CODE: _keep_code,
    Fix.COMPLETE_RUNS: _complete_runs,
    Fix.DROP_PENDING: _drop_pending,
    Fix.REBUILD_INDEX: _rebuild_index,
    Fix.DELETE_LEFTOVERS: _delete_leftovers,
}
