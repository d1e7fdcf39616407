"""Conversions of each type: from TOML, to TOML, to JSON, from JSON, to a cache column.

A record also has a direct way from TOML to JSON, for the cache: building no dataclasses halves the
time.

`fields` declares the kind of each field of a record. Values are untrusted: `read` raises one of
`FIELD_ERRORS` for an unexpected value.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, Final, TypeAlias

from gitexp.core.errors import InvalidInput
from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import ObjectId, RunId, parse_object_id, parse_run_id
from gitexp.core.model.run import Value
from gitexp.core.schema.limits import MAX_CLOCK

FIELD_ERRORS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, InvalidInput)
"""Exceptions raised when the value of a field is not of its kind."""

Convert: TypeAlias = Callable[[Any], Any]


def same(value: Any) -> Any:
    """Return the value itself."""
    return value


@frozen
class Kind:
    """Conversions of one type; each takes and returns one value."""

    read: Convert
    """TOML value to Python value. Raises one of `FIELD_ERRORS`."""
    toml: Convert = same
    """Python value to TOML value."""
    json: Convert = same
    """Python value to JSON value."""
    unjson: Convert = same
    """JSON value to Python value; inverse of `json` except for values that `typed_values` keeps."""
    sql: Convert = same
    """Python value to the value of a cache column, which filters compare."""
    direct: Convert | None = None
    """`recode` without Python values in between; `None`: through `read` and `json`."""
    many: bool = False
    """True for lists and tables, which are not written if empty."""
    fields: "tuple[Field, ...]" = ()
    """Fields of a record."""
    inner: "Kind | None" = None
    """Kind of all values of a table."""

    @property
    def recode(self) -> Convert:
        """TOML value to JSON value. Raises one of `FIELD_ERRORS`, as `read` does."""
        if self.direct is not None:
            return self.direct
        if self.json is same:
            return self.read
        return lambda value: self.json(self.read(value))


@frozen
class Field:
    """Field of a record: an attribute of its dataclass and a key of its table."""

    name: str
    kind: Kind
    required: bool = False
    """True if a record without it is unreadable."""
    omit_default: bool = False
    """True if an empty text, zero or false is not written."""
    keep_empty: bool = False
    """True if an empty list is written, because an absent one has another meaning."""
    json_name: str | None = None
    """Key in JSON documents, if it is not `name`."""
    called: str | None = None
    """Name in filters and in the cache, if it is not `name`."""
    column: str | None = None
    """SQL type of its column in the table `runs` of the cache; `None`: no column."""
    filters: bool = False
    """True if filters and sort keys may name it, which requires a column."""
    listed: str | None = None
    """Column name in `git exp list`; `None`: no column."""

    @property
    def omits_empty(self) -> bool:
        """True if an empty or zero value is not written."""
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


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, found {type(value).__name__}")
    return value


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
    """Return the table with its keys sorted, at every depth."""
    return {
        key: sorted_table(value) if isinstance(value, dict) else value
        for key, value in sorted(table.items())
    }


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


_AS_IT_IS: Final = frozenset((str, int, bool))
_JSON: Final = _AS_IT_IS | {float, dict}
"""Types of values that JSON may hold unchanged."""


def json_value(value: Value) -> Any:
    """Return a value for JSON: NaN and infinities by name, dates as ISO 8601 text."""
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


def json_table(table: Mapping[str, Value]) -> Mapping[str, Any]:
    """Return a table for JSON; see `json_value`. It is the table itself if nothing changes."""
    if _is_json(table):
        return table
    return {
        key: value
        if type(value) in _AS_IT_IS or (type(value) is float and value - value == 0)
        else json_value(value)
        for key, value in table.items()
    }


def _is_json(table: Mapping[str, Any]) -> bool:
    """Return whether `json_value` changes nothing in a table; False also if that takes long."""
    kinds = set(map(type, table.values()))
    if not kinds <= _JSON:
        return False
    if float in kinds:
        total = sum(value for value in table.values() if type(value) is float)
        if total - total != 0:  # NaN, an infinity, or a sum that is too large
            return False
    return dict not in kinds or all(_is_json(v) for v in table.values() if type(v) is dict)


# --- kinds ----------------------------------------------------------------------------------------

TEXT: Final = Kind(_text)
INT: Final = Kind(_int)
CLOCK: Final = Kind(_clock)
FLOAT: Final = Kind(_float)
BOOL: Final = Kind(_bool)
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
"""Names and values of the user, such as parameters and metrics."""


def one_of(words: type[StrEnum]) -> Kind:
    """Return the kind of a word from a fixed list."""
    known = {word.value: word.value for word in words}
    return Kind(
        words,
        toml=lambda w: w.value,
        json=lambda w: w.value,
        unjson=words,
        sql=str,
        direct=lambda text: known[text] if text in known else words(text).value,
    )


def each(kind: Kind) -> Kind:
    """Return the kind of a table with the user's names and values of one kind."""

    def read(table: Any) -> dict[str, Any]:
        return {_text(name): kind.read(value) for name, value in _table(table).items()}

    recode = kind.recode
    return Kind(
        read,
        toml=lambda table: {name: kind.toml(table[name]) for name in sorted(table)},
        json=lambda table: {name: kind.json(value) for name, value in table.items()},
        direct=lambda table: {_text(n): recode(value) for n, value in _table(table).items()},
        unjson=lambda table: {name: kind.unjson(value) for name, value in table.items()},
        many=True,
        inner=kind,
    )


