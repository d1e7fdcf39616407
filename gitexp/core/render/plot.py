"""Lines and points drawn with characters, for a terminal or a pipe.

Drawn by plotille, an optional extra, which is imported at the first drawing.
"""

import math
from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Any, Final

from gitexp.core.errors import GitexpError
from gitexp.core.model.frozen import frozen
from gitexp.core.render.text import clean, format_number, width_of

DEFAULT_WIDTH: Final = 80
DEFAULT_HEIGHT: Final = 20
_MARGIN: Final = 19
"""Columns beside the drawing, without the label of the horizontal axis."""
_TICK_COLUMNS: Final = 9
_COLUMNS_A_TICK: Final = 10
_ROUND: Final = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20)
"""Steps between two numbers of the horizontal axis, times powers of ten."""
_MARKS: Final = 8
"""Maximum number of marks on one line."""
_COLOURS: Final = ("cyan", "yellow", "magenta", "green", "red", "blue", "white")

LINE: Final = "-"
"""Mark of the only line of a plot."""
_BLANK: Final = "\u2800"

Points = Sequence[tuple[float, float]]


@frozen
class Shape:
    """Line or set of points; infinite values and NaN are not drawn."""

    label: str
    points: Points
    is_line: bool = True
    mark: str = ""
    """Letter that marks it; `None` chooses one if several shapes are drawn."""


def draw(
    shapes: Sequence[Shape],
    *,
    x_label: str,
    y_label: str,
    width: int | None = None,
    height: int = DEFAULT_HEIGHT,
    log_x: bool = False,
    log_y: bool = False,
    colour: bool = False,
) -> str:
    """Return a drawing with axes and, for several shapes, a legend of their letters.

    A logarithmic axis omits values that are not above zero; its numbers are those of the values.
    Raises `GitexpError` if plotille is missing or nothing can be drawn.
    """
    scaled = [(s, [_scaled(p, log_x, log_y) for p in s.points]) for s in shapes]
    kept = [(s, [p for p in points if p is not None]) for s, points in scaled]
    kept = [(s, points) for s, points in kept if points]
    if not kept:
        raise GitexpError("there is nothing to draw", why="no value is a finite number")
    columns = (width or DEFAULT_WIDTH) - _MARGIN - width_of(clean(x_label))
    figure = _figure(columns, height, colour=colour)
    every = [point for _, points in kept for point in points]
    figure.set_x_limits(*_round_limits([x for x, _ in every], figure.width))
    figure.set_y_limits(*_limits([y for _, y in every], 0.05))
    figure.x_ticks_fkt, figure.y_ticks_fkt = _ticks(log=log_x), _ticks(log=log_y, right=True)
    figure.x_label, figure.y_label = clean(x_label), clean(y_label)
    for n, (shape, points) in enumerate(kept):
        mark = _mark(shape, n, len(kept))
        lc = _COLOURS[n % len(_COLOURS)] if colour else None
        if shape.is_line:
            figure.plot([x for x, _ in points], [y for _, y in points], lc=lc)
        marked = _spread(points) if shape.is_line else points
        if mark and mark != LINE:
            figure.scatter([x for x, _ in marked], [y for _, y in marked], lc=lc, marker=mark)
    drawn = str(figure.show()).replace(_BLANK, " ").splitlines()
    legend = [f"{_mark(s, n, len(kept))}  {clean(s.label)}" for n, (s, _) in enumerate(kept)]
    return "\n".join(line.rstrip() for line in [*drawn, *(legend if len(kept) > 1 else [])])


def _mark(shape: Shape, number: int, count: int) -> str:
    if shape.mark:
        return shape.mark
    if count > 1:
        return ascii_lowercase[number % 26]
    return "" if shape.is_line else "o"


def _figure(columns: int, height: int, *, colour: bool) -> Any:
    try:
        import plotille  # an optional extra
    except ImportError as error:
        raise GitexpError(
            "cannot draw", why="plotille is not installed", hints=["`pip install 'gitexp[plot]'`"]
        ) from error
    figure = plotille.Figure()
    figure.width = max(20, columns)
    figure.height = height
    figure.with_colors = colour
    figure.color_mode = "names"
    figure.origin = False
    return figure


def _scaled(point: tuple[float, float], log_x: bool, log_y: bool) -> tuple[float, float] | None:  # noqa: FBT001
    x, y = point
    if not (math.isfinite(x) and math.isfinite(y)) or (log_x and x <= 0) or (log_y and y <= 0):
        return None
    return (math.log10(x) if log_x else x, math.log10(y) if log_y else y)


def _limits(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * margin if low < high else abs(low) / 2 or 1.0
    return low - room, high + room


def _round_limits(values: Sequence[float], columns: int) -> tuple[float, float]:
    """Return axis limits around the values, so that the numbers on the axis are round."""
    low, high = min(values), max(values)
    ticks = columns / _COLUMNS_A_TICK
    least = (high - low) / ticks
    if not least > 0:
        return _limits(values, 0.0)
    size = 10.0 ** math.floor(math.log10(least))
    for step in (size * n for n in _ROUND if size * n >= least * (1 - 1e-9)):
        start = min(low, math.floor(low / step) * step)  # a rounding error beyond a step is ignored
        if start + step * ticks >= high:
            break
    return start, start + step * ticks


def _spread(points: Points) -> Points:
    """Return evenly spaced points, the last one included."""
    count = min(_MARKS, len(points))
    return [points[(n + 1) * len(points) // count - 1] for n in range(count)]


def _ticks(*, log: bool, right: bool = False) -> Callable[[float, float], str]:
    def tick(low: float, high: float) -> str:
        del high
        text = format_number(10**low if log else low, precision=4)
        return text.rjust(_TICK_COLUMNS) if right else text[:_TICK_COLUMNS]

    return tick
