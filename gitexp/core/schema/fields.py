"""The schema table: every field of a record, declared once.

It defines how records are read and written (`toml_codec`), their JSON documents (`json_codec`), the
columns of the cache (`storage.cache.sql`), the names that filters and sort keys may use
(`core.query.names`), and the columns of `git exp list` (`core.render.run_table`). A new field needs
a line here, a line in the dataclass in `model`, and a test.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import (
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
    SweepPlace,
)
from gitexp.core.schema.kinds import (
    BOOL,
    CLOCK,
    FLOAT,
    INT,
    MOMENT,
    OBJECT_ID,
    RUN_ID,
    SORTED_TEXTS,
    TABLE,
    TEXT,
    TEXTS,
    Field,
    Kind,
    each,
    one_of,
    record,
)

if TYPE_CHECKING:
    from gitexp.core.model.run import RecordedRun

SCHEMA = 2
"""Version of the records that gitexp writes. It reads all versions from 1 on.

1: the first one. 2: adds optional fields and the outcome `timed out`; a record of schema 1 is a
record of schema 2 without them.
"""

# --- the table ------------------------------------------------------------------------------------

_FILES: Final = each(
    record(
        FileState,
        Field("sha256", TEXT, required=True),
        Field("bytes", INT, required=True),
        Field("named", BOOL, omit_default=True),
    )
)
_HARVESTED: Final = each(
    record(
        Harvested,
        Field("kind", TEXT, required=True),
        Field("metrics", INT, omit_default=True),
        Field("steps", INT, omit_default=True),
        Field("params", TEXTS),
    )
)
_CODE: Final = record(
    Code,
    Field("commit", OBJECT_ID, required=True, column="TEXT", filters=True, listed="commit"),
    Field("tree", OBJECT_ID, required=True),
    Field("dirty", BOOL, required=True, column="BOOLEAN", filters=True, listed="dirty"),
    Field("snapshot", OBJECT_ID, column="TEXT"),
    Field("digest", TEXT, omit_default=True),
    Field("branch", TEXT, column="TEXT", filters=True, listed="branch"),
    Field("remote", TEXT),
    Field("left_out", TEXTS),
    Field("hashed", _FILES),
    Field("unhashed", TEXTS),
)
_COMMAND: Final = record(
    Command,
    Field("argv", TEXTS, required=True),
    Field("template", TEXTS),
    Field("directory", TEXT, required=True),
    Field("exit_code", INT, column="INTEGER", filters=True, listed="exit_code"),
    Field("metrics_files", TEXTS),
    Field("metric_patterns", TEXTS),
    Field("timeout_s", FLOAT),
)
_SWEEP: Final = record(
    SweepPlace,
    Field(
        "id",
        TEXT,
        required=True,
        called="sweep",
        column="TEXT",
        filters=True,
        listed="sweep",
    ),
    Field("number", INT, required=True),
    Field("attempts", INT),
    Field("pruned_at", INT),
    Field("worker", TEXT),
)
_PARSER: Final = record(
    Parser,
    Field("by", TEXT, required=True),
    Field("given", SORTED_TEXTS),
    Field("renamed", each(TEXT)),
)
_CHECKS: Final = record(
    Checks,
    Field("outcome", one_of(Outcome), required=True),
    Field("exit_code", INT),
    Field("output", TEXT, omit_default=True),
)
RUN: Final = record(
    Run,
    Field("id", RUN_ID, required=True, column="TEXT", filters=True, listed="id"),
    Field("name", TEXT, required=True, column="TEXT", filters=True, listed="name"),
    Field("outcome", one_of(Outcome), required=True, column="TEXT", filters=True, listed="outcome"),
    Field("clock", CLOCK, required=True, column="INTEGER"),
    Field("started", MOMENT, required=True, column="TEXT", filters=True, listed="started"),
    Field("duration_s", FLOAT, column="REAL", filters=True, listed="duration"),
    Field("author", TEXT, required=True, column="TEXT", filters=True, listed="author"),
    Field("origin", one_of(Origin), required=True, column="TEXT", filters=True, listed="origin"),
    Field(
        "fingerprint",
        TEXT,
        omit_default=True,
        column="TEXT",
        filters=True,
        listed="fingerprint",
    ),
    Field("reason", TEXT, column="TEXT", filters=True, listed="reason"),
    Field("parent", RUN_ID, column="TEXT", filters=True, listed="parent"),
    Field("parent_rule", one_of(ParentRule)),
    Field("reproduces", RUN_ID, column="TEXT", filters=True, listed="reproduces"),
    Field("batch", TEXT, column="TEXT"),
    Field("round", INT, column="INTEGER"),
    Field("session", TEXT, column="TEXT", filters=True, listed="session"),
    Field("source", TEXT, column="TEXT", filters=True, listed="source"),
    Field("tags", SORTED_TEXTS, json_name="start_tags"),
    Field("produced", SORTED_TEXTS),
    Field("warnings", TEXTS),
    Field("output_tail", TEXT, omit_default=True),
    Field("sweep", _SWEEP),
    Field("code", _CODE, required=True),
    Field("command", _COMMAND),
    Field("checks", _CHECKS),
    Field("params", TABLE),
    Field("parsed", TABLE),
    Field("parser", _PARSER),
    Field("metrics", TABLE),
    Field("units", each(TEXT)),
    Field("directions", each(one_of(Direction))),
    Field("inputs", _FILES),
    Field("outputs", _FILES),
    Field("harvested", _HARVESTED),
    Field("reads", _FILES),
    Field("changed_reads", _FILES),
    Field("environment", TABLE),
)
ANNOTATION: Final = record(
    Annotation,
    Field("id", TEXT, required=True),
    Field("run", RUN_ID, required=True),
    Field("kind", one_of(AnnotationKind), required=True),
    Field("clock", CLOCK, required=True),
    Field("time", MOMENT, required=True),
    Field("author", TEXT, required=True),
    Field("decision", one_of(Decision)),
    Field("text", TEXT),
    Field("hint", TEXT),
    Field("tags", SORTED_TEXTS),
    Field("verdict", one_of(ReproductionVerdict)),
    Field("by", RUN_ID),
    Field("saw", TEXTS, keep_empty=True),  # an empty list: none seen; absent: not known
    Field("metrics", TABLE),
    Field("units", each(TEXT)),
)

# --- what follows from it -------------------------------------------------------------------------


@frozen
class RecordedField:
    """Field of a run and its place. A call reads it from an entry, as filters and cache see it."""

    place: tuple[str, ...]
    """Names of the tables and the key, such as `("code", "commit")`."""
    field: Field

    @property
    def name(self) -> str:
        """Name in filters and of its column in the cache."""
        return self.field.called or self.place[-1]

    def value(self, entry: "RecordedRun") -> Any:
        """Return the value in an entry; `None` if it is absent."""
        value: Any = entry.run
        for name in self.place:
            value = getattr(value, name, None)
        return None if self.field.omit_default and not value else value

    def shown(self, value: Any) -> Any:
        """Convert a value of the field to that of its column."""
        if value is None or (self.field.omit_default and not value):
            return None
        return self.field.kind.sql(value)

    def __call__(self, entry: "RecordedRun") -> Any:
        """Return the value that filters compare."""
        return self.shown(self.value(entry))


@frozen
class Derived:
    """Attribute for filters that is no field: computed from the JSON document of a run."""

    column: str
    """SQL type of its column."""
    read: Callable[[Mapping[str, Any]], Any]
    """Returns the value that filters compare, `None` if it is absent."""


DERIVED: Final = {
    "decision": Derived("TEXT", lambda document: document.get("decision")),
    "disputed": Derived("BOOLEAN", lambda document: "disputed" in document or None),
}
"""Attributes for filters that are no fields, by name; of one type, one column of the cache."""


def fields_of(kind: Kind, above: tuple[str, ...] = ()) -> Iterator[RecordedField]:
    """Yield all fields of a record, those of nested records included."""
    for field in kind.fields:
        place = (*above, field.name)
        yield RecordedField(place, field)
        yield from fields_of(field.kind, place)


_ALL: Final = tuple(fields_of(RUN))


def columns() -> dict[str, tuple[str, RecordedField | Derived]]:
    """Return the columns of runs in the cache by name, fields first: SQL type and field."""
    found: dict[str, tuple[str, RecordedField | Derived]] = {
        f.name: (f.field.column, f) for f in _ALL if f.field.column is not None
    }
    return found | {name: (derived.column, derived) for name, derived in DERIVED.items()}


def filters() -> dict[str, RecordedField | Derived]:
    """Return the names that filters and sort keys may use, with what they name."""
    return {f.name: f for f in _ALL if f.field.filters} | DERIVED


def list_columns() -> "dict[str, Callable[[RecordedRun], Any]]":
    """Return the columns of `git exp list` for fields, with the reader of the value."""
    return {f.field.listed: f.value for f in _ALL if f.field.listed is not None}


def signature(kind: Kind) -> str:
    """Return a text that changes with every field of a record, to invalidate caches."""
    parts = [
        f"{field.name},{field.json_name or ''},{field.column or ''}{signature(field.kind)}"
        for field in kind.fields
    ]
    inner = "" if kind.inner is None else signature(kind.inner)
    return f"({';'.join(parts)}{inner})" if parts or inner else ""


# --- reading --------------------------------------------------------------------------------------


def known_schema(schema: object) -> None:
    """Raise `UnreadableRecord` for a schema that this gitexp does not know."""
    if isinstance(schema, int) and schema > SCHEMA:
        raise UnreadableRecord(
            "cannot read a record",
            why=f"it has schema {schema}, this gitexp knows up to {SCHEMA}",
            hints=["update gitexp: `pip install -U gitexp`"],
        )
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise UnreadableRecord(
            "cannot read a record", why="it names no schema that gitexp ever wrote"
        )
