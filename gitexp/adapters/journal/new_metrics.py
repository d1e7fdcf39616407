"""Follow the values of metrics that a running command prints or logs."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gitexp.adapters.journal.format import parse_lines


class MetricEvents:
    """The values that count in a growing journal, each with its step.

    Values that the program logs win over printed ones of the same metric. A printed value counts
    until the first logged one is known.
    """

    def __init__(self) -> None:
        self._logged: set[str] = set()
        self._counts: dict[str, int] = {}

    def expect(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Note which metrics the program logs in these events, before any of them is taken."""
        for event in events:
            if not event.get("printed"):
                self._logged.update(_values(event))

    def take(self, event: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
        """Return name, value and step of each value of an event that counts.

        A value without a step gets the number of earlier values of its metric, as in the series.
        """
        is_printed, step = bool(event.get("printed")), event.get("step")
        taken = []
        for name, value in _values(event).items():
            if is_printed and name in self._logged:
                continue
            if not is_printed:
                self._logged.add(name)
            count = self._counts.get(name, 0)
            self._counts[name] = count + 1
            taken.append((name, value, count if step is None else step))
        return taken


def _values(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values of a metrics event; nothing of another event."""
    values = event.get("values") if event.get("event") == "metrics" else None
    return values if isinstance(values, Mapping) else {}


class NewMetrics:
    """Reads the journal of a run from where it ended the last time."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._offset = 0
        self._inode = 0
        self._metrics = MetricEvents()

    def values(self, metric: str) -> Iterator[tuple[int, float]]:
        """Yield step and value of a metric, those that came since the last call."""
        events = self._events()
        self._metrics.expect(events)
        for event in events:
            for name, value, step in self._metrics.take(event):
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                if name == metric and is_number and isinstance(step, int) and step >= 0:
                    yield step, float(value)

    def _events(self) -> list[dict[str, Any]]:
        try:
            with self._journal.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:  # the run began again, with a journal of its own
                    self._inode, self._offset = inode, 0
                    self._metrics = MetricEvents()
                file.seek(self._offset)
                added = file.read()
        except OSError:
            return []  # the run has ended
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        documents, _ = parse_lines(whole.split(b"\n")[:-1])
        return documents
