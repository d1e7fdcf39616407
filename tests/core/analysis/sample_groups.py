"""Groups for unit tests of the comparison."""

from collections.abc import Sequence
from typing import Any

from gitexp.core.analysis.groups import Group, Measurement, group_of
from gitexp.core.model.ids import RunId


def measured(value: float | None, clock: int = 1, group: str = "a", **changes: Any) -> Measurement:
    """One measurement; each has its own fingerprint unless `cell` says otherwise."""
    run = RunId(f"{group}{clock:04}")
    return Measurement(run=run, clock=clock, value=value, group=group, **{"cell": run, **changes})


def group_with(
    values: Sequence[float | None], group: str = "a", *, start: int = 1, **changes: Any
) -> Group:
    """A group whose runs began one after the other and measured these values."""
    return group_of(measured(v, start + n, group, **changes) for n, v in enumerate(values))


def seeded(
    values: Sequence[float | None], group: str = "a", *, start: int = 1, batch: str | None = None
) -> Group:
    """A group of runs with the seeds 0, 1, 2, …"""
    return group_of(
        measured(v, start + n, group, cell=f"{group}-{n}", seeds=f"seed={n}", batch=batch)
        for n, v in enumerate(values)
    )
