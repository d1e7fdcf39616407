"""Rules of a project for a metric: its direction, tolerance and limits."""

import math
from enum import StrEnum

from gitexp.core.model.frozen import frozen


class Direction(StrEnum):
    """Direction in which a metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


@frozen
class Tolerance:
    """Allowed difference of a metric between a run and its reproduction: the wider bound counts."""

    absolute: float = 0.0
    """In the unit of the metric."""
    relative: float = 0.0
    """As a share of the recorded value."""

    def allowed(self, recorded: float) -> float:
        """Return the largest difference within tolerance; 0 if the value is not finite."""
        if not math.isfinite(recorded):
            return 0.0
        return max(self.absolute, self.relative * abs(recorded))


@frozen(kw_only=True)
class MetricRule:
    """Rule of a project for the verdicts about a metric."""

    noise: float | None = None
    """Standard deviation between repeated runs, in the unit of the metric."""
    min_effect: Tolerance | None = None
    """Smallest difference that counts."""
    guard: Tolerance | None = None
    """Allowed difference to the worse from the best kept group."""
    least: float | None = None
    """Lower limit of the value."""
    most: float | None = None
    """Upper limit of the value."""

    @property
    def is_guarded(self) -> bool:
        """True if the rule has a guard or a limit."""
        return any(bound is not None for bound in (self.guard, self.least, self.most))
