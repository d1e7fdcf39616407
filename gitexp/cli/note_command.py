"""`git exp note`: say something about a run."""

import click

from gitexp.cli.options import Whole, json_option, measured_option, run_argument
from gitexp.cli.selection import find_entry
from gitexp.cli.terminal import answer, open_workspace, say
from gitexp.errors import InvalidInput
from gitexp.model import AnnotationKind
from gitexp.running.by_hand import log_by_hand
from gitexp.running.lifecycle import annotate


@click.command("note")
@run_argument
@click.argument("text", required=False)
@measured_option("A metric of a run begun by hand and still open. Repeatable.")
@click.option("--step", type=Whole(0), metavar="N", help="The step of the metrics.")
@json_option
def command(
    run: str, text: str | None, measured: tuple[str, ...], step: int | None, as_json: bool
) -> None:
    """Say something about a run

    \b
    git exp note last "the loss curve is flat after step 40"
    git exp note $RUN -M loss=0.3 --step 10
    """
    from gitexp.cli.options import nested  # noqa: PLC0415 - only with metrics

    workspace = open_workspace()
    entry = find_entry(workspace, run, to_change=True)
    if not text and not measured:
        raise InvalidInput("there is nothing to note", hints=['`git exp note RUN "TEXT"`'])
    if measured:
        log_by_hand(workspace, entry.run.id, nested(measured), step=step)
    made = annotate(workspace, entry, AnnotationKind.NOTE, text=text) if text else None
    if as_json:
        from gitexp.records.documents import annotation_document  # noqa: PLC0415 - only here
        from gitexp.render.machine import format_json  # noqa: PLC0415 - only here

        document = {"schema": 1, "run": entry.run.id, "name": entry.run.name}
        document |= {"annotation": annotation_document(made)} if made else {}
        document |= {"metrics": nested(measured)} if measured else {}
        document |= {"step": step} if measured and step is not None else {}
        answer(format_json(document))
        return
    say(f"noted for run {entry.run.id[:7]} {entry.run.name}")
