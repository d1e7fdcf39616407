"""Views: named columns, filter, order and charts, from `[views.NAME]` of the project's file.

A view is checked when it is used, so that a fault in one never stops another command.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gitexp.core.errors import GitexpError, InvalidInput, NotFound
from gitexp.core.query.names import ATTRIBUTES, NAMESPACES, full_name, parse_sort
from gitexp.core.render.run_table import NAMED_COLUMNS
from gitexp.storage.workspace import Workspace

KEYS: Final = ("columns", "filter", "sort", "charts")
"""What a view may say."""

AGAINST: Final = " against "
"""Stands in a chart between a metric and the parameter that it is drawn over."""

BEST: Final = "best "
"""Begins a chart of all runs and the best mean so far."""

_OTHER_COLUMNS: Final = {"age": "started", "duration": "duration_s"}
_EXAMPLES: Final = {
    "columns": '`columns = ["accuracy", "lr", "reason"]`',
    "filter": '`filter = "accuracy > 0.8"`',
    "sort": '`sort = "accuracy"`, or `"-started"` for the newest first',
    "charts": '`charts = ["loss", "accuracy against lr", "best accuracy"]`',
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a metric: its curves, the metric over a parameter, or the best so far."""

    metric: str
    """Without `metrics.`."""
    against: str | None = None
    """Full name of a parameter: a point for each run."""
    best: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A view whose names are those of runs."""

    name: str
    columns: tuple[str, ...] | None = None
    """Full names; `None` for the usual columns."""
    filter: str | None = None
    sort: str | None = None
    """Full name of the key; `None` for the usual order."""
    descending: bool | None = None
    """`None`: the best first for a metric, else ascending."""
    charts: tuple[Chart, ...] = ()


def view_names(workspace: Workspace) -> list[str]:
    """Return the names of the project's views, also of those with a fault."""
    said = workspace.settings.views
    return list(said) if isinstance(said, Mapping) else []


def find_view(workspace: Workspace, name: str) -> View:
    """Return a view; one without its settings while there is no run to check them against.

    Raises `NotFound`, and `InvalidInput` with the file and the key of a fault.
    """
    origin = workspace.settings.views_origin
    said = workspace.settings.views
    if not isinstance(said, Mapping):
        raise InvalidInput(
            "cannot use the setting 'views'",
            why=f"{said!r} in {origin} is no table",
            hints=["write `[views.NAME]` with `columns`, `filter`, `sort` and `charts`"],
        )
    if name not in said:
        known = view_names(workspace)
        raise NotFound(
            f"there is no view '{name}'",
            near=difflib.get_close_matches(name, known, n=3),
            hints=[f"views of {origin}: {', '.join(known)}"]
            if known
            else ["write one in gitexp.toml: `[views.NAME]` with `columns` and `filter`"],
        )
    if not workspace.index.count():
        return View(name)
    return _Reader(workspace, name, origin).read(said[name])


def find_views(workspace: Workspace) -> tuple[list[View], list[InvalidInput]]:
    """Return the views of the project, and the faults of those that cannot be used."""
    views: list[View] = []
    faults: list[InvalidInput] = []
    for name in view_names(workspace):
        try:
            views.append(find_view(workspace, name))
        except InvalidInput as fault:
            faults.append(fault)
    if not isinstance(workspace.settings.views, dict):
        try:
            find_view(workspace, "")
        except InvalidInput as fault:
            faults.append(fault)
    return views, faults


class _Reader:
    """Reads one view of the project's file."""

    def __init__(self, workspace: Workspace, name: str, origin: str) -> None:
        self._workspace = workspace
        self._known = frozenset(workspace.index.keys())
        self._name = name
        self._origin = origin

    def read(self, said: Any) -> View:
        """Check a view's table. Raises `InvalidInput`."""
        if not isinstance(said, Mapping):
            raise InvalidInput(
                f"cannot use view '{self._name}'",
                why=f"{said!r} in {self._origin} is no table",
                hints=[f"write `[views.{self._name}]` with {_EXAMPLES['columns']}"],
            )
        for key in said:
            if key not in KEYS:
                near = difflib.get_close_matches(key, KEYS, n=1)
                hints = [f"did you mean `{near[0]}`?"] if near else []
                raise self._fault(key, "a view has columns, filter, sort and charts", hints)
        sort, descending = self._checked(said, "sort", self._sort) or (None, None)
        return View(
            self._name,
            self._checked(said, "columns", self._columns),
            self._checked(said, "filter", self._filter),
            sort,
            descending,
            self._checked(said, "charts", self._charts) or (),
        )

    def _checked(self, said: Mapping[str, Any], key: str, read: Callable[[Any], Any]) -> Any:
        if key not in said:
            return None
        try:
            return read(said[key])
        except GitexpError as error:
            why = error.what if error.why is None else f"{error.what}: {error.why}"
            raise self._fault(key, why, error.hints) from error
        except (ValueError, TypeError) as error:
            raise self._fault(key, str(error), []) from error

    def _fault(self, key: str, why: str, hints: Sequence[str]) -> InvalidInput:
        example = _EXAMPLES.get(key)
        return InvalidInput(
            f"cannot use '{key}' of view '{self._name}' in {self._origin}",
            why=why,
            hints=list(hints) or ([f"write it like {example}"] if example else []),
        )

    def _columns(self, said: Any) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(self._column, _texts(said))))

    def _column(self, text: str) -> str:
        name = _OTHER_COLUMNS.get(text, text)
        if name in ATTRIBUTES or name in NAMED_COLUMNS or name in self._known:
            return name
        first, _, rest = name.partition(".")
        parts = (first, rest) if rest and first in NAMESPACES else (name,)
        return full_name(parts, self._known)

    def _filter(self, said: Any) -> str:
        text = _text(said)
        self._workspace.query(text)
        return text

    def _sort(self, said: Any) -> tuple[str, bool | None]:
        text = _text(said)
        descending = {"-": True, "+": False}.get(text[0])
        return parse_sort(text if descending is None else text[1:], self._known), descending

    def _charts(self, said: Any) -> tuple[Chart, ...]:
        return tuple(map(self._chart, _texts(said)))

    def _chart(self, text: str) -> Chart:
        metric, against, param = text.partition(AGAINST)
        if against:
            return Chart(self._metric(metric), self._key("params", param))
        if text.startswith(BEST) and f"metrics.{text}" not in self._known:
            return Chart(self._metric(text.removeprefix(BEST)), best=True)
        return Chart(self._metric(text))

    def _metric(self, text: str) -> str:
        return self._key("metrics", text).removeprefix("metrics.")

    def _key(self, kind: str, text: str) -> str:
        name = text.strip().removeprefix(f"{kind}.")
        ends = [key for key in self._known if key.startswith(f"{kind}.") and _ends(key, name)]
        if f"{kind}.{name}" in self._known:
            return f"{kind}.{name}"
        if len(ends) == 1:
            return ends[0]
        return full_name((kind, name), self._known)


def _ends(key: str, name: str) -> bool:
    return key.endswith(f".{name}")


def _text(said: object) -> str:
    if not isinstance(said, str) or not said.strip():
        raise ValueError(f"expected a text, not {said!r}")
    return said.strip()


def _texts(said: object) -> Iterable[str]:
    if not isinstance(said, list):
        raise ValueError(f"expected a list of texts, not {said!r}")
    return [_text(item) for item in said]
