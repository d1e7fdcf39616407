"""A chart as lines, dots and words at places of a picture; `svg` and `png` write them.

The same shapes as in the terminal. Everything is in points from the upper left corner, rounded, so
that equal shapes make equal bytes.
"""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gitexp.core.errors import GitexpError
from gitexp.core.model.frozen import frozen
from gitexp.core.render.plot import Points, Shape
from gitexp.core.render.text import clean, format_number, shorten

WIDTH: Final = 800
PLOT_HEIGHT: Final = 400
LEFT: Final = 76
RIGHT: Final = 34
TOP: Final = 40
BOTTOM: Final = 48
ROW: Final = 20
"""Height of a row of the legend."""

MOST_ROWS: Final = 24
"""Rows of the legend; more shapes are counted below it."""

LONGEST: Final = 90
"""Columns of a text in the legend and of a title."""

COLOURS: Final = 4
"""Colours of lines; later lines have the same ones with dashes."""

DASHES: Final = ((), (7, 4), (2, 3), (11, 4, 2, 4), (1, 5), (15, 5))
_STEPS: Final = (1, 2, 5, 10)
_TICKS: Final = 6
_MOST: Final = sys.float_info.max


@frozen
class Line:
    """Points joined by straight lines."""

    points: tuple[tuple[float, float], ...]
    ink: str
    """`grid`, `axis`, `quiet`, or `s` and the number of a colour."""
    width: float = 1.5
    dash: tuple[int, ...] = ()


@frozen
class Dot:
    """A filled circle."""

    x: float
    y: float
    ink: str
    radius: float = 3


@frozen
class Words:
    """A text on one line."""

    x: float
    y: float
    """Its baseline."""
    text: str
    anchor: str = "start"
    """`start`, `middle` or `end`."""
    size: int = 12
    ink: str = "ink2"


Mark = Line | Dot | Words


@dataclass(slots=True)
class Picture:
    """A chart that is laid out."""

    title: str
    height: float
    marks: list[Mark] = field(default_factory=list)
    width: float = WIDTH


@frozen(kw_only=True)
class Axes:
    """What the axes are called, and their scales."""

    x: str
    y: str
    log_x: bool = False
    log_y: bool = False
    names: Mapping[float, str] | None = None
    """Words for places of the horizontal axis, instead of numbers."""


def lay_out(shapes: Sequence[Shape], axes: Axes) -> Picture:
    """Place the shapes, their axes and a legend. Raises `GitexpError` when nothing can be drawn."""
    drawn = [(shape, _pieces(shape.points, axes)) for shape in shapes]
    kept = [
        (_number(n, shape, shapes, axes), shape, pieces)
        for n, (shape, pieces) in enumerate(drawn)
        if pieces
    ]
    if not kept:
        raise GitexpError("there is nothing to draw", why="no value is a finite number")
    every = [point for _, _, pieces in kept for piece in pieces for point in piece]
    x_low, x_high = _limits([x for x, _ in every], 0.02 if axes.names is None else 0.1)
    y_low, y_high = _limits([y for _, y in every], 0.05)
    to_x = _scale(x_low, x_high, LEFT, WIDTH - RIGHT)
    to_y = _scale(y_low, y_high, TOP + PLOT_HEIGHT, TOP)
    title = shorten(f"{clean(axes.y)} over {clean(axes.x)}", LONGEST)
    picture = Picture(title, TOP + PLOT_HEIGHT + BOTTOM)
    picture.marks += [Words(LEFT, 24, title, size=15, ink="ink")]
    picture.marks += _horizontal(axes, x_low, x_high, to_x)
    picture.marks += _vertical(axes, y_low, y_high, to_y)
    has_legend = len(kept) > 1 and axes.names is None
    is_numbered = sum(shape.is_line for _, shape, _ in kept) > 1
    taken: list[float] = []
    for n, shape, pieces in kept:
        placed = [[(_round(to_x(x)), _round(to_y(y))) for x, y in piece] for piece in pieces]
        picture.marks += _drawn(shape, n, placed)
        if is_numbered and shape.is_line:
            picture.marks.append(_number_at_end(n, placed[-1][-1], taken))
    if has_legend:
        listed = [(n, shape) for n, shape, _ in kept]
        picture.marks += _legend(listed, picture.height, is_numbered=is_numbered)
        picture.height += ROW * (min(len(kept), MOST_ROWS) + (len(kept) > MOST_ROWS)) + 8
    return picture


def _pieces(points: Points, axes: Axes) -> list[list[tuple[float, float]]]:
    """The points on their scales, parted where one cannot be drawn."""
    found: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            found.append([])
        elif not ((axes.log_x and x <= 0) or (axes.log_y and y <= 0)):
            place = math.log10(x) if axes.log_x else x, math.log10(y) if axes.log_y else y
            found[-1].append(place)
    return [piece for piece in found if piece]


