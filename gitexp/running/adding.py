"""Metrics added to a run that is finished: as annotations, so that its record stays as it is.

Floor 4.
"""

from collections.abc import Mapping

from gitexp.formats import redact_table
from gitexp.formats.printed import to_quantity
from gitexp.model import Annotation, AnnotationKind, Entry, Table, Value, flatten, nest
from gitexp.running.lifecycle import annotate
from gitexp.workspace import Workspace


def add_metrics(
    workspace: Workspace,
    entry: Entry,
    metrics: Mapping[str, Value],
    *,
    units: Mapping[str, str] | None = None,
    text: str | None = None,
) -> Annotation:
    """Annotate a sealed run with metrics. Returns the annotation.

    A value given as text with a unit, `97.3%`, is the number with that unit. `text` says where the
    values come from. Raises `InvalidInput` for what no record can hold.
    """
    values: Table = {}
    found_units = dict(units or {})
    for name, value in flatten(metrics):
        quantity = to_quantity(value) if isinstance(value, str) else None
        values[name] = value if quantity is None else quantity[0]
        if quantity is not None and quantity[1]:
            found_units[name] = quantity[1]
    return annotate(
        workspace,
        entry,
        AnnotationKind.METRICS,
        metrics=nest(redact_table(values)),
        units=found_units,
        text=text,
    )
