"""How the values of one type travel: from TOML, to TOML, to JSON, from JSON, into a cache column.

`fields` says which field of a record is of which kind. What a field holds is untrusted: `read`
raises one of `FAULTS` for a value that it does not expect.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, Final, TypeAlias

from gitexp.core.errors import InvalidInput
from gitexp.core.model.ids import ObjectId, RunId, parse_object_id, parse_run_id
from gitexp.core.model.run import Value
from gitexp.core.schema.limits import MAX_CLOCK

FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, InvalidInput)
"""What reading a field raises when its value is not of its kind."""

Convert: TypeAlias = Callable[[Any], Any]


def same(value: Any) -> Any:
    """The value itself."""
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """The conversions of one type; each takes and returns one value."""

    read: Convert
    """TOML value to our value. Raises one of `FAULTS`."""
    toml: Convert = same
    """Our value to TOML value."""
    json: Convert = same
    """Our value to JSON value."""
    unjson: Convert = same
    """JSON value to our value; the inverse of `json`, but for what `typed_values` keeps apart."""
    sql: Convert = same
    """Our value to the value of a cache column, which is what filters compare."""
    many: bool = False
    """True for lists and tables: an empty one is not written."""
    fields: "tuple[Field, ...]" = ()
    """Of a record: its fields."""
    inner: "Kind | None" = None
    """Of a table whose values are all of one kind: that kind."""

    def find(self, name: str) -> "Kind | None":
        """The kind of the value with that key; `None` when any value is accepted."""
        if self.inner is not None:
            return self.inner
        return next((field.kind for field in self.fields if field.name == name), None)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: an attribute of its dataclass and a key of its table."""

    name: str
    kind: Kind
    required: bool = False
    """True when a record without it cannot be read."""
    omit_default: bool = False
    """True when an empty text, zero or false is not written."""
    keep_empty: bool = False
    """True when an empty list is written, because absent means something else."""
    json_name: str | None = None
    """The key in JSON documents, where it is not `name`."""
    called: str | None = None
    """Its name in filters and in the run index, where it is not `name`."""
    column: str | None = None
    """SQL type of its column in the table `runs` of the run index; without it there is none."""
    filters: bool = False
    """True when filters and sort keys may name it; it needs a column then."""
    listed: str | None = None
    """Its column name in `git exp list`; without it there is none."""

    @property
    def omits_empty(self) -> bool:
        """True when an empty or zero value is not written."""
        return self.omit_default or (self.kind.many and not self.keep_empty)


# --- reading --------------------------------------------------------------------------------------


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


# --- writing --------------------------------------------------------------------------------------


def sorted_table(table: Mapping[str, Value]) -> dict[str, object]:
    """The table with its keys sorted, at every depth."""
    return {
        key: sorted_table(value) if isinstance(value, dict) else value
        for key, value in sorted(table.items())
    }


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


_AS_IT_IS: Final = frozenset((str, int, bool))


