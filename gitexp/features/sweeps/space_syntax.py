"""How the values of a parameter are written: `0.1,0.01`, `2..8`, `0..1:0.1`, `log(1e-5..1e-1)`.

Pure.
"""

import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.inputs.argv import parse_value
from gitexp.core.model.run import Value
from gitexp.features.sweeps.space import Choice, Span, UnusableSpace, Values, check_count

_NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE: Final = re.compile(rf"\s*({_NUMBER})\.\.({_NUMBER})(?::([^:]*))?\s*\Z")
_LOG: Final = re.compile(r"\s*log\((.*)\)\s*\Z", re.DOTALL)
_HALF_RANGE: Final = re.compile(rf"\s*(?:{_NUMBER}\.\.[^/\\,]*|\.\.{_NUMBER})\s*\Z")
_WHOLE: Final = re.compile(r"[+-]?\d+\Z")


def parse_values(name: str, text: str) -> Values:
    """Read the text after `NAME=`: a list, a range, a JSON list of choices, or one value.

    Raises `UnusableSpace`.
    """
    if found := _LOG.match(text):
        return _log_range(name, text, found[1])
    if found := _RANGE.match(text):
        return _range(name, text, found[1], found[2], found[3])
    if _HALF_RANGE.match(text):
        hints = ["write `8..64`, `8..64:8` or `0.0..0.5`; a text goes into quotes: `'\"..5\"'`"]
        raise _unreadable(name, text, "a range has a number on each side", hints)
    parts = _split(name, text)
    if len(parts) == 1:
        value = parse_value(parts[0])
        if isinstance(value, list):
            if not value:
                raise _unreadable(name, text, "the list is empty")
            return Choice(tuple(value))
        if not parts[0].strip():
            raise _unreadable(name, text, "there is no value")
        return Choice((value,))
    if any(not part.strip() for part in parts):
        raise _unreadable(name, text, "a value between two commas is missing")
    if any(_RANGE.match(part) for part in parts):
        raise _unreadable(name, text, "a range stands alone, not in a list")
    return Choice(_distinct(parse_value(part.strip()) for part in parts))


def _unreadable(name: str, text: str, why: str, hints: Sequence[str] = ()) -> UnusableSpace:
    return UnusableSpace(f"cannot read the values '{name}={text[:60]}'", why=why, hints=hints)


def _distinct(values: Iterator[Value]) -> tuple[Value, ...]:
    return tuple({canonical(value): value for value in reversed(list(values))}.values())[::-1]


def _split(name: str, text: str) -> list[str]:
    """The parts between commas that are in no quotes and no brackets."""
    parts, start, depth, quote = [], 0, 0, ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and not text[start:position].strip(" [{,:"):
            quote = char
        elif char in "[{(":
            depth += 1
        elif char in "]})":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if quote or depth:
        raise _unreadable(name, text, "a quote or bracket is not closed")
    return [*parts, text[start:]]


def _range(name: str, text: str, low: str, high: str, step: str | None) -> Values:
    is_whole = bool(_WHOLE.match(low) and _WHOLE.match(high))
    span = Span(float(low), float(high), is_whole=is_whole)
    _check_span(name, text, span)
    if step is None:
        return span
    first, last, width = Decimal(low), Decimal(high), _decimal(step)
    if width is None or width <= 0:
        raise _unreadable(name, text, "a step is a number above zero")
    count = int((last - first) / width) + 1
    check_count(count, f"'{name}={text}'")
    steps = [first + n * width for n in range(count)]
    is_whole = is_whole and width == width.to_integral_value()
    return Choice(tuple(int(value) if is_whole else float(value) for value in steps))


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _log_range(name: str, text: str, inner: str) -> Values:
    found = _RANGE.match(inner)
    if found is None:
        raise _unreadable(name, text, "it holds no range", ["write `log(1e-5..1e-1)`"])
    span = Span(float(found[1]), float(found[2]), is_log=True)
    _check_span(name, text, span)
    if span.low <= 0:
        raise _unreadable(name, text, "a logarithm needs numbers above zero")
    if found[3] is None:
        return span
    if not _WHOLE.match(found[3]) or int(found[3]) < 2:
        raise _unreadable(name, text, "after the colon comes how many values it gives, at least 2")
    count = int(found[3])
    check_count(count, f"'{name}={text}'")
    return Choice(_distinct(span.at(n / (count - 1)) for n in range(count)))


def _check_span(name: str, text: str, span: Span) -> None:
    if not (math.isfinite(span.low) and math.isfinite(span.high)):
        raise _unreadable(name, text, "the numbers are too large")
    if span.low > span.high:
        raise _unreadable(name, text, "the range begins above its end")
