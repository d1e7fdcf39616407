"""Measuring two things side by side: each figure is a ratio, so that the machine drops out.

What is measured and its reference take turns, and the ratio is taken within each turn; the median
of these ratios stands for all. A machine that is busy for a while is busy for both.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Deed = Callable[[], float]
"""Does something and returns the seconds that count."""


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    ratio: float
    """What was measured over its reference; or the value itself when there is no reference."""
    limit: float | None
    measured_s: float
    reference_s: float | None = None
    unit: str = "x"
    note: str = ""

    @property
    def passed(self) -> bool:
        """True when within the limit."""
        return self.limit is None or self.ratio <= self.limit


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
    """The median ratio over so many turns, after one turn that does not count."""
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
    """Starts child processes in one folder, output thrown away, and takes their time."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.peak_bytes = 0
        """The most memory that one of the children had."""

    def time(
        self, argv: Sequence[str], *, stdin: Path | None = None, allowed: Sequence[int] = (0,)
    ) -> float:
        """Run to the end and return the seconds. Raises `CalledProcessError`."""
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
        """A command as something to measure."""
        return lambda: self.time(argv, stdin=stdin, allowed=allowed)


def median_of(deed: Deed, turns: int) -> float:
    """The median seconds, after one turn that does not count."""
    return statistics.median([deed() for _ in range(turns + 1)][1:])


def table(figures: Sequence[Figure]) -> str:
    """All figures as Markdown."""
    lines = [
        "| what | measured | reference | figure | limit | |",
        "|---|---|---|---|---|---|",
    ]
    for figure in figures:
        limit = "-" if figure.limit is None else f"<= {figure.limit:g} {figure.unit}"
        verdict = "" if figure.limit is None else "reached" if figure.passed else "**missed**"
        lines.append(
            f"| {figure.name} | {_seconds(figure.measured_s)} | {_seconds(figure.reference_s)} |"
            f" {figure.ratio:.3g} {figure.unit} | {limit} |"
            f" {' '.join(filter(None, (verdict, figure.note)))} |"
        )
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"
