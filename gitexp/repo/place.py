"""Where the repository around a folder lies, as git finds it.

Floor 2.
"""

import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from gitexp.errors import NotARepository
from gitexp.repo.configuration import ASK_CONFIG, GitConfig, parse_config
from gitexp.repo.launch import LOCAL_VARIABLES, Completed, Git, Underway


class Place(NamedTuple):
    """A repository on the disk; every folder is absolute, without links."""

    git_dir: Path
    common_dir: Path
    """Shared by all linked work trees."""
    top: Path | None
    """Top of the work tree; `None` in a bare repository and inside a git directory."""
    object_format: str
    """`sha1` or `sha256`."""


def git_in(directory: Path | None) -> Git:
    """Git in a folder, or in the current one, of which the repository is not known yet."""
    if directory is not None:
        return Git(directory.absolute(), {})
    inherited = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")
    return Git(Path.cwd(), {name: os.environ[name] for name in inherited if name in os.environ})


def begin_config(git: Git) -> Underway:
    """Let git read its configuration while something else is done."""
    return git.begin(*ASK_CONFIG)


def find_place(git: Git, begun: Underway | None = None) -> tuple[Place, GitConfig]:
    """The repository around git's folder, and its configuration, asked for now or `begun`.

    Raises `NotARepository`.
    """
    with begin_config(git) if begun is None else nullcontext(begun) as configured:
        place = None if _may_be_top(git.directory) else _ask_place(git)
        config = parse_config(configured.finish(check=False))
    return place or _place_at_top(git.directory, config) or _ask_place(git), config


_ASK_PLACE = (
    *("rev-parse", "--git-dir", "--git-common-dir", "--is-inside-work-tree"),
    *("--show-object-format", "--show-cdup"),
)


def _ask_place(git: Git) -> Place:
    asked = git.run(*_ASK_PLACE, check=False)
    if asked.status != 0:
        raise _not_a_repository(asked)
    here = git.directory
    git_dir, common_dir, inside, object_format, cdup = (*asked.text.split("\n"), "")[:5]
    top = (here / cdup).resolve() if inside == "true" else None
    if top is None and "GIT_DIR" in git.variables:  # a work tree that is named from outside
        named = git.run("rev-parse", "--show-toplevel", check=False)
        top = Path(named.text.removesuffix("\n")).resolve() if named.status == 0 else None
    return Place((here / git_dir).resolve(), (here / common_dir).resolve(), top, object_format)


def _not_a_repository(asked: Completed) -> NotARepository:
    lines = [line.strip() for line in asked.stderr.splitlines() if line.strip()]
    first = lines[0].removeprefix("fatal: ") if lines else "git gave no reason"
    if first.startswith("not a git repository"):
        return NotARepository(
            "there is no git repository here",
            why="neither this folder nor any above it has one",
            hints=["`git init` starts one", "`git exp demo` shows gitexp in a temporary one"],
        )
    hints = [f"`{line}`" for line in lines[1:] if line.startswith("git ")]
    return NotARepository("git refuses to use this repository", why=first, hints=hints)


# --- at the top of a work tree --------------------------------------------------------------------
# Most commands are given there, and git's configuration tells already that this is the place.


def _may_be_top(here: Path) -> bool:
    """Tell whether a folder has what git takes for a repository, and nothing says otherwise."""
    if any(name in os.environ for name in LOCAL_VARIABLES):
        return False
    git_dir = here / ".git"
    try:
        head = (git_dir / "HEAD").read_bytes()
    except OSError:
        return False
    return _HEAD.match(head) is not None and all(
        os.access(git_dir / name, os.X_OK) for name in ("objects", "refs")
    )


_HEAD = re.compile(rb"ref:\s*refs/|[0-9a-f]{40}")


def _place_at_top(here: Path, config: GitConfig) -> Place | None:
    """The repository of a work tree whose top this is, if the configuration that git found says so.

    `None` where the configuration is another's, or moves the work tree.
    """
    is_plain = config.get("core.bare") == "false" and config.get("core.worktree") is None
    if config.local_file != ".git/config" or not is_plain:
        return None
    git_dir = (here / ".git").resolve()
    return Place(git_dir, git_dir, here.resolve(), config.get("extensions.objectformat") or "sha1")
