"""Decode records of the same layout together.

Most records differ only in their values. The text around the values is the layout. Records of one
layout have the same fields at the same places, so the TOML parser finds these places once, and the
values are decoded column by column. `toml_codec` defines a record; this module refuses every record
with an unusual form, and the caller decodes it with `toml_codec`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, TypeAlias

from gitexp.core.errors import Unreadable
from gitexp.core.schema.fields import reader_of
from gitexp.core.schema.kinds import FAULTS, Convert
from gitexp.core.schema.limits import MAX_DEPTH
from gitexp.core.schema.toml_codec import decode_run, decode_table

Layout: TypeAlias = str
"""The text of a record with a NUL in the place of each value and of the ` = ` before it."""

Place: TypeAlias = tuple[str, ...]
"""Place of a value: the names of its tables, then its key."""

_VALUE: Final = re.compile(r" = (\[\n(?:    .*,\n)*+\]$|.*+)", re.MULTILINE)
"""The value of a key: the rest of the line, or a list with one line for each member."""


def take_apart(data: bytes) -> tuple[Layout, list[str]]:
    """Split a record into its layout and its values as written. Raises `Unreadable`."""
    try:
        parts = _VALUE.split(data.decode())
    except UnicodeDecodeError as error:
        raise _doubtful(error) from error
    return "\0".join(parts[::2]), parts[1::2]


def read_together(
    sample: bytes, layout: Layout, written: Iterable[Sequence[str]]
) -> dict[Place, list[Any]]:
    """Return the values of records with the layout of a sample, by place, as `decode_run` does.

    Raises `Unreadable` if any of the records may be invalid.
    """
    decode_run(sample)
    try:
        return {
            place: _read_column(column, reader_of(place))
            for place, column in zip(_places(layout), zip(*written, strict=True), strict=True)
        }
    except FAULTS as error:
        raise _doubtful(error) from error


def _places(layout: Layout) -> list[Place]:
    """Return the place of each value: parse the layout with a number as each value.

    Any other complete value instead of a number leaves the places of all others unchanged.
    """
    *before, last = layout.split("\0")
    numbered = "".join(f"{part} = {number}" for number, part in enumerate(before)) + last
    found = {number: place for place, number in _leaves(decode_table(numbered.encode()))}
    if "=" in layout:
        raise ValueError("there is more than keys and values")
    return [found[number] for number in range(len(before))]


def _leaves(table: Mapping[str, Any], above: Place = ()) -> Iterator[tuple[Place, Any]]:
    if len(above) >= MAX_DEPTH:
        raise ValueError("it is nested too deep for a list")
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _column_of(form: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{form}\n)++")


_DIGITS: Final = "(?:0|[1-9][0-9]{0,17}+)"
_EXPONENT: Final = "e[-+][0-9]{2}"
_FRACTION: Final = rf"(?:\.[0-9]{{1,30}}+(?:{_EXPONENT})?|{_EXPONENT})"
_FLOATS: Final = _column_of(f"-?{_DIGITS}{_FRACTION}")


def _read_number(written: str) -> int | float:
    return int(written) if written.removeprefix("-").isdigit() else float(written)


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...]] = (
    (_column_of(r'"[^"\\\x00-\x1f\x7f]*+"'), itemgetter(slice(1, -1))),
    (_column_of(f"-?{_DIGITS}"), int),
    (_column_of(f"-?{_DIGITS}{_FRACTION}?"), _read_number),
    (
        _column_of(r"[0-9]{4}(?:-[0-9]{2}){2} [0-9]{2}(?::[0-9]{2}){2}(?:\.[0-9]{6})?\+00:00"),
        datetime.fromisoformat,
    ),
)
"""Forms in which gitexp writes most values, each with a reader faster than a TOML parser."""


def _read_column(written: Sequence[str], read: Convert | None) -> list[Any]:
    """Decode the values of a column with the reader of its field."""
    if _FLOATS.fullmatch(_lines(written)):
        values = list(map(float, written))
        return values if read is None else list(map(read, values))
    distinct = set(written)
    plain = _reader_of_form(_lines(distinct)) or _read_value
    known = {text: plain(text) for text in distinct}
    if read is not None:
        known = {text: read(value) for text, value in known.items()}
    return list(map(known.__getitem__, written))


def _reader_of_form(lines: str) -> Callable[[str], Any] | None:
    """Return the reader of lines that all have one of `_FORMS`; `None` for other lines."""
    return next((plain for form, plain in _FORMS if form.fullmatch(lines)), None)


def _lines(written: Iterable[str]) -> str:
    return "\n".join(written) + "\n"


def _read_value(written: str) -> Any:
    """Decode a value of any form. Raises `ValueError` for a part of a longer value."""
    plain = _reader_of_form(written + "\n")
    if plain is not None:
        return plain(written)
    table = decode_table(f"value = {written}\n".encode())
    value = table.pop("value")
    members = value if isinstance(value, list) else [value]
    if table or "\r" in written or any(isinstance(member, dict | list) for member in members):
        raise ValueError("it is not one plain value")
    return value


def _doubtful(error: Exception) -> Unreadable:
    return Unreadable("cannot read records together", why=str(error))
