"""Read the code that a keep branch holds; merge keep branches without the user's history.

A keep branch of format 2 consists of empty keep commits whose parents are code commits. One of
format 1 has the user's own commits as parents; gitexp reads it, but it never becomes an ancestor of
a keep branch of format 2.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from gitexp.adapters.git.cat_file import GitObject
from gitexp.adapters.git.code_commit import empty_tree
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import CodeCommit, DropRef, Identity, MoveRef
from gitexp.adapters.git.transaction import apply
from gitexp.adapters.system import clock
from gitexp.core.errors import CommandFailed, Conflict, Refused, UnreadableRecord
from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import FORMAT_PATH
from gitexp.core.schema.union import branch_format
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.keep import keep_steps

_OURS: Final = ("keep the code of runs", "merge the kept code of two clones")
"""First words of the messages of keep commits."""

_IDENTITY: Final = Identity("gitexp", "gitexp@localhost")
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
"""Date of commits that must be identical in every clone."""

_BUILDING: Final = "refs/gitexp/building/code"
"""Ref that holds a new keep branch until it replaces the old one."""


@dataclass(slots=True)
class CodeStates:
    """Code that a keep branch holds."""

    trees: set[str] = field(default_factory=set)
    """Trees of code that ran."""
    commits: set[str] = field(default_factory=set)
    """Code commits."""
    foreign: set[str] = field(default_factory=set)
    """Kept commits that are no code commits: the user's own, from format 1."""

    @property
    def is_pure(self) -> bool:
        """True if the branch holds no commit of format 1."""
        return not self.foreign


def read_code_states(repo: Repo, tip: str, known: Collection[str] = ()) -> CodeStates:
    """Read the code that a keep branch holds, without history below `known` commits.

    Raises `UnreadableRecord` if part of the branch is missing.
    """
    states, seen, waiting = CodeStates(), {tip}, [tip]
    empty = empty_tree(repo)
    with repo.reading() as reading:
        while waiting:
            try:
                found = reading.read_objects(waiting)
            except CommandFailed as error:
                raise _broken(error.why) from error
            waiting = []
            for commit in found:
                if commit is None or commit.kind != "commit":
                    raise _broken("a commit on it is missing")
                if commit.tree == empty and _message(commit).startswith(_OURS):
                    fresh = [p for p in commit.parents if p not in seen and p not in known]
                    seen.update(fresh)
                    waiting += fresh
                    continue
                states.trees.add(commit.tree)
                (states.commits if _is_code(commit) else states.foreign).add(commit.oid)
    return states


def _message(commit: GitObject) -> str:
    return commit.content.partition(b"\n\n")[2].decode(errors="replace")


def _is_code(commit: GitObject) -> bool:
    """Return whether a commit is exactly the code commit of its tree, by some identity."""
    author = next((x for x in commit.content.split(b"\n") if x.startswith(b"author ")), b"")
    identity = author.removeprefix(b"author ").removesuffix(b" 0 +0000")
    made = CodeCommit(commit.tree, identity.decode(errors="replace")).content
    return commit.content == made


def _broken(why: str | None) -> UnreadableRecord:
    return UnreadableRecord(
        "the branch that keeps the code cannot be read",
        why=why,
        hints=["`git exp doctor` finds what is missing"],
    )


def format_of(branch: RunBranch, tip: str | None) -> int | None:
    """Return the format of a run branch at a commit; `None` if it has no valid format file."""
    oid = None if tip is None else branch.repo.resolve(f"{tip}:{FORMAT_PATH}")
    if oid is None:
        return None
    [(_, content)] = branch.repo.read_blobs([oid], max_bytes=1 << 16)
    return branch_format(content)


def known_commits(repo: Repo, tip: str | None) -> set[str]:
    """Return every commit that a keep branch of format 2 contains."""
    return set() if tip is None else set(repo.git("rev-list", tip).text.split())


def add_states(branch: RunBranch, tip: str | None, trees: Collection[str]) -> ObjectId | None:
    """Create a keep commit after `tip` that holds the code of trees. Return it.

    Returns `tip` if that holds all of it already. The commit is the same in every clone with the
    same tip and trees. No branch moves.
    """
    known = known_commits(branch.repo, tip)
    missing = sorted(tree for tree in trees if branch.code_commit(tree) not in known)
    if not missing:
        return None if tip is None else ObjectId(tip)
    steps = keep_steps(branch, missing, tip, _IDENTITY, _EPOCH, ref=_BUILDING)
    before = branch.repo.read_ref(_BUILDING)
    if before is not None:  # a killed process left it
        branch.repo.update_ref(_BUILDING, branch.repo.null, before, "gitexp: begin again")
    if tip is not None:
        branch.repo.update_ref(_BUILDING, tip, branch.repo.null, "gitexp: begin")
    return apply(branch.repo, steps, durable=branch.durable)[-1]


def replace_keep_branch(branch: RunBranch, new: ObjectId, old: ObjectId | None) -> None:
    """Move the keep branch to a commit that need not contain the old one.

    Call only while holding the store's lock. Raises `Conflict` if the branch is no longer at `old`.
    """
    moves = [MoveRef(branch.code_ref, new, old)] if new != old else []
    apply(branch.repo, [*moves, DropRef(_BUILDING)], durable=branch.durable)


def refuse_old_remote(branch: RunBranch, remote: str, theirs: str | None) -> None:
    """Raise `Refused` if a push must fail because the remote's keep branch is of format 1."""
    ours = branch.repo.read_ref(branch.code_ref)
    if theirs is None or ours is None or format_of(branch, branch.tip()) == 1:
        return
    if branch.repo.is_ancestor(theirs, ours) or read_code_states(branch.repo, theirs).is_pure:
        return
    name = branch.code_ref.removeprefix("refs/heads/")
    raise Refused(
        f"the runs are not pushed to '{remote}'",
        why=f"its branch '{name}' has the older format, which holds whole histories",
        hints=[f"`git exp upgrade --push {remote}` replaces that branch; see `git exp upgrade -h`"],
    )


def join_old_code(branch: RunBranch, theirs: str) -> ObjectId | None:
    """Copy the code of a keep branch of format 1 to ours, without its history.

    Returns our new tip. Call only while holding the store's lock. Raises `Conflict` if another
    process keeps moving the branch for 30 s.
    """
    began_s = clock.monotonic_s()
    trees = read_code_states(branch.repo, theirs).trees
    while True:
        ours = branch.repo.read_ref(branch.code_ref)
        new = add_states(branch, ours, trees)
        try:
            if new is not None:
                replace_keep_branch(branch, new, ours)
        except Conflict as conflict:
            branch.wait_after(conflict, began_s)
        else:
            return new


def new_root(
    branch: RunBranch, tips: Sequence[ObjectId | None], onto: str | None = None
) -> ObjectId:
    """Create a keep branch that holds all code of some keep branches as code commits only.

    `onto` is a tip of format 2 to continue from. No branch moves. Raises `UnreadableRecord` if the
    branches cannot be read or hold no code.
    """
    trees: set[str] = set()
    for tip in tips:
        if tip is not None:
            trees |= read_code_states(branch.repo, tip).trees
    made = add_states(branch, onto, trees)
    if made is None:
        raise _broken("it holds no code")
    return made