def _number(place: int, shape: Shape, shapes: Sequence[Shape], axes: Axes) -> int:
    """The number that chooses a colour: lines first; points in columns of their own have one."""
    if axes.names is not None or not shape.is_line:
        return 0 if axes.names is not None else place
    return sum(other.is_line for other in shapes[:place])


def _ink(shape: Shape, number: int) -> str:
    return "quiet" if shape.mark == "o" else f"s{number % COLOURS}"


def _drawn(
    shape: Shape, number: int, placed: Sequence[Sequence[tuple[float, float]]]
) -> Iterable[Mark]:
    ink = _ink(shape, number)
    for piece in placed:
        if shape.is_line and len(piece) > 1:
            dash = DASHES[number // COLOURS % len(DASHES)]
            yield Line(tuple(piece), ink, 1.8, dash)
        else:
            yield from (Dot(x, y, ink) for x, y in piece)


def _number_at_end(number: int, end: tuple[float, float], taken: list[float]) -> Words:
    """The number of a line where it ends; below those that are there already."""
    y = end[1] + 4
    while any(abs(y - other) < 11 for other in taken):
        y += 11
    taken.append(y)
    return Words(_round(min(end[0] + 5, WIDTH - 18)), _round(y), str(number + 1), size=11)


def _legend(
    shapes: Sequence[tuple[int, Shape]], top: float, *, is_numbered: bool
) -> Iterable[Mark]:
    for row, (n, shape) in enumerate(shapes[:MOST_ROWS]):
        y = top + row * ROW
        if is_numbered and shape.is_line:
            yield Words(LEFT - 44, y + 4, str(n + 1), anchor="end", size=11)
        swatch = [(LEFT - 36.0, y), (LEFT - 8.0, y)] if shape.is_line else [(LEFT - 22.0, y)]
        yield from _drawn(shape, n, [swatch])
        yield Words(LEFT, y + 4, shorten(clean(shape.label), LONGEST), ink="ink")
    rest = len(shapes) - MOST_ROWS
    if rest > 0:
        yield Words(LEFT, top + MOST_ROWS * ROW + 4, f"and {rest} more")


def _horizontal(
    axes: Axes, low: float, high: float, place: Callable[[float], float]
) -> Iterable[Mark]:
    bottom = TOP + PLOT_HEIGHT
    yield Line(((LEFT, bottom), (WIDTH - RIGHT, bottom)), "axis", 1)
    ticks = _ticks(low, high, log=axes.log_x)
    if axes.names is not None:
        most = max(1, len(axes.names) // 10)
        ticks = [(x, shorten(clean(name), 14)) for x, name in axes.names.items()][::most]
    for x, text in ticks:
        at = _round(place(x))
        yield Line(((at, bottom), (at, bottom + 4)), "axis", 1)
        yield Words(at, bottom + 18, text, anchor="middle", size=11)
    name = shorten(clean(axes.x), LONGEST)
    yield Words((LEFT + WIDTH - RIGHT) / 2, bottom + 36, name, anchor="middle")


def _vertical(
    axes: Axes, low: float, high: float, place: Callable[[float], float]
) -> Iterable[Mark]:
    for y, text in _ticks(low, high, log=axes.log_y):
        at = _round(place(y))
        yield Line(((LEFT, at), (WIDTH - RIGHT, at)), "grid", 1)
        yield Words(LEFT - 8, _round(at + 4), text, anchor="end", size=11)


def _limits(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = high * margin - low * margin if low / 2 < high / 2 else abs(low) / 2 or 1.0
    return max(low - room, -_MOST), min(high + room, _MOST)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From values to places; by shares of each limit, since their distance may overflow."""

    def place(value: float) -> float:
        share = (value / 2 - low / 2) / (high / 2 - low / 2)
        return start + share * (end - start)

    return place


def _ticks(low: float, high: float, *, log: bool) -> list[tuple[float, str]]:
    """Round numbers between two limits, with their texts; powers of ten on a logarithmic scale."""
    if log:
        powers = range(math.ceil(low), math.floor(high) + 1)
        if len(powers) > 1:
            every = math.ceil(len(powers) / (_TICKS * 2))
            return [(float(n), format_number(10.0**n, precision=3)) for n in powers][::every]
    least = high / _TICKS - low / _TICKS
    size = 10.0 ** math.floor(math.log10(least)) if least > 0 and math.isfinite(least) else 0.0
    step = next((size * n for n in _STEPS if size * n >= least * (1 - 1e-9)), 0.0)
    if not step or not math.isfinite(high / step):
        return [(low, format_number(low, precision=3)), (high, format_number(high, precision=3))]
    counts = range(math.ceil(low / step), math.floor(high / step) + 1)
    values = [n * step for n in counts]
    return [(value, format_number(10.0**value if log else value, precision=4)) for value in values]


def _round(value: float) -> float:
    return round(value, 1)
