r"""Patterns that read metrics from any output: `val_loss=val loss ([\d.]+)`."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.line_matching import (
    STEP,
    Compiled,
    compile_pattern,
    compile_quietly,
    match_line,
)
from gitexp.core.inputs.metric_lines import MAX_LINE, Number, Reading, to_printed_quantity

MAX_PATTERNS: Final = 100
MAX_PATTERN: Final = 1000
"""Maximum characters of a pattern."""
_NAMED: Final = re.compile(r"([^\s=()\[\]{}\\^$|*+?]{1,200})=(.+)", re.DOTALL)


class MetricPattern(NamedTuple):
    """Parsed pattern."""

    text: str
    """Pattern as given."""
    expression: str
    name: str | None
    """Metric of the first unnamed group; `None` if groups are named."""


def parse_pattern(text: str) -> MetricPattern:
    """Parse `NAME=REGEX` with one group, or a regex with named groups.

    If groups other than `step` are named, they name the metrics, and the whole text is the regex.
    Raises `InvalidInput`.
    """
    if len(text) > MAX_PATTERN:
        raise _unusable(text, f"it is longer than {MAX_PATTERN:,} characters")
    split = _NAMED.match(text)
    if split is not None:
        try:
            compiled = compile_quietly(split[2])
        except (re.error, RecursionError, OverflowError):
            compiled = None
        if compiled is not None and not set(compiled.groupindex) - {STEP}:
            if compiled.groups > len(compiled.groupindex):
                return MetricPattern(text, split[2], split[1])
            if not compiled.groups:
                raise _unusable(text, "it has no group: brackets say where the number is")
    try:
        whole = compile_quietly(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise _unusable(text, str(error)) from error
    if not whole.groupindex:
        why = "it names no metric" if whole.groups else "it has no group"
        raise _unusable(text, why)
    return MetricPattern(text, text, None)


def parse_patterns(texts: Sequence[str]) -> tuple[MetricPattern, ...]:
    """Parse several patterns. Raises `InvalidInput` for the first invalid one."""
    if len(texts) > MAX_PATTERNS:
        raise InvalidInput(
            "cannot use the metric patterns", why=f"there are more than {MAX_PATTERNS}"
        )
    return tuple(parse_pattern(text) for text in texts)


def _unusable(text: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"cannot use the metric pattern '{text[:200]}'",
        why=why,
        hints=[
            r"write NAME=REGEX with one group: `--metric-pattern 'val_loss=val loss ([\d.]+)'`",
            "or name the groups: `(?P<val_loss>...)`; a group `step` is the step",
        ],
    )


def compile_patterns(patterns: Sequence[MetricPattern]) -> list[Compiled]:
    """Return the expression for `match_line`."""
    return [compile_pattern(pattern.expression, pattern.name) for pattern in patterns]


def reading_of(found: Mapping[str, str], line: str) -> Reading:
    """Convert the matches of patterns in a line to numbers.

    A text that is no number has no value; if none is left, the reading has a `fault`.
    """
    values: dict[str, Number] = {}
    units: dict[str, str] = {}
    step: int | None = None
    fault: str | None = None
    for name, text in found.items():
        quantity = to_printed_quantity(text.strip().rstrip(".,;:"))
        if name == STEP and quantity is not None and _is_step(quantity[0]):
            step = int(quantity[0])
        elif quantity is None or name == STEP:
            fault = f"'{text[:40]}' for {name} is no number (in '{line[:80]}')"
        else:
            values[name] = quantity[0]
            if quantity[1]:
                units[name] = quantity[1]
    return Reading(values, units, step, fault)


def _is_step(number: Number) -> bool:
    return 0 <= number <= 10**18 and number == int(number)


def read_lines(patterns: Sequence[MetricPattern], lines: Sequence[str]) -> list[Reading]:
    """Yield the readings of patterns from lines, in this process: only for fast expressions.

    As during a run, a step counts for all values up to the next step.
    """
    compiled = compile_patterns(patterns)
    step: int | None = None
    readings = []
    for line in lines:
        found = match_line(compiled, line[:MAX_LINE])
        if found:
            reading = reading_of(found, line)
            step = reading.step if reading.step is not None else step
            if reading.values:
                readings.append(reading._replace(step=step))
    return readings
