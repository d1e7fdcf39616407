"""Convert values of a Python program to values that a record can hold."""

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TypeAlias

from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import Outcome, Table, Value

Number: TypeAlias = bool | int | float

PLAIN_TYPES = frozenset({bool, int, float, str})
"""Exact types that need no conversion; a subclass such as `numpy.float64` needs one."""


_MAX_ARRAY = 10_000
"""Maximum length of an array that is recorded as a list."""

_SHORT_FLOATS = {"float16": "e", "float32": "f"}
"""Types of numbers with fewer bits than Python's, with their code in `struct`."""


def as_table(values: Mapping[str, Any]) -> Table:
    """Convert a mapping, namespace or dataclass to a table, and its NumPy-like numbers to Python's.

    Raises `InvalidInput` for values that cannot be recorded.
    """
    return {str(name): _plain(str(name), value) for name, value in _items(values)}


def _items(values: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(values, Mapping):
        yield from values.items()
    elif hasattr(values, "__dict__"):
        yield from vars(values).items()
    else:
        raise InvalidInput(f"cannot take parameters from a {type(values).__name__}")


def _plain(name: str, value: Any) -> Value:
    if isinstance(value, Mapping):
        return as_table(value)
    if isinstance(value, list | tuple | set | frozenset) or _is_array(value):
        ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [_plain(name, inner) for inner in ordered if inner is not None]
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if isinstance(value, datetime | date | time):
        return value
    return "none" if value is None else plain_number(name, value)


def _is_array(value: Any) -> bool:
    """Return whether a value is an array of NumPy or the like, of several members.

    A table of pandas has no `dtype`; its members are the names of its columns.
    """
    return (
        bool(getattr(value, "ndim", 0)) and hasattr(value, "dtype") and 1 < len(value) <= _MAX_ARRAY
    )


def plain_number(name: str, value: Any) -> Number | str:
    """Convert a number of NumPy, PyTorch or a similar library. Raises `InvalidInput`.

    A number of fewer bits than Python's becomes the shortest decimal number that means it:
    `float32(0.1)` is 0.1, not 0.10000000149011612.
    """
    with suppress(Exception):
        plain = value.item()
        if isinstance(plain, float):
            kind = str(getattr(value, "dtype", "")).removeprefix("torch.")
            return _shortest(plain, _SHORT_FLOATS.get(kind))
        if isinstance(plain, bool | int | float | str):
            return plain
    if isinstance(value, bool | int | float | str):
        return value
    raise InvalidInput(
        f"cannot record '{name}'",
        why=f"its value is a {type(value).__name__}, not a number or text",
    )


def _shortest(number: float, code: str | None) -> float:
    """Return the number with the fewest digits that is the same in a type of `struct`."""
    if code is None or number - number != 0:
        return number
    same = struct.pack(code, number)
    for digits in range(1, 10):
        short = float(f"{number:.{digits}g}")
        with suppress(OverflowError):
            if struct.pack(code, short) == same:
                return short
    return number


def own_argv(argv: list[str], directory: Path) -> tuple[str, ...]:
    """Return the command of a Python process, as a user would type it; empty at a prompt."""
    if not argv or not argv[0] or argv[0].startswith("-"):
        return ()
    script = Path(argv[0])
    if not script.is_file():
        return ()
    with suppress(ValueError):
        script = script.resolve().relative_to(directory)
    return ("python", script.as_posix(), *argv[1:])


def as_tags(tags: str | Iterable[object]) -> tuple[str, ...]:
    """Return tags as texts; a single text is one tag, not its letters."""
    return (tags,) if isinstance(tags, str) else tuple(str(tag) for tag in tags)


def as_outcome(text: str) -> Outcome:
    """Return the outcome of a run. Raises `InvalidInput` for an unknown one."""
    try:
        return Outcome(text)
    except ValueError as error:
        raise InvalidInput(
            f"there is no outcome '{text}'", hints=[f"known: {', '.join(Outcome)}"]
        ) from error
