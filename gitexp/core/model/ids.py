"""Identities: run ids and git object ids as distinct types, each with one validating parser.

New ids come from `adapters.system.clock`, never from here.
"""

import re
from typing import NewType

from gitexp.core.errors import InvalidInput

RunId = NewType("RunId", str)
"""16 lower-case hex digits, random, unique; the only identity of a run."""

ObjectId = NewType("ObjectId", str)
"""A full git object id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits."""

RUN_ID_LENGTH = 16
MIN_PREFIX_LENGTH = 7
"""Run ids are never shown shorter than this, as git does with commits."""

_RUN_ID = re.compile(r"[0-9a-f]{16}\Z")
_OBJECT_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


def parse_run_id(text: str) -> RunId:
    """Accept a full run id. Raises `InvalidInput` for anything else."""
    if not _RUN_ID.match(text):
        raise InvalidInput(f"'{text}' is not a run id", why="a run id has 16 hex digits")
    return RunId(text)


def parse_object_id(text: str) -> ObjectId:
    """Accept a full git object id. Raises `InvalidInput` for anything else."""
    if not _OBJECT_ID.match(text):
        raise InvalidInput(f"'{text}' is not a git object id", why="it has 40 or 64 hex digits")
    return ObjectId(text)


def is_null(oid: str) -> bool:
    """Tell whether this is git's all-zero 'no object'."""
    return not oid.strip("0")