def record(make: type[Any], *described: Field) -> Kind:
    """Return the kind of a table with these fields. `read` ignores other keys."""
    required = [field.name for field in described if field.required]
    readers = {field.name: field.kind.read for field in described}
    unjson = {f.json_name or f.name: (f.name, _unless_same(f.kind.unjson)) for f in described}

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
        toml=_writer([(field, field.name, field.kind.toml) for field in described]),
        json=_writer(
            [(field, field.json_name or field.name, field.kind.json) for field in described]
        ),
        unjson=from_json,
        direct=_recoder(make, described),
        fields=described,
    )


def _recoder(make: type[Any], described: "tuple[Field, ...]") -> Convert:
    """Return a function from the TOML table of a record to what `json(read(table))` is."""
    required = [field.name for field in described if field.required]
    defaults = {f.name: f.default for f in fields(make) if f.default not in (MISSING, None)}
    absent = {
        f.name: f.kind.toml(defaults[f.name])
        for f in described
        if f.name in defaults and not f.required and not f.omits_empty
    }
    steps = [(f.name, f.json_name or f.name, f.kind.recode, f.omits_empty) for f in described]

    def recode(table: Any) -> dict[str, Any]:
        found = {**absent, **_table(table)} if absent else _table(table)
        for name in required:
            if name not in found:
                raise KeyError(name)
        document: dict[str, Any] = {}
        for name, key, convert, omits_empty in [step for step in steps if step[0] in found]:
            value = convert(found[name])
            if value or not omits_empty:
                document[key] = value
        return document

    return recode


def _unless_same(convert: Convert) -> Convert | None:
    return None if convert is same else convert


def _writer(plan: "list[tuple[Field, str, Convert]]") -> Convert:
    """Return a function that writes the present fields of a value, in the order of the plan."""
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
"""Values that JSON changes: place, type and text of each."""

_FROM_TEXT: Final[dict[str, Callable[[str], Value]]] = {
    "float": float,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}


def typed_values(value: Value, at: list[str | int]) -> Typed:
    """Find the values inside a value that JSON changes, with their places below `at`."""
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
    """Copy a JSON value and put back the values that `typed_values` found in the original."""
    below: dict[str | int, Typed] = {}
    for (first, *rest), kind, text in typed:
        below.setdefault(first, []).append((rest, kind, text))
    copy = value.copy()
    for key, found in below.items():
        at, kind, text = found[0]
        copy[key] = restore(copy[key], found) if at else _FROM_TEXT[kind](text)
    return copy
