"""Propose patterns for output with numbers that look like metrics.

The values of a proposal are those that the pattern reads from the same lines, with the code that
reads them in a run. If that code finds nothing, there is no proposal.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gitexp.core.inputs.metric_lines import NUMBER, THOUSANDS, Number, to_printed_quantity
from gitexp.core.inputs.patterns import STEP, parse_pattern, read_lines
from gitexp.core.inputs.printed_tables import columns_of
from gitexp.core.model.directions import guess_direction

MAX_PROPOSALS: Final = 6
_FIRST, _LAST = 1000, 4000
"""Lines of long output that are searched."""
_MAX_LINE: Final = 1000
_MAX_LABELS: Final = 300


class Proposal(NamedTuple):
    """Pattern for one metric, or for the step."""

    name: str
    pattern: str
    """Text for `--metric-pattern`."""
    values: tuple[Number, ...]
    """Values that it reads from the output."""
    unit: str | None = None


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
_RATE: Final = re.compile(
    rf"(?<![\w.,])(?P<number>{THOUSANDS}|{NUMBER}) {{0,2}}"
    r"(?P<rate>[A-Za-z]{1,20}/[A-Za-z]{1,20}|[A-Za-z]{1,20} per [A-Za-z]{1,20})(?![\w/])",
    re.ASCII | re.IGNORECASE,
)
"""A number before its label, as benchmarks print it: `7.0 GB/s`, `836 nsec per loop`."""
_WARNING: Final = re.compile(r"\b[A-Z]\w*Warning: ")
"""A Python warning: its numbers are no metrics."""
_ROUND: Final = r"step=^\[(\d+)\]"
"""Line numbers of boosting libraries."""

_NO_METRIC: Final = frozenset(
    """batch bytes cpu cuda date day device devices elapsed epoch epochs eta examples gpu h id index
    iter iteration iterations iters it items job learning_rate line lr min minutes n node num
    number param parameters params pid port rank round rounds s samples sec seconds seed size step
    steps support task tasks thread threads time total v_num version warning worker
    workers""".split()
)
_LEADING: Final = frozenset("a an and at debug error for info of our root the warning".split())
_JOINING: Final = frozenset("for of on the with".split())
_TRAILING: Final = frozenset("are at is of on was with".split())


def propose(lines: Sequence[str]) -> list[Proposal]:
    """Return patterns for the likeliest metrics of the lines, after one for the step if found."""
    if len(lines) > _FIRST + _LAST:
        lines = [*lines[:_FIRST], *lines[-_LAST:]]
    lines = [line[:_MAX_LINE] for line in lines]
    found: list[Proposal] = []
    names: set[str] = set()
    for label, values in _likeliest(lines):
        name = _name_of(label.words)
        if name in names:
            continue
        proposal = _true_pattern(name, label, values, lines)
        if proposal is not None:
            names.add(name)
            found.append(proposal)
        if len(found) == MAX_PROPOSALS:
            break
    if not found:
        return _of_tables(lines) or _of_rates(lines)
    step = _step(lines) if found and max(len(p.values) for p in found) > 1 else None
    return [step, *found] if step is not None else found


def _of_tables(lines: Sequence[str]) -> list[Proposal]:
    """Return patterns for the columns of printed tables."""
    found: dict[str, Proposal] = {}
    for column in columns_of(lines):
        name = _name_of(column.heading)
        is_metric = name not in _NO_METRIC and name.rpartition("_")[2] not in _NO_METRIC
        if not name or name in found or not is_metric:
            continue
        pattern = f"{name}={column.expression}"
        readings = read_lines([parse_pattern(pattern)], lines)
        read = [reading.values[name] for reading in readings if name in reading.values]
        if repr(read[: len(column.values)]) == repr(list(column.values)):
            units = [r.units[name] for r in readings if name in r.units]
            found[name] = Proposal(name, pattern, tuple(read), units[-1] if units else None)
    known = sorted(found.values(), key=lambda p: guess_direction(p.name) is None)
    return known[:MAX_PROPOSALS]


def _of_rates(lines: Sequence[str]) -> list[Proposal]:
    """Return patterns for numbers that stand before a rate, or a time for one thing.

    Lines that each begin with another word, such as those of `go test -bench`, measure different
    things: each gets a pattern.
    """
    rates: dict[str, list[tuple[str, Number]]] = {}
    for line in lines:
        if _WARNING.search(line):
            continue
        for match in _RATE.finditer(line):
            quantity = to_printed_quantity(match["number"])
            counted = re.split(r"\W", match["rate"])[0].lower()
            is_known = guess_direction(_rate_name(match["rate"])) is not None
            if quantity is not None and is_known and counted not in _NO_METRIC:
                first = line.split(maxsplit=1)[0]
                rates.setdefault(match["rate"], []).append((first, quantity[0]))
    found: dict[str, Proposal] = {}
    for rate, values in rates.items():
        firsts = [first for first, _ in values if first[0].isalpha()]
        if 1 < len(values) == len(set(firsts)):
            parts = [(first, [value]) for first, value in values]
        else:
            parts = [("", [value for _, value in values])]
        for first, numbers in parts:
            proposal = _rate_pattern(first, rate, numbers, lines)
            if proposal is not None and len(found) < MAX_PROPOSALS:
                found.setdefault(proposal.name, proposal)
    return list(found.values())


def _rate_pattern(
    first: str, rate: str, values: Sequence[Number], lines: Sequence[str]
) -> Proposal | None:
    """Return a pattern that reads exactly the values of a rate, after a line's first word."""
    name = "_".join(filter(None, (_name_of(first), _rate_name(rate))))
    before = f"^{_escaped(first)}\\s(?:.*?\\s)?" if first else ""
    after = r"\s*" + re.escape(rate).replace(r"\ ", " ") + r"\b"
    for number in (r"(\d[\d.,]*)", r"([-+\d.,e]+)"):
        pattern = f"{name}={before}{number}{after}"
        readings = read_lines([parse_pattern(pattern)], lines)
        read = [reading.values[name] for reading in readings if name in reading.values]
        if repr(read) == repr(list(values)):
            return Proposal(name, pattern, tuple(values))
    return None


