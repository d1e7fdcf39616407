"""`git exp purge`: remove records or code from both branches and their history."""

import posixpath

import click

from gitexp.adapters.git.remotes import push_remote
from gitexp.cli.output.progress import announce, waiting
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.confirm import confirm
from gitexp.cli.params.options import dry_run_option, yes_option
from gitexp.cli.params.run_argument import find_id
from gitexp.core.errors import NotFound
from gitexp.core.model.ids import RunId
from gitexp.core.render.text import clean, counted
from gitexp.core.schema.purges import Purges
from gitexp.features.doctor.cleanup import rebuild_index
from gitexp.features.doctor.findings import listed
from gitexp.features.doctor.purge import (
    PurgePlan,
    find_purged,
    find_remains,
    forget_locally,
    plan_purge,
    purge,
)
from gitexp.features.sync.replace_remote import replace_remote
from gitexp.storage.workspace import Workspace


@click.command("purge")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option(
    "--path", "paths", metavar="PATH", multiple=True, help="A file or directory, in all code."
)
@click.option("--code", "states", metavar="STATE", multiple=True, help="A code commit or tree.")
@click.option("--push", "remote", metavar="REMOTE", help="Replace the branches of a remote too.")
@click.option("--force", is_flag=True, help="Also running runs, and code that other runs need.")
@dry_run_option
@yes_option
def command(
    runs: tuple[str, ...],
    paths: tuple[str, ...],
    states: tuple[str, ...],
    remote: str | None,
    force: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Take records or code out of both branches for good

    Both branches get a new root without them, and other clones drop them when they sync. The code
    of a purged run is purged too, unless another run has the same code. Your own branches never
    change, and a remote changes only with `--push`. Without arguments, the command completes an
    interrupted purge and deletes what this clone still has of runs purged elsewhere.

    git keeps old objects until `git gc --prune=now`. A secret that was pushed must be changed
    anyway.

    \b
    git exp purge 7f3a9c0 --dry-run
    git exp purge --path params.toml --push origin --yes
    """
    workspace = open_workspace()
    if remote is not None:  # fail for a wrong name before any change
        push_remote(workspace.repo, remote or workspace.settings.remote)
    found = [run for text in runs if (run := _find(workspace, text)) is not None]
    with waiting("looking at the runs and their code"):
        below = [posixpath.normpath(workspace.repo.prefix + path) for path in paths]
        plan = plan_purge(workspace, found, states=states, paths=below, force=force)
    for line in _lines(plan, "would purge" if dry_run else "purge"):
        answer(line) if dry_run else say(line)
    if dry_run:
        if remote is not None:
            answer(f"would replace both branches of '{remote}'")
        return
    _ask(plan, remote, yes=yes)
    with waiting("purging"):
        purges = purge(workspace, plan)
    for line in _lines(plan, "purged"):
        answer(line)
    if remote is not None:
        _replace(workspace, remote)
    with waiting("searching for leftovers"):
        for told in forget_locally(workspace, purges):
            say(told)
        say(rebuild_index(workspace))
        remains = find_remains(workspace, purges, plan.objects)
    _tell_rest(workspace, plan, purges, remains, remote)


def _ask(plan: PurgePlan, remote: str | None, *, yes: bool) -> None:
    if not plan.is_empty:
        where = f" here and on '{remote}'" if remote else ""
        confirm(f"Purge this for good{where}? The history of both branches goes too.", yes=yes)
    elif remote is not None:
        confirm(f"Replace both branches of '{remote}'?", yes=yes)


def _replace(workspace: Workspace, remote: str) -> None:
    announce(f"fetching from and pushing to {remote} ...")
    branch = workspace.branch
    refs = (branch.run_ref, branch.code_ref)
    name, sent = replace_remote(branch, remote, workspace.settings, refs, "purge")
    say(f"the branches of '{name}' {'are replaced' if sent else 'were equal already'}")


def _find(workspace: Workspace, text: str) -> RunId | None:
    """Return the run; `None` if it is purged already and only leftovers may exist."""
    try:
        return find_id(workspace, text, to_change=True)
    except NotFound:
        if find_purged(workspace, text) is None:
            raise
        say(f"run {text} is off the branch already")
        return None


def _lines(plan: PurgePlan, verb: str) -> list[str]:
    lines = []
    for removal in plan.removals:
        run = removal.run
        line = f"{verb} run {run.id[:7]} {clean(run.name)}: {counted(removal.paths, 'file')}"
        shared = plan.shared.get(run.id)
        if shared:
            line += f"; its code stays, other runs have the same: {clean(listed(shared))}"
        lines.append(line)
    lines += [f"{verb} code state {tree[:10]}" for tree in sorted(plan.trees)]
    for path, blobs in sorted(plan.files.items()):
        lines.append(f"{verb} file {clean(path)}: {counted([*blobs], 'version')}")
    if plan.affected:
        lines.append(
            f"the code of {counted(plan.affected, 'run')} that stay is incomplete now:"
            f" {clean(listed(plan.affected))}"
        )
    return lines


def _tell_rest(
    workspace: Workspace,
    plan: PurgePlan,
    purges: Purges,
    remains: list[str],
    remote: str | None,
) -> None:
    """Report copies that gitexp cannot remove, with hints."""
    if not purges:
        say("nothing was ever purged here")
        return
    if remains:
        say(f"still in {listed(map(clean, remains))}: gitexp does not change other branches")
    head = workspace.repo.resolve("HEAD^{tree}")
    if plan.files and head is not None:
        tracked = {e.path for e in workspace.repo.list_tree(head)}
        present = sorted(tracked & plan.files.keys())
        if present:
            say(f"{clean(listed(present))} is in HEAD: `git rm` it before the next run")
    say("git keeps the old objects until `git gc --prune=now`, which drops other unused ones too")
    if remote is None:
        say("a remote that has it is changed by `git exp purge --push REMOTE`")
    say("other clones drop it when they sync; run `git exp purge` and git gc there too")
    say("a hub may keep old objects, and forks and caches of it do: change a secret anyway")
