"""The lines of a journal: `crc32 as 8 hex digits, space, JSON, newline`.

Spaces around a line have no meaning.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from gitexp.core.errors import InvalidInput

_START_OF_LINE = re.compile(rb"(?=([0-9a-f]{8}) \{)")


def encode_line(document: Mapping[str, Any]) -> bytes:
    """Encode an event as a line. Raises `InvalidInput` for a value that JSON cannot hold."""
    try:
        body = _encoder()(document).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"cannot write the event '{document['event']}'", why=str(error)
        ) from error
    return b"%08x %b\n" % (zlib.crc32(body), body)


@cache
def _encoder() -> Callable[[object], str]:
    import json

    return json.JSONEncoder(separators=(",", ":")).encode


def parse_lines(lines: Iterable[bytes]) -> tuple[list[dict[str, Any]], int]:
    """Return the intact lines, and the number of damaged ones between them."""
    import json

    documents, damaged = [], 0
    for line in filter(None, (line.strip(b" ") for line in lines)):
        start = _find_good_end(line)
        damaged += start != 0
        if start is not None:
            documents.append(json.loads(line[start + 9 :]))
        elif not documents:
            break  # without its first line a journal is useless
    return documents, damaged


def _find_good_end(line: bytes) -> int | None:
    """Return the start of the intact line: 0, or the end of a line that a crash cut off."""
    for found in _START_OF_LINE.finditer(line):
        if zlib.crc32(line[found.start() + 9 :]) == int(found[1], 16):
            return found.start()
    return None
