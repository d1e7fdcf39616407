"""Convert an entry to a JSON document and back, for `--json` and for the cache.

The document is a public interface (`docs/json.md`): within one `DOCUMENT_SCHEMA`, keys are added
but never renamed. JSON has no NaN, infinity or dates: numbers that are not finite become the texts
`NaN`, `Infinity`, `-Infinity`, and dates become ISO 8601 text. `typed_values` lists these values,
so that `parse_entry` can restore them.
"""

from collections.abc import Mapping
from typing import Any

from gitexp.core.model.run import Annotation, Entry
from gitexp.core.schema.fields import ANNOTATION, RUN
from gitexp.core.schema.kinds import TABLE, Kind, Typed, json_table, json_value, restore
from gitexp.core.schema.kinds import typed_values as typed_in

__all__ = ["json_value"]

DOCUMENT_SCHEMA = 1


def entry_document(entry: Entry, group: str | None = None) -> dict[str, Any]:
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
    return {k: v for k, v in document.items() if v is not None and v not in ([], {})}


def _added_document(annotation: Annotation) -> dict[str, str]:
    time = annotation.time.isoformat()
    return {"by": annotation.id, "time": time, "author": annotation.author}


def annotation_document(annotation: Annotation) -> dict[str, Any]:
    """Return the JSON document of one annotation."""
    document: dict[str, Any] = ANNOTATION.json(annotation)
    return document


def typed_values(entry: Entry) -> Typed:
    """Return the values of a run and its annotations whose type differs in the document.

    Places are those in the record, with the annotations below `annotations`. Most runs have no such
    value.
    """
    found = _typed_fields(RUN, entry.run, [])
    for n, annotation in enumerate(entry.annotations):
        found += _typed_fields(ANNOTATION, annotation, ["annotations", n])
    return found


def _typed_fields(kind: Kind, value: Any, at: list[str | int]) -> Typed:
    found: Typed = []
    for field in kind.fields:
        inner = getattr(value, field.name) if field.kind is TABLE or field.kind.fields else None
        if not inner:
            continue
        place = [*at, field.json_name or field.name]
        if field.kind is TABLE:
            found += typed_in(inner, place)
        else:
            found += _typed_fields(field.kind, inner, place)
    return found


def parse_entry(document: Mapping[str, Any], typed: Typed | None = None) -> Entry:
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
    return Entry(RUN.unjson(recorded), tuple(map(ANNOTATION.unjson, annotations)))
