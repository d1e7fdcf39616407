"""Apply the user's regular expressions to lines of output; also a program of its own.

Uses only the standard library. A hostile expression never ends, and Python cannot stop it in
another thread. So while a command runs, this file runs as a process: it reads lines from its input
and writes matches to its output (`adapters.system.line_matcher` starts it).
"""

import json
import re
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Compiled: TypeAlias = tuple[re.Pattern[str], str | None]
"""Expression, and the metric of its first unnamed group."""

STEP = "step"
"""Group, or metric, whose number is the step of the values."""

SEARCH_S = 0.25
"""Limit of processor time for one expression on one line, in seconds."""
MAX_SLOW = 3
"""Slow lines after which the expression is dropped."""
REPORT_EVERY = 256
"""Lines between two progress reports."""


_DIGITS = r"(?:\\[d.]|\[(?:\\[d.]|0-9|[.,eE+-])+\]|[-+?*|]|\{\d+(?:,\d*)?\})"
_DIGITS_GROUP = re.compile(
    r"(?<![\\[])\((?:\?P<(?P<name>\w+)>)?"
    rf"(?P<digits>(?:{_DIGITS}|\(\?:{_DIGITS}+\))+)\)"
)
"""Group whose expression matches digits and their signs only: `([\\d.]+)`, `(\\d+(?:\\.\\d+)?)`."""
_WORDS = "[-+]?(?i:nan|inf(?:inity)?)"
_OTHER_NUMBERS = (
    rf"(?<==){_WORDS}(?![^\W_])|(?<!\w){_WORDS}(?!\w|-[^\W\d_])"  # no `inf_norm`, no `nan-check`
    r"|(?<![\w.-])-\d+(?:\.\d*)?|(?<![\w.-])-\.\d+"  # no `--0.5`
)


def compile_quietly(expression: str) -> re.Pattern[str]:
    """Compile an expression without Python's warnings about its meaning in later versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(expression)


def compile_pattern(expression: str, name: str | None) -> Compiled:
    """Compile the expression for a metric.

    A group for digits also matches `nan`, `inf` and a negative number. Else a run that diverges
    would keep the last value before that: its line would not match.
    """
    given = compile_quietly(expression)
    if name == STEP:
        return given, name
    try:
        widened = compile_quietly(_DIGITS_GROUP.sub(_with_other_numbers, expression))
    except (re.error, RecursionError, OverflowError):
        return given, name
    is_alike = widened.groups == given.groups and widened.groupindex == given.groupindex
    return (widened if is_alike else given), name


def _with_other_numbers(match: re.Match[str]) -> str:
    return match[0] if match["name"] == STEP else f"{match[0][:-1]}|{_OTHER_NUMBERS})"


def match_line(patterns: Sequence[Compiled], line: str) -> dict[str, str]:
    """Return the matches of the expressions in a line: text by metric name, including `step`.

    An exponent or a percent sign directly after a group belongs to its text: in `2e+68` the group
    `([\\d.]+)` matches only `2`, which would be another number. So do commas between thousands
    directly after the match: `1,234`.
    """
    found: dict[str, str] = {}
    for pattern, name in patterns:
        match = pattern.search(line)
        if match is not None:
            found.update(_groups(match, name))
    return found


def _groups(match: re.Match[str], name: str | None) -> Iterator[tuple[str, str]]:
    named = match.re.groupindex
    for key, number in named.items():
        if match[number] is not None:
            yield key, _whole(match, number)
    if name is None:
        return
    for number in range(1, match.re.groups + 1):
        if number not in named.values() and match[number] is not None:
            yield name, _whole(match, number)
            return


_DIGIT_AT_END = re.compile(r"\d\.?\Z")
_EXPONENT = re.compile(r"[eE][-+]?\d{1,4}(?![\w.])")
_UP_TO_999 = re.compile(r"[-+]?\d{1,3}")
_THOUSANDS = re.compile(r"(?:,\d{3}){1,12}(?!,?\d)(?:\.\d{1,40})?")


def _whole(match: re.Match[str], number: int) -> str:
    """Return the text of a group, extended by the rest of its number or unit."""
    text, end = match[number], match.end(number)
    if end == match.end() and _UP_TO_999.fullmatch(text):
        thousands = _THOUSANDS.match(match.string, end)
        if thousands is not None:
            text, end = text + thousands[0], thousands.end()
    exponent = _EXPONENT.match(match.string, end)
    if exponent is not None and _DIGIT_AT_END.search(text):
        return text + exponent[0]
    after = match.string[end : end + 2].lstrip(" ")
    return text + "%" if after.startswith("%") else text


# --- the program ----------------------------------------------------------------------------------


def _on_time(_number: int, _frame: Any) -> None:
    raise TimeoutError


def _match_in_time(patterns: Sequence[Compiled], line: str, slow: list[int]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, pattern in enumerate(patterns):
        if slow[number] >= MAX_SLOW:
            continue
        try:
            try:
                signal.setitimer(signal.ITIMER_VIRTUAL, SEARCH_S)
                found.update(match_line([pattern], line))
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except TimeoutError:
            slow[number] += 1
    return found


def main() -> None:
    """Read the expressions, then lines with their times; write the matches as JSON."""
    signal.signal(signal.SIGVTALRM, _on_time)
    patterns = [compile_pattern(*pattern) for pattern in json.loads(sys.stdin.buffer.readline())]
    slow = [0] * len(patterns)
    count = 0
    for raw in sys.stdin.buffer:
        seconds, _, line = raw.decode(errors="replace").rstrip("\n").partition("\t")
        found = _match_in_time(patterns, line, slow)
        count += 1
        if found:
            _write({"time": float(seconds), "found": found, "line": line[:200]})
        if count % REPORT_EVERY == 0:
            _write({"searched": count, "slow": slow})
    _write({"searched": count, "slow": slow})


def _write(document: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(document).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
