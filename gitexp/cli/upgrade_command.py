"""`git exp upgrade`: convert the branches to the newest format."""

import click

from gitexp.adapters.git.remotes import push_remote
from gitexp.cli.output.progress import announce
from gitexp.cli.output.terminal import open_workspace, say
from gitexp.core.render.text import counted
from gitexp.core.schema.layout import FORMAT
from gitexp.features.doctor.upgrade import upgrade, upgrade_remote


@click.command("upgrade")
@click.option(
    "--identity",
    metavar="'NAME <EMAIL>'",
    help="Author of the commits that hold code, the same for everybody.",
)
@click.option("--push", "remote", metavar="REMOTE", help="Replace the branches of a remote too.")
def command(identity: str | None, remote: str | None) -> None:
    """Change the branches to the newest format

    In format 1 the branch that keeps the code held your own commits, with their messages and all
    earlier history. In format 2 it holds one commit without parents for each state of the files
    that ran. The branch gets a new root, so a push sends nothing of the old history. Other clones
    follow when they fetch. A gitexp that does not know the new format stops before it writes, so
    update all of them first. A remote's branch is replaced only with `--push`, and only if no push
    changed it since it was fetched.

    \b
    git exp upgrade
    git exp upgrade --push origin
    """
    workspace = open_workspace()
    if remote is not None:  # fail for a wrong name before any change
        push_remote(workspace.repo, remote or workspace.settings.remote)
    done = upgrade(workspace.branch, identity)
    name = workspace.branch.name
    if done.before is None:
        say(f"there is no branch '{name}' yet; the first run makes it, in format {FORMAT}")
    elif done.changed:
        states = counted(range(done.states), "code state")
        say(f"'{name}' and '{name}-code' have format {FORMAT} now, with {states}")
    else:
        say(f"'{name}' has format {FORMAT} already")
    if remote is not None:
        announce(f"fetching from and pushing to {remote} ...")
        where, sent = upgrade_remote(workspace.branch, remote, workspace.settings)
        say(f"the branches of '{where}' {'are replaced' if sent else 'were equal already'}")
    elif done.changed:
        say("a remote that has them is changed by `git exp upgrade --push REMOTE`")
