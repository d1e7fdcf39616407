"""The file lock between processes."""

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
from gitexp.adapters.system.file_lock import FileLock
from gitexp.core.errors import Conflict, GitexpError

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
                assert lock.path.read_text().split()[0] == str(os.getpid())
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
            with pytest.raises(Conflict):
                lock.acquire()  # it was not acquired before

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
            assert second.path.read_text().split()[0] == str(os.getpid())

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
            "except KeyboardInterrupt: print('stopped')"
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
                assert waiter.stdout.read() == b"stopped\n"
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
