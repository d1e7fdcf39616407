"""Options that several commands share, spelled the same everywhere.

Floor 6.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gitexp.model import Direction, Table, Value

Command = TypeVar("Command", bound=Callable[..., Any])


RECORDING_OPTIONS = [
    click.option(
        "-S",
        "--set-param",
        "assignments",
        multiple=True,
        metavar="NAME=VALUE",
        help="A parameter; dotted names nest. Repeatable.",
    ),
    click.option("-n", "--name", help="A name of your own for the run."),
    click.option("-m", "--message", "reason", help="Why this is tried."),
    click.option("-t", "--tag", "tags", multiple=True, help="A tag. Repeatable."),
    click.option(
        "--params",
        "params_files",
        multiple=True,
        metavar="FILE",
        help="Parameters from a file: toml, json, yaml. Repeatable.",
    ),
    click.option(
        "--metrics",
        "metrics_files",
        multiple=True,
        metavar="FILE",
        help="Metrics from a file: toml, json, yaml, csv, jsonl. Repeatable.",
    ),
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="PATH",
        help="A data file or folder whose content counts. Repeatable.",
    ),
    click.option(
        "--output",
        "outputs",
        multiple=True,
        metavar="PATH",
        help="A file or folder the run writes; its hash is recorded. Repeatable.",
    ),
    click.option("--parent", metavar="RUN", help="The run this one tries to improve on."),
    click.option("--maximize", multiple=True, metavar="METRIC", help="More is better. Repeatable."),
    click.option("--minimize", multiple=True, metavar="METRIC", help="Less is better. Repeatable."),
]
"""What can be said about a run before it is recorded, in the order shown."""


def recording_options(command: Command) -> Command:
    """Give a command the options above."""
    for option in reversed(RECORDING_OPTIONS):
        command = option(command)
    return command


def directions(maximize: tuple[str, ...], minimize: tuple[str, ...]) -> "dict[str, Direction]":
    """The directions said by flags."""
    from gitexp.model import Direction  # noqa: PLC0415 - only when used

    return {
        **dict.fromkeys(maximize, Direction.MAXIMIZE),
        **dict.fromkeys(minimize, Direction.MINIMIZE),
    }


def nested(assignments: tuple[str, ...]) -> "Table":
    """Assignments as one table. Raises `InvalidInput`."""
    from gitexp.formats import assign, parse_assignment  # noqa: PLC0415 - only when used

    table: Table = {}
    for text in assignments:
        path, value = parse_assignment(text)
        assign(table, path, value)
    return table


def pairs(assignments: tuple[str, ...]) -> "tuple[tuple[list[str], Value], ...]":
    """Assignments one by one. Raises `InvalidInput`."""
    from gitexp.formats import parse_assignment  # noqa: PLC0415 - only when used

    return tuple(parse_assignment(text) for text in assignments)


def here(workspace_start: Path) -> Path:
    """The folder a command runs in: the user's."""
    return workspace_start


json_option = click.option("--json", "as_json", is_flag=True, help="JSON, as docs/json.md says.")
precision_option = click.option(
    "--precision", type=click.IntRange(1, 17), default=5, show_default=True, help="Digits shown."
)
run_argument = click.argument("run", metavar="RUN")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
remote_argument = click.argument("remote", metavar="[REMOTE]", required=False)
