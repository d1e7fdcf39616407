"""The dimensions of a space for a method that proposes points: number ranges and choices.

Pure. A proposal has one number a dimension: a number of the range, or the position of a choice.
Parameters that vary together are one dimension, as are the columns of a table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.model.run import Table
from gitexp.features.sweeps.space import DIGITS, Point, Space, Span, axes_of, steps_of

Proposal: TypeAlias = dict[str, float | int]
"""A number for each dimension, by its name."""

_NEAR: Final = 1e-9
"""Relative difference up to which two steps count as equal."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that varies."""

    name: str
    """The parameter; of several that vary together, their names with commas."""
    span: Span | None = None
    choices: tuple[Point, ...] = ()
    """The values when there is no span, each as a table of the parameters that it sets."""

    @property
    def is_ordered(self) -> bool:
        """True when neighbours are alike: numbers with equal steps, or with equal factors."""
        values = [value for choice in self.choices for value in choice.values()]
        numbers = [float(v) for v in values if isinstance(v, int | float) and type(v) is not bool]
        if len(values) != len(self.choices) or len(numbers) != len(values) or len(values) < 3:
            return False
        return _is_even(numbers) or (min(numbers) > 0 and _is_even([*map(math.log, numbers)]))

    def part(self, number: float) -> Point:
        """Return the parameters that a number of a proposal stands for."""
        if self.span is None:
            return self.choices[int(number)]
        return {self.name: int(number) if self.span.is_whole else float(number)}

    def rounded(self, number: float) -> float | int:
        """Return a number with as many digits as a record shows, inside the range."""
        if self.span is None or self.span.is_whole:
            return int(number)
        low, high = self.span.low, self.span.high
        return min(max(float(f"{number:.{DIGITS}g}"), low), high)

    def number_of(self, params: Table) -> float | int | None:
        """Return the number that stands for parameters of a run; `None` when none does."""
        if self.span is not None:
            value = value_at(params, self.name)
            is_number = isinstance(value, int | float) and type(value) is not bool
            if not is_number or not self.span.low <= value <= self.span.high:
                return None
            if not self.span.is_whole:
                return float(value)
            return int(value) if value == int(value) else None
        for position, choice in enumerate(self.choices):
            if all(_is_same(value_at(params, name), value) for name, value in choice.items()):
                return position
        return None


def _is_even(numbers: Sequence[float]) -> bool:
    steps = [after - before for before, after in pairwise(numbers)]
    return steps[0] != 0 and all(math.isclose(s, steps[0], rel_tol=_NEAR) for s in steps)


def value_at(params: Table, name: str) -> Any:
    """Return the parameter with a dotted name; `None` when there is none."""
    found: Any = params
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and canonical({"v": one}) == canonical({"v": other})


def dimensions_of(space: Space) -> tuple[Dimension, ...]:
    """Return the dimensions of a space, in the order of its parameters."""
    found = []
    if space.rows:
        columns = dict.fromkeys(name for row in space.rows for name in row)
        found.append(Dimension(",".join(columns), choices=space.rows))
    for axis in axes_of(space):
        values = space.values[axis[0]]
        if len(axis) == 1 and isinstance(values, Span):
            found.append(Dimension(axis[0], values))
        else:
            found.append(Dimension(",".join(axis), choices=tuple(steps_of(space, axis))))
    return tuple(found)


def point_of(dimensions: Sequence[Dimension], proposal: Proposal) -> Point:
    """Return the point that a proposal stands for."""
    point: Point = {}
    for dimension in dimensions:
        point.update(dimension.part(proposal[dimension.name]))
    return point


def proposal_of(dimensions: Sequence[Dimension], params: Table) -> Proposal | None:
    """Return the proposal that gives a run's parameters; `None` when they are not in the space."""
    found: Proposal = {}
    for dimension in dimensions:
        number = dimension.number_of(params)
        if number is None:
            return None
        found[dimension.name] = number
    return found
