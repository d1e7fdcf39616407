"""Submodules' files for a temporary work tree, from the objects of this clone.

Uses no network, no hooks, and no `git submodule`, which obeys the checked-out code.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gitexp.adapters.git.process import UNTRUSTED, GitRunner
from gitexp.adapters.git.repository import Repo

_MAX_DEPTH = 8


class Submodule(NamedTuple):
    """A submodule in a tree."""

    path: str
    commit: str


def fill_submodules(
    repo: Repo, tree: str, place_of: Callable[[str], Path]
) -> tuple[list[Submodule], list[Submodule]]:
    """Write the files of a tree's submodules, nested ones included.

    `place_of` maps a path of the tree to the directory to fill, or raises. Returns the filled
    submodules, and those whose commit no repository of this clone has.
    """
    filled: list[Submodule] = []
    absent: list[Submodule] = []
    waiting = [(Submodule(e.path, e.oid), 0) for e in repo.list_tree(tree) if e.kind == "commit"]
    while waiting:
        wanted, depth = waiting.pop()
        git_dir = next((d for d in _git_dirs(repo, wanted.path) if _has(d, wanted.commit)), None)
        if git_dir is None or depth > _MAX_DEPTH:
            absent.append(wanted)
            continue
        _check_out(repo, git_dir, wanted.commit, place_of(wanted.path))
        filled.append(wanted)
        inner = _git_of(git_dir).run(*UNTRUSTED, "ls-tree", "-r", "-z", wanted.commit)
        for line in inner.text.split("\0")[:-1]:
            head, _, path = line.partition("\t")
            _, kind, oid = head.split()
            if kind == "commit":
                waiting.append((Submodule(f"{wanted.path}/{path}", oid), depth + 1))
    return filled, absent


def _git_dirs(repo: Repo, path: str) -> Iterator[Path]:
    """Yield possible git directories of the submodule, first that of the user's work tree."""
    if repo.top is not None and (repo.top / path / ".git").exists():
        asked = GitRunner(repo.top / path, {}).run("rev-parse", "--absolute-git-dir", check=False)
        if asked.status == 0:
            yield Path(asked.text.rstrip("\n"))
    yield from _modules(repo.common_dir / "modules", 0)


def _modules(folder: Path, depth: int) -> Iterator[Path]:
    if depth > _MAX_DEPTH or not folder.is_dir():
        return
    for inner in sorted(folder.iterdir()):
        if (inner / "HEAD").is_file() and (inner / "objects").is_dir():
            yield inner
            yield from _modules(inner / "modules", depth + 1)
        elif inner.is_dir() and not inner.is_symlink():
            yield from _modules(inner, depth + 1)


def _git_of(git_dir: Path) -> GitRunner:
    """Return a launcher for a module. The work tree in its configuration may no longer exist."""
    return GitRunner(git_dir, {"GIT_DIR": str(git_dir), "GIT_WORK_TREE": str(git_dir)})


def _has(git_dir: Path, commit: str) -> bool:
    asked = _git_of(git_dir).run(*UNTRUSTED, "cat-file", "-e", f"{commit}^{{tree}}", check=False)
    return asked.status == 0


def _check_out(repo: Repo, git_dir: Path, commit: str, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    with repo.temporary_index() as folder:
        variables = {
            "GIT_DIR": str(git_dir),
            "GIT_WORK_TREE": str(place),
            "GIT_INDEX_FILE": str(Path(folder) / "index"),
        }
        git = GitRunner(place, variables)
        git.run(*UNTRUSTED, "read-tree", commit)
        git.run(*UNTRUSTED, "checkout-index", "--all", "--force", "--quiet")
