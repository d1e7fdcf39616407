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
    is_share: bool = False
    """True if a count stands before the number: `Accuracy: 9831/10000 (98%)`."""
    phase: str = ""
    """Word such as `val` in its lines, if lines with the same words and another one exist."""

    @property
    def name(self) -> str:
        """Name of the metric."""
        return f"{self.phase.lower()}_{name_of(self.words)}".lstrip("_")


COUNT: Final = r"\d+/\d+ \("
_WORD: Final = r"[A-Za-z][\w'\"./@()-]{0,40}"
_MENTION: Final = re.compile(
    rf"(?<![\w.])(?P<words>{_WORD}(?: {_WORD}){{0,11}})"
    r"(?P<mark>\s{0,4}(?:[:=]|->|→|\|)\s{0,20}|\s{1,60})"
    rf"(?P<count>{COUNT}(?=[\d.]+\s?%))?"
    rf"(?P<number>{THOUSANDS}|{NUMBER})(?P<unit>\s?%)?(?![\w])(?![.,]\d)",
    re.ASCII | re.IGNORECASE,
)
_PHASE: Final = re.compile(
    r"(?<![a-z\d_])(?:train(?:ing)?|val(?:id(?:ation)?)?|eval(?:uation)?|test(?:ing)?|dev)(?![a-z\d_])",
    re.IGNORECASE,
)
_VARIABLE: Final = re.compile(r"[A-Z][A-Z\d]*_[A-Z\d_]+\Z")
"""Environment variable, as in advice to set one: its value is no metric."""
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
        if label.name in names:
            continue
        others = [other.words for other, _ in likeliest]
        proposal = _true_pattern(label, values, lines, others=others)
        if proposal is not None:
            names.add(label.name)
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
    mentions = _mentions(lines)
    ranked = []
    for order, (label, values) in enumerate(mentions.items()):
        name = label.name
        is_known = guess_direction(name) is not None
        recurs = len(values) > 2 and len(set(values)) > 1
        if not may_be_metric(name) or not (is_known or recurs):
            continue
        ranked.append((not is_known, -len(values) if not is_known else 0, order, label))
    for _, _, _, label in sorted(ranked):
        yield label, mentions[label]


def _mentions(lines: Sequence[str]) -> dict[_Label, list[Number]]:
    """Return the values of each label, those of each phase apart."""
    found: dict[_Label, list[tuple[str, Number]]] = {}
    for line in lines:
        for label, mention in _mentions_in(line).items():
            if label in found or len(found) < _MAX_LABELS:
                found.setdefault(label, []).append(mention)
    mentions: dict[_Label, list[Number]] = {}
    for label, values in found.items():
        has_phases = len({phase for phase, _ in values if phase}) > 1
        for phase, value in values:
            if phase or not has_phases:
                own = label._replace(phase=phase if has_phases else "")
                mentions.setdefault(own, []).append(value)
    return mentions


def _mentions_in(line: str) -> dict[_Label, tuple[str, Number]]:
    """Return the first value of each label of a line, with the phase that stands before it."""
    found: dict[_Label, tuple[str, Number]] = {}
    for match in () if WARNING.search(line) else _MENTION.finditer(line):
        label = _Label(_stripped(match["words"]), match["mark"], match["count"] is not None)
        quantity = to_printed_quantity(match["number"])
        if quantity is not None and label.words and not _VARIABLE.search(label.words):
            phase = _PHASE.search(line, 0, match.start())
            found.setdefault(label, (phase[0] if phase else "", quantity[0]))
    return found


def _stripped(words: str) -> str:
    """Remove the prefix of a logger, and articles; `error` alone may be a metric."""
    parts = words.split(" ")
    while parts and parts[0].lower() in _LEADING and parts != ["error"]:
        del parts[0]
    return " ".join(parts)


_BEFORE: Final = ("", r"\b", r"(?<!\w )\b", r"(?:^|[-,;:|(){}\[\]\t]\s*)\W?", r"^\s*")
"""Beginnings of patterns, the simplest first."""


def _true_pattern(
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
    mark = _mark(label.mark) + (COUNT if label.is_share else "")
    phase = rf"\b{label.phase}\b.*?" if label.phase else ""
    expressions = (
        f"{phase}{before}{words}{mark}{number}"
        for before in _BEFORE[skipped:]
        for number in (r"([\d.]+)", r"(-?[\d.]+)", r"([-+\d.e]+)", r"([-+\w.]+)")
    )
    return exact_proposal(label.name, expressions, values, lines)


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
