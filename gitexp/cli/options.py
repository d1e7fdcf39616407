"""Options that several commands share, spelled the same everywhere.

Floor 6.
"""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gitexp.model import Table, Value


def nested(assignments: tuple[str, ...]) -> "Table":
    """Measured values as one table. Raises `InvalidInput`."""
    from gitexp.model import nest  # noqa: PLC0415 - only when used

    return nest(*({".".join(path): value} for path, value in pairs(assignments)))


def pairs(assignments: tuple[str, ...]) -> "tuple[tuple[list[str], Value], ...]":
    """Assignments one by one. Raises `InvalidInput`."""
    from gitexp.formats import parse_assignment  # noqa: PLC0415 - only when used

    return tuple(parse_assignment(text) for text in assignments)


json_option = click.option("--json", "as_json", is_flag=True, help="JSON, as docs/json.md says.")
precision_option = click.option(
    "--precision", type=click.IntRange(1, 17), default=5, show_default=True, help="Digits shown."
)
run_argument = click.argument("run", metavar="RUN")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
remote_argument = click.argument("remote", metavar="[REMOTE]", required=False)
