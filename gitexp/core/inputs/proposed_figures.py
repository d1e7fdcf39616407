"""Propose patterns for the numbers of benchmarks and tests.

These stand before their words (`7.0 GB/s`, `836 nsec per loop`, `120 passed`), or they are times
with a unit (`Time (mean): 102.3 ms`), which count only where the output has no better number.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import filterfalse
from typing import Final, NamedTuple

from gitexp.core.inputs.metric_lines import NUMBER, THOUSANDS, Number, to_printed_quantity
from gitexp.core.inputs.proposal import (
    MAX_PROPOSALS,
    WARNING,
    Proposal,
    escaped,
    exact_proposal,
    name_of,
)
from gitexp.core.model.directions import guess_direction

_WORD: Final = "[A-Za-z]{1,20}"
_RATE: Final = rf"{_WORD}/{_WORD}|{_WORD} per {_WORD}|per (?:s|sec|second)"
_COUNT: Final = "passed|failed|failures?|errors?|wins|losses|hits|misses|violations"
_FIGURE: Final = re.compile(
    rf"(?<![\w.,])(?P<number>{THOUSANDS}|{NUMBER}) {{0,2}}(?P<words>{_RATE}|{_COUNT})(?![\w/])",
    re.ASCII | re.IGNORECASE,
)
_TIME: Final = re.compile(
    rf"(?P<words>\b(?:{_WORD}[ _]){{0,4}}(?:time|elapsed|duration|latency|took)\b"
    r"(?: \([^()]{1,30}\))?)(?P<mark>\s*[:=]\s*|\s+)"
    rf"(?P<number>{THOUSANDS}|{NUMBER}) ?(?P<unit>ns|us|µs|μs|ms|s|secs?|seconds?)(?!\w)",
    re.IGNORECASE,
)


_ITERATION: Final = re.compile(r"(?:^|_)it(?:_|$)")
"""Rates of progress bars, `15.3it/s`."""


class _Figure(NamedTuple):
    """Number in a line, before its words."""

    before: str
    """Text of the line before the number."""
    value: Number


def figures_of(lines: Sequence[str]) -> list[Proposal]:
    """Return patterns for rates and counts; if there are none, for times."""
    found: dict[str, Proposal] = {}
    for proposal in [*_figures(lines)] or _times(lines):
        if len(found) < MAX_PROPOSALS:
            found.setdefault(proposal.name, proposal)
    return list(found.values())


def _figures(lines: Sequence[str]) -> Iterator[Proposal]:
    """Yield patterns for numbers before a rate or a count.

    Lines that begin alike up to a word in which all differ, such as those of `go test -bench`,
    measure different things: each gets a pattern.
    """
    figures: dict[str, list[_Figure]] = {}
    for line in filterfalse(WARNING.search, lines):
        for match in _FIGURE.finditer(line):
            quantity = to_printed_quantity(match["number"])
            if quantity is not None:
                figure = _Figure(line[: match.start()], quantity[0])
                figures.setdefault(match["words"], []).append(figure)
    for words, found in figures.items():
        name = words.lower().replace("/", "_per_").replace(" ", "_")
        if guess_direction(name) is None or _ITERATION.search(name):
            continue
        starts = _starts([figure.before for figure in found])
        if starts is None and name.startswith("per"):  # the number has no word of its own
            starts = [found[0].before.split()[:1]] if len(found) == 1 else None
        values = [figure.value for figure in found]
        parts = (
            [([], values)] if starts is None else zip(starts, ([v] for v in values), strict=True)
        )
        for start, numbers in parts:
            proposal = _figure(start, words, name, numbers, lines)
            if proposal is not None:
                yield proposal


def _starts(texts: Sequence[str]) -> list[list[str]] | None:
    """Return the words of each line up to the first in which all differ; `None` if none do."""
    rows = [text.split() for text in texts]
    for place, column in enumerate(zip(*rows, strict=False)):
        if len(set(column)) == len(rows) > 1 and all(word[0].isalpha() for word in column):
            return [row[: place + 1] for row in rows]
        if len(set(column)) > 1:
            return None
    return None


def _figure(
    start: Sequence[str], words: str, name: str, values: Sequence[Number], lines: Sequence[str]
) -> Proposal | None:
    """Return a pattern that reads exactly the values before the words, in lines with a start."""
    full = "_".join(filter(None, (name_of(start[-1]) if start else "", name)))
    opening = r"\s+".join(map(escaped, start))
    before = rf"^\s*{opening}\s(?:.*?[\s(\[])?" if start else ""
    after = r"\s*" + re.escape(words).replace(r"\ ", " ") + r"\b"
    numbers = (r"(\d[\d.,]*)", r"([-+\d.,e]+)")
    return exact_proposal(full, (before + number + after for number in numbers), values, lines)


def _times(lines: Sequence[str]) -> Iterator[Proposal]:
    """Yield patterns for times with a unit, which is part of the name."""
    times: dict[tuple[str, str, str], list[Number]] = {}
    for line in filterfalse(WARNING.search, lines):
        match = _TIME.search(line)
        quantity = None if match is None else to_printed_quantity(match["number"])
        if match is not None and quantity is not None:
            key = match["words"], match["mark"].strip(), match["unit"]
            times.setdefault(key, []).append(quantity[0])
    for (words, mark, unit), values in times.items():
        name = f"{name_of(words)}_{unit.replace('µ', 'u').replace('μ', 'u').lower()}"
        label = " ".join(map(escaped, words.split(" ")))
        between = rf"\s*{re.escape(mark)}\s*" if mark else r"\s+"
        expression = rf"{label}{between}(\d[\d.,e-]*)\s?{unit}\b"
        proposal = exact_proposal(name, [expression], values, lines)
        if proposal is not None:
            yield proposal
