"""Replace the branches of a remote by ours, after merging the remote's into ours.

Only explicit commands call this.
"""

from collections.abc import Collection

from gitexp.adapters.git.remotes import push_remote
from gitexp.adapters.git.transport import push
from gitexp.core.errors import GitexpError
from gitexp.core.schema.layout import remote_ref
from gitexp.features.sync.sync import fetch_from
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.settings.options import Settings


def replace_remote(
    branch: RunBranch, remote: str | None, settings: Settings, refs: Collection[str], reason: str
) -> tuple[str, bool]:
    """Push our branches; force those in `refs`, even if the remote's has commits that ours lacks.

    Returns the remote's name and whether gitexp pushed. Raises `GitexpError` when the remote
    rejects the push or another push won.
    """
    where = push_remote(branch.repo, remote or settings.remote)
    fetch_from(branch, where, settings)
    runs, keep = branch.tip(), branch.repo.read_ref(branch.code_ref)
    seen = where.known(branch.repo, (branch.run_ref, branch.code_ref))
    if runs is None or keep is None:
        raise GitexpError("there is nothing to push yet", hints=["the first run makes the branch"])
    tips = {branch.run_ref: runs, branch.code_ref: keep}
    if not settings.push_code and branch.code_ref not in seen:
        del tips[branch.code_ref]
    if seen == tips:
        return where.name, False
    replaced = {
        ref: seen[ref]
        for ref in refs
        if ref in seen and ref in tips and not branch.repo.is_ancestor(seen[ref], tips[ref])
    }
    pushed = push(
        branch.repo, where, tips, leases=replaced, atomic=True, timeout_s=settings.push_timeout
    )
    if not pushed.accepted:
        raise GitexpError(
            f"cannot replace the branch of '{where.name}'",
            why="another clone pushed first" if pushed.stale else pushed.reason,
            hints=["run the same command again"]
            if pushed.stale
            else ["the remote must allow a forced push to this one branch, once"],
        )
    for ref, tip in tips.items():
        old = seen.get(ref, branch.repo.null)
        if tip != old:
            branch.repo.update_ref(remote_ref(where.key, ref), tip, old, reason)
    return where.name, True
