"""The keep branch: commits without files whose parents are code commits, so that git keeps them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from gitexp.adapters.git.steps import CodeCommit, Commit, Identity, Step

if TYPE_CHECKING:
    from gitexp.storage.branch.branch import Store

KEEP_MESSAGE: Final = "keep the code of runs\n\n[skip ci]\n"

_KEPT_AT_ONCE = 50
"""Parents of one keep commit; git can do more, some readers cannot."""


def keep_steps(
    store: "Store",
    trees: Sequence[str],
    tip: str | None,
    identity: Identity,
    moment: datetime,
    *,
    ref: str | None = None,
) -> list[Step]:
    """What puts the code of trees onto the keep branch, or another ref, after `tip`."""
    author = store.code_identity()
    steps: list[Step] = [CodeCommit(tree, author) for tree in trees]
    commits = [store.code_commit(tree) for tree in trees]
    for n, start in enumerate(range(0, len(commits), _KEPT_AT_ONCE)):
        first = f":{n}" if n else tip
        parents = [*([first] if first else []), *commits[start : start + _KEPT_AT_ONCE]]
        steps.append(
            Commit(
                ref or store.code_ref, KEEP_MESSAGE, identity, moment, parents, clear=True, tip=tip
            )
        )
    return steps
