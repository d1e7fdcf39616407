"""Propose patterns for output with numbers that look like metrics.

The values of a proposal are those that the pattern reads from the same lines, with the code that
reads them in a run. If that code finds nothing, there is no proposal.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gitexp.core.inputs.line_matching import STEP
from gitexp.core.inputs.metric_lines import NUMBER, THOUSANDS, Number, to_printed_quantity
from gitexp.core.inputs.printed_tables import columns_of
from gitexp.core.inputs.proposal import (
    MAX_PROPOSALS,
    WARNING,
    Proposal,
    escaped,
    exact_proposal,
    may_be_metric,
    name_of,
    proposal_of,
)
from gitexp.core.inputs.proposed_figures import figures_of
from gitexp.core.model.directions import guess_direction

_FIRST, _LAST = 1000, 4000
"""Lines of long output that are searched."""
_MAX_LINE: Final = 1000
_MAX_LABELS: Final = 300


class _Label(NamedTuple):
    """Text before a number: its words, and the separator."""

    words: str
    mark: str


_WORD: Final = r"[A-Za-z][\w'\"./@()-]{0,40}"
_MENTION: Final = re.compile(
    rf"(?<![\w.])(?P<words>{_WORD}(?: {_WORD}){{0,11}})"
    r"(?P<mark>\s{0,4}(?:[:=]|->|→|\|)\s{0,20}|\s{1,60})"
    rf"(?P<number>{THOUSANDS}|{NUMBER})(?P<unit>\s?%)?(?![\w])(?![.,]\d)",
    re.ASCII | re.IGNORECASE,
)
_STEP: Final = re.compile(
    r"(?<![\w.])(?P<words>(?:global )?step|iter(?:ation)?|epoch|round)"
    r"(?P<mark>\s{0,2}[:=#]?\s{0,4}[\[(]?)(?P<number>\d{1,15})(?![\w])(?!\.\d)",
    re.ASCII | re.IGNORECASE,
)
_ROUND: Final = r"step=^\[(\d+)\]"
"""Line numbers of boosting libraries."""

_LEADING: Final = frozenset("a an and at debug error for info of our root the warning".split())


def propose(lines: Sequence[str]) -> list[Proposal]:
    """Return patterns for the likeliest metrics of the lines, after one for the step if found."""
    if len(lines) > _FIRST + _LAST:
        lines = [*lines[:_FIRST], *lines[-_LAST:]]
    lines = [line[:_MAX_LINE] for line in lines]
    found: list[Proposal] = []
    names: set[str] = set()
    likeliest = list(_likeliest(lines))
    for label, values in likeliest:
        name = name_of(label.words)
        if name in names:
            continue
        others = [other.words for other, _ in likeliest]
        proposal = _true_pattern(name, label, values, lines, others=others)
        if proposal is not None:
            names.add(name)
            found.append(proposal)
        if len(found) == MAX_PROPOSALS:
            break
    if not found:
        return _of_tables(lines) or figures_of(lines)
    step = _step(lines) if found and max(len(p.values) for p in found) > 1 else None
    return [step, *found] if step is not None else found


def _of_tables(lines: Sequence[str]) -> list[Proposal]:
    """Return patterns for the columns of printed tables."""
    found: dict[str, Proposal] = {}
    for column in columns_of(lines):
        name = name_of(column.heading)
        if name in found or not may_be_metric(name):
            continue
        proposal = proposal_of(name, column.expression, lines)
        if repr(proposal.values[: len(column.values)]) == repr(column.values):
            found[name] = proposal
    known = sorted(found.values(), key=lambda p: guess_direction(p.name) is None)
    return known[:MAX_PROPOSALS]


def _likeliest(lines: Sequence[str]) -> Iterator[tuple[_Label, list[Number]]]:
    """Return labels with their values, the likeliest metrics first."""
    mentions: dict[_Label, list[Number]] = {}
    for line in lines:
        if WARNING.search(line):
            continue
        seen: set[_Label] = set()
        for match in _MENTION.finditer(line):
            label = _Label(_stripped(match["words"]), match["mark"])
            quantity = to_printed_quantity(match["number"])
            if quantity is None or not label.words or label in seen:
                continue
            seen.add(label)
            if label in mentions or len(mentions) < _MAX_LABELS:
                mentions.setdefault(label, []).append(quantity[0])
    ranked = []
    for order, (label, values) in enumerate(mentions.items()):
        name = name_of(label.words)
        is_known = guess_direction(name) is not None
        recurs = len(values) > 2 and len(set(values)) > 1
        if not may_be_metric(name) or not (is_known or recurs):
            continue
        ranked.append((not is_known, -len(values) if not is_known else 0, order, label))
    for _, _, _, label in sorted(ranked):
        yield label, mentions[label]


def _stripped(words: str) -> str:
    """Remove the prefix of a logger, and articles; `error` alone may be a metric."""
    parts = words.split(" ")
    while parts and parts[0].lower() in _LEADING and parts != ["error"]:
        del parts[0]
    return " ".join(parts)


_BEFORE: Final = ("", r"\b", r"(?<!\w )\b", r"(?:^|[-,;:|(){}\[\]\t]\s*)\W?", r"^\s*")
"""Beginnings of patterns, the simplest first."""


def _true_pattern(
    name: str,
    label: _Label,
    values: Sequence[Number],
    lines: Sequence[str],
    *,
    others: Sequence[str],
) -> Proposal | None:
    """Return the simplest pattern that reads exactly the label's values; `None` if none does.

    If one of the other labels ends like this one, as `val_loss` like `loss`, the pattern does not
    match it in lines of later runs either.
    """
    prefixes = [o.removesuffix(label.words) for o in others if o.endswith(label.words)]
    skipped = 2 if any(o.endswith(" ") for o in prefixes) else 1 if any(prefixes) else 0
    words = r" ".join(map(escaped, label.words.split(" ")))
    mark = _mark(label.mark)
    expressions = (
        f"{before}{words}{mark}{number}"
        for before in _BEFORE[skipped:]
        for number in (r"([\d.]+)", r"(-?[\d.]+)", r"([-+\d.e]+)", r"([-+\w.]+)")
    )
    return exact_proposal(name, expressions, values, lines)


def _mark(mark: str) -> str:
    sign = mark.strip()
    if not sign:
        return " " if mark == " " else r"\s+"
    before = r"\s*" if mark[0].isspace() else ""
    after = "" if not mark[-1].isspace() else " " if mark.endswith(sign + " ") else r"\s*"
    return f"{before}{re.escape(sign).replace('->', '->')}{after}"


def _step(lines: Sequence[str]) -> Proposal | None:
    """Return a pattern for the step, if lines name a growing one."""
    candidates: dict[tuple[str, str], None] = {}
    for line in lines:
        match = _STEP.search(line)
        if match is not None:
            mark = re.escape(match["mark"]).replace(r"\ ", " ").replace(r"\:", ":")
            candidates[match["words"], mark] = None
        if len(candidates) > 10:
            break
    texts = [rf"{STEP}={words}{mark}(\d+)" for words, mark in candidates] + [_ROUND]
    order = {"step": 0, "global step": 0, "iter": 1, "iteration": 1}
    texts.sort(key=lambda text: order.get(text.partition("=")[2].split("(")[0].strip().lower(), 2))
    for text in texts:
        expression = re.compile(text.partition("=")[2])
        steps = [int(match[1]) for line in lines if (match := expression.search(line))]
        if len(set(steps)) > 1 and steps == sorted(steps):
            return Proposal(STEP, text, tuple(steps))
    return None
