"""What is written in one go, as steps, and what git says when it will not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from gitexp.core.errors import CommandFailed, Conflict


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a commit is by."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True)
class Blob:
    """A file's content that is already stored."""

    oid: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit to write onto a ref."""

    ref: str
    message: str
    identity: Identity
    moment: datetime
    parents: Sequence[str]
    """Ids, or `:n` for the n-th commit of the same stream; empty for a first commit."""
    files: Sequence[tuple[str, bytes | Blob | None]] = ()
    """Path and content, or a stored blob, or `None` to delete."""
    clear: bool = False
    """Start from the empty tree instead of the first parent's."""
    tip: str | None = field(kw_only=True)
    """Where the ref is before the stream, `None` when it is not there."""

    @property
    def signature(self) -> str:
        """Who and when as git writes it, which knows nothing before its epoch."""
        return f"{self.identity} {max(int(self.moment.timestamp()), 0)} +0000"


@dataclass(frozen=True, slots=True)
class CodeCommit:
    """A parentless commit of a stored tree, for later commits to name as a parent."""

    tree: str
    identity: str
    """`Name <email>`."""

    @property
    def content(self) -> bytes:
        """The object's bytes: nothing in them depends on time, place or user."""
        who = f"{self.identity} 0 +0000"
        text = f"tree {self.tree}\nauthor {who}\ncommitter {who}\n\ncode of runs\n"
        return text.encode()


@dataclass(frozen=True, slots=True)
class SetRef:
    """Point a ref of ours at a commit; the null id deletes it."""

    ref: str
    oid: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Make everything before it visible before anything after it."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Nothing after the last checkpoint counts unless a ref is there still."""

    ref: str
    oid: str


Step: TypeAlias = Commit | CodeCommit | SetRef | Checkpoint | Verify


def read_refusal(status: int, stderr: str, *, by: str = "fast-import") -> CommandFailed | Conflict:
    """The one place that reads what git says of refs; the locale is pinned to C."""
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
