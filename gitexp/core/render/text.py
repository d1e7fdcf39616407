"""Safe and short text for people: escaped characters, numbers, dates, durations, sizes.

Every text of a record passes `clean` before it reaches a terminal: a run may come from an untrusted
clone, and its name may contain terminal control sequences.
"""

import math
import re
import unicodedata
from collections.abc import Sized
from datetime import date, datetime, time
from functools import cache

from gitexp.core.model.run import Value

UNSAFE = (
    "\x00-\x1f\x7f-\x9f"  # control characters, C1 and ESC among them
    "\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
"""Set of characters that control a terminal, reorder text, or are invisible."""

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def clean(text: str, *, multiline: bool = False) -> str:
    r"""Show control, bidirectional and invisible characters as `\x1b`, `\u202e`.

    `multiline` keeps line ends and tabs. The result can be printed in any encoding that has the
    remaining letters.
    """
    if text.isascii() and text.isprintable():
        return text
    if multiline:
        return _unsafe_but_layout().sub(_escape, text.replace("\r\n", "\n"))
    return _unsafe().sub(_escape, text)


@cache
def _unsafe() -> re.Pattern[str]:
    return re.compile(f"[{UNSAFE}]")


@cache
def _unsafe_but_layout() -> re.Pattern[str]:
    return re.compile(f"(?![\n\t])[{UNSAFE}]")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


def width_of(text: str) -> int:
    """Return the terminal columns of clean text: two for wide letters, none for accents."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) or c in "\u200c\u200d\ufe0f" else _columns(c) for c in text
    )


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """Cut clean text to `columns` columns, with `…` at the end of cut text."""
    if width_of(text) <= columns:
        return text
    kept = list(text)
    while kept and width_of("".join(kept)) > columns - 1:
        kept.pop()
    return "".join(kept).rstrip() + "…"


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def fold(text: str, columns: int | None, *, joint: str = "") -> str:
    """Fold clean text, coloured or not, between words so that it fits.

    Continued lines are indented by two more than the first; each folded line ends with `joint`. A
    word wider than a line is cut. Without `columns` the text stays unchanged.
    """
    if columns is None or columns < MIN_FOLD:
        return text
    return "\n".join(
        line if _shown(line) <= columns else _fold_line(line, columns, joint)
        for line in text.split("\n")
    )


MIN_FOLD = 20
"""Minimum columns for folded text; narrower text cannot be read."""


def _shown(text: str) -> int:
    return width_of(_COLOUR.sub("", text))


def _fold_line(line: str, columns: int, joint: str) -> str:
    words = line.split(" ")
    first = next((n for n, word in enumerate(words) if word), 0)
    indent = " " * min(first + 2, columns // 2)
    folded, now = [], " " * first
    for word in words[first:]:
        fits = _shown(now) + 1 + _shown(word) + len(joint) <= columns
        if not now.strip():
            now += word
        elif fits:
            now += f" {word}"
        else:
            folded.append(now + joint)
            now = indent + word
        if _shown(now) > columns - len(joint):
            now = shorten(_COLOUR.sub("", now), columns - len(joint))
    return "\n".join([*folded, now])


# --- numbers --------------------------------------------------------------------------------------


def format_number(value: float, *, precision: int | None = 5) -> str:
    """Format a number with `precision` significant digits; integers and integer parts are never
    cut.

    `None` gives all digits, as Python reads them back.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if precision is None:
        return repr(value)
    if 10**precision <= abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.{precision}g}"


def format_like(value: float, other: float, *, precision: int | None = 5) -> str:
    """Format a number with as many decimals as another, so that two can be compared."""
    texts = [format_number(n, precision=precision) for n in (value, other)]
    decimals = [len(t.partition(".")[2]) if "e" not in t and "." in t else 0 for t in texts]
    is_short = decimals[0] < max(decimals)
    if not is_short or not math.isfinite(value) or "e" in texts[0] or "e" in texts[1]:
        return texts[0]
    return f"{value:.{max(decimals)}f}"


def format_signed(value: float, *, precision: int | None = 5) -> str:
    """Format a difference, always with its sign."""
    text = format_number(value, precision=precision)
    return text if text.startswith("-") or text == "nan" else f"+{text}"


def format_percent(share: float) -> str:
    """Format a relative difference in percent, always with its sign."""
    return f"{format_signed(float(share * 100), precision=3)}%"


def format_cell(value: Value | None, *, precision: int | None = 5) -> str:
    """Format any recorded value on one clean line; a missing value is empty."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return format_number(value, precision=precision)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list):
        return "[" + ", ".join(format_cell(member, precision=precision) for member in value) + "]"
    if isinstance(value, dict):
        members = (f"{clean(k)}={format_cell(v, precision=precision)}" for k, v in value.items())
        return "{" + ", ".join(members) + "}"
    return clean(value)


def format_param(value: Value | None, *, precision: int | None = 5) -> str:
    """Format the value of a parameter: a float keeps its point (`0.0`), unlike the integer 0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10 ** (precision or 15):
        return f"{value:.1f}"
    return format_cell(value, precision=precision)


def format_bytes(size: int) -> str:
    """Format a size in binary units."""
    if size < 1024:
        return f"{size} B"
    scaled = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        scaled /= 1024
        if scaled < 1024:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1024:.1f} PiB"


# --- time -----------------------------------------------------------------------------------------


def counted(things: Sized | int, one: str, many: str | None = None) -> str:
    """Format a count with its noun: `1 run`, `2,000 runs`."""
    count = things if isinstance(things, int) else len(things)
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def no_match(runs: int, query: str) -> str:
    """Say that a filter matches none of the runs: `none of the 3 runs matches: lr > 7`."""
    who = "the only run does not match" if runs == 1 else f"none of the {runs:,} runs matches"
    return f"{who}: {query}"


def format_age(moment: datetime, *, now: datetime) -> str:
    """Format an age as git does: `3 minutes ago`."""
    seconds = (now - moment).total_seconds()
    if seconds < -1:
        return "in the future"
    for limit, unit, length in (
        (90, "second", 1),
        (90 * 60, "minute", 60),
        (36 * 3600, "hour", 3600),
        (14 * 86400, "day", 86400),
        (70 * 86400, "week", 7 * 86400),
        (365 * 86400, "month", 365 * 86400 / 12),
        (math.inf, "year", 365.25 * 86400),
    ):
        if seconds < limit:
            count = max(0, round(seconds / length))
            return f"{counted(count, unit)} ago"
    raise AssertionError("every age is below infinity")


def format_moment(moment: datetime) -> str:
    """Format a time to the second: `2026-11-23 10:15:02 UTC`."""
    zone = moment.strftime("%Z") or "UTC"
    return f"{moment:%Y-%m-%d %H:%M:%S} {zone}"


def format_duration(seconds: float) -> str:
    """Format a duration in its two largest units: `12.5 s`, `1 min 15 s`, `3 h 02 min`."""
    if not math.isfinite(seconds) or seconds < 0:
        return "unknown"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours:02} h"
