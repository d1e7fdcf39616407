"""Values from one file or directory: metrics, series and parameters by dotted name."""

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
"""Names of step and time columns, the finest first; the first in a log numbers its rows."""


@dataclass(slots=True, kw_only=True)
class SourceValues:
    """Values from one source."""

    kind: str
    path: Path
    """File or directory to show to the user."""
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
        """Add logged values by metric name; names of steps and times are not metrics."""
        kept = {name: logged for name, logged in points.items() if name not in STEP_NAMES}
        last, series = fold_points(kept)
        self.metrics.update(numbers_in(last))
        self.series += series

    def take_rows(self, rows: list[dict[str, float | int]]) -> None:
        """Add rows of a log, each with a `step` and maybe a `time`. Rows of one step are merged."""
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
    """Return the numbers of a table by dotted name; booleans become 1 and 0."""
    return {
        name: int(value) if isinstance(value, bool) else value
        for name, value in flatten(table)
        if isinstance(value, bool | int | float)
    }


def step_of(value: object) -> float | int | None:
    """Return a step as in a log, whole numbers as `int`; `None` if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(value)
