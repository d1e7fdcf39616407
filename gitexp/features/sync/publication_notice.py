"""Describe in words what a push of the runs would publish, and whether it is outstanding."""

from gitexp.adapters.git.remotes import push_remote
from gitexp.core.errors import GitexpError
from gitexp.core.schema.layout import code_ref, run_ref
from gitexp.features.sync.publication import count_publication
from gitexp.storage.workspace import Workspace


def foresee(workspace: Workspace) -> str:
    """Describe what a first push would publish; empty without a run."""
    try:
        remote = push_remote(workspace.repo, workspace.settings.remote)
    except GitexpError:
        return ""
    counted = count_publication(workspace.branch, remote, workspace.settings)
    return str(counted) if counted.runs else ""


def unsent(workspace: Workspace) -> str:
    """Describe whether the remote that git pushes to has the runs, as far as this clone knows."""
    repo, branch = workspace.repo, workspace.settings.branch
    ours = (run_ref(branch), code_ref(branch))[: 2 if workspace.settings.push_code else 1]
    tips = repo.read_refs(*ours)
    if ours[0] not in tips:
        return "there are none yet"
    try:
        remote = push_remote(repo, workspace.settings.remote)
    except GitexpError as error:
        return f"no: {error.what}"
    known = remote.known(repo, ours)
    if not known:
        return f"no, nothing yet to {remote.name}"
    if any(known.get(ref) != tips.get(ref) for ref in ours):
        return f"not all to {remote.name}; `git exp push` sends the rest"
    return f"all to {remote.name}, when this clone last pushed or fetched"
