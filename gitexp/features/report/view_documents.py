"""The views of the project as the page has them."""

from collections.abc import Iterable
from typing import Any

from gitexp.core.model.directions import direction_of
from gitexp.core.model.run import Direction
from gitexp.features.runs.views import Chart, View
from gitexp.storage.settings.options import Settings


def view_documents(views: Iterable[View], settings: Settings) -> list[dict[str, Any]]:
    """Return views as documents; a part that a view leaves out is null or empty."""
    return [
        {
            "name": view.name,
            "columns": None if view.columns is None else list(view.columns),
            "filter": view.filter or "",
            "sort": _sort(view, settings),
            "charts": [_chart(chart) for chart in view.charts],
        }
        for view in views
    ]


def _sort(view: View, settings: Settings) -> str:
    """Return the sort key, with a minus if the highest comes first."""
    if view.sort is None:
        return ""
    descending = view.descending
    if descending is None:
        metric = view.sort.removeprefix("metrics.")
        is_metric = metric != view.sort
        way = direction_of(metric, settings.directions)[0] if is_metric else None
        descending = way is Direction.MAXIMIZE
    return f"-{view.sort}" if descending else view.sort


def _chart(chart: Chart) -> dict[str, Any]:
    return {"metric": chart.metric, "against": chart.against, "best": chart.best}
