"""What one run is, set beside another: better or worse, reproduced or drifted, kin or stranger.

Values in, values out: knows neither where runs are kept nor how answers are shown.
Each name is imported when it is first asked for: commands need one or two of them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitexp.comparison.directions import (
        direction_of,
        guess_direction,
        guess_metric,
        is_time_like,
        last_part,
    )
    from gitexp.comparison.kin import (
        Difference,
        Kin,
        Kinship,
        diff_tables,
        kinship,
        shape_of,
    )
    from gitexp.comparison.reproductions import (
        MatchState,
        MetricMatch,
        compare_reproduction,
    )
    from gitexp.comparison.samples import Answer
    from gitexp.comparison.verdicts import Against, Comparison, MetricVerdict, overall
    from gitexp.model import Tolerance

_HOMES = {
    "gitexp.comparison.directions": (
        "direction_of guess_direction guess_metric is_time_like last_part"
    ).split(),
    "gitexp.comparison.kin": "Difference Kin Kinship diff_tables kinship shape_of".split(),
    "gitexp.comparison.reproductions": "MatchState MetricMatch compare_reproduction".split(),
    "gitexp.comparison.samples": "Answer".split(),
    "gitexp.comparison.verdicts": "Against Comparison MetricVerdict overall".split(),
    "gitexp.model": "Tolerance".split(),
}
"""Where each name is defined."""

__all__ = [
    "Against",
    "Answer",
    "Comparison",
    "Difference",
    "Kin",
    "Kinship",
    "MatchState",
    "MetricMatch",
    "MetricVerdict",
    "Tolerance",
    "compare_reproduction",
    "diff_tables",
    "direction_of",
    "guess_direction",
    "guess_metric",
    "is_time_like",
    "kinship",
    "last_part",
    "overall",
    "shape_of",
]


def __getattr__(name: str) -> Any:
    import importlib

    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
