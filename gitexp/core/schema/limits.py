"""Limits of a record: names, values, integers, depth and size.

`check_table` checks values of the user before a run starts; the `refuse_*` functions check records
from the branch, before and after parsing.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, Final

from gitexp.core.errors import InvalidInput, UnreadableRecord
from gitexp.core.model.run import Table, Value, flatten, nest

MAX_RECORD_BYTES = 1 << 20
MAX_VALUE_BYTES = 64 << 10
MAX_NAME_BYTES = 200
MAX_DEPTH = 32
MAX_CLOCK = 2**53
"""Highest logical time: every JSON reader holds it exactly, and no history reaches it."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
"""TOML guarantees 64 bits; other readers of the branch need not accept more."""

_CONTROL: Final = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
"""A pattern, compiled at first use, because commands that only read do not need it."""


def check_table(table: Mapping[str, object], what: str) -> None:
    """Raise `InvalidInput` for values that a record cannot hold.

    The error names up to five faults and counts the others. `what` is the noun for the message:
    `parameter` or `metric`.
    """
    faults = list(_faults(table, what, "", 1))
    if not faults:
        return
    more = [f"and {len(faults) - 5} more"] if len(faults) > 5 else []
    raise InvalidInput(
        f"cannot record the {what}s" if len(faults) > 1 else f"cannot record a {what}",
        why="; ".join(faults[:5] + more),
        hints=["put long values in a file and name it with `--input`"]
        if any("too long" in fault for fault in faults)
        else [],
    )


def fit(table: Mapping[str, Value], what: str) -> tuple[Table, tuple[str, ...]]:
    """Return the nested table without values that a record cannot hold, and a warning for each."""
    kept: Table = {}
    warnings = []
    for name, value in flatten(table):
        try:
            check_table(nest({name: value}), what)
            kept[name] = value
        except InvalidInput as fault:
            warnings.append(f"left out: {fault.why}")
    return nest(kept), tuple(warnings)


def _faults(value: object, what: str, name: str, depth: int) -> Iterator[str]:
    label = f"{what} '{_shown(name)}'" if name else f"the {what}s"
    if depth > MAX_DEPTH:
        yield f"{label} is nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            fault = _name_fault(key)
            if fault:
                yield f"{label}: {fault}"
            else:
                yield from _faults(inner, what, f"{name}.{key}" if name else key, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _faults(inner, what, name, depth + 1)
    else:
        fault = _value_fault(value)
        if fault:
            yield f"{label} {fault}"


def _name_fault(key: object) -> str | None:
    if not isinstance(key, str) or not key:
        return "a name must be text and not empty"
    if re.search(_CONTROL, key):
        return f"the name {_shown(key)!r} has control characters"
    if len(key.encode()) > MAX_NAME_BYTES:
        return f"the name '{_shown(key)}' is longer than {MAX_NAME_BYTES} bytes"
    return None


def _value_fault(value: object) -> str | None:
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        return "is an integer of more than 64 bits; quote it to keep it as text"
    if isinstance(value, str):
        if any("\ud800" <= c <= "\udfff" for c in value):
            return "is not valid unicode text"
        size = len(value.encode())
        if size > MAX_VALUE_BYTES:
            return f"is too long ({size:,} bytes, at most {MAX_VALUE_BYTES:,})"
        return None
    if isinstance(value, bool | int | float | datetime | date | time):
        return None
    return f"has a value of type {type(value).__name__}, which TOML cannot hold"


def _shown(name: str) -> str:
    return name if len(name) <= 60 else name[:57] + "..."


# Strings and comments, also unterminated ones, so that the search reads each character once.
_OPAQUE: Final = (
    r'''(?s:"""(?:[^"\\]++|\\.|"(?!""))*+(?:"{3,5}|\Z)|'{3}.*?(?:'{3,5}|\Z)'''
    r"""|"(?:[^"\\\n]++|\\[^\n])*+"?|'[^'\n]*+'?|\#[^\n]*+)"""
)
_LONG_NUMBER_DIGITS = 300
_MANY_DOTS: Final = rf"\.(?:[^.\n]*\.){{{MAX_DEPTH}}}"
_LONG_NUMBER: Final = rf"[0-9a-fA-F_]{{{_LONG_NUMBER_DIGITS}}}"


def refuse_depth(text: str) -> None:
    """Raise `UnreadableRecord` for TOML that would exhaust a parser. Call it before parsing.

    Many dotted keys, brackets and very long numbers cost parsers quadratic time, overflow their
    stack, or crash them. Inside quotes and comments they are harmless text.
    """
    brackets = text.count("[") + text.count("{")
    dotted = text.count(".") > MAX_DEPTH and re.search(_MANY_DOTS, text)
    if brackets <= MAX_DEPTH and not dotted and not _has_long_line(text):
        return
    bare = re.sub(_OPAQUE, "~", text)
    too_deep = max(part.count(".") for part in re.split(r"[=,\n{}\[\]]", bare)) > MAX_DEPTH
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", bare):
        depth += 1 if bracket[0] in "[{" else -1
        if too_deep := too_deep or depth > MAX_DEPTH:
            break
    if too_deep:
        raise UnreadableRecord("cannot read a record", why=f"nested deeper than {MAX_DEPTH} levels")
    if re.search(_LONG_NUMBER, bare):
        raise UnreadableRecord(
            "cannot read a record", why="it holds an integer of more than 64 bits"
        )


def _has_long_line(text: str) -> bool:
    """Return whether a line is long enough for a very long number.

    Takes few steps, because it checks every record.
    """
    start = 0
    while start + _LONG_NUMBER_DIGITS <= len(text):
        newline = text.rfind("\n", start, start + _LONG_NUMBER_DIGITS)
        if newline < 0:
            return True
        start = newline + 1
    return False


def refuse_values(value: Any, depth: int = 0) -> None:
    """Raise `UnreadableRecord` for parsed values beyond the limits."""
    if depth > MAX_DEPTH:
        raise UnreadableRecord("cannot read a record", why=f"nested deeper than {MAX_DEPTH} levels")
    members: Collection[Any] = value if isinstance(value, list) else (value,)
    members = value.values() if isinstance(value, dict) else members
    kinds = set(map(type, members))  # most tables need no look at each value
    if int in kinds and not all(
        INT_MIN <= inner <= INT_MAX for inner in members if type(inner) is int
    ):
        raise UnreadableRecord(
            "cannot read a record", why="it holds an integer of more than 64 bits"
        )
    if dict in kinds or list in kinds:
        for inner in members:
            if type(inner) is dict or type(inner) is list:
                refuse_values(inner, depth + 1)
