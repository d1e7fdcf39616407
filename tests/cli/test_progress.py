"""Progress: only on terminals, only after a second, and erased at the end."""

import io
import sys
import time

import pytest

from gitexp.cli.output import progress
from gitexp.cli.output.progress import waiting


class Screen(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def until(screen: Screen, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in screen.getvalue():
        assert time.monotonic() < deadline, screen.getvalue()
        time.sleep(0.005)


def test_long_work_shows_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    monkeypatch.setattr(progress, "PATIENCE_S", 0.01)
    with waiting("importing") as note:
        until(screen, "importing, ")
        note("5,000 recorded")
        until(screen, "importing (5,000 recorded), ")
    assert screen.getvalue().endswith("\r\x1b[K")


def test_short_work_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    monkeypatch.setattr(progress, "PATIENCE_S", 3600.0)
    with waiting("importing") as note:
        note("1 recorded")
    assert screen.getvalue() == ""


def test_progress_needs_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    with waiting("importing") as note:
        note("1 recorded")
        time.sleep(0.05)
    assert capsys.readouterr().err == ""
