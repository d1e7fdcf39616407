"""Location of the repository around a directory, found by git."""

import os
from pathlib import Path
from typing import NamedTuple

from gitexp.adapters.git.config import ASK_CONFIG, GitConfig, parse_config
from gitexp.adapters.git.process import GitResult, GitRunner
from gitexp.core.errors import NotARepository


class RepositoryLocation(NamedTuple):
    """Directories of a repository, absolute and without symbolic links."""

    git_dir: Path
    common_dir: Path
    """Shared by all linked work trees."""
    top: Path | None
    """Top of the work tree; `None` in a bare repository and inside a git directory."""
    object_format: str
    """`sha1` or `sha256`."""


def runner_for(directory: Path | None) -> GitRunner:
    """Return a git launcher for a directory, by default the current one, to find its repository."""
    if directory is not None:
        return GitRunner(directory.absolute(), {})
    inherited = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")
    return GitRunner(
        Path.cwd(), {name: os.environ[name] for name in inherited if name in os.environ}
    )


def find_location(git: GitRunner) -> tuple[RepositoryLocation, GitConfig]:
    """Find the repository around git's directory and its configuration. Raises `NotARepository`."""
    return _ask_place(git), parse_config(git.run(*ASK_CONFIG, check=False))


_ASK_PLACE = (
    *("rev-parse", "--git-dir", "--git-common-dir", "--is-inside-work-tree"),
    *("--show-object-format", "--show-cdup"),
)


def _ask_place(git: GitRunner) -> RepositoryLocation:
    result = git.run(*_ASK_PLACE, check=False)
    if result.status != 0:
        raise _not_a_repository(result)
    start = git.directory
    git_dir, common_dir, inside, object_format, cdup = (*result.text.split("\n"), "")[:5]
    top = (start / cdup).resolve() if inside == "true" else None
    if top is None and "GIT_DIR" in git.variables:  # the environment names the repository
        named = git.run("rev-parse", "--show-toplevel", check=False)
        top = Path(named.text.removesuffix("\n")).resolve() if named.status == 0 else None
    return RepositoryLocation(
        (start / git_dir).resolve(), (start / common_dir).resolve(), top, object_format
    )


def _not_a_repository(result: GitResult) -> NotARepository:
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    first = lines[0].removeprefix("fatal: ") if lines else "git gave no reason"
    if first.startswith("not a git repository"):
        return NotARepository(
            "there is no git repository here",
            why="neither this folder nor any above it has one",
            hints=["`git init` starts one", "`git exp demo` shows gitexp in a temporary one"],
        )
    hints = [f"`{line}`" for line in lines[1:] if line.startswith("git ")]
    return NotARepository("git refuses to use this repository", why=first, hints=hints)
