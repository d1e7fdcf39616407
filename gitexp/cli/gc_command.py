"""`git exp gc`: delete leftovers in gitexp's local state."""

import click

from gitexp.cli.output.errors import warn
from gitexp.cli.output.progress import waiting
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import dry_run_option
from gitexp.core.render.text import clean
from gitexp.features.doctor.cleanup import (
    clear_locks,
    delete_leftovers,
    drop_pins,
    find_abandoned_pins,
    find_done_pins,
    find_leftovers,
    find_old_locks,
    pack,
    rebuild_index,
)


@click.command("gc")
@dry_run_option
@click.option("--rebuild-index", "again", is_flag=True, help="Rebuild the run index.")
def command(dry_run: bool, again: bool) -> None:
    """Tidy gitexp's local state

    Deletes temporary files and work trees of ended processes, moves aside stale git locks on
    gitexp's refs, releases snapshots whose runs are sealed or never began, and lets git pack loose
    objects if there are many. Changes no record, and only lists damaged journals.

    \b
    git exp gc --dry-run
    git exp gc
    """
    workspace = open_workspace(complete=not dry_run)
    left = find_leftovers(workspace)
    pins = {**find_done_pins(workspace), **find_abandoned_pins(workspace)}
    locks = [path for path, _ in find_old_locks(workspace)]
    for path in left.old_journals:
        warn(f"the damaged journal '{path}' is older than 30 days; look at it, then delete it")
    if dry_run:
        for path in (*left.paths, *left.worktrees):
            answer(f"would remove '{clean(str(path))}'")
        for path in locks:
            answer(f"would move '{clean(str(path))}' aside if no process can be holding it")
        for oid in pins.values():
            answer(f"would release the snapshot {oid[:10]}")
        return
    done = [
        *clear_locks(workspace, locks),
        *delete_leftovers(workspace, left),
        *drop_pins(workspace, pins),
    ]
    if again:
        done.append(rebuild_index(workspace))
    with waiting("packing"):
        packed = pack(workspace)
    done += [packed] if packed else []
    for message in done:
        answer(clean(message))
    if not done:
        say("there is nothing to clean up")
