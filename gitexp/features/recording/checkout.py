"""Check out the code of a run: into the work tree, or as a branch.

These are the only operations that change the user's files and branches, on the user's request.
"""

from dataclasses import dataclass

from gitexp.adapters.git.code_commit import write_code_commit
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.worktree import (
    SnapshotRules,
    checkout_into,
    commit_on,
    read_status,
    take_snapshot,
)
from gitexp.core.errors import GitexpError, InvalidInput, Refused, Undetermined
from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import Code
from gitexp.core.schema.root_files import CODE_IDENTITY
from gitexp.storage.settings.options import PROJECT_FILE


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """Changes in the work tree that the code of a run requires."""

    revision: str
    """The commit that the record names."""
    tree: str
    written: tuple[str, ...]
    deleted: tuple[str, ...]
    left: tuple[str, ...] = ()
    """Files that differ and stay unchanged: the project's settings, not code of the run."""


def plan_apply(repo: Repo, code: Code) -> ApplyPlan:
    """Plan the changes. Raises `Refused` when they would lose work that git does not hold."""
    if repo.top is None:
        raise GitexpError("cannot write code here", why="the repository is bare")
    check_code(repo, code)
    status = read_status(repo)
    unsaved = {*status.tracked, *status.untracked}
    rules = SnapshotRules(1 << 62, 1 << 62)
    now = take_snapshot(repo, rules, identity=CODE_IDENTITY, durable=False)
    written, deleted, in_the_way, left = [], [], [], []
    for change in repo.diff_trees(now.tree, code.tree):
        path = change.path
        if path == PROJECT_FILE:
            left.append(path)
            continue
        if change.status == "D":
            if path in status.untracked:
                continue  # the user's own file, which the run did not have
            deleted.append(path)
        else:
            written.append(path)
        exists = (repo.top / path).is_symlink() or (repo.top / path).exists()
        if path in unsaved or (change.status == "A" and exists):
            in_the_way.append(path)
    if in_the_way:
        shown = ", ".join(in_the_way[:5])
        more = f" and {len(in_the_way) - 5} more" if len(in_the_way) > 5 else ""
        raise Refused(
            "not applied: uncommitted work would be overwritten",
            why=shown + more,
            hints=["`git stash` or commit it first", "`git exp branch RUN NAME` needs no room"],
        )
    return ApplyPlan(code.revision, code.tree, tuple(written), tuple(deleted), tuple(left))


def apply_code(repo: Repo, plan: ApplyPlan) -> None:
    """Apply the plan. Raises `CommandFailed` when a file cannot be written."""
    if plan.written:
        checkout_into(repo, plan.tree, plan.written)
    for path in plan.deleted:
        if repo.top is not None:
            (repo.top / path).unlink(missing_ok=True)


def make_branch(repo: Repo, name: str, code: Code) -> None:
    """Create a branch with the code of a run.

    Its parent is the run's commit, if the repository has it; else the branch has only the code.
    Raises `InvalidInput`, `Refused`.
    """
    check_code(repo, code)
    if (
        name.startswith("-")
        or repo.git("check-ref-format", f"refs/heads/{name}", check=False).status
    ):
        raise InvalidInput(
            f"'{name}' is not a name for a branch", hints=["`git help check-ref-format`"]
        )
    ref = f"refs/heads/{name}"
    if repo.read_ref(ref) is not None:
        raise Refused(f"branch '{name}' exists already", hints=["choose another name"])
    repo.update_ref(ref, _commit_for_branch(repo, code), repo.null, "gitexp: branch of a run")


def _commit_for_branch(repo: Repo, code: Code) -> ObjectId:
    tree = repo.resolve(f"{code.commit}^{{tree}}")
    if tree == code.tree:
        return code.commit
    if tree is not None:
        return commit_on(repo, code.tree, code.commit)
    return write_code_commit(repo, code.tree, CODE_IDENTITY, durable=True)


def check_code(repo: Repo, code: Code) -> None:
    """Verify that the repository has the code. Raises `Undetermined`."""
    if repo.resolve(f"{code.tree}^{{tree}}") is None:
        raise Undetermined(
            f"the code {code.revision[:10]} is not in this repository",
            hints=["`git exp fetch` brings the code of all runs"],
        )
