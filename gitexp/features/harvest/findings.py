"""What one file or directory says: metrics, series and parameters by dotted name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitexp.adapters.trackers.source_run import Point, fold_points
from gitexp.core.model.run import Direction, Series, Table, Value, flatten

STEP_NAMES: Final = (
    *("step", "global_step", "_step", "trainer/global_step", "iteration", "iter"),
    *("total_timesteps", "time/total_timesteps", "timesteps", "num_timesteps"),
    *("training_iteration", "epoch", "round"),
)
"""Columns that tell when, the finest first; the first that a log has numbers its rows."""


@dataclass(slots=True, kw_only=True)
class Said:
    """What one source says of the run."""

    kind: str
    path: Path
    """The file or directory that is named to the user."""
    files: list[Path] = field(default_factory=list)
    """All files that were read."""
    metrics: dict[str, float | int] = field(default_factory=dict)
    """Last values by dotted name."""
    series: Series = field(default_factory=list)
    params: dict[str, Value] = field(default_factory=dict)
    """By dotted name."""
    directions: dict[str, Direction] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """Files of the source that could not be read, one sentence each."""

    def take_points(self, points: Mapping[str, list[Point]]) -> None:
        """Add logged values, by name of the metric; names that tell when are no metrics."""
        kept = {name: logged for name, logged in points.items() if name not in STEP_NAMES}
        last, series = fold_points(kept)
        self.metrics.update(numbers_in(last))
        self.series += series

    def take_rows(self, rows: list[dict[str, float | int]]) -> None:
        """Add rows of a log. Each has a `step`, maybe a `time`; rows of one step become one."""
        by_step: dict[float, dict[str, float | int | str]] = {}
        counts: dict[str, int] = {}
        for row in rows:
            by_step.setdefault(row["step"], {}).update(row)
            for name, value in row.items():
                if name not in ("step", "time"):
                    self.metrics[name] = value
                    counts[name] = counts.get(name, 0) + 1
        if max(counts.values(), default=0) > 1:
            self.series += [by_step[step] for step in sorted(by_step)]


def numbers_in(table: Table) -> dict[str, float | int]:
    """The numbers of a table by dotted name; true and false are 1 and 0."""
    return {
        name: int(value) if isinstance(value, bool) else value
        for name, value in flatten(table)
        if isinstance(value, bool | int | float)
    }


def step_of(value: object) -> float | int | None:
    """A step as a log has it; whole numbers as such, `None` for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(value)
