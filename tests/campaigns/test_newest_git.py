"""The suite on the newest git of Debian: `pytest -m newest_git`, or `python -m tests.newest_git`.

Takes as long as the suite, and needs the network once.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.newest_git import TIERS, prepare

pytestmark = [pytest.mark.newest_git, pytest.mark.timeout(7200)]
ENVIRON = dict(os.environ)


@pytest.mark.parametrize("tier", TIERS)
def test_the_suite_passes(tier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    extra, tests = TIERS[tier]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests],
        cwd=Path(__file__).parents[2],
        env={**ENVIRON, **prepare(), **extra},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
