"""The keep branch: empty commits whose parents are code commits, so that no gc removes those."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from gitexp.adapters.git.steps import CodeCommit, Identity, NewCommit, Step

if TYPE_CHECKING:
    from gitexp.storage.branch.branch import RunBranch

KEEP_MESSAGE: Final = "keep the code of runs\n\n[skip ci]\n"

_KEPT_AT_ONCE = 50
"""Maximum code commits in one keep commit; git allows more parents, some other tools do not."""


def keep_steps(
    branch: "RunBranch",
    trees: Sequence[str],
    tip: str | None,
    identity: Identity,
    moment: datetime,
    *,
    ref: str | None = None,
) -> list[Step]:
    """Return the steps that add the code of trees to the keep branch, or to `ref`, after `tip`."""
    author = branch.code_identity()
    steps: list[Step] = [CodeCommit(tree, author) for tree in trees]
    commits = [branch.code_commit(tree) for tree in trees]
    for n, start in enumerate(range(0, len(commits), _KEPT_AT_ONCE)):
        first = f":{n}" if n else tip
        parents = [*([first] if first else []), *commits[start : start + _KEPT_AT_ONCE]]
        steps.append(
            NewCommit(
                ref or branch.code_ref, KEEP_MESSAGE, identity, moment, parents, clear=True, tip=tip
            )
        )
    return steps
