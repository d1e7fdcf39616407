"""Parse metrics that a program prints as lines `METRIC name=value`.

Reads every line of any program, so it never raises and its time is bounded: lines are cut at
`MAX_LINE` characters, and every expression is linear in practice.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from gitexp.core.schema.limits import INT_MAX, INT_MIN

MAX_LINE: Final = 4096
"""Characters of a line that are read; a longer `METRIC` line is invalid."""
MAX_PAIRS: Final = 200
"""Maximum number of values in a line."""

Number: TypeAlias = int | float


class Reading(NamedTuple):
    """Content of a line."""

    values: dict[str, Number]
    """Values by metric name; empty for an invalid `METRIC` line."""
    units: dict[str, str]
    """Units of the values printed with one, such as `%`."""
    step: int | None = None
    fault: str | None = None
    """Reason why the line is invalid."""


# --- numbers --------------------------------------------------------------------------------------

NUMBER: Final = (
    r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,4})?"
    r"|[+-]?(?:inf(?:inity)?|nan)(?![^\W_])"
)
"""Number as programs print it; its words in any case need `re.IGNORECASE`."""
UNIT: Final = r"%|‰|it/s|ms|us|µs|μs|ns|min|[kKMGT]i?B|[kMG]?Hz|[sBh]"
"""Unit that may follow a number; both letters for micro are included."""
THOUSANDS: Final = r"[+-]?\d{1,3}(?:,\d{3}){1,12}(?!,?\d)(?:\.\d{1,40})?"
"""Number with commas between its thousands. METRIC lines have none: there a comma ends a value."""
_THOUSANDS: Final = re.compile(THOUSANDS, re.ASCII)
_SPELLED: Final = re.compile(rf"({NUMBER})(?:[ ]?({UNIT}))?\Z", re.ASCII | re.IGNORECASE)
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,400}\x07)")


def to_quantity(text: str) -> tuple[Number, str | None] | None:
    """Parse a number with unit: `97.3%` is 97.3 and `%`; `None` for other text.

    An integer with at most 64 bits stays an `int`. `None` too for a number too large for a float.
    """
    found = _SPELLED.match(text.strip())
    number = None if found is None else _number(found[1])
    return None if found is None or number is None else (number, found[2])


def to_printed_quantity(text: str) -> tuple[Number, str | None] | None:
    """Parse a number with unit, also one with commas between its thousands: `1,234.5 ms`."""
    text = text.strip()
    found = _THOUSANDS.match(text)
    if found is not None:
        text = found[0].replace(",", "") + text[found.end() :]
    return to_quantity(text)


def _number(text: str) -> Number | None:
    if text.lstrip("+-").isdigit():
        whole = int(text)
        if INT_MIN <= whole <= INT_MAX:
            return whole
    number = float(text)
    is_overflow = number in (float("inf"), -float("inf")) and "inf" not in text.lower()
    return None if is_overflow else number


def plain_line(line: bytes) -> str:
    """Return a line as text, without the escape codes for colours."""
    text = line.decode(errors="replace")
    return _ESCAPES.sub("", text) if "\x1b" in text else text


# --- METRIC lines ---------------------------------------------------------------------------------

_WORD: Final = "METRIC"
_LOGGER: Final = re.compile(
    r"\b(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SUCCESS)\b"
    r"|\d{1,2}:\d{2}|\d{4}[-/]\d{2}[-/]\d{2}"
    r"|(?:[\]|>]|\b\d+:)\s*\Z"
)
"""Separates a logger's prefix from prose: a level, a time, a date, or their end."""
_MAX_PREFIX: Final = 300
_GAP: Final = re.compile(r"[\s,;|\[\]]*")
_END: Final = r"(?=[\s,;|\[\]]|\Z)"
_STEP: Final = re.compile(
    rf"(step|epoch)\s{{0,9}}[=:]\s{{0,9}}(\d{{1,18}})(?:/\d{{1,18}})?{_END}",
    re.ASCII | re.IGNORECASE,
)
_PAIR: Final = re.compile(
    r"(?:([^\s=,;|\[\]]{1,200})\s{0,9}=|([^\s=:,;|\[\]]{1,200})\s{0,9}:)"
    rf"\s{{0,9}}({NUMBER})(?:[ ]?({UNIT}))?{_END}",
    re.ASCII | re.IGNORECASE,
)


def parse_metric_line(line: str) -> Reading | None:
    """Parse `METRIC name=value ... [step=3]`; `None` for a line that does not begin like one.

    Blanks, or the prefix of a logger, may come before it. A line that begins like one and is not
    valid as a whole has no value and a `fault`.
    """
    at = line.find(_WORD)
    if at < 0 or at > _MAX_PREFIX:
        return None
    before, after = line[:at].strip(), line[at + len(_WORD) :]
    if after[:1] not in ("", " ", "\t", ":") or line[at - 1 : at].isalnum():
        return None
    if before and not _LOGGER.search(before):
        return None
    said = after.lstrip(" \t:").rstrip()
    if not any(c.isdigit() or c in "=:" for c in said):
        return None  # a heading, not a value
    if len(line) > MAX_LINE:
        return _unread(f"it is longer than {MAX_LINE:,} characters")
    return _read_pairs(said)


def _read_pairs(said: str) -> Reading:
    values: dict[str, Number] = {}
    units: dict[str, str] = {}
    steps: dict[str, int] = {}
    for found in _pairs(said):
        if isinstance(found, str):
            return _unread(found)
        name, number, unit = found
        if unit == _WORD:
            steps[name] = int(number)
            continue
        values[name] = number
        units.pop(name, None)
        if unit:
            units[name] = unit
    if not values:  # the line has nothing else: a metric like any other
        return Reading({**steps}, {}) if steps else _unread("it names no value")
    if "step" in steps and "epoch" in steps:
        values.setdefault("epoch", steps["epoch"])
    return Reading(values, units, steps.get("step", steps.get("epoch")))


def _pairs(said: str) -> Iterator[tuple[str, Number, str | None] | str]:
    """Yield name, number and unit of each pair, or a final fault; a step has the unit `METRIC`."""
    position, count = _end_of_gap(said, 0), 0
    while position < len(said):
        count += 1
        if count > MAX_PAIRS:
            yield f"it has more than {MAX_PAIRS} values"
            return
        found = _STEP.match(said, position)
        if found is not None:
            yield found[1].lower(), int(found[2]), _WORD
        else:
            found = _PAIR.match(said, position)
            number = None if found is None else _number(found[3])
            if found is None or number is None:
                yield f"'{said[position : position + 40]}' is no `name=value` with a number"
                return
            yield found[1] or found[2], number, found[4]
        position = _end_of_gap(said, found.end())


def _end_of_gap(said: str, start: int) -> int:
    found = _GAP.match(said, start)
    return start if found is None else found.end()


def _unread(why: str) -> Reading:
    return Reading({}, {}, None, why)
