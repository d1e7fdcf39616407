"""Files with the flag `assume-unchanged` or `skip-worktree` in the index.

`git status` does not report them, whatever their content on disk.
"""

import os
from contextlib import suppress
from typing import Final

from gitexp.adapters.git.repository import Repo

_MEMORY: Final = "unwatched"
"""Cache file in the git directory of a work tree: identity of the index file, flagged paths."""


def find_unwatched(repo: Repo) -> list[str]:
    """Return the paths with such a flag whose files may differ from the index.

    In a sparse checkout, skip those without a file on disk: git left them out on purpose. The list
    is cached until the index changes. Raises `CommandFailed`.
    """
    if repo.top is None:
        return []
    is_sparse = repo.config().get("core.sparsecheckout") == "true"
    top = str(repo.top)
    return [path for path in _flagged(repo) if not is_sparse or os.path.lexists(f"{top}/{path}")]


def _flagged(repo: Repo) -> list[str]:
    try:
        found = (repo.git_dir / "index").stat()
    except OSError:
        return []
    marks = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
    memory = repo.git_dir / "gitexp" / _MEMORY
    with suppress(OSError, UnicodeError):
        known, *paths = memory.read_text(errors="surrogateescape").split("\0")
        if known == marks:
            return paths
    listed = repo.git("ls-files", "-v", "-z").text.split("\0")[:-1]
    paths = [line[2:] for line in listed if line[0] in "Sabcdefghijklmnopqrstuvwxyz"]
    with suppress(OSError):
        memory.parent.mkdir(exist_ok=True)
        aside = memory.with_suffix(f".{os.getpid()}")
        aside.write_text("\0".join([marks, *paths]), errors="surrogateescape")
        aside.replace(memory)
    return paths
