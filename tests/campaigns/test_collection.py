"""Garbage collection without grace period beside runs whose snapshots no branch holds yet."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.campaigns.field import Field, holding, make_old, read_records
from tests.conftest import RepoBuilder, some_daily


@contextmanager
def collecting(repo: RepoBuilder) -> Iterator[list[int]]:
    """Run `git gc --prune=now` in a loop; count its rounds."""
    stop, rounds = threading.Event(), [0]

    def collect() -> None:
        while not stop.is_set():
            subprocess.run(
                ["git", "gc", "--quiet", "--prune=now"],
                cwd=repo.path,
                capture_output=True,
                check=False,
            )
            rounds[0] += 1

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join()


def run_beside(repo: RepoBuilder, runs: int) -> None:
    ground, refused = Field(repo), list[str]()
    with collecting(repo) as rounds:
        for n in range(runs):
            done = ground.run(n)
            while (
                not done.started
            ):  # the gc removed objects that it was writing: it says so and does not begin
                assert (done.status, "bug in gitexp" in done.err) == (128, False), done.err
                refused.append(done.err.splitlines()[1])
                done = ground.run(n)
            assert done.status == 0, done.err
            ground.acknowledged.update(
                {
                    run: n
                    for run, record in read_records(repo).items()
                    if run.startswith(done.started[0])
                }
            )
    assert rounds[0] > 0
    repo.git("gc", "--quiet", "--prune=now")
    assert len(ground.acknowledged) == runs
    check_snapshots(ground)
    print(f"{runs} runs, {rounds[0]} collections, {len(refused)} starts refused: {set(refused)}")


def check_snapshots(ground: Field) -> None:
    """Check that every file of every run's code can be read."""
    for record in ground.check().values():
        snapshot = record["code"]["snapshot"]
        ground.repo.git("ls-tree", "-r", f"{snapshot}^{{tree}}")
        if not record["code"]["dirty"]:
            continue
        value = int(record["metrics"]["value"])
        assert ground.repo.git("show", f"{snapshot}:train.py") == f"# attempt {value}.0" or (
            ground.repo.git("show", f"{snapshot}:train.py") == f"# attempt {value}"
        )


@pytest.mark.long
def test_gc_beside_ten_runs_removes_nothing_needed(repo: RepoBuilder) -> None:
    run_beside(repo, 10)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_gc_beside_two_hundred_runs_removes_nothing_needed(repo: RepoBuilder) -> None:
    run_beside(repo, 200)


@pytest.mark.parametrize(
    "command",
    some_daily(
        ["write-tree", "hash-object", "ls-tree", "update-ref", "rev-list", "fast-import"], 2
    ),
)
def test_prune_during_a_start_removes_nothing_needed(
    repo: RepoBuilder, tmp_path: Path, command: str
) -> None:
    """A prune right before a git command of a start removes all objects without a ref."""
    ground = Field.of(repo, command)
    ground.record(0)
    git, shim, mark = shutil.which("git"), tmp_path / "shim", tmp_path / "pruned"
    shim.mkdir()
    (shim / "git").write_text(
        "#!/bin/sh\n"
        f'for word; do if [ "$word" = {command} ] && mkdir "{mark}" 2>/dev/null; then\n'
        f"GIT_INDEX_FILE= {git} prune --expire=now; fi; done\n"
        f'exec {git} "$@"\n'
    )
    (shim / "git").chmod(0o755)
    done = ground.run(1, env={"PATH": f"{shim}{os.pathsep}{os.environ['PATH']}"})
    assert mark.exists()
    assert done.status == 0, done.err
    ground.acknowledged[next(r for r in read_records(repo) if r.startswith(done.started[0]))] = 1
    check_snapshots(ground)


def test_prune_while_code_is_packed_beside_a_gc_removes_nothing_needed(
    repo: RepoBuilder, tmp_path: Path
) -> None:
    """Found by the 200 runs: the extra object of a pack has no ref, and git could not read it."""
    ground = Field(repo)
    ground.record(0)
    git, shim, mark = shutil.which("git"), tmp_path / "shim", tmp_path / "pruned"
    collecting = repo.path / ".git/gc.pid"
    shim.mkdir()
    (shim / "git").write_text(
        "#!/bin/sh\n"
        'case "$*" in *"pack-objects --quiet"*)\n'
        f'if mkdir "{mark}" 2>/dev/null; then\n'
        f'GIT_INDEX_FILE= {git} prune --expire=now; rm -f "{collecting}"; fi;; esac\n'
        f'exec {git} "$@"\n'
    )
    (shim / "git").chmod(0o755)
    collecting.write_text("1 elsewhere")
    done = ground.run(1, env={"PATH": f"{shim}{os.pathsep}{os.environ['PATH']}"})
    assert mark.exists()
    assert (done.status, "pack-objects" in done.err) == (0, False), done.err
    ground.acknowledged[next(r for r in read_records(repo) if r.startswith(done.started[0]))] = 1
    check_snapshots(ground)


def test_snapshot_of_a_three_week_run_survives_gc(repo: RepoBuilder, tmp_path: Path) -> None:
    """Objects older than git's grace period of two weeks, collected during the run."""
    ground = Field(repo)
    ground.record(0)
    repo.write("train.py", "# attempt 1\n")
    age = tmp_path / "age.sh"
    age.write_text(
        "find .git/objects -type f -exec touch -d '21 days ago' {} +\n"
        "git gc --quiet --prune=2.weeks.ago && git gc --quiet --prune=now && git prune\n"
        "git repack -adq && git prune-packed && echo METRIC value=1\n"
    )
    done = ground.exp("run", "--", "sh", str(age))
    assert done.status == 0, done.err
    ground.acknowledged[next(r for r in read_records(repo) if r.startswith(done.started[0]))] = 1
    check_snapshots(ground)


def test_snapshot_is_pinned_before_it_is_on_a_branch(repo: RepoBuilder) -> None:
    """While a start cannot write the branch, only the pin keeps the snapshot."""
    ground = Field(repo)
    ground.record(0)
    repo.write("train.py", "# attempt 1\n")
    lock = repo.path / ".git/refs/heads/gitexp-code.lock"
    script = f"""
import subprocess, pathlib, os
subprocess.run(["git", "gc", "--quiet", "--prune=now"], check=False)
subprocess.run(["git", "prune"], check=True)
refs = subprocess.run(["git", "for-each-ref", "refs/gitexp"], capture_output=True, text=True)
print("METRIC value=1" if refs.stdout else "no pin")
pathlib.Path({str(lock)!r}).unlink(missing_ok=True)
"""
    with holding(lock):
        make_old(lock, 100)
        done = ground.exp("run", "--", "python3", "-c", script)
        assert done.status == 0, done.err
    ground.acknowledged[next(r for r in read_records(repo) if r.startswith(done.started[0]))] = 1
    check_snapshots(ground)
