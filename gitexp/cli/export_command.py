"""`git exp export`: write runs for other tools."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from gitexp.adapters.system import clock
from gitexp.cli.output.progress import waiting
from gitexp.cli.output.tables import print_documents
from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import precision_option, where_option
from gitexp.cli.params.run_argument import find_id
from gitexp.core.errors import InvalidInput
from gitexp.core.model.ids import RunId
from gitexp.core.render.text import counted
from gitexp.storage.workspace import Workspace

FORMATS = ("csv", "json", "jsonl", "parquet", "md", "latex")
_SUFFIXES = {f".{name}": name for name in FORMATS} | {".tex": "latex", ".ndjson": "jsonl"}


@click.command("export")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    metavar="FORMAT",
    help=f"{', '.join(FORMATS)} [default: by the suffix of -o, else csv].",
)
@click.option("-o", "--output", metavar="FILE", help="Write there [default: standard output].")
@where_option()
@click.option(
    "--to",
    "target",
    nargs=2,
    metavar="mlflow URI",
    help="Send the runs to a tracker instead; its client must be installed.",
)
@precision_option
@click.argument("runs", nargs=-1, metavar="[RUN]...")
def command(
    form: str | None,
    output: str | None,
    where: str | None,
    target: tuple[str, str] | None,
    precision: int,
    runs: tuple[str, ...],
) -> None:
    """Write runs out for other tools

    Exports all runs, or those named as RUN or matched by --where. CSV, JSON, JSON lines and Parquet
    have exact values; Markdown and LaTeX are tables for people, as `git exp list` shows them.

    \b
    git exp export -o runs.csv
    git exp export --format latex --where "accuracy > 0.8"
    """
    workspace = open_workspace()
    chosen = [find_id(workspace, run) for run in runs]
    if not runs or where:
        matching = workspace.index.ids(workspace.query(where))
        chosen = [run for run in chosen if run in set(matching)] if runs else matching
    if not chosen:
        from gitexp.cli.list_command import say_empty

        say_empty(workspace, where)
    if target is not None:
        _send(workspace, chosen, target)
        return
    form = form or _SUFFIXES.get(Path(output or "").suffix.lower(), "csv")
    if form == "parquet" and output is None:
        raise InvalidInput(
            "Parquet is not for a terminal", hints=["name a file: `-o runs.parquet`"]
        )
    if output is None and form == "json":
        print_documents(workspace.index.documents(chosen))
        return
    with waiting(f"writing {len(chosen):,} runs"):
        content = _content(workspace, chosen, form, precision)
    if output is None:
        answer(content.decode().removesuffix("\n"))
        return
    from gitexp.cli.output.user_file import write_user_file

    write_user_file(workspace.repo, output, content)
    say(f"wrote {counted(chosen, 'run')} to {output}")


def _content(workspace: Workspace, chosen: Sequence[RunId], form: str, precision: int) -> bytes:
    if form in ("md", "latex"):
        return (_table(workspace, chosen, form, precision) + "\n").encode()
    texts = workspace.index.documents(chosen)
    if form == "json":
        from gitexp.core.schema.json_codec import DOCUMENT_SCHEMA

        whole = {"schema": DOCUMENT_SCHEMA, "runs": [json.loads(text) for text in texts]}
        return (json.dumps(whole, indent=1) + "\n").encode()
    if form == "jsonl":
        return "".join(text.replace("\x7f", "\\u007f") + "\n" for text in texts).encode()
    documents = [json.loads(text) for text in texts]
    if form == "parquet":
        from gitexp.core.render.parquet import format_parquet

        return format_parquet(documents)
    from gitexp.core.render.machine_formats import format_csv

    return (format_csv(documents) + "\n").encode()


def _table(workspace: Workspace, chosen: Sequence[RunId], form: str, precision: int) -> str:
    from gitexp.core.render.run_table import (
        default_keys,
        run_list,
        value_at,
    )

    entries = workspace.index.entries(chosen)
    every = [key for key in default_keys(entries) if key != "age"]
    keys = [key for key in every if any(value_at(entry, key) is not None for entry in entries)]
    return run_list(
        entries,
        keys,
        now=clock.now(),
        style="latex" if form == "latex" else "md",
        precision=precision,
        ids=workspace.index.short(chosen),
    )


def _send(workspace: Workspace, chosen: Sequence[RunId], target: tuple[str, str]) -> None:
    tracker, uri = target
    if tracker != "mlflow":
        raise InvalidInput(f"cannot send runs to '{tracker}'", hints=["write `--to mlflow URI`"])
    from gitexp.features.bridges.mlflow_export import send_runs

    sent, known = send_runs(workspace, chosen, uri)
    text = f" ({known:,} were there before)" if known else ""
    say(f"sent {counted(sent, 'run')} to {uri}{text}")
