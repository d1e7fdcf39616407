"""What a project says of a metric: which way it is better, and how far it may move."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way a metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a metric may move when a run is made again; the wider of the two bounds holds."""

    absolute: float = 0.0
    """In the metric's own unit."""
    relative: float = 0.0
    """As a share of the recorded value."""

    def allowed(self, recorded: float) -> float:
        """The largest difference that is still within tolerance."""
        if not math.isfinite(recorded):
            return 0.0
        return max(self.absolute, self.relative * abs(recorded))


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """What a project declares about how a metric is judged."""

    noise: float | None = None
    """Standard deviation of one run, in the metric's unit."""
    min_effect: Tolerance | None = None
    """The smallest difference that counts."""
    guard: Tolerance | None = None
    """How much worse than the best kept group it may be."""
    least: float | None = None
    """Its value may not be lower."""
    most: float | None = None
    """Its value may not be higher."""

    @property
    def is_guarded(self) -> bool:
        """True when it may break a guard."""
        return any(bound is not None for bound in (self.guard, self.least, self.most))
