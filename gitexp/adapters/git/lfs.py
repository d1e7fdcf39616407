"""Git LFS: upload the files of a code state that `git push` does not send."""

from gitexp.adapters.git.process import GitResult
from gitexp.adapters.git.remotes import GUARD, Remote
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import GitexpError


def uses_lfs(repo: Repo) -> bool:
    """Return whether the repository holds LFS objects."""
    return (repo.common_dir / "lfs" / "objects").is_dir() or bool(repo.config().get("lfs.storage"))


def push_lfs_objects(repo: Repo, remote: Remote, branch: str, *, timeout_s: float) -> None:
    """Upload the LFS objects that the commits of a local branch name and the remote lacks.

    Raises `GitexpError` when git-lfs is not installed, an object is missing, the remote refuses
    the upload, or the time runs out.
    """
    done = repo.launcher.porcelain(
        *("lfs", "push", remote.name, branch), env={GUARD: "1"}, timeout_s=timeout_s, check=False
    )
    if done.status != 0:
        raise GitexpError(
            f"cannot upload the LFS objects of the code to '{remote.name}'",
            why=_why(done, timeout_s),
            hints=[f"`git lfs push {remote.name} {branch}` shows more", "then `git exp push`"],
        )


def _why(done: GitResult, timeout_s: float) -> str:
    if done.status < 0:
        return f"it took longer than {timeout_s:.3g} s and was stopped"
    lines = [line.strip() for line in (done.stderr + done.text).splitlines() if line.strip()]
    return lines[0] if lines else f"git lfs ended with status {done.status}"
