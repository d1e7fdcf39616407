"""The space of a sweep: which values each parameter takes, and the points that follow from it.

Pure. A point is a table of parameters by dotted name. The order of points is stable, and the points
of `--random 20` begin with those of `--random 10`, so that a larger sweep repeats the smaller one.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.errors import ExitCode, InvalidInput
from gitexp.core.model.run import Value

MAX_POINTS: Final = 100_000
"""A sweep with more points is a mistake."""

MAX_REJECTED: Final = 1_000
"""Draws in a row that may fail the conditions before the space counts as empty."""

DIGITS: Final = 6
"""Significant digits of a number that was drawn."""


class UnusableSpace(InvalidInput):
    """What was said about a space makes no sweep."""

    exit_code = ExitCode.USAGE


Point: TypeAlias = dict[str, Value]
"""The value of each parameter, by dotted name."""

Condition: TypeAlias = Callable[[Mapping[str, Value]], bool]
"""Returns whether a point belongs to the sweep. Raises `UnusableSpace`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter that takes one of several values."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A parameter that takes any number between two bounds, both included."""

    low: float
    high: float
    is_whole: bool = False
    """True for whole numbers."""
    is_log: bool = False
    """True when each order of magnitude is equally likely."""

    def at(self, share: float) -> float | int:
        """Return the number at a share of the span, from 0 to 1."""
        if self.is_whole:
            count = int(self.high) - int(self.low) + 1
            return int(self.low) + min(int(share * count), count - 1)
        if self.is_log:
            low, high = math.log(self.low), math.log(self.high)
            number = math.exp(low + share * (high - low))
        else:
            number = self.low + share * (self.high - self.low)
        return min(max(float(f"{number:.{DIGITS}g}"), self.low), self.high)


Values: TypeAlias = Choice | Span


@dataclass(frozen=True, slots=True)
class Space:
    """All that is said about the points of a sweep."""

    values: dict[str, Values]
    """By dotted name, in the order given; the last one varies fastest."""
    zipped: tuple[tuple[str, ...], ...] = ()
    """Names that vary together."""
    rows: tuple[Point, ...] = ()
    """Points of a table; each is combined with everything else. None when there is no table."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of a point, in order."""
        rows = dict.fromkeys(name for row in self.rows for name in row)
        return tuple(dict.fromkeys((*rows, *self.values)))


# --- checking ---------------------------------------------------------------------------------


def check_count(count: int, what: str) -> None:
    """Refuse more points than a sweep has. Raises `UnusableSpace`."""
    if count > MAX_POINTS:
        raise UnusableSpace(
            f"{what} gives {count:,} points",
            why=f"a sweep has at most {MAX_POINTS:,}",
            hints=["take larger steps, or draw points with `--random N`"],
        )


def make_space(
    values: Mapping[str, Values], zipped: Sequence[str] = (), rows: Sequence[Point] = ()
) -> Space:
    """Put a space together. `zipped` are texts such as `a,b`. Raises `UnusableSpace`."""
    groups = tuple(tuple(part.strip() for part in text.split(",")) for text in zipped)
    known = [name for group in groups for name in group]
    for group in groups:
        if len(group) < 2:
            hints = ["name at least two parameters: `--zip lr,depth`"]
            raise UnusableSpace(f"cannot use --zip {','.join(group)}", hints=hints)
        lengths = {name: _length(values, name) for name in group}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise UnusableSpace(
                f"cannot use --zip {','.join(group)}",
                why=f"the parameters need as many values as each other: {said}",
            )
    if len(known) != len(set(known)):
        raise UnusableSpace("cannot use --zip", why="a parameter is named twice")
    columns = {name for row in rows for name in row}
    both = next((name for name in values if name in columns), None)
    if both is not None:
        raise UnusableSpace(
            f"parameter '{both}' is in the table and after -S", hints=["choose one"]
        )
    return Space(dict(values), groups, tuple(dict(row) for row in rows))


def _length(values: Mapping[str, Values], name: str) -> int:
    found = values.get(name)
    if found is None:
        raise UnusableSpace(f"cannot use --zip with '{name}'", why="-S gives it no values")
    if isinstance(found, Span):
        if not found.is_whole:
            raise UnusableSpace(
                f"cannot use --zip with '{name}'",
                why="a range without a step has no end of values",
                hints=[f"give a step: `-S {name}={found.low:g}..{found.high:g}:STEP`"],
            )
        return int(found.high) - int(found.low) + 1
    return len(found.values)


