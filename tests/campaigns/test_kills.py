"""`kill -9` at every system call of git and of gitexp, and at random moments.

No acknowledged run is lost, no started run vanishes, the repository stays complete, and the next
ordinary command repairs everything without options.
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitexp.adapters.journal.journal import Journal, list_journals, read_journal
from gitexp.adapters.system.processes import this_process
from tests.campaigns.field import (
    CHANGING,
    EXP,
    VICTIMS,
    Field,
    Fired,
    Injection,
    find_points,
    holding,
    injected,
    make_old,
    read_records,
    require_strace,
)
from tests.conftest import RepoBuilder


def sweep(ground: Field, injection: Injection, folder: Path, step: int) -> int:
    """Kill at every step-th call of each kind. Return the number of kills."""
    values = iter(range(1, 1_000_000))

    def deed(fired: Fired) -> object:
        return ground.run(next(values), prefix=fired.prefix, env=fired.env)

    kills = 0
    for point in find_points(injection, folder, deed)[::step]:
        with injected(point, folder) as fired:
            deed(fired)
        kills += fired.happened
        ground.next_command_works()
        if kills % 10 == 0:
            ground.check_whole()
    ground.check()
    return kills


@pytest.mark.parametrize("victim", VICTIMS)
def test_killing_git_at_some_calls_loses_nothing(
    repo: RepoBuilder, tmp_path: Path, victim: str
) -> None:
    require_strace()
    ground = Field.of(repo, victim)
    ground.record(0)
    kill = Injection(victim, CHANGING, "signal=SIGKILL")
    assert sweep(ground, kill, tmp_path, step=37) > 0


def test_killing_gitexp_at_some_calls_loses_nothing(repo: RepoBuilder, tmp_path: Path) -> None:
    require_strace()
    ground = Field(repo)
    ground.record(0)
    kill = Injection("python", CHANGING, "signal=SIGKILL")
    assert sweep(ground, kill, tmp_path, step=131) > 1


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("children", [False, True])
@pytest.mark.parametrize("victim", VICTIMS)
def test_killing_git_at_every_call_loses_nothing(
    repo: RepoBuilder, tmp_path: Path, victim: str, children: bool
) -> None:
    require_strace()
    ground = Field.of(repo, victim)
    ground.record(0)
    kill = Injection(victim, CHANGING + ",openat,close", "signal=SIGKILL", children=children)
    kills = sweep(ground, kill, tmp_path, step=1)
    report(ground, victim, kills)
    assert kills > 10


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_killing_gitexp_at_every_call_loses_nothing(repo: RepoBuilder, tmp_path: Path) -> None:
    require_strace()
    ground = Field(repo)
    ground.record(0)
    kill = Injection("python", CHANGING, "signal=SIGKILL")
    report(ground, "python", sweep(ground, kill, tmp_path, step=1))


def report(ground: Field, victim: str, kills: int) -> None:
    print(
        f"{victim}: {kills} kills, {len(ground.acknowledged)} acknowledged, "
        f"{len(ground.started)} seen to start, {ground.cleared} locks left behind, "
        f"slowest next command {ground.slowest_s:.2f} s"
    )


def test_run_waits_until_the_lock_of_a_killed_git_is_stale(
    repo: RepoBuilder, tmp_path: Path
) -> None:
    """Without any help or option."""
    ground = Field(repo)
    ground.record(1)
    lock = repo.path / ".git/refs/heads/gitexp.lock"
    lock.write_text("")
    make_old(lock, 8)  # it becomes ten seconds old while the run waits
    assert ground.record(2).status == 0
    assert not lock.exists()
    ground.check()


# --- random moments -------------------------------------------------------------------------------

TRAINING = """
import sys, time
import gitexp
out = open(sys.argv[1], "a", buffering=1)
with gitexp.start() as run:
    for step in range(100_000):
        run.log(loss=1 / (step + 1), step=step)
        out.write(f"{step}\\n")
        if step % 500 == 0:
            time.sleep(0.001)
