"""Decoder of the part of the Protocol Buffers wire format that trackers use."""

import math
import struct
from collections.abc import Iterator
from typing import TypeAlias

from gitexp.core.errors import InvalidInput

Field: TypeAlias = tuple[int, int | bytes]
"""Number of a field and its value: a whole number, or bytes (text, message, fixed 4 or 8)."""


_LARGEST_SINGLE = 3.4028234e38


def fields(message: bytes) -> Iterator[Field]:
    """Yield the fields of a message in order. Raises `InvalidInput` when it is no message."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == 2:
            size, position = _varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise InvalidInput("cannot read a message", why=f"it has a field of kind {kind}")
        if position + size > len(message):
            raise InvalidInput("cannot read a message", why="it is cut off")
        yield number, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise InvalidInput("cannot read a message", why="it is cut off")


def first(message: bytes, number: int) -> bytes:
    """Return the first field of that number as bytes; empty when absent."""
    for found, value in fields(message):
        if found == number and isinstance(value, bytes):
            return value
    return b""


def text(value: int | bytes) -> str:
    """Return the value of a text field."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def signed(value: int | bytes) -> int:
    """Return a whole number that may be negative."""
    number = value if isinstance(value, int) else 0
    return number - (1 << 64) if number >= 1 << 63 else number


def real(value: int | bytes) -> float:
    """Return a number of 8 bytes, or of 4 with as few digits as possible. Raises `InvalidInput`."""
    if not isinstance(value, bytes) or len(value) not in (4, 8):
        raise InvalidInput("cannot read a message", why="a number has the wrong size")
    if len(value) == 8:
        return float(struct.unpack("<d", value)[0])
    single = float(struct.unpack("<f", value)[0])
    if math.isfinite(single):
        for digits in range(6, 10):
            short = float(f"{single:.{digits}g}")
            if abs(short) <= _LARGEST_SINGLE and struct.pack("<f", short) == value:
                return short
    return single
