"""A proposed pattern, and the names of proposed metrics."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from gitexp.core.inputs.metric_lines import Number
from gitexp.core.inputs.patterns import parse_pattern, read_lines
from gitexp.core.model.directions import guess_direction

MAX_PROPOSALS: Final = 6

WARNING: Final = re.compile(r"\b[A-Z]\w*Warning: |^\[LightGBM\] \[(?:Info|Warning)\]")
"""A Python warning, or what LightGBM tells of its start: their numbers are no metrics."""

_NO_METRIC: Final = frozenset(
    """batch bytes cpu cuda date day device devices elapsed epoch epochs eta examples gpu h id index
    iter iteration iterations iters it items job learning_rate line lr min minutes n node num
    number param parameters params pid port rank round rounds s samples sec seconds seed size step
    steps support task tasks thread threads time total v_num version warning worker
    workers""".split()
)
_JOINING: Final = frozenset("for of on the with".split())
_TRAILING: Final = frozenset("are at is of on was with".split())
_PER_TIME: Final = re.compile(r"/(?=(?:s|sec|second|min|minute|h|hour)\b)")


class Proposal(NamedTuple):
    """Pattern for one metric, or for the step."""

    name: str
    pattern: str
    """Text for `--metric-pattern`."""
    values: tuple[Number, ...]
    """Values that it reads from the output."""
    unit: str | None = None


def proposal_of(name: str, expression: str, lines: Sequence[str]) -> Proposal:
    """Return the pattern for a metric with what it reads from the lines, perhaps nothing."""
    pattern = f"{name}={expression}"
    readings = read_lines([parse_pattern(pattern)], lines)
    units = [reading.units[name] for reading in readings if name in reading.units]
    values = tuple(reading.values[name] for reading in readings if name in reading.values)
    return Proposal(name, pattern, values, units[-1] if units else None)


def exact_proposal(
    name: str, expressions: Iterable[str], values: Sequence[Number], lines: Sequence[str]
) -> Proposal | None:
    """Return the first pattern that reads exactly the values; `None` if none does."""
    for expression in expressions:
        proposal = proposal_of(name, expression, lines)
        if repr(proposal.values) == repr(tuple(values)):
            return proposal
    return None


def name_of(words: str) -> str:
    """Return a short name: all words of a short label, the known metric in a long one."""
    clean = _PER_TIME.sub(" per ", re.sub(r"'s\b", "", words.lower()))
    parts = [p for p in re.split(r"[^a-z0-9_@]+", clean) if p]
    while parts and parts[-1] in _TRAILING:
        del parts[-1]
    if len(parts) > (5 if "per" in parts else 3) or _JOINING.intersection(parts):
        known = [part for part in parts if guess_direction(part) is not None]
        parts = known[:1] or parts[-1:]
    return "_".join(parts).strip("_")


def may_be_metric(name: str) -> bool:
    """Return False for names of steps, settings, counters and times, and for no name."""
    last = "" if "_per_" in name else name.rpartition("_")[2]
    return bool(name) and name not in _NO_METRIC and last not in _NO_METRIC


def escaped(word: str) -> str:
    """Return an expression for a word without signs that make an option hard to type."""
    return re.sub(r"'|\"", ".", re.escape(word).replace(r"\-", "-"))
