"""Many concurrent writers beside foreign git commands: nothing is lost, and no writer sees an
error.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitexp.adapters.git.repository import Repo
from tests.campaigns.field import EXP, Field, read_records
from tests.conftest import MakeRepo, RepoBuilder

BY_API = """
import json, sys, time
import gitexp
writer, count = sys.argv[1], int(sys.argv[2])
tracker = gitexp.Tracker()
print("ready", flush=True)
sys.stdin.readline()
for n in range(count):
    value = int(writer) * 1000 + n
    began = time.monotonic()
    if n % 2:
        run = tracker.log({"params": {"n": n}, "metrics": {"value": value}}).id
    else:
        with gitexp.start({"n": n}) as live:
            live.log(value=value)
        run = live.id
    print(json.dumps([run, value, time.monotonic() - began]), flush=True)
"""

BY_COMMAND = """
import json, subprocess, sys, time
writer, count, exp = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
print("ready", flush=True)
sys.stdin.readline()
for n in range(count):
    value = int(writer) * 1000 + n
    began = time.monotonic()
    argv = ["record", "-q", "-S", f"n={n}", "-M", f"value={value}"]
    done = subprocess.run([*exp, *argv], capture_output=True, text=True)
    if done.returncode or done.stderr:
        sys.exit(f"{done.returncode}: {done.stderr}")
    print(json.dumps([done.stdout.strip(), value, time.monotonic() - began]), flush=True)
"""


@dataclass(frozen=True)
class Result:
    """Runs that the writers reported as recorded."""

    acknowledged: dict[str, int]
    by_api_s: list[float]
    by_command_s: list[float]


def write_at_once(repo: RepoBuilder, writers: int, each: int) -> Result:
    """Start all writers at once. Return what they acknowledged."""
    processes = []
    for writer in range(writers):
        code, rest = (BY_COMMAND, EXP) if writer % 2 else (BY_API, ())
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(writer), str(each), *rest],
            cwd=repo.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    result = Result({}, [], [])
    for writer, process in enumerate(processes):
        out, err = process.communicate()
        assert (process.returncode, err) == (0, ""), f"writer {writer} was shown an error: {err}"
        lines = [json.loads(line) for line in out.splitlines()]
        assert len(lines) == each
        times = result.by_command_s if writer % 2 else result.by_api_s
        for run, value, seconds in lines:
            result.acknowledged[run] = value
            times.append(seconds)
    return result


@contextmanager
def foreign_git(repo: RepoBuilder, tmp_path: Path) -> Iterator[None]:
    """Pack refs, collect garbage and fetch in a loop."""
    loops = [
        "git pack-refs --all --prune",
        "git gc --quiet",
        f"git -C {tmp_path / 'mirror'} fetch --quiet origin '+refs/heads/*:refs/heads/*'",
    ]
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "mirror"], check=True)
    subprocess.run(
        ["git", "-C", tmp_path / "mirror", "remote", "add", "origin", repo.path], check=True
    )
    stop = tmp_path / "stop"
    shells = [
        subprocess.Popen(
            ["sh", "-c", f"while kill -0 {os.getpid()} && ! [ -e {stop} ]; do {loop}; done"],
            cwd=repo.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for loop in loops
    ]
    try:
        yield
    finally:
        stop.touch()
        for shell in shells:
            shell.wait()
        stop.unlink()


def check(repo: RepoBuilder, result: Result, expected: int) -> None:
    assert len(result.acknowledged) == expected
    ground = Field(repo, {run: float(value) for run, value in result.acknowledged.items()})
    records = ground.check()
    assert set(records) == set(result.acknowledged), "runs that no writer acknowledged"
    assert {record["outcome"] for record in records.values()} == {"succeeded"}
    assert set(ground.next_command_works()) == set(result.acknowledged)


def test_eight_writers_lose_nothing(repo: RepoBuilder, tmp_path: Path) -> None:
    with foreign_git(repo, tmp_path):
        result = write_at_once(repo, writers=8, each=4)
    check(repo, result, 32)


def test_branch_created_during_the_lookup_is_not_called_damaged(
    repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by sixteen writers that began at once in a repository without runs."""
    git, shim = shutil.which("git"), tmp_path / "shim"
    shim.mkdir()
    (shim / "git").write_text(
        f'#!/bin/sh\n{git} "$@"; status=$?\n'
        f'case "$*" in *"commit}}") {git} update-ref refs/heads/gitexp HEAD;; esac\n'
        "exit $status\n"
    )
    (shim / "git").chmod(0o755)
    found = Repo.discover(repo.path)
    monkeypatch.setenv("PATH", f"{shim}{os.pathsep}{os.environ['PATH']}")
    assert found.read_ref("refs/heads/gitexp") == repo.head


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_sixteen_writers_lose_nothing(
    repo: RepoBuilder, tmp_path: Path, record_property: pytest.FixtureRequest
) -> None:
    with foreign_git(repo, tmp_path):
        result = write_at_once(repo, writers=16, each=64)
    check(repo, result, 1024)
    report(result)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_repeated_rounds_of_writers_lose_nothing(make_repo: MakeRepo, tmp_path: Path) -> None:
    """A rare race shows once in a hundred rounds."""
    for n in range(int(os.environ.get("CAMPAIGN_ROUNDS", "20"))):
        repo = make_repo(f"round{n}")
        with foreign_git(repo, tmp_path):
            result = write_at_once(repo, writers=16, each=8)
            subprocess.run(["rm", "-rf", tmp_path / "mirror"], check=True)
        check(repo, result, 128)


@pytest.mark.long
def test_a_record_takes_less_than_a_second_among_sixteen_writers(repo: RepoBuilder) -> None:
    """Measures only the writing, without the start of the processes."""
    result = write_at_once(repo, writers=16, each=16)
    check(repo, result, 256)
    report(result)


def report(result: Result) -> None:
    for name, times in (("api", result.by_api_s), ("command", result.by_command_s)):
        cuts = statistics.quantiles(times, n=100)
        print(f"{name}: median {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, worst {max(times):.2f} s")


def test_the_checker_notices_a_lost_run(repo: RepoBuilder) -> None:
    """The campaigns can fail: they notice a rewound branch."""
    ground = Field(repo)
    ground.record(1)
    before = repo.git("rev-parse", "gitexp")
    ground.record(2)
    repo.git("update-ref", "refs/heads/gitexp", before)
    assert len(read_records(repo)) == 1
    with pytest.raises(AssertionError, match="is lost"):
        ground.check()
