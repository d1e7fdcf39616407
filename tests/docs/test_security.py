"""The security page names a test for every threat, which fails without the defence."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.reading import ROOT

ROWS = {
    row[0]: row
    for line in (ROOT / "docs" / "security.md").read_text().splitlines()
    if line.startswith("| S")
    for row in [[cell.strip() for cell in line.strip("|").split("|")]]
}
SERVING = {"http.server", "socketserver", "socket", "wsgiref", "xmlrpc", "webbrowser"}


def test_every_threat_has_a_row() -> None:
    named = [name for row in ROWS for name in row.split(", ")]
    assert named == [f"S{n}" for n in range(1, 20)]


@pytest.mark.parametrize("threat", ROWS)
def test_every_threat_has_a_test_that_exists(threat: str) -> None:
    named = re.findall(r"`(test_\w+)`", ROWS[threat][-1])
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert [name for name in named if f"def {name}(" not in written] == []


@pytest.mark.parametrize("page", ["security.md", "reliability.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text()))
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []


def test_only_the_live_page_is_served() -> None:
    """S9: one module opens a port, and one command starts it. The engines only look names up."""
    found = {
        (path.relative_to(ROOT / "gitexp").as_posix(), name)
        for path in sorted((ROOT / "gitexp").rglob("*.py"))
        for name in _imports(path)
        if name in SERVING or name.partition(".")[0] in SERVING
    }
    assert found == {
        ("adapters/engines/found.py", "socket"),
        ("features/report/live/server.py", "http.server"),
        ("features/report/live/server.py", "socket"),
        ("cli/ui_command.py", "webbrowser"),
    }


def _imports(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
    return plain + [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom) and not n.level]
