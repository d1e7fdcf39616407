"""A chart as a PNG file, drawn by Pillow."""

import builtins
import io
from typing import Any

import pytest

from gitexp.cli.output.png import png_bytes
from gitexp.core.errors import GitexpError
from gitexp.core.render.chart import Axes, lay_out
from gitexp.core.render.plot import LINE, Shape
from gitexp.core.render.svg import LIGHT

AXES = Axes(x="step", y="loss")


def test_pixels_show_the_lines() -> None:
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    points = [(float(n), float(n % 3)) for n in range(9)]
    several = [Shape(f"{n} 😀 שלום", points) for n in range(6)]
    content = png_bytes(lay_out([*several, Shape("best", points, mark=LINE)], AXES))
    image = image_module.open(io.BytesIO(content))
    assert image.size == (1600, 2 * (488 + 20 * 7 + 8))
    colours = {colour for _, colour in image.getcolors(1 << 20)}
    for name in ("paper", "grid", "s0", "s2"):
        assert tuple(int(LIGHT[name][n : n + 2], 16) for n in (1, 3, 5)) in colours, name
    assert content == png_bytes(lay_out([*several, Shape("best", points, mark=LINE)], AXES))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "PIL":
            raise ImportError(name)
        return there(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(GitexpError, match="cannot draw a PNG file") as caught:
        png_bytes(lay_out([Shape("x", [(0.0, 1.0)])], AXES))
    assert caught.value.hints[0] == "`pip install 'gitexp[png]'`"
