"""A picture as a PNG file, drawn by Pillow; no display and no font of the system is needed.

Pillow is an optional extra and imported when a picture is drawn. Its own font has Latin letters; a
font of the system that has more is taken where there is one.
"""

import io
from collections.abc import Iterator
from functools import cache
from itertools import cycle, pairwise
from math import hypot
from typing import Any, Final

from gitexp.core.errors import GitexpError
from gitexp.core.render.chart import Dot, Line, Picture, Words
from gitexp.core.render.svg import LIGHT

SCALE: Final = 2
"""Pixels of a point, for screens of today."""

_FINER: Final = 2
"""The drawing is made this much larger and then reduced, so that lines are smooth."""

_SYSTEM_FONTS: Final = ("DejaVuSans.ttf", "NotoSans-Regular.ttf")
_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}

Point = tuple[float, float]


def png_bytes(picture: Picture) -> bytes:
    """The file, on white. Raises `GitexpError` when Pillow is missing."""
    image_module, draw_module = _pillow()
    size = (round(picture.width * SCALE), round(picture.height * SCALE))
    large = image_module.new("RGB", (size[0] * _FINER, size[1] * _FINER), LIGHT["paper"])
    pen = draw_module.Draw(large)
    factor = SCALE * _FINER
    for mark in picture.marks:
        match mark:
            case Line():
                places = [(x * factor, y * factor) for x, y in mark.points]
                width = max(1, round(mark.width * factor))
                for piece in _dashed(places, [d * factor for d in mark.dash]):
                    pen.line(piece, fill=LIGHT[mark.ink], width=width, joint="curve")
            case Dot():
                x, y, radius = mark.x * factor, mark.y * factor, mark.radius * factor
                box = (x - radius, y - radius, x + radius, y + radius)
                pen.ellipse(box, fill=LIGHT[mark.ink])
            case Words():
                pen.text(
                    (mark.x * factor, mark.y * factor),
                    mark.text.encode("utf-8", "replace").decode(),
                    fill=LIGHT[mark.ink],
                    font=_font(mark.size * factor),
                    anchor=_ANCHORS[mark.anchor],
                )
    written = io.BytesIO()
    large.resize(size, image_module.Resampling.BOX).save(written, "PNG", optimize=True)
    return written.getvalue()


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageDraw  # an optional extra
    except ImportError as error:
        raise GitexpError(
            "cannot draw a PNG file",
            why="Pillow is not installed",
            hints=["`pip install 'gitexp[png]'`", "`--svg FILE` needs nothing"],
        ) from error
    return Image, ImageDraw


@cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    for name in _SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _dashed(points: list[Point], dash: list[int]) -> Iterator[list[Point]]:
    """The parts of a line that are drawn: all of it without dashes."""
    if not dash:
        yield points
        return
    lengths = cycle(dash)
    left, is_drawn = float(next(lengths)), True
    piece = [points[0]]
    for start, end in pairwise(points):
        length, done = hypot(end[0] - start[0], end[1] - start[1]), 0.0
        while length - done > left:
            done += left
            at = _between(start, end, done / length)
            if is_drawn:
                yield [*piece, at]
            piece, is_drawn, left = [at], not is_drawn, float(next(lengths))
        left -= length - done
        piece.append(end)
    if is_drawn and len(piece) > 1:
        yield piece


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
