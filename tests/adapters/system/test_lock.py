"""The file lock between processes, and stale locks of git."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import gitexp
from gitexp.adapters.system import file_lock as lock_module
from gitexp.adapters.system.file_lock import FileLock, clear_dead_lock
from gitexp.core.errors import Conflict, GitexpError
from tests.conftest import MakeRepo, RepoBuilder

PACKAGE = str(Path(gitexp.__file__).parent.parent)
SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def held_elsewhere(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Hold the lock in another process."""
    code = (
        "import sys, pathlib; from gitexp.adapters.system.file_lock import FileLock\n"
        "with FileLock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": PACKAGE},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


class TestFileLock:
    def test_lock_creates_its_directory_and_can_be_reused(self, tmp_path: Path) -> None:
        lock = FileLock(tmp_path / "gitexp" / "lock")
        for _ in range(3):
            with lock:
                assert lock.is_held
                assert lock.path.read_text().split()[0] == str(os.getpid())
            assert not lock.is_held
            assert lock.path.read_text() == ""

    def test_is_not_reentrant(self, tmp_path: Path) -> None:
        lock = FileLock(tmp_path / "lock")
        with lock, pytest.raises(RuntimeError):
            lock.acquire()

    def test_release_without_acquire_is_harmless(self, tmp_path: Path) -> None:
        FileLock(tmp_path / "lock").release()

    def test_timeout_names_the_holder(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        with held_elsewhere(path) as holder:
            lock = FileLock(path, timeout_s=0.1)
            with pytest.raises(Conflict) as caught:
                lock.acquire()
            assert f"process {holder.pid} on {os.uname().nodename}" in str(caught.value.why)
            assert f"`ps -p {holder.pid}`" in caught.value.hints[0]
            assert not lock.is_held

    def test_timeout_without_a_holder_name_says_so(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        with held_elsewhere(path):
            os.truncate(path, 0)
            with pytest.raises(Conflict) as caught:
                FileLock(path, timeout_s=0.05).acquire()
            assert caught.value.why == "another process holds the lock"

    def test_killed_holder_releases_the_lock_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        with held_elsewhere(path) as holder:
            threading.Timer(0.2, holder.kill).start()
            with FileLock(path, timeout_s=20):
                pass

    def test_timed_out_waiter_does_not_keep_the_lock(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        first, second = FileLock(path), FileLock(path, timeout_s=0.05)
        with first, pytest.raises(Conflict):
            second.acquire()
        with FileLock(path, timeout_s=5):  # the abandoned thread must not hold the lock
            pass

    def test_waiter_without_timeout_gets_a_released_lock(self, tmp_path: Path) -> None:
        first = FileLock(tmp_path / "lock")
        first.acquire()
        threading.Timer(0.1, first.release).start()
        with FileLock(tmp_path / "lock", timeout_s=None) as second:
            assert second.is_held

    def test_removed_lock_file_does_not_admit_two_holders(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        first = FileLock(path)
        first.acquire()
        arrived = threading.Event()

        def wait() -> None:
            with FileLock(path, timeout_s=20):
                arrived.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.1)  # the thread waits for the old file
        path.unlink()
        with FileLock(path, timeout_s=5):  # holds a new file
            first.release()
            assert not arrived.wait(0.3)
        assert arrived.wait(20)
        waiter.join()

    def test_ctrl_c_ends_the_waiting(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        code = (
            "import sys, pathlib; from gitexp.adapters.system.file_lock import FileLock\n"
            "lock = FileLock(pathlib.Path(sys.argv[1]))\n"
            "print('waiting', flush=True)\n"
            "try: lock.acquire()\n"
            "except KeyboardInterrupt: print('stopped', lock.is_held)"
        )
        with FileLock(path):
            with subprocess.Popen(
                [sys.executable, "-c", code, str(path)],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": PACKAGE},
            ) as waiter:
                assert waiter.stdout is not None
                waiter.stdout.readline()
                time.sleep(0.2)
                waiter.send_signal(signal.SIGINT)
                assert waiter.stdout.read() == b"stopped False\n"
            assert waiter.returncode == 0

    def test_unwritable_directory_raises_an_expected_failure(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(GitexpError, match="cannot lock"):
            FileLock(tmp_path / "file" / "lock").acquire()

    def test_second_lock_object_in_one_process_waits(self, tmp_path: Path) -> None:
        with FileLock(tmp_path / "lock"), pytest.raises(Conflict):
            FileLock(tmp_path / "lock", timeout_s=0).acquire()


def _count(path: Path, times: int) -> None:
    for _ in range(times):
        with FileLock(path.with_suffix(".lock")):
            number = int(path.read_text())
            time.sleep(0.001)
            path.write_text(str(number + 1))


def _count_turns(path: Path, times: int, turns: Any, waits: "multiprocessing.Queue[int]") -> None:
    """Take the lock repeatedly; report how many others held it between request and success."""
    for _ in range(times):
        asked = turns.value
        with FileLock(path):
            waits.put(turns.value - asked)
            turns.value += 1
            time.sleep(0.03)


@pytest.mark.slow
def test_eight_processes_exclude_each_other(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [SPAWN.Process(target=_count, args=(counter, 25)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert counter.read_text() == "200"


@pytest.mark.slow
def test_sixteen_writers_get_the_lock_in_order_of_arrival(tmp_path: Path) -> None:
    """95 % of the requests wait for two rounds at most. With random order, 5 % wait for three."""
    waits: multiprocessing.Queue[int] = SPAWN.Queue()
    turns = SPAWN.Value("i", 0)
    processes = [
        SPAWN.Process(target=_count_turns, args=(tmp_path / "lock", 6, turns, waits))
        for _ in range(16)
    ]
    for process in processes:
        process.start()
    found = sorted(waits.get(timeout=60) for _ in range(96))
    for process in processes:
        process.join()
    assert found[len(found) * 9 // 10] <= 30


# --- git's own locks ------------------------------------------------------------------------------


@pytest.fixture
def ref_lock(repo: RepoBuilder) -> Path:
    """Create an old `*.lock` without a holder."""
    return make_old(repo.path / ".git/refs/heads/gitexp.lock")


def make_old(path: Path, age_s: float = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


class TestDeadLock:
    def test_stale_lock_is_moved_aside_and_reported(
        self, repo: RepoBuilder, ref_lock: Path
    ) -> None:
        found = clear_dead_lock(ref_lock)
        assert found is not None
        assert found.moved_to is not None
        assert found.holder is None
        assert 59 < found.age_s < 90
        assert not ref_lock.exists()
        assert found.moved_to.parent == repo.path / ".git/gitexp/dead-locks"
        repo.git("update-ref", "refs/heads/gitexp", "HEAD")
        assert "gitexp.lock" not in repo.git("for-each-ref")

    def test_stale_lock_blocks_git_until_it_is_moved(
        self, repo: RepoBuilder, ref_lock: Path
    ) -> None:
        assert repo.git("update-ref", "refs/heads/gitexp", "HEAD", check=False) == ""
        assert "gitexp" not in repo.git("for-each-ref", "refs/heads")

    def test_lock_of_a_killed_git_is_moved_aside(self, repo: RepoBuilder) -> None:
        path = repo.path / ".git/refs/heads/gitexp.lock"
        with prepared(repo, "refs/heads/gitexp") as git:
            git.kill()
            git.wait()
        make_old(path)
        found = clear_dead_lock(path)
        assert found is not None
        assert found.moved_to is not None

    def test_missing_lock_is_reported_as_none(self, repo: RepoBuilder) -> None:
        assert clear_dead_lock(repo.path / ".git/refs/heads/gitexp.lock") is None

    def test_stale_lock_of_a_linked_work_tree_moves_to_the_common_directory(
        self, repo: RepoBuilder, tmp_path: Path
    ) -> None:
        repo.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
        found = clear_dead_lock(make_old(repo.path / ".git/worktrees/linked/HEAD.lock"))
        assert found is not None
        assert found.moved_to is not None
        assert found.moved_to.parent.samefile(repo.path / ".git/gitexp/dead-locks")


@contextmanager
def prepared(repo: RepoBuilder, ref: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a git process that holds the lock of a ref. It has closed the file of the lock."""
    with subprocess.Popen(
        ["git", "update-ref", "--stdin"],
        cwd=repo.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as git:
        assert git.stdin is not None
        assert git.stdout is not None
        git.stdin.write(f"start\ncreate {ref} {repo.head}\nprepare\n".encode())
        git.stdin.flush()
        assert [git.stdout.readline() for _ in range(2)] == [b"start: ok\n", b"prepare: ok\n"]
        yield git
        git.kill()


class TestLiveLock:
    def assert_left(self, path: Path, holder: str) -> None:
        found = clear_dead_lock(path)
        assert found is not None
        assert found.moved_to is None
        assert holder in str(found.holder)
        assert path.exists()

    def test_young_lock_stays(self, repo: RepoBuilder) -> None:
        self.assert_left(make_old(repo.path / ".git/packed-refs.lock", 5), "a moment ago")

    def test_lock_with_a_future_time_stays(self, repo: RepoBuilder) -> None:
        self.assert_left(make_old(repo.path / ".git/packed-refs.lock", -3600), "a moment ago")

    def test_changed_wall_clock_does_not_age_a_lock(
        self, repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITEXP_NOW", str(time.time() + 1e6))
        self.assert_left(make_old(repo.path / ".git/packed-refs.lock", 0), "a moment ago")

    def test_lock_that_a_process_has_open_stays(self, ref_lock: Path) -> None:
        with subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; f = open(sys.argv[1], 'a'); print(flush=True); sys.stdin.read()",
                ref_lock,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            self.assert_left(ref_lock, f"(process {holder.pid})")
            holder.kill()
        assert clear_dead_lock(ref_lock) is not None
        assert not ref_lock.exists()

    @pytest.mark.parametrize("linked", [False, True])
    def test_lock_stays_while_its_git_runs_after_closing_it(
        self, repo: RepoBuilder, tmp_path: Path, linked: bool
    ) -> None:
        path = repo.path / ".git/refs/heads/gitexp.lock"
        worker = repo
        if linked:
            repo.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
            worker = RepoBuilder(tmp_path / "linked")
        with prepared(worker, "refs/heads/gitexp") as git:
            make_old(path)
            self.assert_left(path, f"git (process {git.pid})")

    def test_git_that_uses_the_repository_by_git_dir_is_found(
        self, repo: RepoBuilder, ref_lock: Path
    ) -> None:
        for args, env in (
            (["--git-dir", ".git"], {}),
            (["--git-dir=.git"], {}),
            ([], {"GIT_DIR": str(repo.path / ".git")}),
        ):
            where = repo.path if args else repo.path.parent
            with subprocess.Popen(
                ["git", *args, "update-ref", "--stdin"],
                cwd=where,
                env={**os.environ, **env},
                stdin=subprocess.PIPE,
            ) as git:
                time.sleep(0.1)
                self.assert_left(ref_lock, f"(process {git.pid})")
                git.kill()

    def test_git_of_another_repository_holds_no_lock_here(
        self, make_repo: MakeRepo, repo: RepoBuilder, ref_lock: Path
    ) -> None:
        with prepared(make_repo("other"), "refs/heads/gitexp"):
            found = clear_dead_lock(ref_lock)
        assert found is not None
        assert found.moved_to is not None

    @pytest.mark.parametrize(
        "args", [["cat-file", "--batch"], ["-c", "a.b=c", "cat-file", "--batch"]]
    )
    def test_long_running_reader_holds_no_lock(
        self, repo: RepoBuilder, ref_lock: Path, args: list[str]
    ) -> None:
        with subprocess.Popen(["git", *args], cwd=repo.path, stdin=subprocess.PIPE) as git:
            found = clear_dead_lock(ref_lock)
            git.kill()
        assert found is not None
        assert found.moved_to is not None

    def test_git_process_that_cannot_be_inspected_counts_as_holder(
        self, repo: RepoBuilder, ref_lock: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with prepared(repo, "refs/heads/other") as git:

            def refuse(process: Path, *_: object) -> bool:
                if process.name == str(git.pid):
                    raise PermissionError
                return False

            monkeypatch.setattr(lock_module, "_has_open", refuse)
            monkeypatch.setattr(lock_module, "_works_in", lambda *_: False)
            self.assert_left(ref_lock, f"git (process {git.pid})")

    def test_other_process_that_cannot_be_inspected_is_no_holder(
        self, ref_lock: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with subprocess.Popen(["sleep", "60"]) as sleeper:

            def refuse(process: Path, *_: object) -> bool:
                if process.name == str(sleeper.pid):
                    raise PermissionError
                return False

            monkeypatch.setattr(lock_module, "_has_open", refuse)
            found = clear_dead_lock(ref_lock)
            sleeper.kill()
        assert found is not None
        assert found.moved_to is not None

    def test_lock_on_a_network_disk_stays(
        self, ref_lock: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for kind in ("nfs4", "fuse.sshfs", "smb3", None):
            monkeypatch.setattr(lock_module, "_file_system", lambda _, kind=kind: kind)
            self.assert_left(ref_lock, "unknown: other machines")

    def test_lock_replaced_during_the_check_stays(
        self, ref_lock: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def replace(_: float) -> None:
            ref_lock.rename(ref_lock.with_suffix(".kept"))  # keep the inode in use
            ref_lock.write_text("alive")

        monkeypatch.setattr("gitexp.adapters.system.clock.sleep", replace)
        monkeypatch.setattr(
            "gitexp.adapters.system.clock.new_id", lambda: pytest.fail("it was moved")
        )
        self.assert_left(ref_lock, "changed it just now")
        assert ref_lock.read_text() == "alive"

    def test_lock_replaced_during_the_move_is_put_back(
        self, ref_lock: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def replace() -> str:
            ref_lock.rename(ref_lock.with_suffix(".kept"))
            ref_lock.write_text("alive")
            return "0" * 16

        monkeypatch.setattr("gitexp.adapters.system.clock.new_id", replace)
        self.assert_left(ref_lock, "changed it just now")
        assert ref_lock.read_text() == "alive"

    def test_lock_that_vanishes_during_the_check_is_reported_as_none(
        self, ref_lock: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gitexp.adapters.system.clock.sleep", lambda _: ref_lock.unlink())
        assert clear_dead_lock(ref_lock) is None


def test_file_system_type_is_read_from_the_kernel() -> None:
    assert lock_module._file_system(Path("/proc/self/status")) == "proc"
