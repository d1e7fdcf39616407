"""The picture of the README shows what its commands print."""

import html
import re
from pathlib import Path

import pytest

from tests.docs.picture import CHARACTER, MARGIN, PICTURE, WIDEST, draw, lines_of, play_commands
from tests.docs.reading import normal

TEXT = re.compile(r"<text[^>]*>(.*?)</text>")


def test_picture_shows_the_output_of_its_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDEST))
    folder = tmp_path / "work"
    lines = lines_of(play_commands(folder))
    shown = [html.unescape(text) for text in TEXT.findall(PICTURE.read_text())]
    assert [normal(line, folder) for line in shown] == [normal(line, folder) for line in lines], (
        "run `python -m tests.docs.picture`"
    )


def test_picture_is_as_wide_as_its_widest_line() -> None:
    shown = [html.unescape(text) for text in TEXT.findall(PICTURE.read_text())]
    assert max(map(len, shown)) <= WIDEST


def test_picture_escapes_markup() -> None:
    drawn = draw(["$ git exp list --where 'loss < 1 & lr > 0'"])
    assert "loss &lt; 1 &amp; lr &gt; 0" in drawn
    assert f'width="{round(WIDEST * CHARACTER + 2 * MARGIN)}"' in drawn
