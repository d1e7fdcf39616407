"""Hash the files of a tree that count as code.

A push with gates waits for this module, so it imports little.
"""

import hashlib
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from gitexp import __version__
from gitexp.core.analysis.fingerprint import DEFAULT_EXCLUDE, code_digest
from gitexp.storage.workspace import Workspace

LAST_DIGEST: Final = "last-digest"
"""File in gitexp's state directory: a hash of the input, the result, and a hash of both."""


def excluded(workspace: Workspace) -> tuple[str, ...]:
    """Return the patterns of paths that never count as code."""
    return (*DEFAULT_EXCLUDE, *workspace.settings.code_exclude)


def digest_of(workspace: Workspace, tree: str, produced: Collection[str]) -> str:
    """Return one hash of the files that count as code. Caches the last, as many runs share code."""
    settings, repo = workspace.settings, workspace.repo
    exclude = excluded(workspace)
    rules = (__version__, tree, settings.code_include, exclude, sorted(produced))
    asked = hashlib.sha256(repr(rules).encode(errors="surrogateescape")).hexdigest()
    kept = repo.state_dir / LAST_DIGEST
    with suppress(OSError, ValueError):
        question, digest, check = kept.read_text().split()
        if question == asked and check == _check(question, digest):
            return digest
    digest = code_digest(
        ((entry.mode, entry.path, entry.oid) for entry in repo.list_tree(tree)),
        include=settings.code_include,
        exclude=exclude,
        produced=produced,
    )
    with suppress(OSError):
        kept.write_text(f"{asked} {digest} {_check(asked, digest)}\n")
    return digest


def _check(question: str, digest: str) -> str:
    return hashlib.sha256(f"{question} {digest}".encode()).hexdigest()
