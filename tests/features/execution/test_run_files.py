"""Warnings about metrics that two sources tell differently."""

import pytest

from gitexp.core.model.run import Table
from gitexp.features.execution.run_files import contradictions_of

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("printed", "in_file", "is_told"),
    [
        (0.7, 0.5, True),
        (0.03, 0.0312, False),
        (0.0, 0.0012, False),
        (0.03, 0.0362, True),
        (1, 0.6, True),
        (0, 0.4, True),
        (0.0, 0.6, True),
        (0.0312, 0.03, False),
        (85.0, 0.85, True),
        (-0.1, 0.1, True),
        (1e-7, 1.004e-7, False),
        (1e-7, 3e-7, True),
        (NAN, NAN, False),
        (NAN, 0.5, True),
        (0.5, INF, True),
        (INF, INF, False),
        (1e300, -1e300, True),
    ],
)
def test_a_number_that_is_rounded_for_printing_is_no_contradiction(
    printed: float, in_file: float, is_told: bool
) -> None:
    logged: Table = {"loss": printed}
    file: Table = {"loss": in_file}
    assert bool(contradictions_of(logged, file, file)) is is_told
