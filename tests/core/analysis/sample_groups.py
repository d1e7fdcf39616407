"""Builders of groups for unit tests of comparisons."""

from collections.abc import Sequence
from typing import Any

from gitexp.core.analysis.groups import Group, Measurement, group_of
from gitexp.core.model.ids import RunId


def measured(value: float | None, clock: int = 1, group: str = "a", **changes: Any) -> Measurement:
    """Return a measurement with its own fingerprint, unless `cell` gives one."""
    run = RunId(f"{group}{clock:04}")
    return Measurement(run=run, clock=clock, value=value, group=group, **{"cell": run, **changes})


def group_with(
    values: Sequence[float | None], group: str = "a", *, start: int = 1, **changes: Any
) -> Group:
    """Return a group of runs that measured these values, in order."""
    return group_of(measured(v, start + n, group, **changes) for n, v in enumerate(values))


def seeded(
    values: Sequence[float | None], group: str = "a", *, start: int = 1, batch: str | None = None
) -> Group:
    """Return a group of runs with the seeds 0, 1, 2, …"""
    return group_of(
        measured(v, start + n, group, cell=f"{group}-{n}", seeds=f"seed={n}", batch=batch)
        for n, v in enumerate(values)
    )
