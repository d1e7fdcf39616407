"""Work trees for trials, with the exact code of the sweep.

Many trials use one tree, one after the other. After each, the files that it added are removed; a
tree whose own files a trial changed is replaced.
"""

import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from gitexp.adapters.engines.worker_files import scan
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.worktree import add_worktree, remove_worktree, worktrees_folder
from gitexp.core.errors import GitexpError
from gitexp.core.model.run import Run
from gitexp.features.execution.place_inputs import Missing, fill, inside, link_path
from gitexp.features.harvest.changes import Look, look
from gitexp.storage.workspace import Workspace

PREFIX: Final = "sweep-"
"""How the names of such work trees begin."""

Mark: TypeAlias = tuple[int, ...]
"""Tells a file from one that was written anew; empty for a directory."""


@dataclass(slots=True)
class TrialTree:
    """A work tree that one trial at a time runs in."""

    path: Path
    before: dict[str, Mark] = field(default_factory=dict)
    """What it holds for a trial that begins, by path."""
    now: dict[str, Mark] | None = None
    """What it holds after a trial; `None` when that is not known."""
    places: dict[Any, Any] = field(default_factory=dict)
    """Where the directory and the files of a trial are, by where the user's work tree has them."""
    looks: dict[Path, Look] = field(default_factory=dict)
    """Files of frameworks by directory of the command, for a trial that begins."""

    def changed(self) -> list[str]:
        """Return the files that came or changed since the trial began, sorted."""
        now = self.now = scan(str(self.path))
        return sorted(path for path, mark in now.items() if mark and self.before.get(path) != mark)

    def look(self, directory: Path) -> Look:
        """Return the files that frameworks could have written before a trial begins.

        Scans once for a directory: the tree is the same for every trial.
        """
        if directory not in self.looks:
            self.looks[directory] = look(directory, self.path, with_tails=True)
        return self.looks[directory]


def is_link(mark: Mark) -> bool:
    """Return whether a mark is that of a symbolic link."""
    return bool(mark) and stat.S_ISLNK(mark[0])


class Trees:
    """The work trees of one sweep on this machine."""

    def __init__(
        self, workspace: Workspace, name: str, revision: str, run: Run, links: Sequence[str]
    ) -> None:
        """`run` is any trial of the sweep; `links` are untracked paths that each tree gets too."""
        self._workspace = workspace
        self._name = name
        self._revision = revision
        self._run = run
        self._links = tuple(links)
        self._free: list[TrialTree] = []
        self._made: list[TrialTree] = []
        self._count = 0
        self.missing: list[Missing] = []
        """What the code lacks that this clone could not bring: submodules."""
        worktrees_folder(workspace.repo)

    def take(self) -> TrialTree:
        """Return a work tree that is as new. Raises `GitexpError` when none can be made."""
        tree = self._free.pop() if self._free else self._make()
        self.touch()
        return tree

    def touch(self) -> None:
        """Mark all work trees as in use: `git exp gc` removes those that look abandoned."""
        for tree in self._made:
            with suppress(OSError):
                os.utime(tree.path)

    def give_back(self, tree: TrialTree) -> None:
        """Make a tree as new after a trial."""
        if _is_restored(tree):
            self._free.append(tree)
        else:
            self._remove(tree)

    def close(self) -> None:
        """Remove all work trees."""
        for tree in list(self._made):
            with suppress(GitexpError):
                self._remove(tree)

    def _make(self) -> TrialTree:
        self._count += 1
        name = f"{PREFIX}{self._name}-{os.getpid()}-{self._count}"
        tree = TrialTree(add_worktree(self._workspace.repo, name, self._revision))
        self._made.append(tree)
        self.missing = fill(self._workspace, self._run, tree.path)
        top = self._workspace.repo.top
        for link in self._links:
            if top is not None and (top / link).exists():
                place = inside(tree.path, str(Path(link).parent)) / Path(link).name
                link_path(top / link, place)
        tree.before = scan(str(tree.path))
        return tree

    def _remove(self, tree: TrialTree) -> None:
        self._made.remove(tree)
        remove_worktree(self._workspace.repo, tree.path)


def _is_restored(tree: TrialTree) -> bool:
    """Remove what a trial added; false when it changed or removed what was there."""
    now, tree.now = tree.now or scan(str(tree.path)), None
    if any(now.get(path) != mark for path, mark in tree.before.items()):
        return False
    added = [path for path in now if path not in tree.before]
    for path in sorted(added, key=len):
        place = tree.path / path
        try:
            if place.is_dir() and not place.is_symlink():
                _remove_directory(place)
            else:
                place.unlink(missing_ok=True)
        except OSError:
            return False
    return True


def _remove_directory(path: Path) -> None:
    """Remove a directory with all that is in it, also what a trial made read-only."""
    with suppress(OSError):
        shutil.rmtree(path)
    if path.exists():
        for folder, _, _ in os.walk(path):
            os.chmod(folder, stat.S_IRWXU)  # noqa: PTH101 - plain texts
        shutil.rmtree(path)


def remove_forgotten(repo: Repo, name: str) -> None:
    """Remove the work trees that a sweep of this name left when it was killed."""
    folder = repo.state_dir / "worktrees"
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if path.name.startswith(f"{PREFIX}{name}-"):
                with suppress(GitexpError):
                    remove_worktree(repo, path)


def paths_to_link(workspace: Workspace, runs: Iterable[Run], named: Iterable[str]) -> list[str]:
    """Return the untracked paths of the user's work tree that trials get, each once.

    `runs` are the trials that begin, and earlier ones of the same program that were seen to read
    files; `named` is what the user asks for. Paths outside of the work tree need no link.
    """
    found: dict[str, None] = dict.fromkeys(named)
    top = workspace.repo.top
    for run in runs:
        for name in (*run.inputs, *run.reads, *run.code.hashed):
            path = name.rstrip("/")
            if path in (".", "") or path[0] in "/~" or path in found or top is None:
                continue
            if (top / path).exists():
                found[path] = None
    return list(found)
