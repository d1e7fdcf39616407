"""Stale locks of git: moved aside, or named in one message; living ones stay."""

import subprocess
import time
from pathlib import Path

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.stale_locks import LockFile, clear_stale_lock
from gitexp.adapters.git.steps import Identity
from gitexp.adapters.system import clock
from gitexp.core.errors import Conflict
from gitexp.core.model.ids import parse_run_id
from gitexp.storage.branch import branch as store_module
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.events import started
from tests.campaigns.field import Field, holding, make_old, read_records
from tests.conftest import MakeRepo, RepoBuilder

LOCKS = {
    "of the run branch": ".git/refs/heads/gitexp.lock",
    "of the keep branch": ".git/refs/heads/gitexp-code.lock",
    "of the packed refs": ".git/packed-refs.lock",
    "of the index": ".git/index.lock",
    "of the configuration": ".git/config.lock",
    "of a shallow clone": ".git/shallow.lock",
    "of a collection elsewhere": ".git/gc.pid",
}
SLOW = {"of a collection elsewhere"}
"""gitexp waits several times for a gc that may run on another machine."""


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=[pytest.mark.long] if k in SLOW else []) for k in LOCKS],
)
def test_stale_lock_does_not_block_a_run(repo: RepoBuilder, kind: str) -> None:
    """Changes a tree, so that a snapshot is pinned and its pin is deleted as well."""
    ground = Field(repo)
    ground.record(0)
    lock = repo.path / LOCKS[kind]
    lock.write_text("12345 elsewhere\n" if lock.name == "gc.pid" else "")
    make_old(lock, 60)
    done = ground.run(1)
    assert done.status == 0, done.err
    assert "error" not in done.err
    ground.next_command_works()
    ground.check()
    assert repo.git("for-each-ref", "refs/gitexp") == "", "the pin stays"
    ours = lock.name.startswith(("gitexp", "packed"))
    assert lock.exists() is not ours, "a lock that blocks no command stays"


OURS = [
    "refs/heads/gitexp.lock",
    "refs/heads/gitexp-code.lock",
    "packed-refs.lock",
    "refs/gitexp/pending/7f3a9c0d5e1b2a48.lock",
    "refs/gitexp/remotes/origin/gitexp.lock",
]


@pytest.mark.parametrize("tidying", [["gc"], ["doctor", "--fix"]])
def test_stale_locks_are_moved_aside(repo: RepoBuilder, tidying: list[str]) -> None:
    """A young lock, one that a process has open, and foreign ones stay."""
    ground = Field(repo)
    ground.record(0)
    git_dir = repo.path / ".git"
    dead = [git_dir / name for name in OURS]
    young, alive = (git_dir / f"refs/gitexp/pending/{name}.lock" for name in ("young", "alive"))
    foreign = git_dir / "index.lock"
    for path in (*dead, young, foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for path in (*dead, foreign):
        make_old(path, 60)
    make_old(young, -3600)  # keep it young however long this test takes
    with holding(alive):
        make_old(alive, 60)
        would = ground.exp("gc", "--dry-run").out
        assert all(str(path) in would for path in dead)
        done = ground.exp(*tidying)
        assert [path for path in (*dead, young, foreign, alive) if path.exists()] == [
            young,
            foreign,
            alive,
        ], done.out + done.err
    assert len(list((ground.state / "dead-locks").iterdir())) == len(OURS)
    young.unlink()
    foreign.unlink()
    assert ground.exp("gc").status == 0
    ground.next_command_works()


def test_directory_of_a_removed_work_tree_does_not_block_a_run(repo: RepoBuilder) -> None:
    ground = Field(repo)
    repo.git("worktree", "add", "--quiet", "../gone")
    subprocess.run(["rm", "-rf", repo.path.parent / "gone"], check=True)
    assert ground.record(1).status == 0
    ground.next_command_works()
    ground.check()


def test_doubtful_lock_is_named_within_seconds(
    repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has file, age, holder, and what to type."""
    ground = Field(repo)
    ground.record(0)
    lock = repo.path / ".git/refs/heads/gitexp.lock"
    with holding(lock) as holder:
        make_old(lock, 100)
        done = ground.record(1)
        assert lock.exists()
    assert done.status == 128
    assert f"'{lock}' is in the way" in done.err
    assert f"because: it is 10{done.err.split('it is 10')[1][0]} s old" in done.err
    assert f"(process {holder})" in done.err
    assert f"`rm '{lock}'`" in done.err


def test_run_waits_for_a_young_lock(
    repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Independent of the time it takes, and of the machine's clock."""
    ground = Field(repo)
    ground.record(0)
    lock = repo.path / ".git/refs/heads/gitexp.lock"
    lock.write_text("")
    looks: list[float] = []

    def look(path: Path) -> LockFile | None:
        looks.append(path.stat().st_mtime)
        if len(looks) == 3:
            path.unlink()  # its holder has finished
            return None
        return clear_stale_lock(path)

    monkeypatch.setattr(store_module, "clear_stale_lock", look)
    write_again(repo)
    assert len(looks) == 3


def write_again(repo: RepoBuilder) -> None:
    """Write an event of the only run to the branch."""
    store = RunBranch(Repo.discover(repo.path), "gitexp", durable=False)
    ((name, record),) = read_records(repo).items()
    run = store.load_run(parse_run_id(name), record["started"])
    with store.transaction(Identity("Ada", "ada@example.org"), clock.now()) as transaction:
        transaction.add(started(run))


def tries_to_clear(repo: RepoBuilder, times: int) -> int:
    """Count in how many of `tries` a living lock is unchanged after an attempt to move it."""
    path = repo.path / ".git/refs/heads/main.lock"
    kept = 0
    for n in range(times):
        with subprocess.Popen(
            ["git", "update-ref", "--stdin"],
            cwd=repo.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as live:
            assert live.stdin is not None and live.stdout is not None
            live.stdin.write(f"start\nupdate refs/heads/main {repo.head}\nprepare\n")
            live.stdin.flush()
            assert [live.stdout.readline() for _ in range(2)] == ["start: ok\n", "prepare: ok\n"]
            make_old(path, 20 + n)
            inode = path.stat().st_ino
            found = clear_stale_lock(path)
            assert found is not None and found.moved_to is None
            kept += path.stat().st_ino == inode
            live.communicate("abort\n")
    return kept


def test_lock_of_a_living_process_is_never_removed(repo: RepoBuilder) -> None:
    assert tries_to_clear(repo, 20) == 20


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_lock_of_a_living_process_is_never_removed_in_500_tries(repo: RepoBuilder) -> None:
    assert tries_to_clear(repo, 500) == 500


@pytest.mark.long
def test_doubtful_lock_delays_a_run_by_three_seconds_at_most(make_repo: MakeRepo) -> None:
    repo = make_repo()
    ground = Field(repo)
    ground.record(0)
    lock = repo.path / ".git/refs/heads/gitexp.lock"
    with holding(lock):
        make_old(lock, 100)
        began_s = time.monotonic()
        with pytest.raises(Conflict):
            write_again(repo)
        assert time.monotonic() - began_s < 3
