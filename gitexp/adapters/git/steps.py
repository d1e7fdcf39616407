"""Steps of a git transaction, as plain values, and the errors for git's refusals.

`transaction.apply` takes a list of steps. Nothing happens before.
"""

import re
from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from typing import TypeAlias

from gitexp.core.errors import CommandFailed, Conflict
from gitexp.core.model.frozen import frozen


@frozen
class Identity:
    """Name and email of a commit's author."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@frozen
class Blob:
    """A stored blob as the content of a file."""

    oid: str


@frozen
class NewCommit:
    """A commit to add to a ref."""

    ref: str
    message: str
    identity: Identity
    moment: datetime
    parents: Sequence[str]
    """Ids, or `:n` for the n-th commit of the same transaction; empty for a root commit."""
    files: Sequence[tuple[str, bytes | Blob | None]] = ()
    """Path with content, a stored blob, or `None` to delete the file."""
    clear: bool = False
    """Start from the empty tree, not from the tree of the first parent."""
    tip: str | None = field(kw_only=True)
    """Expected id of the ref before the transaction, `None` when the ref does not exist."""

    @property
    def signature(self) -> str:
        """Author and time as git writes them; git has no times before 1970."""
        return f"{self.identity} {max(int(self.moment.timestamp()), 0)} +0000"


@frozen
class CodeCommit:
    """A parentless commit of a stored tree, for later commits to name as a parent."""

    tree: str
    identity: str
    """`Name <email>`."""

    @property
    def content(self) -> bytes:
        """The object's bytes, which do not depend on time, machine or user."""
        who = f"{self.identity} 0 +0000"
        text = f"tree {self.tree}\nauthor {who}\ncommitter {who}\n\ncode of runs\n"
        return text.encode()


@frozen
class MoveRef:
    """Move one of gitexp's refs to a stored commit, whether or not that contains the old one."""

    ref: str
    new: str
    old: str | None
    """Expected id of the ref before the transaction, `None` when the ref does not exist."""


@frozen
class DropRef:
    """Delete a ref that nothing needs after the other steps. If git cannot, the ref stays."""

    ref: str


@frozen
class Barrier:
    """Make every earlier step visible before any later one."""


@frozen
class VerifyRef:
    """Fail the steps since the last barrier unless the ref points at the id."""

    ref: str
    oid: str


Step: TypeAlias = NewCommit | CodeCommit | MoveRef | DropRef | Barrier | VerifyRef


def read_refusal(status: int, stderr: str, *, by: str = "fast-import") -> CommandFailed | Conflict:
    """Build the error for git's message about a ref; the C locale keeps its text fixed.

    This is the only place that reads such messages. `Conflict` means that another process moved or
    locks the ref.
    """
    moved = "does not contain" in stderr or "Not updating" in stderr
    locked = ("Unable to create" in stderr and "File exists" in stderr) or (
        "cannot lock ref" in stderr
        and re.search(r"but expected|already exists|unable to resolve reference '[^']*'$", stderr)
    )
    if moved or locked:
        lines = [line for line in stderr.splitlines() if line.strip()]
        return Conflict(
            "cannot move the run branch",
            why="another process moved it first" if moved else lines[0],
        )
    fatal = next((line for line in stderr.splitlines() if "fatal:" in line), stderr)
    in_the_way = re.search(r"'refs/heads/(\S+)' exists; cannot create", stderr)
    hints = in_the_way and [
        f"`git branch -m {in_the_way[1]} NAME` renames the branch that is in the way",
        "`git config exp.branch NAME` puts the runs elsewhere",
    ]
    return CommandFailed((by,), status, fatal, hints=hints or ())
