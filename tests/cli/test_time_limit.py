"""`git exp run --timeout`: the record of a command that exceeds its limit."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import gitexp
from tests.cli.conftest import Exp


def shown_last(exp: Exp) -> dict[str, Any]:
    run: dict[str, Any] = json.loads(exp("show", "last", "--json").out)["runs"][0]
    return run


def test_a_command_over_its_limit_is_recorded_as_timed_out(exp: Exp) -> None:
    done = exp("run", "-n", "slow", "--timeout", "0.2s", "--", "sleep", "600", check=124)
    assert "run <1> slow timed out after TIME\n" in done.err
    shown = shown_last(exp)
    assert shown["outcome"] == "timed out"
    assert shown["command"]["timeout_s"] == 0.2
    assert shown["command"]["exit_code"] == -signal.SIGTERM
    record = exp.repo.git("ls-tree", "-r", "--name-only", "gitexp", "--", "runs").strip()
    assert "\ntimeout_s = 0.2\n" in exp.repo.git("show", f"gitexp:{record}")


def test_a_command_within_its_limit_keeps_its_exit_code(exp: Exp) -> None:
    exp("run", "--timeout", "1h", "--", "sh", "-c", "exit 7", check=7)
    shown = shown_last(exp)
    assert (shown["outcome"], shown["command"]["timeout_s"]) == ("failed", 3600)


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90", 90), ("1.5m", 90), ("90s", 90), ("0.025h", 90), ("9e1", 90)]
)
def test_time_limit_units(exp: Exp, typed: str, seconds: float) -> None:
    exp("run", "--timeout", typed, "--", "true")
    assert shown_last(exp)["command"]["timeout_s"] == seconds


@pytest.mark.parametrize("typed", ["", "0", "-1", "x", "5 days", "1ms", "1mm", "nan", "inf", "1d"])
def test_invalid_time_limit_is_refused_before_the_start(exp: Exp, typed: str) -> None:
    done = exp("run", "--timeout", typed, "--", "touch", "ran", check=129)
    assert "write it like 90, 60s, 2.5m or 1h" in done.err
    assert not (exp.repo.path / "ran").exists()


def test_run_killed_after_its_time_limit_timed_out(exp: Exp) -> None:
    """gitexp notes the limit before it sends TERM, so recovery knows why the command ended."""
    script = "trap 'touch asked' TERM; echo $$ > pid; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        [sys.executable, "-m", "gitexp", "run", "--timeout", "2", "--", "sh", "-c", script],
        cwd=exp.repo.path,
        env={**os.environ, "PYTHONPATH": str(Path(gitexp.__file__).parents[1])},
    )
    asked, pid = exp.repo.path / "asked", exp.repo.path / "pid"
    while not asked.exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(pid.read_text()), signal.SIGKILL)
    until_s = time.monotonic() + 30
    exp("recover")
    while (shown := shown_last(exp))["outcome"] == "running" and time.monotonic() < until_s:
        time.sleep(0.05)  # the command is not dead while a child of the shell lives
        exp("recover")
    assert shown["outcome"] == "timed out"
    assert shown["duration_s"] >= 2


def test_checks_over_their_limit_leave_what_the_command_started(exp: Exp) -> None:
    """A server that the command left running is no part of the checks."""
    exp.repo.commit({"gitexp.toml": '[checks]\ncommand = "sleep 600"\ntimeout = 0.3\n'})
    exp.repo.git("config", "exp.runChecks", "sleep 600")
    script = "sleep 600 >/dev/null 2>&1 & echo $! > pid"
    exp("run", "--", "sh", "-c", script)
    pid = int((exp.repo.path / "pid").read_text())
    try:
        assert shown_last(exp)["checks"]["outcome"] == "timed out"
        assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