"""


def train(repo: RepoBuilder, log: Path, *, bare: bool) -> "subprocess.Popen[str]":
    """Start a training that logs each acknowledged step, in its own process group."""
    log.write_text("")
    python = [sys.executable, "training.py", str(log)]
    return subprocess.Popen(
        python if bare else [*EXP, "run", "-q", "--again", "--", *python],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def child_of(pid: int) -> int | None:
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"training.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
    except OSError:
        return None
    return None


def kill_at_random(repo: RepoBuilder, folder: Path, times: int, seed: int) -> dict[str, int]:
    """Kill wrapper, command, both, or a training without wrapper. Return what was seen."""
    rng = random.Random(seed)
    repo.commit({"training.py": TRAINING})
    ground = Field(repo)
    ground.record(0)
    log = folder / "logged"
    seen: dict[str, int] = {}
    for n in range(times):
        whom = rng.choice(["group", "group", "wrapper", "command", "alone"])
        process = train(repo, log, bare=whom == "alone")
        time.sleep(rng.uniform(0, 1.2))  # the moment is the variable of this test
        child = child_of(process.pid) if whom == "command" else None
        if whom in ("group", "alone"):
            os.killpg(process.pid, signal.SIGKILL)
        elif whom == "wrapper":
            process.kill()
        elif child is not None:
            os.kill(child, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kill_the_rest(process.pid)
        steps = [int(line) for line in log.read_text().split("\n")[:-1]]
        before = set(read_records(repo)) if steps else set()
        ids = ground.next_command_works()
        if steps:
            outcome = check_training(repo, ids, before, steps)
            seen[outcome] = seen.get(outcome, 0) + 1
        if n % 25 == 24:
            ground.check()
    ground.check()
    return seen


def kill_the_rest(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
    pytest.fail("a killed process group does not go away")


def check_training(repo: RepoBuilder, ids: list[str], before: set[str], steps: list[int]) -> str:
    """Check that the newest run has every logged step, and at most one more."""
    record = read_records(repo)[ids[0]]
    outcome = str(record["outcome"])
    assert outcome in ("interrupted", "failed", "succeeded"), record
    last = record["metrics"]["loss"]
    logged, possible = 1 / (steps[-1] + 1), 1 / (steps[-1] + 2)
    assert possible <= last <= logged, f"{last} is not what step {steps[-1]} logged"
    if len(steps) > 1:
        month = record["started"].strftime("%Y-%m")
        path = f"series/{month}/{ids[0][:2]}/{ids[0]}.csv"
        rows = repo.git("show", f"gitexp:{path}").splitlines()
        assert len(rows) - 1 in (len(steps), len(steps) + 1)
    return outcome


@pytest.mark.long
def test_kills_at_random_moments_lose_nothing(repo: RepoBuilder, tmp_path: Path) -> None:
    seen = kill_at_random(repo, tmp_path, times=7, seed=20261123)
    assert seen.get("interrupted", 0) > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("hundred", range(10))
def test_thousand_kills_at_random_moments_lose_nothing(
    repo: RepoBuilder, tmp_path: Path, hundred: int
) -> None:
    print(kill_at_random(repo, tmp_path, times=100, seed=hundred))


# --- who is dead ----------------------------------------------------------------------------------

SILENT = """
import sys, gitexp
with gitexp.start() as run:
    run.log(loss=1.0, step=0)
    print("ready", flush=True)
    for line in sys.stdin:
        run.log(loss=float(line), step=1)
        open("logged", "w").write(line)
