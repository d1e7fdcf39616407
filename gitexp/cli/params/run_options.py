"""The options that describe a run, shared by `run`, `record` and `start`.

A command receives their values as one `RunOptions` and converts it to a trial.
"""

import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import click

from gitexp.cli.params.options import set_param_option
from gitexp.cli.params.run_argument import find_id
from gitexp.core.errors import GitexpError
from gitexp.core.inputs.argv import parse_assignments
from gitexp.core.model.run import Direction, Origin
from gitexp.features.execution.prepare import RunRequest
from gitexp.features.recording.record import expect_start
from gitexp.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The values of the options that describe a run."""

    assignments: tuple[str, ...]
    name: str | None
    reason: str | None
    tags: tuple[str, ...]
    params_files: tuple[str, ...]
    metrics_files: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parent: str | None
    maximize: tuple[str, ...]
    minimize: tuple[str, ...]


class Starting(click.Command):
    """A command that starts a run. A wrong command line counts as a failed start as well."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. On a usage error, note in the session that a start failed."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            with suppress(GitexpError):
                expect_start(Workspace.open())
            raise


message_option = click.option(
    "-m", "--message", "reason", metavar="TEXT", help="Why this is tried."
)
tag_option = click.option(
    "-t", "--tag", "tags", multiple=True, metavar="TAG", help="A tag. Repeatable."
)
params_option = click.option(
    "--params",
    "params_files",
    multiple=True,
    metavar="FILE",
    help="Parameters from a file: toml, json, yaml. Repeatable.",
)
input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="PATH",
    help="A data file or folder whose content counts. Repeatable.",
)

RECORDING_OPTIONS = [
    set_param_option,
    click.option("-n", "--name", metavar="NAME", help="A name for the run."),
    message_option,
    tag_option,
    params_option,
    click.option(
        "--metrics",
        "metrics_files",
        multiple=True,
        metavar="FILE",
        help="Metrics from a file: toml, json, yaml, csv, jsonl. Repeatable.",
    ),
    input_option,
    click.option(
        "--output",
        "outputs",
        multiple=True,
        metavar="PATH",
        help="A file or folder the run writes; its hash is recorded. Repeatable.",
    ),
    click.option(
        "--parent",
        metavar="RUN",
        help="The run that this one continues [default: your newest on this code].",
    ),
    click.option("--maximize", multiple=True, metavar="METRIC", help="More is better. Repeatable."),
    click.option("--minimize", multiple=True, metavar="METRIC", help="Less is better. Repeatable."),
]
"""In the order of the help."""


def recording_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options above to a command, which receives them together as `options`."""

    @functools.wraps(command)
    def gathering(**values: Any) -> Any:
        options = RunOptions(**{field.name: values.pop(field.name) for field in fields(RunOptions)})
        return command(options=options, **values)

    decorated: Callable[..., Any] = gathering
    for option in reversed(RECORDING_OPTIONS):
        decorated = option(decorated)
    return decorated


def run_request(
    workspace: Workspace, options: RunOptions, origin: Origin, argv: tuple[str, ...]
) -> RunRequest:
    """Return the trial that the options describe, in the directory where git was called.

    Raises `InvalidInput` for a wrong value, `NotFound` for an unknown parent.
    """
    return RunRequest(
        origin=origin,
        argv=argv,
        directory=workspace.repo.start,
        params=parse_assignments(options.assignments),
        params_files=options.params_files,
        metrics_files=options.metrics_files,
        inputs=options.inputs,
        outputs=options.outputs,
        name=options.name,
        reason=options.reason,
        tags=options.tags,
        parent=None if options.parent is None else find_id(workspace, options.parent),
        directions={
            **dict.fromkeys(options.maximize, Direction.MAXIMIZE),
            **dict.fromkeys(options.minimize, Direction.MINIMIZE),
        },
    )
