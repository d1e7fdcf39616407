"""Find and delete local state that no process needs.

Only files and refs that gitexp made in this clone: no record, no branch, no work tree of the user.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gitexp.adapters.git.process import UNTRUSTED
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.stale_locks import MIN_STALE_AGE_S, clear_stale_lock
from gitexp.adapters.journal.output_archive import find_old_output
from gitexp.adapters.system import clock
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome
from gitexp.core.render.text import counted
from gitexp.features.recording.open_runs import DAMAGED_FOLDER, list_open_runs
from gitexp.storage.cache.cache import FILE_NAME
from gitexp.storage.workspace import Workspace

ABANDONED_S = 3600.0
"""Age from which a temporary file has no living owner."""

OLD = timedelta(days=30)
"""How long locks that were moved aside and damaged journals are kept for inspection."""


@dataclass(frozen=True, slots=True)
class Worktree:
    """A work tree that git has registered."""

    path: Path
    branch: str | None
    """Full ref name; `None` on a detached HEAD."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Leftovers of past processes."""

    paths: tuple[Path, ...] = ()
    """Files and directories in gitexp's state directory."""
    worktrees: tuple[Path, ...] = ()
    """Temporary work trees of finished reproductions."""
    old_journals: tuple[Path, ...] = ()
    """Damaged journals that were moved aside long ago; gitexp never deletes them."""


def list_worktrees(repo: Repo) -> list[Worktree]:
    """List all work trees of the repository, also those whose directory is gone."""
    found: list[Worktree] = []
    path: Path | None = None
    branch: str | None = None
    for line in [*repo.git("worktree", "list", "--porcelain").text.splitlines(), ""]:
        word, _, rest = line.partition(" ")
        if word == "worktree":
            path, branch = Path(rest), None
        elif word == "branch":
            branch = rest
        elif not line and path is not None:
            found.append(Worktree(path, branch))
            path = None
    return found


def find_leftovers(workspace: Workspace) -> Leftovers:
    """Find the leftovers of past processes, without files that a living process could need."""
    state, journals = workspace.repo.state_dir, workspace.journals
    unfinished = list_open_runs(workspace)
    open_runs = unfinished.ids()
    paths = [path for path in _children(state / "tmp") if _age_s(path) > ABANDONED_S]
    paths += [p for p in state.glob(f"{FILE_NAME}-*.new") if _age_s(p) > ABANDONED_S]
    kept = find_old_output(state / "output", clock.now().timestamp())
    paths += [path for path in kept if path.stem not in open_runs]
    old = _children(state / "dead-locks")
    paths += [path for path in old if _age_s(path) > OLD.total_seconds()]
    for path in _children(journals):
        run = path.name.partition(".")[0]
        if path.name == DAMAGED_FOLDER or path.suffix == ".journal" or run in open_runs:
            continue
        if _age_s(path) > ABANDONED_S:
            paths.append(path)
    folder = state / "worktrees"
    known = {w.path for w in list_worktrees(workspace.repo) if w.path.parent == folder}
    worktrees = [
        path
        for path in sorted(known | set(_children(folder)))
        if path.name not in open_runs and _age_s(path) > ABANDONED_S
    ]
    aged = [path for path in unfinished.set_aside if _age_s(path) > OLD.total_seconds()]
    return Leftovers(tuple(paths), tuple(worktrees), tuple(aged))


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _age_s(path: Path) -> float:
    """Return the seconds since the last change of a path; infinity if it does not exist."""
    try:
        changed = path.lstat().st_mtime
    except OSError:
        return float("inf")
    return clock.now().timestamp() - changed


def delete_leftovers(workspace: Workspace, left: Leftovers) -> Iterator[str]:
    """Delete leftovers. Yield one message each."""
    for path in left.paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(FileNotFoundError):
                path.unlink()
        yield f"removed '{path}'"
    for path in left.worktrees:
        # `git worktree prune` would also unregister the user's work trees on unmounted disks.
        workspace.repo.launcher.porcelain(
            *(*UNTRUSTED, "worktree", "remove", "--force", "--force", str(path)), check=False
        )
        shutil.rmtree(path, ignore_errors=True)
        yield f"removed the temporary work tree '{path}'"


