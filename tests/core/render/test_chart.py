"""Pictures of charts: equal bytes for equal shapes, safe for every name, readable."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gitexp.core.render.chart import Axes, Line, Words, lay_out
from gitexp.core.render.plot import Shape
from gitexp.core.render.svg import DARK, LIGHT, svg_text

EXPECTED = Path(__file__).parents[2] / "samples" / "plot.svg"
AXES = Axes(x="step", y="loss")


def test_equal_shapes_make_equal_bytes() -> None:
    first = [(float(n), 1 / (n + 1)) for n in range(20)]
    second = [(float(n), 0.9 - n / 40) for n in range(12)]
    picture = lay_out([Shape("1a2b3c4 brave-otter", first), Shape("calm & <b>", second)], AXES)
    assert svg_text(picture) == EXPECTED.read_text(encoding="utf-8")


def test_a_value_that_is_no_number_parts_the_line() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (3.0, 3.0), (4.0, 1.0), (5.0, math.inf)]
    marks = lay_out([Shape("x", points)], AXES).marks
    lines = [mark for mark in marks if isinstance(mark, Line) and mark.ink == "s0"]
    assert [len(line.points) for line in lines] == [2, 2]


def test_logarithmic_axes_have_powers_and_leave_out_what_is_not_above_zero() -> None:
    points = [(0.0, 1.0), (0.001, 1.0), (0.1, 10.0), (10.0, 100.0)]
    axes = Axes(x="lr", y="loss", log_x=True, log_y=True)
    picture = lay_out([Shape("x", points, is_line=False)], axes)
    words = [mark.text for mark in picture.marks if isinstance(mark, Words)]
    assert {"0.001", "0.1", "10", "1", "100"} <= set(words)
    assert sum(type(mark).__name__ == "Dot" for mark in picture.marks) == 3


@pytest.mark.parametrize(
    "points",
    [
        [(1.0, 5.0)],
        [(0.0, 0.0), (1.0, 0.0)],
        [(0.0, -1.7e308), (1.0, 1.7e308)],
        [(0.0, 5e-324), (1.0, 0.0)],
        [(1e16, 1.0), (1e16 + 2, 2.0)],
        [(-3.0, -2.0), (-2.0, -1.0)],
    ],
)
def test_every_range_has_places_on_the_paper(points: list[tuple[float, float]]) -> None:
    picture = lay_out([Shape("x", points)], AXES)
    root = ElementTree.fromstring(svg_text(picture))
    numbers = [
        float(number)
        for shape in root.iter()
        for key in ("points", "cx", "cy", "x", "y")
        for number in re.split("[ ,]", shape.get(key, "0"))
    ]
    assert all(0 <= number <= max(picture.width, picture.height) for number in numbers)


def test_names_of_strangers_are_texts() -> None:
    names = ["</text><script>alert(1)</script>", "]]>&lt;&#0;", "\ud800\ufffe\x00\x1b[31m\u202e"]
    for name in names:
        shapes = [Shape(name, [(0.0, 1.0), (1.0, 2.0)]), Shape(name, [(0.0, 2.0), (1.0, 1.0)])]
        picture = lay_out(shapes, Axes(x=name, y=name, names={0.0: name}))
        root = ElementTree.fromstring(svg_text(picture).encode("utf-8", "strict"))
        kinds = {element.tag.partition("}")[2] for element in root.iter()}
        assert kinds <= {"svg", "title", "style", "rect", "polyline", "circle", "text"}
        assert not any(
            "href" in key or key.startswith("on")
            for e in root.iter()
            for key in e.keys()  # noqa: SIM118
        )


def test_both_themes_can_be_read() -> None:
    for colours in (LIGHT, DARK):
        for name in colours.keys() - {"paper", "grid"}:
            least = 4.5 if name.startswith("ink") else 3
            assert contrast(colours[name], colours["paper"]) >= least, (name, colours[name])


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
