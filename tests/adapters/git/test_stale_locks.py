"""Stale locks of git: moved aside when no process can hold them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitexp.adapters.git import stale_locks as lock_module
from gitexp.adapters.git.stale_locks import clear_stale_lock
from tests.conftest import MakeRepo, RepoBuilder


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
        found = clear_stale_lock(ref_lock)
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
        found = clear_stale_lock(path)
        assert found is not None
        assert found.moved_to is not None

    def test_missing_lock_is_reported_as_none(self, repo: RepoBuilder) -> None:
        assert clear_stale_lock(repo.path / ".git/refs/heads/gitexp.lock") is None

    def test_stale_lock_of_a_linked_work_tree_moves_to_the_common_directory(
        self, repo: RepoBuilder, tmp_path: Path
    ) -> None:
        repo.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
        found = clear_stale_lock(make_old(repo.path / ".git/worktrees/linked/HEAD.lock"))
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
        found = clear_stale_lock(path)
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
        assert clear_stale_lock(ref_lock) is not None
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
            found = clear_stale_lock(ref_lock)
        assert found is not None
        assert found.moved_to is not None

    @pytest.mark.parametrize(
        "args", [["cat-file", "--batch"], ["-c", "a.b=c", "cat-file", "--batch"]]
    )
    def test_long_running_reader_holds_no_lock(
        self, repo: RepoBuilder, ref_lock: Path, args: list[str]
    ) -> None:
        with subprocess.Popen(["git", *args], cwd=repo.path, stdin=subprocess.PIPE) as git:
            found = clear_stale_lock(ref_lock)
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

            monkeypatch.setattr(lock_module, "has_open", refuse)
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

            monkeypatch.setattr(lock_module, "has_open", refuse)
            found = clear_stale_lock(ref_lock)
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
        assert clear_stale_lock(ref_lock) is None


def test_file_system_type_is_read_from_the_kernel() -> None:
    assert lock_module._file_system(Path("/proc/self/status")) == "proc"