def find_old_locks(workspace: Workspace) -> list[tuple[Path, float]]:
    """Find stale git locks on gitexp's refs, with their ages in seconds."""
    common, run_branch = workspace.repo.common_dir, workspace.branch
    names = (
        *(f"{run_branch.run_ref}.lock", f"{run_branch.code_ref}.lock", "packed-refs.lock"),
        "reftable/tables.list.lock",
    )
    paths = [
        *(path for path in (common / name for name in names) if path.exists()),
        *sorted((common / "refs" / "gitexp").rglob("*.lock")),
    ]
    ages = [(path, _age_s(path)) for path in paths]
    return [(path, age_s) for path, age_s in ages if MIN_STALE_AGE_S <= age_s < float("inf")]


def clear_locks(workspace: Workspace, paths: Iterable[Path]) -> Iterator[str]:
    """Move locks aside that no process can hold. Yield one message for each existing lock."""
    with workspace.branch.lock():
        for path in paths:
            lock = clear_stale_lock(path)
            if lock is not None and lock.moved_to is not None:
                yield f"moved the stale lock '{path}' to '{lock.moved_to}'"
            elif lock is not None:
                yield f"left the lock '{path}' alone: it may be held by {lock.holder}"


def find_done_pins(workspace: Workspace) -> dict[str, str]:
    """Find pinned snapshots of runs that are sealed on the branch and have no journal, by ref."""
    open_runs = list_open_runs(workspace).ids()
    outcomes = workspace.index.column("outcome")
    return {
        ref: oid
        for ref, oid in workspace.repo.read_refs("refs/gitexp/pending").items()
        if (run := RunId(ref.rpartition("/")[2])) not in open_runs
        and outcomes.get(run, Outcome.RUNNING.value) != Outcome.RUNNING.value
    }


def find_abandoned_pins(workspace: Workspace) -> dict[str, str]:
    """Find pinned snapshots of starts that died before their journal existed, by ref.

    Returns none while a record cannot be read, because that run could need a pin.
    """
    journals = list_open_runs(workspace)
    known = journals.ids() | {RunId(path.name.partition(".")[0]) for path in journals.set_aside}
    known |= workspace.index.column("outcome").keys()
    if workspace.index.broken:
        return {}
    return {
        ref: oid
        for ref, oid in workspace.repo.read_refs("refs/gitexp/pending").items()
        if ref.rpartition("/")[2] not in known and _pin_age_s(workspace.repo, ref) > ABANDONED_S
    }


def _pin_age_s(repo: Repo, ref: str) -> float:
    """Return the seconds since a ref changed: from its file, or its reflog once it is packed."""
    return min(_age_s(repo.common_dir / ref), _age_s(repo.common_dir / "logs" / ref))


def drop_pins(workspace: Workspace, refs: Mapping[str, str]) -> Iterator[str]:
    """Delete pins that are abandoned or that the keep branch contains. Yield one message each."""
    repo, run_branch = workspace.repo, workspace.branch
    tip = repo.read_ref(run_branch.code_ref)
    abandoned = find_abandoned_pins(workspace) if refs else {}
    for ref, oid in refs.items():
        if ref in abandoned or (tip is not None and repo.is_ancestor(oid, tip)):
            repo.update_ref(ref, repo.null, oid, "no run needs it")
            yield f"released the snapshot {oid[:10]}"


def rebuild_index(workspace: Workspace) -> str:
    """Delete the run index and build it again."""
    workspace.cache.delete()
    index = workspace.refreshed()
    return f"rebuilt the run index: {counted(index.count(), 'run')}"


def pack(workspace: Workspace) -> str | None:
    """Let git pack loose objects if its settings ask for it. Return a message if git packed any.

    Git decides by `gc.auto` and `maintenance.*`; the plumbing commands of gitexp never start a gc.
    """
    objects = workspace.repo.common_dir / "objects"
    before = _loose(objects)
    done = workspace.repo.git("maintenance", "run", "--auto", "--quiet", check=False)
    if done.status != 0:
        workspace.repo.git("gc", "--auto", "--quiet", check=False)
    packed = before - _loose(objects)
    return f"git packed {packed:,} loose objects" if packed > 0 else None


def _loose(objects: Path) -> int:
    fans = [folder for folder in _children(objects) if len(folder.name) == 2]
    return sum(len(os.listdir(folder)) for folder in fans)  # noqa: PTH208 - names suffice
