"""Files of the work tree that gitexp wrote for the user: reports and exports. They are not code.

Without this, `git exp report -o page.html` would make every later trial a new one.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Final

from gitexp.adapters.git.repository import Repo

_MEMORY: Final = "own-output"
"""File in the git directory of a work tree: SHA-256 and path of each file, the newest last."""

_KEPT: Final = 100
"""Files that are remembered."""


def remember_own_output(repo: Repo, path: Path, content: bytes) -> None:
    """Remember a file that was just written. Does nothing for a file outside the work tree."""
    top = repo.top
    if top is None or not path.resolve().is_relative_to(top):
        return
    name = path.resolve().relative_to(top).as_posix()
    lines = [line for line in _lines(repo) if line.partition(" ")[2] != name]
    lines.append(f"{hashlib.sha256(content).hexdigest()} {name}")
    memory = repo.git_dir / "gitexp" / _MEMORY
    with suppress(OSError):  # then the file counts as code, and the next trial as a new one
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text("\0".join(lines[-_KEPT:]), errors="surrogateescape")


def own_output(repo: Repo) -> set[str]:
    """Return the paths of remembered files that still have the content gitexp wrote."""
    lines = _lines(repo)
    if repo.top is None or not lines:
        return set()
    from gitexp.adapters.system.probe import hash_file

    found = set()
    for line in lines:
        digest, _, name = line.partition(" ")
        with suppress(OSError):
            if hash_file(repo.top / name).sha256 == digest:
                found.add(name)
    return found


def _lines(repo: Repo) -> list[str]:
    try:
        text = (repo.git_dir / "gitexp" / _MEMORY).read_text(errors="surrogateescape")
    except OSError:
        return []
    return [line for line in text.split("\0") if line]