def count_points(space: Space) -> int | None:
    """Return how many points the grid has, conditions aside; `None` when it has no end."""
    total = max(len(space.rows), 1)
    for axis in axes_of(space):
        sizes = [_size(space.values[name]) for name in axis]
        if sizes[0] is None:
            return None
        total *= sizes[0]
    return total


def _size(values: Values) -> int | None:
    if isinstance(values, Choice):
        return len(values.values)
    if values.low == values.high:
        return 1
    return int(values.high) - int(values.low) + 1 if values.is_whole else None


def axes_of(space: Space) -> list[tuple[str, ...]]:
    """The names that vary together, each group in the place of its first name."""
    axes: list[tuple[str, ...]] = []
    for name in space.values:
        group = next((names for names in space.zipped if name in names), (name,))
        if group not in axes:
            axes.append(group)
    return axes


# --- points -----------------------------------------------------------------------------------


def grid(space: Space, condition: Condition | None = None) -> list[Point]:
    """Return every point of the space that meets the condition, each once.

    Raises `UnusableSpace` when there is none, no end of them, or too many.
    """
    for name, values in space.values.items():
        if _size(values) is None:
            _refuse_endless(name, values)
    check_count(count_points(space) or 0, "the grid")
    points = [point for point in _product(space) if condition is None or condition(point)]
    return _checked(points)


def _refuse_endless(name: str, values: Values) -> None:
    assert isinstance(values, Span)  # noqa: S101 - choices have an end
    bounds = f"{values.low:g}..{values.high:g}"
    step = f"log({bounds}:5)" if values.is_log else f"{bounds}:STEP"
    raise UnusableSpace(
        f"the grid has no end: '{name}' takes any number from {values.low:g} to {values.high:g}",
        hints=[
            f"give a step: `-S '{name}={step}'`",
            "or draw points: `--random 20`",
        ],
    )


def _product(space: Space) -> Iterator[Point]:
    names = axes_of(space)
    axes = [steps_of(space, axis) for axis in names]
    for row in space.rows or ({},):
        for chosen in itertools.product(*axes):
            point = dict(row)
            for part in chosen:
                point.update(part)
            yield {name: point[name] for name in space.names if name in point}


def steps_of(space: Space, axis: tuple[str, ...]) -> list[Point]:
    """The values of an axis, which has an end, in order; each as a table by name."""
    columns = [_listed(space.values[name]) for name in axis]
    return [dict(zip(axis, values, strict=True)) for values in zip(*columns, strict=True)]


def _listed(values: Values) -> tuple[Value, ...]:
    if isinstance(values, Choice):
        return values.values
    if not values.is_whole:
        return (values.low,)
    return tuple(range(int(values.low), int(values.high) + 1))


def _checked(points: Sequence[Point]) -> list[Point]:
    if not points:
        raise UnusableSpace("the space is empty", why="--where leaves no point")
    return list({canonical(point): point for point in reversed(points)}.values())[::-1]


def draw(space: Space, count: int, *, seed: int, condition: Condition | None = None) -> list[Point]:
    """Return points drawn at random, the same ones for the same seed, each once.

    A space with fewer points gives all of them. Raises `UnusableSpace` as `grid`.
    """
    check_count(count, f"--random {count}")
    size = count_points(space)
    if size is not None and size <= MAX_POINTS:
        every = grid(space, condition)
        every.sort(key=lambda point: _digest(seed, canonical(point)))
        return every[:count]
    found: dict[str, Point] = {}
    rejected = number = 0
    while len(found) < count:
        point = _draw_one(space, seed, number)
        number += 1
        key = canonical(point)
        if key in found or (condition is not None and not condition(point)):
            rejected += 1
            if rejected > MAX_REJECTED:
                break
        else:
            found[key], rejected = point, 0
    return _checked(list(found.values()))


def _draw_one(space: Space, seed: int, number: int) -> Point:
    point: Point = {}
    if space.rows:
        share = _share(seed, number, "")
        point.update(space.rows[min(int(share * len(space.rows)), len(space.rows) - 1)])
    for axis in axes_of(space):
        share = _share(seed, number, axis[0])
        for name in axis:
            values = space.values[name]
            if isinstance(values, Span):
                point[name] = values.at(share)
            else:
                place = min(int(share * len(values.values)), len(values.values) - 1)
                point[name] = values.values[place]
    return {name: point[name] for name in space.names if name in point}


def _share(seed: int, number: int, name: str) -> float:
    """Return a number from 0 to 1 that depends on nothing else: another parameter changes none."""
    return int(_digest(seed, f"{number} {name}")[:13], 16) / 16**13


def _digest(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed} {text}".encode()).hexdigest()
