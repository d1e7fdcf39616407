"""Code commits: one parentless commit for each tree of code that ran, the same on every machine.

Its content depends only on the tree and on the identity that the run branch names. So equal trees
have equal commits, and the user's history is not part of them.
"""

import hashlib
from collections.abc import Iterable

from gitexp.adapters.git.process import FSYNC
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import CodeCommit
from gitexp.adapters.system import clock
from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId


def code_commit_id(repo: Repo, tree: str, identity: str) -> ObjectId:
    """Compute the id of a tree's code commit, which need not exist."""
    return _object_id(repo, b"commit", CodeCommit(tree, identity).content)


def empty_tree(repo: Repo) -> ObjectId:
    """Compute the id of a tree without files, which need not exist."""
    return _object_id(repo, b"tree", b"")


def _object_id(repo: Repo, kind: bytes, content: bytes) -> ObjectId:
    digest = hashlib.new(repo.object_format, usedforsecurity=False)
    digest.update(b"%b %d\0" % (kind, len(content)) + content)
    return ObjectId(digest.hexdigest())


def write_code_commit(repo: Repo, tree: str, identity: str, *, durable: bool) -> ObjectId:
    """Store the code commit of a tree without a ref. Raises `CommandFailed`."""
    made = repo.git(
        *(FSYNC if durable else ()),
        *("hash-object", "-t", "commit", "-w", "--stdin"),
        stdin=CodeCommit(tree, identity).content,
    )
    return ObjectId(made.text.strip())


def pack_commits(repo: Repo, commits: Iterable[str]) -> None:
    """Pack commits without their trees, since a running gc may remove loose objects.

    One extra object gives the pack a new name: the gc may be about to remove one of the old name.
    """
    salt = repo.write_blob(clock.new_id().encode())
    repo.git(
        *("pack-objects", "--quiet", "--non-empty"),
        str(repo.common_dir / "objects" / "pack" / "pack"),
        stdin="".join(f"{oid}\n" for oid in (*commits, salt)).encode(),
    )


def require_tree(repo: Repo, tree: str) -> None:
    """Check that a tree is readable. Raises `CommandFailed`."""
    found = repo.read_objects([tree])
    if found == [None]:
        raise CommandFailed(("cat-file",), 1, f"fatal: unable to read tree {tree}")
