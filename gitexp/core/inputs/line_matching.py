"""Regular expressions of the user applied to lines of output; also a program of its own.

Uses the standard library only. A hostile expression takes forever, and Python cannot stop it
on another thread: so while a command runs, this file runs as a process of its own that reads lines
from its input and writes what it found to its output (`adapters.system.line_matcher` starts it).
"""

import json
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Compiled: TypeAlias = tuple[re.Pattern[str], str | None]
"""An expression, and the metric that its first group without a name gives."""

SEARCH_S = 0.25
"""Processor seconds that one expression may take for one line."""
MAX_SLOW = 3
"""Slow lines after which the expression is given up."""
REPORT_EVERY = 256
"""Lines between two reports of how far the search is."""


def match_line(patterns: Sequence[Compiled], line: str) -> dict[str, str]:
    """What the expressions find in a line: text by metric name, `step` among them.

    An exponent or a percent sign right behind a group is part of its text: of `2e+68` the group
    `([\\d.]+)` is `2`, which would be another number.
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


def _whole(match: re.Match[str], number: int) -> str:
    """The text of a group, with what of its number or unit follows."""
    text, end = match[number], match.end(number)
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
    """Read the expressions, then lines with the time of each; write what was found, as JSON."""
    signal.signal(signal.SIGVTALRM, _on_time)
    patterns = [(re.compile(text), name) for text, name in json.loads(sys.stdin.buffer.readline())]
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
