"""How the trials of a sweep run: the options that `sweep` and `sweep resume` share."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

from gitexp.cli.params.options import Duration, IntegerRange
from gitexp.features.sweeps.plan import Choices

MAX_FAILURES = 5
"""Trials that fail one after the other before a sweep stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """How the user wants the trials to run; the options that `sweep` and `sweep resume` share."""

    jobs: int | None
    executor: str | None
    names: tuple[str, ...]
    max_s: float | None
    failures: int
    again: bool
    retry_failed: bool
    prefix_output: bool
    quiet: bool
    as_json: bool
    dry_run: bool

    @property
    def choices(self) -> Choices:
        """What to do with trials that are known."""
        return Choices(again=self.again, retry_failed=self.retry_failed)


RUNNING_OPTIONS = [
    click.option("-j", "--jobs", type=IntegerRange(1), metavar="N", help="N trials at once."),
    click.option(
        "--executor",
        metavar="ADDRESS",
        help="Run on other machines: dask://HOST:8786 or tls://HOST:8786.",
    ),
    click.option(
        "--env",
        "names",
        multiple=True,
        metavar="NAME",
        help="A variable that trials on other machines get too. Repeatable.",
    ),
    click.option(
        "--max-time", "max_s", type=Duration(), metavar="TIME", help="Start nothing after TIME."
    ),
    click.option(
        "--stop-after-failures",
        "failures",
        type=IntegerRange(0),
        default=MAX_FAILURES,
        metavar="N",
        help=f"End after N failures in a row; 0: never [default: {MAX_FAILURES}].",
    ),
    click.option("--again", is_flag=True, help="Run every trial, also those with a result."),
    click.option("--retry-failed", is_flag=True, help="Run trials that failed once more."),
    click.option("--prefix-output", is_flag=True, help="Show what the trials print."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but problems."),
    click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON."),
    click.option("--dry-run", is_flag=True, help="Only say what would be done."),
]


def running_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options above; it receives them together, as `options`."""

    @functools.wraps(command)
    def gathering(**values: Any) -> Any:
        options = SweepOptions(
            **{field.name: values.pop(field.name) for field in fields(SweepOptions)}
        )
        return command(options=options, **values)

    decorated: Callable[..., Any] = gathering
    for option in reversed(RUNNING_OPTIONS):
        decorated = option(decorated)
    return decorated
