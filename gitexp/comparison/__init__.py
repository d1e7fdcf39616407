"""What one run is, set beside another: better or worse, reproduced or drifted, kin or stranger.

Floor 1, pure. Values in, values out: knows neither where runs are kept nor how answers are shown.
"""

from gitexp.comparison.directions import (
    direction_of,
    guess_direction,
    is_time_like,
    last_part,
    primary_metric,
)
from gitexp.comparison.kinship import Kin, diff_tables, kinship
from gitexp.comparison.reproductions import (
    MatchState,
    MetricMatch,
    Tolerance,
    compare_reproduction,
)
from gitexp.comparison.verdicts import (
    Against,
    Answer,
    Comparison,
    MetricVerdict,
    compare_runs,
    next_step,
    overall,
)

__all__ = [
    "Against",
    "Answer",
    "Comparison",
    "Kin",
    "MatchState",
    "MetricMatch",
    "MetricVerdict",
    "Tolerance",
    "compare_reproduction",
    "compare_runs",
    "diff_tables",
    "direction_of",
    "guess_direction",
    "is_time_like",
    "kinship",
    "last_part",
    "next_step",
    "overall",
    "primary_metric",
]
