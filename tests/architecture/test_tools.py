"""Lint, layout, types and spelling of the whole project.

The settings of each tool are in `pyproject.toml`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(1800)  # on a busy machine mypy takes minutes
@pytest.mark.parametrize(
    ("tool", "fix"),
    [
        (("ruff", "check"), "ruff check --fix"),
        (("ruff", "format", "--check"), "ruff format"),
        pytest.param(("mypy",), "mypy", marks=pytest.mark.slow),
        pytest.param(("codespell_lib",), "codespell --write-changes", marks=pytest.mark.slow),
    ],
    ids=("lint", "layout", "types", "spelling"),
)
def test_tools_report_no_fault(tool: tuple[str, ...], fix: str) -> None:
    # `-P`: do not search the current directory for a module called ruff or mypy.
    done = subprocess.run(
        [sys.executable, "-P", "-m", *tool],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"run `{fix}`\n{done.stdout}{done.stderr}"
