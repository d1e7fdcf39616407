"""Options that several commands share, with the same names everywhere."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

from gitexp.core.model.run import Outcome

if TYPE_CHECKING:
    from gitexp.core.model.run import Table

Command = TypeVar("Command", bound=Callable[..., Any])


def nested(assignments: tuple[str, ...]) -> "Table":
    """Parse `NAME=VALUE` assignments into one nested table. Raises `InvalidInput`."""
    from gitexp.core.inputs.argv import parse_assignment
    from gitexp.core.model.run import nest

    pairs = map(parse_assignment, assignments)
    return nest(*({".".join(path): value} for path, value in pairs))


class IntegerRange(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.3
    """A whole number within bounds. The help shows N instead of the bounds."""

    name = "whole number"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least = least
        self._most = most

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse the value. Raises `click.BadParameter` with the expected form."""
        try:
            number = int(str(value))
        except ValueError:
            self.fail(f"'{value}' is not a whole number", param, ctx)
        if number < self._least or (self._most is not None and number > self._most):
            at_most = "" if self._most is None else f" and at most {self._most}"
            self.fail(f"it must be at least {self._least}{at_most}, not {number}", param, ctx)
        return number


class Seconds(click.ParamType):  # type: ignore[type-arg]  # see `IntegerRange`
    """A number of seconds: finite, 0 or more."""

    name = "seconds"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse the value. Raises `click.BadParameter` with the expected form."""
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            self.fail(f"'{value}' is no number of seconds", param, ctx)
        return seconds


class Duration(click.ParamType):  # type: ignore[type-arg]  # see `IntegerRange`
    """A time span such as `90`, `60s`, `2.5m`, `1h`, converted to seconds; more than 0."""

    name = "duration"
    _UNITS: ClassVar[dict[str, float]] = {"": 1, "s": 1, "m": 60, "h": 3600}

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse the value. Raises `click.BadParameter` with the expected form."""
        text = str(value).strip()
        number = text.rstrip("smh")
        factor = self._UNITS.get(text[len(number) :], math.nan)
        try:
            seconds = float(number) * factor if number.isascii() else math.nan
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self.fail(f"'{text}' is no time span: write it like 90, 60s, 2.5m or 1h", param, ctx)
        return seconds


def count_option(what: str, *, default: int | None = None) -> Callable[[Command], Command]:
    """Return `-n N`, the number of rows to show; `what` is its help."""
    shown = "." if default is None else f" [default: {default}]."
    kind = IntegerRange(0 if default is None else 1)
    return click.option(
        *("-n", "--max-count", "count"), type=kind, default=default, metavar="N", help=what + shown
    )


def where_option(what: str = "Only runs for which EXPR is true.") -> Callable[[Command], Command]:
    """Return `-w EXPR`, a filter; `what` is its help."""
    return click.option("-w", "--where", metavar="EXPR", help=what)


def view_option(what: str) -> Callable[[Command], Command]:
    """Return `--view NAME`, a view of the project's settings file; `what` is its help."""
    return click.option("--view", "view_name", metavar="VIEW", help=what)


def measured_option(
    what: str = "A metric; dotted names nest. Repeatable.",
) -> Callable[[Command], Command]:
    """Return `-M NAME=VALUE`, a measured value; `what` is its help."""
    return click.option(
        *("-M", "--metric", "measured"), multiple=True, metavar="NAME=VALUE", help=what
    )


def metric_pattern_option(what: str) -> Callable[[Command], Command]:
    """Return `--metric-pattern NAME=REGEX`; `what` is its help."""
    return click.option(
        "--metric-pattern", "metric_patterns", multiple=True, metavar="PATTERN", help=what
    )


def outcome_option(
    what: str, *, default: str | None = None, who: str = "it ended"
) -> Callable[[Command], Command]:
    """Return `--outcome`, how a run ended; `what` names the default in the help."""
    outcomes = [outcome.value for outcome in Outcome if outcome is not Outcome.RUNNING]
    return click.option(
        "--outcome",
        type=click.Choice(outcomes),
        default=default,
        metavar="OUTCOME",
        help=f"How {who}: {', '.join(outcomes)} [default: {what}].",
    )


set_param_option = click.option(
    *("-S", "--set-param", "assignments"),
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter; dotted names nest. Repeatable.",
)
deciding_option = click.option(
    "--metric", metavar="METRIC", help="What decides [default: the project's, or a guess]."
)
sweep_option = click.option(
    "--sweep", metavar="SWEEP", help="Only runs of that sweep; `last` is the newest."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON, as docs/json.md says.")
precision_option = click.option(
    "--precision",
    type=IntegerRange(1, 17),
    default=5,
    metavar="N",
    help="Digits shown [default: 5].",
)
run_argument = click.argument("run", metavar="RUN")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
remote_argument = click.argument("remote", metavar="[REMOTE]", required=False)
