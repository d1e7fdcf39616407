"""Convert an entry to a JSON document and back, for `--json` and for the cache.

The document is a public interface (`docs/json.md`): within one `DOCUMENT_SCHEMA`, keys are added
but never renamed. JSON has no NaN, infinity or dates: numbers that are not finite become the texts
`NaN`, `Infinity`, `-Infinity`, and dates become ISO 8601 text. `typed_values` lists these values,
so that `parse_entry` can restore them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gitexp.core.model.run import Annotation, RecordedRun
from gitexp.core.schema.fields import ANNOTATION, RUN
from gitexp.core.schema.kinds import TABLE, Kind, Typed, json_table, json_value, restore
from gitexp.core.schema.kinds import typed_values as typed_in

__all__ = ["json_value"]

DOCUMENT_SCHEMA = 1


def entry_document(entry: RecordedRun, group: str | None = None) -> dict[str, Any]:
    """Return the JSON document of a run and its annotations, without absent values.

    `group` is the key of its group of repeats.
    """
    run, decision = entry.run, entry.decision
    document: dict[str, Any] = RUN.json(run)
    if run.parsed:
        document["given"] = document.pop("params", None)
        document["params"] = json_table(run.parameters)
    document |= {
        "group": group,
        "tags": list(entry.tags),
        "decision": decision and decision.decision and decision.decision.value,
        "disputed": [word.value for word in entry.disputed],
        "annotations": [annotation_document(a) for a in entry.annotations],
    }
    added = entry.added_metrics
    if added:
        document |= {
            "recorded_metrics": document.get("metrics"),
            "metrics": json_table(entry.metrics),
            "added_metrics": {name: _added_document(a) for name, a in added.items()},
            "recorded_units": document.get("units"),
            "units": entry.units,
        }
    return _present(document)


def plain_document(recorded: dict[str, Any], group: str | None = None) -> dict[str, Any]:
    """Return what `entry_document` returns for a run without annotations and parsed parameters.

    `recorded` is the document from `recode_run`.
    """
    document = dict(recorded) if group is None else {**recorded, "group": group}
    if "start_tags" in recorded:
        document["tags"] = sorted(set(recorded["start_tags"]))
    return document


def _present(document: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in document.items() if v is not None and v not in ([], {})}


def _added_document(annotation: Annotation) -> dict[str, str]:
    time = annotation.time.isoformat()
    return {"by": annotation.id, "time": time, "author": annotation.author}


def annotation_document(annotation: Annotation) -> dict[str, Any]:
    """Return the JSON document of one annotation."""
    document: dict[str, Any] = ANNOTATION.json(annotation)
    return document


def typed_values(entry: RecordedRun) -> Typed:
    """Return the values of a run and its annotations whose type differs in the document.

    Places are those in the record, with the annotations below `annotations`. Most runs have no such
    value.
    """
    found = _typed_in_places(_RUN_TABLES, entry.run, [], getattr)
    for n, annotation in enumerate(entry.annotations):
        found += _typed_in_places(_ANNOTATION_TABLES, annotation, ["annotations", n], getattr)
    return found


def typed_in_record(table: Mapping[str, Any], document: Mapping[str, Any]) -> Typed:
    """Return what `typed_values` returns for a run without annotations.

    Takes the TOML table and the document from `recode_run`. Equal tables have no such value.
    """
    if all(_at(table, names) == _at(document, keys) for names, keys in _SAME_TABLES):
        return []
    return _typed_in_places(_RUN_TABLES, table, [], Mapping.get)


def _at(table: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        table = None if table is None else table.get(key)
    return table or None


Place: TypeAlias = list[tuple[str, str]]
"""Name of the field and key in the document, for each step from a record to a table in it."""


def _typed_in_places(
    places: Sequence[Place], record: Any, at: list[str | int], get: Callable[..., Any]
) -> Typed:
    found: Typed = []
    for place in places:
        inner = record
        for name, _ in place:
            inner = None if inner is None else get(inner, name, None)
        if inner:
            found += typed_in(inner, [*at, *(key for _, key in place)])
    return found


def _tables_of(kind: Kind, above: Place) -> Iterator[Place]:
    """Yield the places of the tables with the user's values in a record."""
    for field in kind.fields:
        place = [*above, (field.name, field.json_name or field.name)]
        if field.kind is TABLE:
            yield place
        yield from _tables_of(field.kind, place)


_RUN_TABLES: Final = list(_tables_of(RUN, []))
_SAME_TABLES: Final = [([n for n, _ in place], [k for _, k in place]) for place in _RUN_TABLES]
_ANNOTATION_TABLES: Final = list(_tables_of(ANNOTATION, []))


def parse_entry(document: Mapping[str, Any], typed: Typed | None = None) -> RecordedRun:
    """Parse the results of `entry_document` and `typed_values`.

    Raises `KeyError`, `TypeError` or `ValueError` for other documents.
    """
    recorded = {**document}
    if "parsed" in document:
        recorded["params"] = document.get("given", {})
    if "added_metrics" in document:
        recorded["metrics"] = document.get("recorded_metrics", {})
        recorded["units"] = document.get("recorded_units", {})
    if typed:
        recorded = restore(recorded, typed)
    annotations = recorded.get("annotations", ())
    return RecordedRun(RUN.unjson(recorded), tuple(map(ANNOTATION.unjson, annotations)))
