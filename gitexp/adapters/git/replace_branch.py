"""Forced replacement of a remote's branch, for explicit commands only."""

from collections.abc import Mapping

from gitexp.adapters.git.remotes import GUARD
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import GitexpError


def push_with_lease(
    repo: Repo,
    remote: str,
    tips: Mapping[str, str],
    *,
    replaced: Mapping[str, str],
    timeout_s: float,
) -> None:
    """Push branches atomically; force those in `replaced`, even if they lose commits.

    `replaced` is the expected tip of each branch at the remote. Raises `GitexpError` when a tip
    differs, or the remote refuses the push.
    """
    leases = [f"--force-with-lease={ref}:{oid}" for ref, oid in replaced.items()]
    done = repo.launcher.porcelain(
        *("push", "--quiet", "--atomic", "--no-follow-tags", "--recurse-submodules=no"),
        *(*leases, "--", remote, *(f"{oid}:{ref}" for ref, oid in tips.items())),
        env={GUARD: "1"},
        timeout_s=timeout_s,
        check=False,
    )
    if done.status == 0:
        return
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "rejected" in line or line.startswith(("fatal", "error"))]
    is_moved = any("stale info" in line for line in lines)
    raise GitexpError(
        f"cannot replace the branch of '{remote}'",
        why="another clone pushed first" if is_moved else (telling or lines or ["git failed"])[0],
        hints=["run the same command again"]
        if is_moved
        else ["the remote must allow a forced push to this one branch, once"],
    )
