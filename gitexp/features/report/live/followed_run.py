"""A run that goes on, read from its journal as the journal grows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gitexp.adapters.journal.format import encode_line, parse_lines
from gitexp.adapters.journal.journal import JournalContent, parse_journal
from gitexp.adapters.journal.liveness import Liveness, liveness
from gitexp.adapters.journal.new_metrics import MetricEvents
from gitexp.adapters.journal.output_archive import raw_path
from gitexp.core.model.ids import parse_run_id
from gitexp.core.model.run import Run
from gitexp.core.schema.toml_codec import decode_run
from gitexp.features.recording.record import kept_path
from gitexp.features.report.thinning import finite, thin
from gitexp.storage.workspace import Workspace

SILENCE_S: Final = 600.0
"""A run that gave no sign of life for longer is called stalled."""

USUAL_INTERVALS: Final = 5.0
"""Number of its usual intervals after which a run that logs more rarely is called stalled."""

MOST_POINTS: Final = 2000
"""Points of a curve that are kept; more are thinned to half of that."""

MOST_METRICS: Final = 200
"""Metrics of a run whose curves are kept."""

MOST_AT_ONCE: Final = 1 << 24
"""Bytes of a journal that are read at once."""

_LOGGED: Final = "metrics"
_CONTROL: Final = ("adopt", "end", "seal")
_ANY_LINE: Final = encode_line({"event": "none"}).strip()
"""Without an intact line before them, lines after a damaged one would be left out."""

Stamp = tuple[int, int, int]
"""Inode, size and time of the last change of a file."""


@dataclass(slots=True)
class Points:
    """A curve: steps, values, and seconds since the start where they are known."""

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    t: list[float | None] = field(default_factory=list)

    def add(self, x: float, y: float, t: float | None) -> None:
        """Add a point; a curve that became too long is thinned, its peaks stay."""
        self.x.append(x)
        self.y.append(y)
        self.t.append(t)
        if len(self.y) > MOST_POINTS:
            kept = thin(self.y, MOST_POINTS // 2)
            self.x, self.y = [self.x[n] for n in kept], [self.y[n] for n in kept]
            self.t = [self.t[n] for n in kept]

    def document(self) -> dict[str, list[Any]]:
        """Return the curve as the page has it."""
        found: dict[str, list[Any]] = {"x": list(self.x), "y": list(self.y)}
        if all(time is not None for time in self.t):
            found["t"] = list(self.t)
        return found


class FollowedRun:
    """One journal. `read_on` reads what was appended since."""

    def __init__(self, workspace: Workspace, path: Path) -> None:
        """Nothing is read yet."""
        self.path = path
        self.run: Run | None = None
        """The run as its start recorded it; absent before the first read."""
        self.values: dict[str, Any] = {}
        """The last value of each metric."""
        self.step: float | None = None
        self.curves: dict[str, Points] = {}
        self.fresh: dict[str, Points] = {}
        """Points that no reader of the page has got yet."""
        self._content: JournalContent | None = None
        self._state: Liveness | None = None
        self._stamp: Stamp | None = None
        self._offset = 0
        self._metrics = MetricEvents()
        self._rows = 0
        self._first_s = self._last_s = 0.0
        kept = kept_path(workspace, parse_run_id(path.stem))
        self._signs = (path, path.with_suffix(".output"), raw_path(kept))

    def read_on(self) -> bool:
        """Read on. Return whether there was something new.

        Raises `UnreadableRecord`, and `FileNotFoundError` when the run is on the branch.
        """
        stamp = stamp_of(self.path)
        if stamp is None:
            raise FileNotFoundError(self.path)
        if stamp == self._stamp:
            return False
        before, self._stamp = self._stamp, stamp
        if before is None:
            self._begin()
        elif stamp[1] <= before[1]:
            self._read_head(self.path.read_bytes())  # a line in the reserved space
        else:
            self._read_added()
        return True

    def take_fresh(self) -> dict[str, dict[str, list[Any]]]:
        """Return the points that were not asked for before."""
        found = {name: points.document() for name, points in self.fresh.items()}
        self.fresh = {}
        return found

    def state(self) -> Liveness:
        """Judge whether the run goes on."""
        if self._content is None:
            return Liveness.DEAD
        if self._state is not Liveness.DEAD:  # the dead stay dead, and to find that out costs
            self._state = liveness(self._content)
        return self._state

    def last_sign_ns(self) -> int:
        """Return when the run logged or printed last, in ns of the wall clock."""
        stamps = map(stamp_of, self._signs)
        return max((stamp[2] for stamp in stamps if stamp is not None), default=0)

    def silence_s(self) -> float:
        """Return after how many seconds without a sign of life the run is called stalled."""
        if self._rows < 2:
            return SILENCE_S
        usual_s = (self._last_s - self._first_s) / (self._rows - 1)
        return max(SILENCE_S, USUAL_INTERVALS * usual_s)

    def _begin(self) -> None:
        data = self.path.read_bytes()
        self._offset = data.rfind(b"\n") + 1
        content = self._read_head(data)
        self._metrics.expect(content.events)
        for event in content.events:
            self._take(event)
        content.events.clear()

    def _read_head(self, data: bytes) -> JournalContent:
        """Read who records the run, and whether its command ended."""
        self._state = None
        self._content = parse_journal(self.path, data)
        self.run = decode_run(self._content.record)
        return self._content

    def _read_added(self) -> None:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            added = file.read(MOST_AT_ONCE)
        is_more = len(added) == MOST_AT_ONCE
        end = added.rfind(b"\n") + 1 or (len(added) if is_more else 0)
        if is_more and self._stamp is not None:
            self._stamp = (*self._stamp[:2], 0)  # the rest is read next time
        self._offset += end
        _, *events = parse_lines([_ANY_LINE, *added[:end].split(b"\n")])[0]
        for event in events:
            self._take(event)
        if any(event.get("event") in _CONTROL for event in events):
            self._read_head(self.path.read_bytes()).events.clear()

    def _take(self, event: Mapping[str, Any]) -> None:
        if event.get("event") != _LOGGED:
            return
        seconds = finite(event.get("time"))
        if seconds is not None:
            self._first_s = self._first_s if self._rows else seconds
            self._last_s = seconds
            self._rows += 1
        for name, value, step in self._metrics.take(event):
            self.values[name] = value
            at, number = finite(step), finite(value)
            if at is None or number is None:
                continue
            if name not in self.curves and len(self.curves) >= MOST_METRICS:
                continue
            self.step = at
            for curves in (self.curves, self.fresh):
                curves.setdefault(name, Points()).add(at, number, seconds)


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes when a file does; `None` if there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
