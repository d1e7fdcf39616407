"""The curves of many runs, read from the branch with one question for several of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gitexp.core.errors import GitexpError, UnreadableRecord
from gitexp.core.model.ids import RunId
from gitexp.core.schema.layout import series_path
from gitexp.core.schema.series_csv import decode_columns
from gitexp.features.report.thinning import Curve, curves_of_columns
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.workspace import Workspace

MOST_SERIES: Final = 100
"""Runs whose curves are in the page, unless all are wanted."""

_TOGETHER: Final = 20
"""Series in one question: some megabytes of memory."""

_MOST_BYTES: Final = 1 << 30
"""Of one question; more is left out, as if it were not in this clone."""


def read_curves(
    workspace: Workspace,
    index: CachedRuns,
    runs: Sequence[RunId],
    documents: Sequence[Mapping[str, Any]],
    wanted: Sequence[int],
    *,
    full: bool,
) -> dict[str, dict[str, Curve]]:
    """Return the curves by row, of the first runs in `wanted` that have any; of all if `full`.

    A series that is damaged or not in this clone is left out: the run itself is there.
    """
    most = len(wanted) if full else MOST_SERIES
    looked = wanted if full else wanted[: 5 * MOST_SERIES]
    found: dict[str, dict[str, Curve]] = {}
    waiting: list[int] = []
    for row in looked:
        if len(found) + len(waiting) >= most and not waiting:
            break
        if index.has_series(runs[row]):
            waiting.append(row)
        if len(waiting) == min(_TOGETHER, most - len(found)):
            found |= dict(_read(workspace, index, runs, documents, waiting, full=full))
            waiting = []
    found |= dict(_read(workspace, index, runs, documents, waiting, full=full))
    return found


def _read(
    workspace: Workspace,
    index: CachedRuns,
    runs: Sequence[RunId],
    documents: Sequence[Mapping[str, Any]],
    rows: Sequence[int],
    *,
    full: bool,
) -> Iterator[tuple[str, dict[str, Curve]]]:
    paths = [
        series_path(runs[row], datetime.fromisoformat(documents[row]["started"])) for row in rows
    ]
    for row, data in zip(rows, _contents(workspace, f"{index.tip}", paths), strict=False):
        try:
            curves = {} if data is None else curves_of_columns(decode_columns(data), full=full)
        except UnreadableRecord:
            continue
        if curves:
            yield str(row), curves


def _contents(workspace: Workspace, tip: str, paths: Sequence[str]) -> list[bytes | None]:
    """Return the files, `None` for a missing one. After a damaged object read each alone."""
    if not paths:
        return []
    names = [f"{tip}:{path}" for path in paths]
    try:
        objects = workspace.repo.read_objects(names, max_bytes=_MOST_BYTES)
    except GitexpError:
        if len(paths) == 1:
            return [None]
        return [content for path in paths for content in _contents(workspace, tip, [path])]
    return [None if found is None else found.content for found in objects]
