"""Documents and packages in PLAIN avoid the phrases below. PLAIN only grows.

Checked are the prose of a document, without its code blocks and generated tables, and the comments,
docstrings and messages of a package.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLAIN = (
    "README.md",
    ".github",
    "docs/agent-instructions.md",
    "docs/agents.md",
    "docs/architecture.md",
    "docs/changelog.md",
    "docs/commands.md",
    "docs/concurrency.md",
    "docs/contributing.md",
    "docs/data-model.md",
    "docs/exit-codes.md",
    "docs/glossary.md",
    "docs/harvest.md",
    "docs/hooks.md",
    "docs/import-export.md",
    "docs/json.md",
    "docs/metrics.md",
    "docs/parameters.md",
    "docs/performance.md",
    "docs/purge.md",
    "docs/reliability.md",
    "docs/security.md",
    "docs/settings.md",
    "docs/sweeps.md",
    "docs/tutorial-agent.md",
    "docs/tutorial-solo.md",
    "docs/tutorial-team.md",
    "docs/tutorial.md",
    "docs/ui.md",
    "docs/verdicts.md",
    "docs/decisions",
    "gitexp/features/harvest",
    "gitexp/features/bridges",
    "gitexp/features/trials",
    "gitexp/features/runs",
    "gitexp/core/query",
    "gitexp/core/render",
    "gitexp/core/inputs",
    "gitexp/core/analysis",
    "gitexp/core/brief",
    "gitexp/core/schema",
    "gitexp/adapters/journal",
    "gitexp/adapters/git",
    "gitexp/adapters/system",
    "gitexp/adapters/inject",
    "gitexp/adapters/trackers",
    "gitexp/adapters/__init__.py",
    "gitexp/core/model",
    "gitexp/core/errors.py",
    "gitexp/storage/branch",
    "gitexp/storage/cache",
    "gitexp/storage/merge",
    "gitexp/storage/sessions.py",
    "gitexp/storage/settings",
    "gitexp/storage/workspace.py",
    "gitexp/api",
    "gitexp/features/doctor",
    "gitexp/features/execution",
    "gitexp/features/recording",
    "gitexp/features/sync",
    "gitexp/cli",
    "gitexp/features/sweeps",
    "tests/conftest.py",
    "tests/hostile.py",
    "tests/newest_git.py",
    "tests/adapters",
    "tests/api",
    "tests/architecture/test_hot_path_imports.py",
    "tests/architecture/test_layers.py",
    "tests/architecture/test_tools.py",
    "tests/benchmarks",
    "tests/campaigns",
    "tests/cli",
    "tests/core",
    "tests/docs",
    "tests/e2e",
    "tests/features",
    "tests/storage",
)
"""Files and directories, from the top of the repository."""

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


def faults_of(path: Path) -> list[str]:
    """Return one line for each phrase found in a file."""
    prose = prose_of_a_module if path.suffix == ".py" else prose_of_a_document
    return [
        f"{path.relative_to(ROOT)}:{number}: '{found[0]}': {instead}"
        for number, line in prose(path.read_text(encoding="utf-8"))
        for pattern, instead in PHRASES.items()
        if (found := re.search(pattern, line))
    ]


def files_of(place: Path) -> list[Path]:
    """Return the documents and modules at a path, itself or below it."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*") if path.suffix in (".py", ".md", ".yml"))


@pytest.mark.parametrize("place", PLAIN)
def test_wording_is_plain(place: str) -> None:
    files = files_of(ROOT / place)
    assert files, f"{place} has no document and no module"
    assert not (faults := [fault for path in files for fault in faults_of(path)]), "\n".join(faults)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.md", "nobody\n```\nnobody\n```\n`nobody`\nNobody\n", [1, 6]),
        ("a.py", '"""Tell whether."""\n\nx = 1  # nobody\nnobody = "is told"\n', [1, 3, 4]),
    ],
)
def test_wording_finds_phrases_in_prose_only(
    name: str, text: str, lines: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / name).write_text(text)
    found = sorted(int(fault.split(":")[1]) for fault in faults_of(tmp_path / name))
    assert found == lines
