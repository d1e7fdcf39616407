"""A picture as an SVG file: no script, no link, no font of its own, the same bytes each time."""

import html
import re
from collections.abc import Iterable
from typing import Final

from gitexp.core.render.chart import Dot, Line, Mark, Picture, Words

LIGHT: Final = {
    "paper": "#ffffff",
    "grid": "#e5e8ea",
    "axis": "#818a93",
    "quiet": "#818a93",
    "ink": "#15191d",
    "ink2": "#47505a",
    "s0": "#0072b2",
    "s1": "#d55e00",
    "s2": "#4a525b",
    "s3": "#3a9bd9",
}
DARK: Final = {
    "paper": "#101315",
    "grid": "#262d32",
    "axis": "#7a8590",
    "quiet": "#7a8590",
    "ink": "#e9ebed",
    "ink2": "#b4bcc3",
    "s0": "#4d9fdb",
    "s1": "#f0843c",
    "s2": "#98a2ab",
    "s3": "#a9dcfb",
}
"""The colours of the page's themes, by what they are for."""

_FONTS: Final = 'system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file may have."""


def svg_text(picture: Picture) -> str:
    """The file. It is dark where the reader's browser asks for dark."""
    width, height = _number(picture.width), _number(picture.height)
    title = _text(picture.title)
    dark = "".join(_rules(DARK)).replace("\n", "\n  ").rstrip()
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img">',
        f"<title>{title}</title>",
        "<style>",
        f"text {{ font-family: {_FONTS}; }}",
        ".l { fill: none; stroke-linejoin: round; }",
        "".join(_rules(LIGHT)).rstrip(),
        f"@media (prefers-color-scheme: dark) {{\n  {dark}\n}}",
        "</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        *map(_element, picture.marks),
        "</svg>",
        "",
    ]
    return "\n".join(lines)


def _rules(colours: dict[str, str]) -> Iterable[str]:
    for name, colour in colours.items():
        yield f".{name} {{ fill: {colour}; }}\n"
        if name != "paper" and not name.startswith("ink"):
            yield f".l.{name} {{ fill: none; stroke: {colour}; }}\n"


def _element(mark: Mark) -> str:
    match mark:
        case Line():
            points = " ".join(f"{_number(x)},{_number(y)}" for x, y in mark.points)
            dash = f' stroke-dasharray="{" ".join(map(str, mark.dash))}"' if mark.dash else ""
            kind = f'class="l {mark.ink}" stroke-width="{_number(mark.width)}"{dash}'
            return f'<polyline {kind} points="{points}"/>'
        case Dot():
            place = f'cx="{_number(mark.x)}" cy="{_number(mark.y)}"'
            return f'<circle class="{mark.ink}" {place} r="{_number(mark.radius)}"/>'
        case Words():
            place = f'x="{_number(mark.x)}" y="{_number(mark.y)}"'
            anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
            kind = f'class="{mark.ink}" font-size="{mark.size}"'
            return f"<text {kind} {place}{anchor}>{_text(mark.text)}</text>"


def _text(text: str) -> str:
    return html.escape(_NO_XML.sub("�", text), quote=True)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
