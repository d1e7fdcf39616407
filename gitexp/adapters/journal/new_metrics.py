"""Follow the values of metrics that a running command prints or logs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitexp.adapters.journal.format import parse_lines


class NewMetrics:
    """Reads the journal of a run from where it ended the last time."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._offset = 0
        self._counts: dict[str, int] = {}

    def values(self, metric: str) -> Iterator[tuple[int, float]]:
        """Yield step and value of a metric, those that came since the last call.

        A value without a step gets the number of earlier values of the metric, as in the series.
        """
        for event in self._events():
            if event.get("event") != "metrics":
                continue
            value, step = event.get("values", {}).get(metric), event.get("step")
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            count = self._counts.get(metric, 0)
            self._counts[metric] = count + 1
            at = count if step is None else step
            if isinstance(at, int) and at >= 0:
                yield at, float(value)

    def _events(self) -> list[dict[str, Any]]:
        try:
            with self._journal.open("rb") as file:
                file.seek(self._offset)
                added = file.read()
        except OSError:
            return []  # the run has ended
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        documents, _ = parse_lines(whole.split(b"\n")[:-1])
        return documents
