"""Run ids and git object ids as distinct types, each with one parser that validates.

`adapters.system.clock` creates new ids; this module does not.
"""

import re
from typing import NewType

from gitexp.core.errors import InvalidInput

RunId = NewType("RunId", str)
"""Random, unique id of a run: 16 lower-case hex digits. A run has no other identity."""

ObjectId = NewType("ObjectId", str)
"""Full git object id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits."""

RUN_ID_LENGTH = 16
MIN_PREFIX_LENGTH = 7
"""Minimum number of digits of a run id in output, as in git's abbreviated commit ids."""

_RUN_ID = re.compile(r"[0-9a-f]{16}\Z")
_OBJECT_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


def parse_run_id(text: str) -> RunId:
    """Parse a full run id. Raises `InvalidInput` for other text."""
    if not _RUN_ID.match(text):
        raise InvalidInput(f"'{text}' is not a run id", why="a run id has 16 hex digits")
    return RunId(text)


def parse_object_id(text: str) -> ObjectId:
    """Parse a full git object id. Raises `InvalidInput` for other text."""
    if not _OBJECT_ID.match(text):
        raise InvalidInput(f"'{text}' is not a git object id", why="it has 40 or 64 hex digits")
    return ObjectId(text)


def is_null(oid: str) -> bool:
    """Return whether an object id is git's null id, which is all zeros."""
    return not oid.strip("0")
