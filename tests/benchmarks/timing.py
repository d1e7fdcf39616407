"""Measure two things alternately, so that each figure is a ratio without the machine's speed.

Both take turns, and the figure is the median of the ratios of the turns. A busy machine slows both.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Deed = Callable[[], float]
"""Function that does something and returns the seconds that count."""


FAILS_AT = 2
"""Multiple of its limit above which a figure fails. Figures of a busy machine vary by half."""


@dataclass(frozen=True)
class Figure:
    """Line of the table."""

    name: str
    ratio: float
    """Measured value over its reference, or the value itself without a reference."""
    limit: float | None
    measured_s: float
    reference_s: float | None = None
    unit: str = "x"
    note: str = ""

    @property
    def verdict(self) -> str:
        """The words for the table; empty without a limit. A value that is no number has failed."""
        if self.limit is None:
            return ""
        if self.ratio <= self.limit:
            return "within the limit"
        if self.ratio <= FAILS_AT * self.limit:
            return "above the limit"
        return f"**failed**: above {FAILS_AT} times the limit"

    @property
    def failed(self) -> bool:
        """True if it is above its limit by more than a busy machine explains."""
        return "failed" in self.verdict


def compare(
    name: str,
    measured: Deed,
    reference: Deed,
    limit: float | None,
    *,
    turns: int,
    note: str = "",
    warm: bool = True,
) -> Figure:
    """Return the median ratio over a number of turns, without the first turn."""
    pairs = [(measured(), reference()) for _ in range(turns + warm)][warm:]
    return Figure(
        name,
        statistics.median(m / r for m, r in pairs),
        limit,
        statistics.median(m for m, _ in pairs),
        statistics.median(r for _, r in pairs),
        note=note,
    )


class Commands:
    """Runs child processes in one directory without their output, and measures their time."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.peak_bytes = 0
        """Maximum memory of a child."""

    def time(
        self, argv: Sequence[str], *, stdin: Path | None = None, allowed: Sequence[int] = (0,)
    ) -> float:
        """Run to the end. Return the seconds. Raises `CalledProcessError`."""
        source = os.open(stdin or os.devnull, os.O_RDONLY)
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            began = time.perf_counter()
            process = subprocess.Popen(
                list(argv),
                stdin=source,
                stdout=sink,
                stderr=sink,
                cwd=self.folder,
                env=self.environment,
            )
            _, status, usage = os.wait4(process.pid, 0)
            took = time.perf_counter() - began
        finally:
            os.close(source)
            os.close(sink)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in allowed:
            raise subprocess.CalledProcessError(process.returncode, argv)
        self.peak_bytes = max(self.peak_bytes, usage.ru_maxrss * 1024)
        return took

    def deed(self, *argv: str, stdin: Path | None = None, allowed: Sequence[int] = (0,)) -> Deed:
        """Return a function that measures a command."""
        return lambda: self.time(argv, stdin=stdin, allowed=allowed)


def median_of(deed: Deed, turns: int) -> float:
    """Return the median seconds, without the first turn."""
    return statistics.median([deed() for _ in range(turns + 1)][1:])


def table(figures: Sequence[Figure]) -> str:
    """Return all figures as Markdown."""
    lines = [
        "| what | measured | reference | figure | limit | |",
        "|---|---|---|---|---|---|",
    ]
    for figure in figures:
        limit = "-" if figure.limit is None else f"<= {figure.limit:g} {figure.unit}"
        lines.append(
            f"| {figure.name} | {_seconds(figure.measured_s)} | {_seconds(figure.reference_s)} |"
            f" {figure.ratio:.3g} {figure.unit} | {limit} |"
            f" {' '.join(filter(None, (figure.verdict, figure.note)))} |"
        )
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"
