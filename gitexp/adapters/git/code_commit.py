"""Code commits: one parentless commit for each tree of code that ran, the same on every machine.

Everything in such a commit follows from its tree and an identity that the run branch names, so
equal trees have equal commits, and no history of the user's comes with it.
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
    """The id that the code commit of a tree has, whether it is here or not."""
    return _object_id(repo, b"commit", CodeCommit(tree, identity).content)


def empty_tree(repo: Repo) -> ObjectId:
    """The id of a tree without files, whether it is here or not."""
    return _object_id(repo, b"tree", b"")


def _object_id(repo: Repo, kind: bytes, content: bytes) -> ObjectId:
    digest = hashlib.new(repo.object_format, usedforsecurity=False)
    digest.update(b"%b %d\0" % (kind, len(content)) + content)
    return ObjectId(digest.hexdigest())


def write_code_commit(repo: Repo, tree: str, identity: str, *, durable: bool) -> ObjectId:
    """Store the code commit of a tree; no ref holds it yet. Raises `CommandFailed`."""
    made = repo.git(
        *(FSYNC if durable else ()),
        *("hash-object", "-t", "commit", "-w", "--stdin"),
        stdin=CodeCommit(tree, identity).content,
    )
    return ObjectId(made.text.strip())


def pack_commits(repo: Repo, commits: Iterable[str]) -> None:
    """Put commits into a pack, without what they need: beside a gc loose objects may vanish.

    One object more gives the pack a new name: the gc may be about to remove one of the old name.
    """
    salt = repo.write_blob(clock.new_id().encode())
    repo.git(
        *("pack-objects", "--quiet", "--non-empty"),
        str(repo.common_dir / "objects" / "pack" / "pack"),
        stdin="".join(f"{oid}\n" for oid in (*commits, salt)).encode(),
    )


def require_tree(repo: Repo, tree: str) -> None:
    """Make sure that a tree can be read. Raises `CommandFailed`."""
    found = repo.read_objects([tree])
    if found == [None]:
        raise CommandFailed(("cat-file",), 1, f"fatal: unable to read tree {tree}")
