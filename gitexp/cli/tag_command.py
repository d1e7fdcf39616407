"""`git exp tag`: labels of a run."""

import click

from gitexp.cli.options import run_argument
from gitexp.cli.selection import find_entry
from gitexp.cli.terminal import answer, open_workspace, say
from gitexp.model import AnnotationKind
from gitexp.render.text import clean
from gitexp.running.lifecycle import annotate


@click.command("tag")
@run_argument
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("-d", "--delete", is_flag=True, help="Remove the tags instead.")
def command(run: str, tags: tuple[str, ...], delete: bool) -> None:
    """Add or remove tags of a run, or list them

    \b
    git exp tag last sweep
    git exp tag best:accuracy -d sweep
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run, to_change=bool(tags))
    if not tags:
        answer("\n".join(clean(tag) for tag in entry.tags))
        return
    kind = AnnotationKind.UNTAG if delete else AnnotationKind.TAG
    annotate(workspace, entry, kind, tags=tuple(sorted(set(tags))))
    say(
        f"run {entry.run.id[:7]}: {'removed' if delete else 'added'} {', '.join(sorted(set(tags)))}"
    )