"""


@pytest.fixture
def silent(repo: RepoBuilder) -> Iterator["subprocess.Popen[str]"]:
    """A training under `git exp run` that waits for its next value."""
    repo.commit({"silent.py": SILENT, ".gitignore": "logged\n"})
    with subprocess.Popen(
        [*EXP, "run", "-q", "--", sys.executable, "silent.py"],
        cwd=repo.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def outcomes(ground: Field) -> list[Any]:
    listed = ground.exp("list", "--json")
    assert listed.status == 0, listed.err
    return [document["outcome"] for document in json.loads(listed.out)["runs"]]


def test_a_run_in_another_process_is_not_declared_dead(
    repo: RepoBuilder, silent: "subprocess.Popen[str]"
) -> None:
    ground = Field(repo)
    assert outcomes(ground) == ["running"]
    assert ground.exp("recover").status == 0
    assert outcomes(ground) == ["running"]
    silent.communicate("0.5\n")
    assert silent.returncode == 0
    assert outcomes(ground) == ["succeeded"]


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"namespace": "pid:[1]"}])
def test_a_run_of_another_machine_is_not_declared_dead(
    repo: RepoBuilder, silent: "subprocess.Popen[str]", change: dict[str, Any]
) -> None:
    """Its process id has no meaning on this machine."""
    ground = Field(repo)
    (path,) = list_journals(ground.state / "journal")
    journal = Journal.attach(path)
    journal.adopt(replace(this_process(), pid=2**22 - 1, **change))
    journal.close()
    assert outcomes(ground) == ["running"]
    assert read_journal(path).sealed is None
    silent.communicate()


def test_run_that_is_being_sealed_is_not_recovered(repo: RepoBuilder) -> None:
    """Found by the writers: other processes completed a run that was just being sealed."""
    ground = Field(repo)
    started = ground.exp("start").out.strip()
    (path,) = list_journals(ground.state / "journal")
    journal = Journal.attach(path)
    journal.seal(read_journal(path).record.replace(b'"running"', b'"succeeded"'))
    assert outcomes(ground) == ["running"]
    journal.close()
    assert outcomes(ground) == ["succeeded"]
    assert started in ground.exp("list", "--name-only").out


def test_run_continues_while_its_command_outlives_the_wrapper(
    repo: RepoBuilder, silent: "subprocess.Popen[str]"
) -> None:
    """The run becomes interrupted only after its command has ended, with all logged data."""
    ground = Field(repo)
    child = next(
        int(pid)
        for pid in Path(f"/proc/{silent.pid}/task/{silent.pid}/children").read_text().split()
        if b"silent.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    ended = os.pidfd_open(child)
    silent.kill()
    silent.wait()
    assert outcomes(ground) == ["running"]
    assert silent.stdin is not None
    silent.stdin.write("0.25\n")
    silent.stdin.close()
    select.select([ended], [], [], 60)
    os.close(ended)
    assert outcomes(ground) == ["interrupted"]
    (record,) = read_records(repo).values()
    assert record["metrics"] == {"loss": 0.25}


def test_killed_command_is_recorded_by_its_wrapper(
    repo: RepoBuilder, silent: "subprocess.Popen[str]"
) -> None:
    ground = Field(repo)
    children = Path(f"/proc/{silent.pid}/task/{silent.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    silent.communicate()
    assert silent.returncode == 128 + signal.SIGKILL
    assert outcomes(ground) == ["interrupted"]


def test_killed_process_group_leaves_an_interrupted_run(repo: RepoBuilder, tmp_path: Path) -> None:
    repo.commit({"training.py": TRAINING})
    process = train(repo, tmp_path / "logged", bare=False)
    while not (tmp_path / "logged").read_text():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kill_the_rest(process.pid)
    assert outcomes(Field(repo)) == ["interrupted"]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(3, "failed"), pytest.param(0, "succeeded", marks=pytest.mark.long)],
)
def test_kill_between_end_and_seal_keeps_the_exit_code(
    repo: RepoBuilder, code: int, outcome: str
) -> None:
    """The journal has the end of the command by then."""
    ground = Field(repo)
    ground.record(0)
    lock = repo.path / ".git/refs/heads/gitexp.lock"
    with holding(lock):
        make_old(lock, 100)
        ground.exp("run", "--", "sh", "-c", f"echo METRIC value=1; exit {code}")
    (path,) = list_journals(ground.state / "journal")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"event":"seal"' not in line))
    assert read_journal(path).sealed is None
    listed = ground.next_command_works()
    (record,) = (r for r in read_records(repo).values() if r["origin"] == "run")
    assert record["id"] in listed, "completed, and not in the answer of the same command"
    assert (record["outcome"], record["command"]["exit_code"]) == (outcome, code)
    assert record["metrics"] == {"value": 1}
    assert "the command ended" in record["warnings"][0]


@pytest.mark.parametrize("tidying", [["gc"], ["doctor", "--fix"]])
def test_pin_of_a_killed_start_is_removed_when_old(repo: RepoBuilder, tidying: list[str]) -> None:
    """The kill came after the pin, before the journal. The pin of a damaged journal stays."""
    ground = Field(repo)
    ground.record(0)
    new, old, damaged = (f"refs/gitexp/pending/{digit * 16}" for digit in "123")
    for ref in (new, old, damaged):
        repo.git("update-ref", "--create-reflog", ref, repo.head)
        if ref != new:
            for file in (repo.path / ".git" / ref, repo.path / ".git/logs" / ref):
                make_old(file, 7200)
    aside = ground.state / "journal/damaged"
    aside.mkdir(parents=True)
    (aside / f"{'3' * 16}.journal").write_text("?")
    ground.exp(*tidying)
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/gitexp/pending").split() == [
        new,
        damaged,
    ]


def test_leftovers_of_a_recorded_run_are_removed(repo: RepoBuilder) -> None:
    """The kill came after the record, before pin and journal were deleted."""
    ground = Field(repo)
    repo.write("train.py", "# changed\n")
    copied = ground.exp("run", "--", "sh", "-c", 'cp "$GITEXP_JOURNAL" .git/')
    assert copied.status == 0, copied.err
    (run,) = read_records(repo).values()
    (copy,) = (repo.path / ".git").glob("*.journal")
    copy.rename(ground.state / "journal" / copy.name)
    repo.git("update-ref", f"refs/gitexp/pending/{run['id']}", run["code"]["snapshot"])
    tip = repo.git("rev-parse", "gitexp")
    ground.next_command_works()
    assert repo.git("for-each-ref", "refs/gitexp") == ""
    assert repo.git("rev-parse", "gitexp") == tip, "a sealed run was sealed again"
