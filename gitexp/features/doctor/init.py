"""Initialize a repository: run branch, settings file, hooks.

Safe to repeat; it never changes a branch, file or hook that exists.
"""

from contextlib import suppress
from dataclasses import dataclass

from gitexp.adapters.git.remotes import remote_names
from gitexp.adapters.git.steps import NewCommit
from gitexp.adapters.git.transaction import apply
from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict, GitexpError, Refused
from gitexp.core.schema.layout import FORMAT_PATH, README_PATH
from gitexp.core.schema.root_files import CODE_IDENTITY, README_FILE, format_file
from gitexp.features.sync.sync import fetch_runs
from gitexp.storage.settings.options import PROJECT_FILE
from gitexp.storage.workspace import Workspace

_PATIENCE_S = 15.0
"""Longest wait for the remote's runs; after it, the next `fetch` merges them."""

SETTINGS_TEMPLATE = """\
# Settings of gitexp for this project, shared by committing this file.
# `git exp config` lists all of them with their meaning, and where each value comes from.
# The same settings can be made for one clone: `git config exp.metricsFiles metrics.json`.

# The metric that matters most:
# metric = "accuracy"

# Files that the command writes its metrics to, and reads its parameters from:
# metrics-files = ["metrics.json"]
# params-files = ["params.toml"]

# Data whose content counts for a trial:
# inputs = ["data/train.csv"]

# Which way a metric is better, what counts as the same, how much worse a push may be:
# [metrics.accuracy]
# direction = "maximize"
# tolerance = 0.001
# gate = 0.01
"""


@dataclass(frozen=True, slots=True)
class InitResult:
    """How the run branch came to exist."""

    how: str
    """`made`, `fetched` or `there`."""
    remote: str | None = None
    """The remote it was fetched from."""
    problem: GitexpError | None = None
    """Why the fetch failed."""


def init_branch(workspace: Workspace, identity: str | None = None) -> InitResult:
    """Ensure that a run branch exists: the local one, else the remote's, else a new empty one.

    `identity` is the author of code commits on a new branch. Raises `InvalidInput` when git rejects
    the identity, `Refused` when a branch of that name is not gitexp's, `UnreadableRecord` when its
    format is too new, `CommandFailed` when git cannot write.
    """
    form = format_file(identity or CODE_IDENTITY)
    if workspace.branch.check() is not None:
        return InitResult("there")
    problem: GitexpError | None = None
    names = remote_names(workspace.repo)
    if names:
        settings = workspace.settings
        quick = settings._replace(push_timeout=min(settings.push_timeout, _PATIENCE_S))
        try:
            report = fetch_runs(workspace.branch, None, quick)
        except Refused:
            raise  # the remote's branch of that name is not gitexp's: ours would clash
        except GitexpError as error:
            problem = error
        else:
            if workspace.branch.tip() is not None:
                return InitResult("fetched", report.remote)
    return InitResult(_make_branch(workspace, form), problem=problem)


def _make_branch(workspace: Workspace, form: bytes) -> str:
    branch = workspace.branch
    step = NewCommit(
        branch.run_ref,
        "begin the runs\n\n[skip ci]\n",
        workspace.identity,
        clock.now(),
        [],
        ((README_PATH, README_FILE), (FORMAT_PATH, form)),
        tip=None,
    )
    with branch.lock():
        if branch.check() is not None:
            return "there"
        with suppress(Conflict):
            apply(workspace.repo, [step], durable=branch.durable)
            return "made"
    branch.check()  # another process was faster, or a ref with a conflicting name exists
    return "there"


def write_settings(workspace: Workspace) -> bool:
    """Write a settings file that sets nothing. Return False if one exists.

    Raises `Refused` in a bare repository.
    """
    top = workspace.repo.top
    if top is None:
        raise Refused(
            "cannot write a settings file",
            why="the repository has no work tree",
            hints=["`git config exp.NAME VALUE` makes settings here"],
        )
    try:
        with (top / PROJECT_FILE).open("x", encoding="utf-8") as file:
            file.write(SETTINGS_TEMPLATE)
    except FileExistsError:
        return False
    return True
