"""The installed `git exp`, found on PATH as git finds it."""

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

Git = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> Git:
    """Run git in a directory, with the installed `git-exp` on PATH."""
    scripts = sysconfig.get_path("scripts")
    if not (Path(scripts) / "git-exp").exists():
        pytest.skip("gitexp is not installed")
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")

    def call(folder: Path, *args: str, check: int | None = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            ["git", *args],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check is not None and done.returncode != check:
            pytest.fail(f"git {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return call
