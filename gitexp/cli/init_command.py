"""`git exp init`: prepare this repository."""

import click

from gitexp.cli.output.errors import tell, warn
from gitexp.cli.output.terminal import open_workspace, say
from gitexp.core.render.text import counted
from gitexp.features.doctor.init import init_branch, write_settings
from gitexp.storage.settings.options import PROJECT_FILE
from gitexp.storage.workspace import Workspace


@click.command("init")
@click.option("--settings", "with_settings", is_flag=True, help="Write a gitexp.toml to fill in.")
@click.option(
    "--code-identity",
    metavar="'NAME <EMAIL>'",
    help="Author of the commits that hold code, the same for everybody.",
)
@click.option("--hooks", "with_hooks", is_flag=True, help="Install the pre-push hook too.")
def command(with_settings: bool, code_identity: str | None, with_hooks: bool) -> None:
    """Get this repository ready

    Creates the branch that holds the runs, or fetches it if the remote has one. Nothing in the work
    tree changes, and existing files stay unchanged. Optional, since the first run creates the
    branch too.

    \b
    git exp init
    git exp init --settings --hooks
    """
    workspace = open_workspace()
    branch = workspace.branch.name
    result = init_branch(workspace, code_identity)
    if result.problem is not None:
        tell(result.problem)
        warn("the remote could not be asked for runs; `git exp fetch` joins them later")
    if result.how == "made":
        say(f"made branch '{branch}' for the runs")
    elif result.how == "fetched":
        runs = counted(workspace.index.count(), "run")
        say(f"fetched branch '{branch}' with {runs} from '{result.remote}'")
    else:
        say(f"branch '{branch}' is there, with {counted(workspace.index.count(), 'run')}")
    if with_settings:
        wrote = write_settings(workspace)
        say(f"{'wrote' if wrote else 'left unchanged:'} {PROJECT_FILE}")
    if with_hooks:
        _install_hooks(workspace)
    say(f"next: {_next(workspace)}")


def _install_hooks(workspace: Workspace) -> None:
    from gitexp.features.sync import hook_install

    status = hook_install.install(workspace.repo, program=hook_install.find_program())
    say(f"installed the hook '{status.path}'")
    for advice in status.advice:
        say(advice)


def _next(workspace: Workspace) -> str:
    if workspace.repo.resolve("HEAD^{commit}") is None:
        return "commit your code: `git add -A && git commit -m start`, then `git exp run -- CMD`"
    if workspace.index.count():
        return "`git exp list` shows the runs, `git exp run -- CMD` records another"
    return "`git exp run -- CMD` records the first run"
