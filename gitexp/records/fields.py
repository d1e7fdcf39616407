"""Which fields a record has, and how the value of each is read.

Floor 1, pure. What a field holds is untrusted; what is not as it should be raises one of `FAULTS`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from gitexp.errors import InvalidInput, Unreadable
from gitexp.ids import parse_object_id, parse_run_id
from gitexp.model import (
    Annotation,
    AnnotationKind,
    Checks,
    Code,
    Command,
    Decision,
    Direction,
    FileState,
    Harvested,
    Origin,
    Outcome,
    ParentRule,
    Parser,
    ReproductionVerdict,
    Run,
)
from gitexp.records.bounds import MAX_CLOCK

SCHEMA = 2
"""Version of the record that is written. All versions from 1 on are read.

1: as first written. 2: adds optional fields and the outcome `timed out`; a record of schema 1 is a
record of schema 2 without them.
"""

FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, InvalidInput)
"""What comes of a field that is not as it should be."""

Read: TypeAlias = Callable[[Any], Any]
"""Takes a value as the TOML reader gives it and gives ours."""


def known_schema(schema: object) -> None:
    """Refuse a record of a schema that we do not know. Raises `Unreadable`."""
    if isinstance(schema, int) and schema > SCHEMA:
        raise Unreadable(
            "cannot read a record",
            why=f"it has schema {schema}, this gitexp knows up to {SCHEMA}",
            hints=["update gitexp: `pip install -U gitexp`"],
        )
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise Unreadable("cannot read a record", why="it names no schema that gitexp ever wrote")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return tuple(map(_text, value)) if value else ()


def _int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected an integer, found {type(value).__name__}")
    return value


def _clock(value: object) -> int:
    number = _int(value)
    if not 0 <= number <= MAX_CLOCK:
        raise ValueError(f"expected a logical time up to {MAX_CLOCK}, found {number}")
    return number


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"expected a finite number, found {value!r}")
    return float(value)


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"expected a date with time, found {type(value).__name__}")
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a table, found {type(value).__name__}")
    return value


class Form:
    """A table of ours: which fields it has, and how each is read. What else it holds is ignored."""

    def __init__(
        self, make: Callable[..., Any], required: Mapping[str, Read], optional: Mapping[str, Read]
    ) -> None:
        self.make = make
        self.required = required
        self.fields = {**required, **optional}

    def __call__(self, table: Any) -> Any:
        fields = self.fields
        found = {name: fields[name](value) for name, value in table.items() if name in fields}
        if not self.required.keys() <= found.keys():
            raise KeyError(next(name for name in self.required if name not in found))
        return self.make(**found)


class _Each:
    """A table of the user's names, whose values are all read the same way."""

    def __init__(self, read: Read) -> None:
        self.read = read

    def __call__(self, table: Any) -> Any:
        return {_text(name): self.read(value) for name, value in _table(table).items()}


_FILES: Final = _Each(Form(FileState, {"sha256": _text, "bytes": _int}, {"named": bool}))
_HARVESTED: Final = _Each(
    Form(Harvested, {"kind": _text}, {"metrics": _int, "steps": _int, "params": _texts})
)
_CODE: Final = Form(
    Code,
    {"commit": parse_object_id, "tree": parse_object_id, "dirty": bool},
    {
        "snapshot": parse_object_id,
        "digest": _text,
        "branch": _text,
        "remote": _text,
        "left_out": _texts,
        "hashed": _FILES,
        "unhashed": _texts,
    },
)
_COMMAND: Final = Form(
    Command,
    {"argv": _texts, "directory": _text},
    {
        "template": _texts,
        "exit_code": _int,
        "metrics_files": _texts,
        "metric_patterns": _texts,
        "timeout_s": _float,
    },
)
_PARSER: Final = Form(Parser, {"by": _text}, {"given": _texts, "renamed": _Each(_text)})
_CHECKS: Final = Form(Checks, {"outcome": Outcome}, {"exit_code": _int, "output": _text})
RUN: Final = Form(
    Run,
    {
        "id": parse_run_id,
        "name": _text,
        "outcome": Outcome,
        "clock": _clock,
        "started": _moment,
        "author": _text,
        "origin": Origin,
        "code": _CODE,
    },
    {
        "duration_s": _float,
        "fingerprint": _text,
        "reason": _text,
        "parent": parse_run_id,
        "parent_rule": ParentRule,
        "reproduces": parse_run_id,
        "batch": _text,
        "round": _int,
        "session": _text,
        "source": _text,
        "tags": _texts,
        "produced": _texts,
        "warnings": _texts,
        "output_tail": _text,
        "command": _COMMAND,
        "checks": _CHECKS,
        "params": _table,
        "parsed": _table,
        "parser": _PARSER,
        "metrics": _table,
        "units": _Each(_text),
        "directions": _Each(Direction),
        "inputs": _FILES,
        "outputs": _FILES,
        "harvested": _HARVESTED,
        "reads": _FILES,
        "environment": _table,
    },
)
ANNOTATION: Final = Form(
    Annotation,
    {
        "id": _text,
        "run": parse_run_id,
        "kind": AnnotationKind,
        "clock": _clock,
        "time": _moment,
        "author": _text,
    },
    {
        "decision": Decision,
        "text": _text,
        "hint": _text,
        "tags": _texts,
        "verdict": ReproductionVerdict,
        "by": parse_run_id,
        "saw": _texts,
        "metrics": _table,
        "units": _Each(_text),
    },
)


def reader_of(place: Sequence[str]) -> Read | None:
    """How the value of a run at some place is read; `None` where any will do.

    The place is the names of the tables and the key, as `("code", "commit")`.
    """
    read: Read | None = known_schema if tuple(place) == ("schema",) else RUN
    for name in place if read is RUN else ():
        if isinstance(read, Form):
            read = read.fields.get(name)
        else:
            read = read.read if isinstance(read, _Each) else None
    return read
