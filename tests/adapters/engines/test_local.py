"""Commands as children of this process."""

import os
from pathlib import Path

import pytest

from gitexp.adapters.engines.local import ENGINE_VARIABLE, LocalEngine
from gitexp.adapters.engines.protocol import Ended, Order, Printed


def test_the_guardian_of_a_killed_engine_leaves_the_commands_of_the_next_one(
    tmp_path: Path,
) -> None:
    """`sweep resume` right after `kill -9` of a sweep: the old guardian may still be at work."""
    env = {**os.environ, "GITEXP_SWEEP_OWNER": "the same"}
    killed, going_on = LocalEngine(1), LocalEngine(1)
    try:
        for engine, run in ((killed, "old"), (going_on, "new")):
            engine.start(Order(run, ("sh", "-c", "echo started; exec sleep 600"), tmp_path, env))
            assert isinstance(_next(engine), Printed)
        assert killed._guardian.stdin is not None
        killed._guardian.stdin.close()  # the system does so at the death of the process
        killed._guardian.wait(timeout=60)
        ended = _next(killed)
        assert isinstance(ended, Ended)
        assert ended.exit_code == -15
        assert going_on.wait(0.0) == []
    finally:
        killed._guardian.stdin = None
        for engine in (going_on, killed):  # as their signal handlers nest
            engine.close()


def test_what_ends_a_sweep_inside_of_a_trial_spares_its_guardian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guardian ends the trials of the inner sweep, which do not have the marks of the outer."""
    for name in (ENGINE_VARIABLE, "GITEXP_RUN", "GITEXP_SWEEP_OWNER", "GITEXP_WORKER"):
        monkeypatch.setenv(name, "outer")
    engine = LocalEngine(1)
    try:
        pid = engine._guardian.pid
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert not [variable for variable in variables if variable.startswith(b"GITEXP_")]
        assert [v for v in variables if v.startswith(b"PATH=")]
    finally:
        engine.close()


def _next(engine: LocalEngine) -> object:
    for _ in range(600):
        for happened in engine.wait(0.1):
            return happened
    return None
