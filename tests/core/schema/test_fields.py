"""Schema table: it has every field of the dataclasses, and its names are distinct."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import pytest

from gitexp.core.model.run import (
    Annotation,
    Checks,
    Code,
    Command,
    FileState,
    Harvested,
    Parser,
    Run,
)
from gitexp.core.schema import fields as table
from gitexp.core.schema.kinds import TEXT, Field, Kind, record

RECORDS = {"code": Code, "command": Command, "parser": Parser, "checks": Checks}
EACH = {"inputs": FileState, "harvested": Harvested}


def kind_of(name: str) -> Kind:
    return next(field.kind for field in table.RUN.fields if field.name == name)


def kinds() -> Iterator[tuple[type, Kind | None]]:
    yield Run, table.RUN
    yield Annotation, table.ANNOTATION
    for name, made in RECORDS.items():
        yield made, kind_of(name)
    for name, made in EACH.items():
        yield made, kind_of(name).inner


@pytest.mark.parametrize(("made", "kind"), list(kinds()))
def test_table_declares_every_field_of_the_dataclass(made: type, kind: Kind) -> None:
    assert sorted(f.name for f in kind.fields) == sorted(f.name for f in fields(made))


def test_names_of_columns_filters_and_list_columns_are_distinct() -> None:
    found = list(table.fields_of(table.RUN))
    for names in (
        [f.name for f in found if f.field.column],
        [f.field.listed for f in found if f.field.listed],
    ):
        assert max(Counter(names).values()) == 1
    assert not table.DERIVED.keys() & {f.name for f in found if f.field.column}


def test_filters_have_columns() -> None:
    assert table.filters().keys() <= table.columns().keys()


@dataclass
class Small:
    """A record with one field."""

    a: str


def test_signature_changes_with_every_field() -> None:
    field = Field("a", TEXT)
    changed = (
        replace(field, name="b"),
        replace(field, json_name="b"),
        replace(field, column="TEXT"),
        replace(field, kind=record(Small, Field("a", TEXT))),
    )
    found = {table.signature(record(Small, f)) for f in (field, *changed)}
    assert len(found) == 1 + len(changed)