def json_value(value: Value) -> Any:
    """A value as JSON can carry it: NaN and infinities by name, dates as ISO 8601 text."""
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, dict):
        return {key: json_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [json_value(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bool | int | float | str):
        return value
    return value.isoformat()


def json_table(table: Mapping[str, Value]) -> dict[str, Any]:
    """A table as JSON can carry it."""
    return {
        key: value
        if type(value) in _AS_IT_IS or (type(value) is float and value - value == 0)
        else json_value(value)
        for key, value in table.items()
    }


# --- kinds ----------------------------------------------------------------------------------------

TEXT: Final = Kind(_text)
INT: Final = Kind(_int)
CLOCK: Final = Kind(_clock)
FLOAT: Final = Kind(_float)
BOOL: Final = Kind(bool)
RUN_ID: Final = Kind(parse_run_id, unjson=RunId)
OBJECT_ID: Final = Kind(parse_object_id, unjson=ObjectId)
MOMENT: Final = Kind(
    _moment,
    toml=lambda moment: moment.astimezone(UTC),
    json=datetime.isoformat,
    unjson=datetime.fromisoformat,
    sql=_utc_text,
)
TEXTS: Final = Kind(_texts, toml=list, json=list, unjson=tuple, many=True)
SORTED_TEXTS: Final = Kind(_texts, toml=sorted, json=list, unjson=tuple, many=True)
TABLE: Final = Kind(_table, toml=sorted_table, json=json_table, many=True)
"""Parameters, metrics and the like: the user's own names and values."""


def one_of(words: type[StrEnum]) -> Kind:
    """A word of a fixed list."""
    return Kind(words, toml=lambda w: w.value, json=lambda w: w.value, unjson=words, sql=str)


def each(kind: Kind) -> Kind:
    """A table of the user's names whose values are all of one kind."""

    def read(table: Any) -> dict[str, Any]:
        return {_text(name): kind.read(value) for name, value in _table(table).items()}

    return Kind(
        read,
        toml=lambda table: {name: kind.toml(table[name]) for name in sorted(table)},
        json=lambda table: {name: kind.json(value) for name, value in table.items()},
        unjson=lambda table: {name: kind.unjson(value) for name, value in table.items()},
        many=True,
        inner=kind,
    )


def record(make: Callable[..., Any], *fields: Field) -> Kind:
    """A table of ours with these fields. Other keys in it are ignored."""
    required = [field.name for field in fields if field.required]
    readers = {field.name: field.kind.read for field in fields}
    unjson = {f.json_name or f.name: (f.name, _unless_same(f.kind.unjson)) for f in fields}

    def read(table: Any) -> Any:
        found = {name: readers[name](value) for name, value in table.items() if name in readers}
        for name in required:
            if name not in found:
                raise KeyError(name)
        return make(**found)

    def from_json(document: Mapping[str, Any]) -> Any:
        found = {}
        for key, value in document.items():
            if key in unjson:
                name, convert = unjson[key]
                found[name] = value if convert is None else convert(value)
        return make(**found)

    return Kind(
        read,
        toml=_writer([(field, field.name, field.kind.toml) for field in fields]),
        json=_writer([(field, field.json_name or field.name, field.kind.json) for field in fields]),
        unjson=from_json,
        fields=fields,
    )


def _unless_same(convert: Convert) -> Convert | None:
    return None if convert is same else convert


def _writer(plan: "list[tuple[Field, str, Convert]]") -> Convert:
    """Writes the fields that a value has, in the order of the plan."""
    steps = [
        (field.name, key, _unless_same(convert), field.omits_empty) for field, key, convert in plan
    ]

    def write(value: Any) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for name, key, convert, omits_empty in steps:
            found = getattr(value, name)
            if found is None or (omits_empty and not found):
                continue
            table[key] = found if convert is None else convert(found)
        return table

    return write


# --- what JSON cannot carry -----------------------------------------------------------------------

Typed: TypeAlias = list[tuple[list[str | int], str, str]]
"""Values that JSON changes: where each is, its type, and its text."""

_FROM_TEXT: Final[dict[str, Callable[[str], Value]]] = {
    "float": float,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}


def typed_values(value: Value, at: list[str | int]) -> Typed:
    """The values in a value that JSON changes, with their places below `at`."""
    if type(value) in _AS_IT_IS:
        return []
    if isinstance(value, dict | list):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        return [
            found
            for key, inner in members
            if type(inner) not in _AS_IT_IS and not (type(inner) is float and inner - inner == 0)
            for found in typed_values(inner, [*at, key])
        ]
    if isinstance(value, float):
        return [] if math.isfinite(value) else [(at, "float", repr(value))]
    if isinstance(value, datetime | date | time):
        return [(at, type(value).__name__, value.isoformat())]
    return []


def restore(value: Any, typed: Typed) -> Any:
    """A copy of a JSON value with the values put back that `typed_values` found in the original."""
    below: dict[str | int, Typed] = {}
    for (first, *rest), kind, text in typed:
        below.setdefault(first, []).append((rest, kind, text))
    copy = value.copy()
    for key, found in below.items():
        at, kind, text = found[0]
        copy[key] = restore(copy[key], found) if at else _FROM_TEXT[kind](text)
    return copy
