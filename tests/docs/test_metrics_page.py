"""Each pattern of the page on metrics reads the documented values from the output above it."""

import re
import shlex

import pytest

from gitexp.core.inputs.patterns import parse_patterns, read_lines
from tests.docs.reading import ROOT, blocks

PAGE = ROOT / "docs" / "metrics.md"
_RECORDED = re.compile(r"^Recorded: (.*)\.$", re.MULTILINE)


def sections() -> dict[str, str]:
    """Return the sections on common outputs, by title."""
    part = PAGE.read_text().partition("\n## Ten common outputs\n")[2].partition("\n## ")[0]
    titled = [section.partition("\n") for section in part.split("\n### ")[1:]]
    return {title: text for title, _, text in titled}


def test_page_has_at_least_ten_patterns() -> None:
    assert len(sections()) >= 10


@pytest.mark.parametrize("title", sections())
def test_patterns_read_the_documented_values(title: str) -> None:
    text = sections()[title]
    languages = {language: content for _, language, content in blocks(text)}
    words = shlex.split(languages["sh"])
    patterns = [words[n + 1] for n, word in enumerate(words) if word == "--metric-pattern"]
    recorded = _RECORDED.search(text)
    assert recorded is not None
    said = dict(re.findall(r"`([\w.]+)=([^`]+)`", recorded[1]))
    found: dict[str, float] = {}
    for reading in read_lines(parse_patterns(patterns), languages["text"].splitlines()):
        assert reading.fault is None
        found.update(reading.values)
        if reading.step is not None:
            found["step"] = reading.step
    assert found == {name: float(value) for name, value in said.items()}
