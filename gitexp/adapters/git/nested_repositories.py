"""Repositories inside the work tree: submodules, and others that git does not track."""

import os
from pathlib import Path

from gitexp.adapters.git.process import UNTRUSTED, GitRunner

_MAX_DEPTH = 8


def list_nested_files(directory: Path, depth: int = 0) -> list[str] | None:
    """List the files of a nested repository that git tracks or does not ignore, relative to it.

    Includes the files of repositories inside it. Returns `None` when git cannot list them.
    """
    if not (directory / ".git").exists() or depth > _MAX_DEPTH:
        return None
    asked = GitRunner(directory, {}).run(
        *(*UNTRUSTED, "ls-files", "-z", "--cached", "--others", "--exclude-standard"), check=False
    )
    if asked.status != 0:
        return None
    files: list[str] = []
    for path in dict.fromkeys(asked.text.split("\0")[:-1]):
        inner = directory / path
        if inner.is_dir() and not inner.is_symlink():
            below = list_nested_files(inner, depth + 1) if (inner / ".git").exists() else []
            if below is None:
                return None
            files += [f"{path.rstrip('/')}/{name}" for name in below]
        elif os.path.lexists(inner):
            files.append(path)
    return files
