"""Who holds a file lock."""

import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitexp.adapters.system.file_lock import FileLock
from gitexp.adapters.system.lock_holder import Holder, holder_of, is_locked, signal_holder
from gitexp.core.errors import Conflict
from tests.adapters.system.test_file_lock import held_elsewhere


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has nothing to do with the lock."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_nobody_holds_a_lock_that_is_not_there_or_was_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert (is_locked(path), holder_of(path)) == (False, None)
    with FileLock(path):
        assert (is_locked(path), holder_of(path)) == (True, Holder(os.getpid(), _me()))
    assert (is_locked(path), holder_of(path)) == (False, None)
    assert signal_holder(path, signal.SIGKILL) is None


def _me() -> str:
    return f"process {os.getpid()}"


def test_who_looks_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(f"{os.getpid()} {os.uname().nodename}\n")  # of a holder that was killed
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert (is_locked(path), holder_of(path)) == (False, None)
        assert signal_holder(path, signal.SIGKILL) is None


def test_the_holder_gets_the_signal(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        assert signal_holder(path, signal.SIGTERM) == Holder(process.pid, f"process {process.pid}")
        assert process.wait(timeout=60) == -signal.SIGTERM


def test_a_process_that_the_text_names_by_mistake_gets_no_signal(
    tmp_path: Path, bystander: "subprocess.Popen[bytes]"
) -> None:
    """It has the process id of a holder that was killed, or that is in another container."""
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        path.write_text(f"{bystander.pid} {os.uname().nodename}\n")
        found = signal_holder(path, signal.SIGKILL)
        assert found is not None and found.pid is None
        assert (bystander.poll(), process.poll()) == (None, None)


def test_a_process_of_another_machine_gets_no_signal(
    tmp_path: Path, bystander: "subprocess.Popen[bytes]"
) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        path.write_text(f"{bystander.pid} elsewhere\n")
        found = signal_holder(path, signal.SIGKILL)
        assert found == Holder(None, f"process {bystander.pid} on elsewhere")
        assert (bystander.poll(), process.poll()) == (None, None)


def test_a_holder_is_named_once_it_has_written_its_name(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        path.write_text("")
        threading.Timer(0.1, path.write_text, [f"{process.pid} {os.uname().nodename}\n"]).start()
        while (found := holder_of(path)) == Holder(None, "another process"):
            continue
        assert found == Holder(process.pid, f"process {process.pid}")


def test_a_lock_that_is_not_waited_for_leaves_no_one_in_the_queue(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path):
        before = threading.active_count()
        with pytest.raises(Conflict):
            FileLock(path, timeout_s=0.0).acquire()
        assert threading.active_count() == before
