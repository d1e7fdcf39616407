"""What the page looks like, against expected pictures; `long`, and run on demand.

`GITEXP_NEW_PICTURES=1` writes the expected pictures anew: look at them before you commit them. They
are a third of the size and have few colours, so that they stay small and small differences of
fonts do not count.
"""

import io
import os
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Show

EXPECTED = Path(__file__).parent / "expected"
WIDTHS = {1440: 900, 1024: 768, 390: 844}
VIEWS = ("summary", "runs", "curves", "space", "ideas")
SMALLER = 3
COLOURS = 32

MOST_DIFFERENT = 0.04
"""Share of the pixels that may differ by more than `FAR`: moved letters, another date."""

FAR = 60
"""Steps of 255 in one colour."""

WRITES = bool(os.environ.get("GITEXP_NEW_PICTURES"))  # tests see an empty environment

pytestmark = pytest.mark.long


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_views_look_as_expected(report: Path, show: Show, width: int, theme: str) -> None:
    shown = show(report, viewport={"width": width, "height": WIDTHS[width]})
    faults = []
    for view in VIEWS:
        shown.go(f"v={view}&t={theme}")
        shown.page.wait_for_timeout(300)
        name = f"{view}-{theme}-{width}.png"
        faults += compare(shown.page.screenshot(), EXPECTED / name)
    shown.check()
    assert not faults, "\n".join(faults)


def compare(content: bytes, expected: Path) -> list[str]:
    """The fault of a picture, in words; none when it is near enough."""
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    seen = smaller(image_module, content)
    if WRITES:
        expected.parent.mkdir(exist_ok=True)
        seen.quantize(COLOURS).save(expected, optimize=True)
    wanted = image_module.open(expected).convert("RGB")
    if seen.size != wanted.size:
        return [f"{expected.name}: {seen.size} pixels, not {wanted.size}"]
    from PIL import ImageChops

    far = ImageChops.difference(seen, wanted).convert("L").point(lambda step: 255 * (step > FAR))
    share = far.histogram()[255] / (seen.size[0] * seen.size[1])
    if share <= MOST_DIFFERENT:
        return []
    return [f"{expected.name}: {share:.1%} of the pixels differ, box {far.getbbox()}"]


def smaller(image_module: Any, content: bytes) -> Any:
    """A screenshot in the size of the expected pictures."""
    whole = image_module.open(io.BytesIO(content)).convert("RGB")
    return whole.reduce(SMALLER)


def test_a_page_that_lost_its_style_is_noticed(report: Path, show: Show, tmp_path: Path) -> None:
    """The tolerance is no excuse: without a style, in another theme, or with other data."""
    if WRITES:
        pytest.skip("the pictures are being written")
    shown = show(report, "v=summary&t=light")
    shown.page.wait_for_timeout(300)
    expected = EXPECTED / "summary-light-1440.png"
    assert compare(shown.page.screenshot(), expected) == []
    shown.go("v=summary&t=dark")
    assert compare(shown.page.screenshot(), expected)
    shown.go("v=summary&t=light")
    shown.page.evaluate("document.styleSheets[0].disabled = true")
    assert compare(shown.page.screenshot(), expected)
    shown.go("v=runs&t=light")
    assert compare(shown.page.screenshot(), expected)
