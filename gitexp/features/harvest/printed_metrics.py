"""Write the metrics that a running command prints into its journal.

Called on the threads that copy the command's output, so every step is short.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gitexp.adapters.journal.journal import Journal
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError
from gitexp.core.inputs.metric_lines import Number, Reading, parse_metric_line, plain_line
from gitexp.core.schema.limits import check_table

if TYPE_CHECKING:
    from gitexp.adapters.system.line_matcher import Matcher
    from gitexp.core.inputs.patterns import MetricPattern

MAX_NAMES: Final = 1000
"""Most metric names that one run may print; values of further names are left out."""
_MAX_FAULTS: Final = 5
"""Most different warnings of one kind in a record."""
_QUOTED: Final = 120
"""Most characters of an unreadable line that the warning shows."""


class PrintedMetrics:
    """Logs the values of `METRIC` lines and of pattern matches on either stream."""

    def __init__(
        self, journal: Journal, started_s: float, patterns: "Sequence[MetricPattern]" = ()
    ) -> None:
        """`started_s` is the start of the run on the monotonic clock."""
        self._patterns = patterns
        self._matcher: Matcher | None = None
        self._step: int | None = None
        self._unmatched = 0
        self._first_unmatched = ""
        self._mutex = threading.Lock()
        self._journal = journal
        self._started_s = started_s
        self._names: set[str] = set()
        self._units: dict[str, str] = {}
        self._left_out = 0
        self._faults: dict[str, None] = {}
        self._unread = 0
        self._first_unread = ""
        if patterns:
            self._matcher = self._start_matcher()

    def on_line(self, _stream: str, line: bytes, time_s: float | None = None) -> None:
        """Read one line of output; an error here never stops the command.

        `time_s` are the seconds from the start until it was printed; by default, until now.
        A readable `METRIC` line is not searched for patterns, which would count its values twice.
        """
        may_be_metric = b"METRIC" in line
        if self._matcher is None and not may_be_metric:
            return
        text = plain_line(line)
        if time_s is None:
            time_s = clock.monotonic_s() - self._started_s
        reading = parse_metric_line(text) if may_be_metric else None
        if self._matcher is not None and not (reading and reading.values):
            self._matcher.feed(text, time_s)
        if reading is None:
            return
        if reading.fault is not None:
            self._unread += 1
            self._first_unread = self._first_unread or f"'{_quoted(text)}': {reading.fault}"
            return
        self.log(reading, time_s)

    def close(self) -> None:
        """Read the remaining matches of the patterns. Idempotent."""
        matcher, self._matcher = self._matcher, None
        if matcher is None:
            return
        searched = matcher.close()
        for number in searched.slow:
            self._add_fault(f"the metric pattern '{self._patterns[number].text}' is too slow")
        if searched.unsearched:
            self._add_fault(
                f"the metric patterns fell behind: {searched.unsearched:,} lines of output "
                "were not searched"
            )

    def _start_matcher(self) -> "Matcher | None":
        from gitexp.adapters.system.line_matcher import Matcher

        try:
            return Matcher([(p.expression, p.name) for p in self._patterns], self._on_found)
        except GitexpError as fault:
            self._add_fault(f"the metric patterns were not searched: {fault.why}")
            return None

    def _on_found(self, time_s: float, found: dict[str, str], line: str) -> None:
        """Log a match. A step in a line applies to the following lines, until the next step."""
        from gitexp.core.inputs.patterns import reading_of

        reading = reading_of(found, line)
        if reading.fault is not None:
            self._unmatched += 1
            self._first_unmatched = self._first_unmatched or reading.fault
        self._step = self._step if reading.step is None else reading.step
        self.log(reading._replace(step=self._step), time_s)

    def log(self, reading: Reading, time_s: float) -> None:
        """Log the values of a line that was printed `time_s` seconds after the start."""
        with self._mutex:  # streams and patterns call from their own threads
            self._log(reading, time_s)

    def _log(self, reading: Reading, time_s: float) -> None:
        try:
            values = {n: v for n, v in reading.values.items() if self._is_welcome(n, v)}
            if not values:
                return
            self._note_units({n: u for n, u in reading.units.items() if n in values})
            self._journal.metrics(values, step=reading.step, time_s=round(time_s, 3), printed=True)
        except GitexpError as fault:
            self._add_fault(f"left out: {fault.why or fault.what}")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what could not be read or logged, one sentence each."""
        found = list(self._faults)
        if self._unread:
            lines = "line begins" if self._unread == 1 else "lines begin"
            first = "" if self._unread == 1 else "the first, "
            found.append(
                f"{self._unread:,} printed {lines} like `METRIC name=value` and cannot be read: "
                f"{first}{self._first_unread}"
            )
        if self._unmatched:
            found.append(
                f"{self._unmatched:,} times a metric pattern found no number: "
                f"{self._first_unmatched}"
            )
        if self._left_out:
            found.append(
                f"{self._left_out:,} printed values were left out: "
                f"a run may print {MAX_NAMES:,} different metrics"
            )
        return tuple(found)

    def _is_welcome(self, name: str, value: Number) -> bool:
        if name in self._names:
            return True
        if len(self._names) >= MAX_NAMES:
            self._left_out += 1
            return False
        try:
            check_table({name: value}, "metric")
        except GitexpError as fault:
            self._add_fault(f"left out: {fault.why or fault.what}")
            return False
        self._names.add(name)
        return True

    def _note_units(self, units: Mapping[str, str]) -> None:
        new = {name: unit for name, unit in units.items() if self._units.get(name) != unit}
        if new:
            self._units.update(new)
            self._journal.append("units", units=new)

    def _add_fault(self, fault: str) -> None:
        if len(self._faults) < _MAX_FAULTS:
            self._faults[fault] = None


def _quoted(line: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in line.strip())
    return shown if len(shown) <= _QUOTED else shown[: _QUOTED - 3] + "..."
