"""The tools that judge the code are part of the tests: lint, layout and types of everything.

Each runs once over the whole project, with the settings in `pyproject.toml`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("tool", "mend"),
    [
        (("ruff", "check"), "ruff check --fix"),
        (("ruff", "format", "--check"), "ruff format"),
        (("mypy",), "mypy"),
    ],
    ids=("lint", "layout", "types"),
)
def test_the_tools_have_nothing_to_say(tool: tuple[str, ...], mend: str) -> None:
    # `-P`: the folder we are in is not searched for a module called ruff or mypy.
    done = subprocess.run(
        [sys.executable, "-P", "-m", *tool],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"run `{mend}`\n{done.stdout}{done.stderr}"
