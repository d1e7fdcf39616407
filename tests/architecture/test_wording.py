"""All documents and modules avoid the phrases below.

Checked are the prose of a document, without its code blocks and generated tables, the comments,
docstrings and messages of a module, and the comments of a script.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLACES = ("README.md", ".github", "docs", "gitexp", "tests")
"""Files and directories that are checked, from the top of the repository."""

PHRASES: dict[str, str] = {
    r"(?i)\b(nobody|somebody|whoever|anybody)\b": "name the process, user or caller that acts",
    r"\b(is|was|are|were) told\b": "gitexp warns, prints or reports",
    r"(?i)\bfor ever\b|\ball the same\b|\bof no matter\b": "forever; nevertheless; does not matter",
    r"\bFloor \d": "docs/architecture.md and its test know the layer",
    r"\blet go\b|\bgone home\b|\bas it is\b": "released; unchanged",
    r"(?i)\bdeeds?\b": "operation",
    r"(?i)\bso (many|often|long)\b(?! as)": "say the number or what it limits",
    r"(?i)\bby itself\b|\bmeanwhile\b": "say which process does it, and when",
    r"\bTell whether\b": "Return whether",
    r"\b[Mm]end(s|ed|ing)?\b": "fix",
    r"\b[Ww]hat (lies|is there|was asked|stands)\b": "name the thing",
}
"""Regular expressions, each with what to write instead."""

ANY = re.compile("|".join(f"(?:{phrase.replace('(?i)', '')})" for phrase in PHRASES), re.I)
"""Matches wherever a phrase does. Most files have none, and are not parsed."""

JOINED = r"""["']\s*\n\s*[fr]?["']"""
"""Where one string goes on as the next line's string."""


def prose_of_a_document(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text outside of code blocks, code spans and generated tables."""
    hidden = r"^```.*?^```$|<!-- generated.*?<!-- end -->"
    text = re.sub(hidden, lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S)
    for number, line in enumerate(text.splitlines(), 1):
        yield number, re.sub(r"`[^`]*`", "``", line)


def prose_of_a_module(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text of comments and strings, docstrings included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, line
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def prose_of_a_script(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text of the comments of a JavaScript module."""
    for number, line in enumerate(text.splitlines(), 1):
        yield number, "".join(re.findall(r"(?:^|\s)//.*", line))


PROSE: dict[str, Callable[[str], Iterator[tuple[int, str]]]] = {
    ".py": prose_of_a_module,
    ".js": prose_of_a_script,
    ".md": prose_of_a_document,
    ".yml": prose_of_a_document,
}
"""What is checked of a file, by its suffix."""


def faults_of(path: Path) -> list[str]:
    """Return one line for each phrase found in a file."""
    text = path.read_text(encoding="utf-8")
    if not ANY.search(re.sub(JOINED, "", text)):
        return []
    return [
        f"{path.relative_to(ROOT)}:{number}: '{found[0]}': write {instead}"
        for number, line in PROSE[path.suffix](text)
        for pattern, instead in PHRASES.items()
        if (found := re.search(pattern, line))
    ]


def checked_files() -> Iterator[Path]:
    """Yield the documents and modules of `PLACES`, without this file and what others wrote."""
    left_out = [Path(__file__), ROOT / "gitexp/features/report/static/uplot"]
    for place in PLACES:
        for path in [ROOT / place, *sorted((ROOT / place).rglob("*"))]:
            known = path.suffix in PROSE and path.is_file()
            if known and not any(path.is_relative_to(other) for other in left_out):
                yield path


def test_wording_is_plain() -> None:
    faults = [f"{place}: it is gone" for place in PLACES if not (ROOT / place).exists()]
    faults += [fault for path in checked_files() for fault in faults_of(path)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.md", "nobody\n```\nnobody\n```\n`nobody`\nNobody\n", [1, 6]),
        ("a.py", '"""Tell whether."""\n\nx = 1  # nobody\nnobody = "is told"\n', [1, 3, 4]),
        ("a.js", 'say("nobody"); // nobody\n// so long\n', [1, 2]),
        ("b.py", 'x = (\n    "it is "\n    f"told"\n)\n', [2]),
    ],
)
def test_wording_finds_phrases_in_prose_only(
    name: str, text: str, lines: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / name).write_text(text)
    found = sorted(int(fault.split(":")[1]) for fault in faults_of(tmp_path / name))
    assert found == lines