def _rate_name(rate: str) -> str:
    """Return the name of a rate: `gb_per_s` for `GB/s`."""
    return rate.lower().replace("/", "_per_").replace(" ", "_")


def _likeliest(lines: Sequence[str]) -> Iterator[tuple[_Label, list[Number]]]:
    """Return labels with their values, the likeliest metrics first."""
    mentions: dict[_Label, list[Number]] = {}
    for line in lines:
        if _WARNING.search(line):
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
        name = _name_of(label.words)
        is_known = guess_direction(name) is not None
        recurs = len(values) > 2 and len(set(values)) > 1
        last = name.rpartition("_")[2]
        if not name or last in _NO_METRIC or name in _NO_METRIC or not (is_known or recurs):
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


def _name_of(words: str) -> str:
    """Return a short name: all words of a short label, the known metric in a long one."""
    clean = re.sub(r"'s\b", "", words.lower())
    parts = [p for p in re.split(r"[^a-z0-9_@]+", clean) if p]
    while parts and parts[-1] in _TRAILING:
        del parts[-1]
    if len(parts) > 3 or _JOINING.intersection(parts):
        known = [part for part in parts if guess_direction(part) is not None]
        parts = known[:1] or parts[-1:]
    return "_".join(parts).strip("_")


def _true_pattern(
    name: str, label: _Label, values: Sequence[Number], lines: Sequence[str]
) -> Proposal | None:
    """Return the simplest pattern that reads exactly the label's values; `None` if none does."""
    words = r" ".join(map(_escaped, label.words.split(" ")))
    mark = _mark(label.mark)
    for before in ("", r"\b", r"(?<!\w )\b", r"(?:^|[-,;:|(){}\[\]\t]\s*)\W?", r"^\s*"):
        for number in (r"([\d.]+)", r"(-?[\d.]+)", r"([-+\d.e]+)", r"([-+\w.]+)"):
            pattern = f"{name}={before}{words}{mark}{number}"
            readings = read_lines([parse_pattern(pattern)], lines)
            read = [reading.values[name] for reading in readings if name in reading.values]
            if repr(read) == repr(list(values)):
                units = [r.units[name] for r in readings if name in r.units]
                return Proposal(name, pattern, tuple(read), units[-1] if units else None)
    return None


def _escaped(word: str) -> str:
    escaped = re.escape(word).replace(r"\-", "-")
    return re.sub(r"'|\"", ".", escaped)  # a quote would make the option hard to type


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
