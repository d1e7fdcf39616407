"""Output passes unchanged while gitexp reads it, and survives a killed `git exp`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import RepoBuilder

NOISY = rb"""
import os, sys
for n in range(300):
    os.write(1, b"step %d: loss %d.5\n" % (n, n))
    os.write(2, b"\r%d%% \xff\x00 no newline" % n)
os.write(1, b"METRIC a=1\nMETRIC broken\r\n\x1b[31mred\x1b[0m" + b"x" * 200000 + b"\n" + b"end")
sys.exit(7)
"""
EXP = (sys.executable, "-m", "gitexp", "run", "-q")


@pytest.mark.parametrize(
    "options",
    [(), ("--metric-pattern", r"loss=loss ([\d.]+)"), ("--metric-pattern", "x=(.*)*$")],
    ids=["none", "pattern", "hostile"],
)
def test_output_and_exit_code_are_those_of_the_command(
    repo: RepoBuilder, options: tuple[str, ...]
) -> None:
    (repo.path / "noisy.py").write_bytes(NOISY)
    repo.commit({}, "noisy")
    command = (sys.executable, "noisy.py")
    alone = subprocess.run(command, cwd=repo.path, capture_output=True, check=False)
    read = subprocess.run(
        [*EXP, *options, "--", *command], cwd=repo.path, capture_output=True, check=False
    )
    assert read.returncode == alone.returncode == 7
    assert read.stdout == alone.stdout
    assert read.stderr.startswith(alone.stderr)
    assert all(b"gitexp" not in line for line in read.stdout.splitlines())


TALKING = """
import os, time
print("loss 0.5", flush=True)
print("token " + "ghp_" + "a1B2" * 9, flush=True)
open("said", "w").close()
time.sleep(600)
"""


def test_values_read_before_a_kill_are_recovered(repo: RepoBuilder) -> None:
    repo.commit({"talking.py": TALKING}, "talking")
    argv = [*EXP, "--metric-pattern", r"loss=loss ([\d.]+)", "--", sys.executable, "talking.py"]
    child = subprocess.Popen(argv, cwd=repo.path, start_new_session=True)
    journals = repo.path / ".git" / "gitexp" / "journal"
    try:
        until = time.monotonic() + 120
        while not (
            (repo.path / "said").exists()
            and any(b'"loss"' in path.read_bytes() for path in journals.glob("*.journal"))
        ):
            assert time.monotonic() < until, "the metric never came into the journal"
            assert child.poll() is None
            time.sleep(0.1)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    shown = subprocess.run(
        [sys.executable, "-m", "gitexp", "show", "last", "--json"],
        cwd=repo.path,
        capture_output=True,
        check=True,
    )
    (run,) = json.loads(shown.stdout)["runs"]
    assert run["outcome"] == "interrupted"
    assert run["metrics"] == {"loss": 0.5}
    kept: list[Path] = list((repo.path / ".git" / "gitexp" / "output").iterdir())
    assert [path.name for path in kept] == [f"{run['id']}.txt"]
    assert kept[0].read_text() == "loss 0.5\ntoken [redacted]\n"
