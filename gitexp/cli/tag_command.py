"""`git exp tag`: add, remove or list tags of a run."""

import click

from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import json_option, run_argument
from gitexp.cli.params.run_argument import find_entry
from gitexp.core.model.run import Annotation, RecordedRun
from gitexp.core.render.text import clean
from gitexp.features.recording.say import tag


@click.command("tag")
@run_argument
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("-d", "--delete", is_flag=True, help="Remove the tags instead.")
@json_option
def command(run: str, tags: tuple[str, ...], delete: bool, as_json: bool) -> None:
    """Add or remove tags of a run, or list them

    \b
    git exp tag last sweep
    git exp tag best:accuracy -d sweep
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run, to_change=bool(tags))
    made = tag(workspace, entry, tags, delete=delete) if tags else None
    if as_json:
        _print_json(entry, made)
        return
    if not tags:
        answer("\n".join(clean(tag) for tag in entry.tags))
        return
    say(
        f"run {entry.run.id[:7]}: {'removed' if delete else 'added'} {', '.join(sorted(set(tags)))}"
    )


def _print_json(entry: RecordedRun, made: Annotation | None) -> None:
    """Print the current tags, and the new annotation if there is one."""
    from gitexp.core.render.machine_formats import format_json
    from gitexp.core.schema.json_codec import annotation_document

    now = entry if made is None else RecordedRun(entry.run, (*entry.annotations, made))
    document = {
        "schema": 1,
        "run": entry.run.id,
        "name": entry.run.name,
        "tags": list(now.tags),
        **({} if made is None else {"annotation": annotation_document(made)}),
    }
    answer(format_json(document))
