"""Runs are pushed after a successful push only: real pushes with the real program."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.features.sync import background
from gitexp.features.sync import push_notes as notes
from tests.conftest import MakeRepo, some_daily

WAIT_S = 120.0
SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


class Pushes:
    """A clone with one run, the hook, and an empty remote."""

    def __init__(self, make_repo: MakeRepo) -> None:
        self.hub = make_repo("hub.git", bare=True)
        self.repo = make_repo("clone")
        self.repo.git("remote", "add", "origin", str(self.hub.path))
        self.exp("record", "-q", "-M", "accuracy=1")
        self.exp("hooks", "install")

    def exp(self, *words: str, check: bool = True) -> str:
        return self.git("exp", *words, check=check)[1]

    def git(self, *words: str, check: bool = True) -> tuple[int, str]:
        """Run a command. Return exit code and output."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.repo.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.returncode, done.stdout

    def wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not until():
            assert time.monotonic() < end, self.notes()
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until no process sends runs."""
        self.wait(lambda: not notes.running(Repo.discover(self.repo.path)))

    def notes(self) -> list[str]:
        folder = self.repo.path / ".git/gitexp/pushes"
        return [path.read_text() for path in folder.glob("*")]

    def branches(self) -> set[str]:
        return set(self.hub.git("for-each-ref", "--format=%(refname:short)").split())

    def runs(self) -> int:
        return len(self.hub.git("ls-tree", "-r", "--name-only", "gitexp", "runs").splitlines())


ALL = {"main", "gitexp", "gitexp-code"}


@pytest.fixture
def pushes(make_repo: MakeRepo) -> Iterator[Pushes]:
    made = Pushes(make_repo)
    yield made
    made.settle()


def test_runs_are_pushed_after_a_successful_push(pushes: Pushes) -> None:
    _, told = pushes.git("push", "origin", "main")
    assert "also sends to 'origin': 1 run" in told
    pushes.settle()
    assert pushes.branches() == ALL
    assert "runs sent  all to origin" in pushes.exp("hooks", "status")
    pushes.exp("record", "-q", "-M", "accuracy=2")
    assert "runs sent  not all to origin" in pushes.exp("hooks", "status")
    pushes.repo.commit()
    _, told = pushes.git("push", "origin", "main")
    assert "gitexp" not in told
    pushes.settle()
    assert pushes.runs() == 2
    assert not (pushes.repo.path / ".git/gitexp/pushes").exists()


@pytest.mark.parametrize("shell", some_daily(SHELLS, 1))
def test_a_dry_run_sends_nothing_in_any_shell(pushes: Pushes, shell: str) -> None:
    hook = pushes.repo.path / ".git/hooks/pre-push"
    words = f"{shutil.which(shell)}{' sh' if shell == 'busybox' else ''}".encode()
    hook.write_bytes(hook.read_bytes().replace(b"/bin/sh", words, 1))
    pushes.git("push", "--dry-run", "origin", "main")
    pushes.settle()
    assert pushes.branches() == set()
    pushes.git("push", "--no-verify", "origin", "main")
    for option in ("--dry-run", "-n", "-qn", "--dry"):  # now only the runs are left to send
        pushes.git("push", option, "origin", "main")
        pushes.settle()
        assert pushes.branches() == {"main"}
    pushes.git("push", "origin", "main")
    pushes.settle()
    assert pushes.branches() == ALL


def test_a_push_that_a_gate_refused_sends_nothing(pushes: Pushes) -> None:
    rules = 'metrics-files = ["m.json"]\n[metrics.accuracy]\ndirection = "maximize"\n'
    rules += "gate = 0.01\nnoise = 0\n"
    pushes.repo.commit({"gitexp.toml": rules, "m.json": '{"accuracy": 0.5}'})
    code, told = pushes.git("push", "origin", "main", check=False)
    assert (code, "the gate on 'accuracy' says no" in told) == (1, True)
    pushes.settle()
    assert pushes.branches() == set()


def test_a_push_that_the_hub_refused_sends_nothing(pushes: Pushes) -> None:
    hook = pushes.hub.path / "hooks/update"
    hook.write_text('#!/bin/sh\ncase $1 in refs/heads/main) echo "not main" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    code, told = pushes.git("push", "origin", "main", check=False)
    assert (code, "remote: not main" in told) == (1, True)
    pushes.settle()
    assert pushes.branches() == set()
    assert "did not reach" not in pushes.exp("list")


def test_message_of_a_remote_that_rejects_the_runs_is_shown_once(pushes: Pushes) -> None:
    hook = pushes.hub.path / "hooks/update"
    hook.write_text('#!/bin/sh\ncase $1 in *gitexp*) echo "no runs" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    assert pushes.git("push", "origin", "main")[0] == 0
    pushes.settle()
    told = pushes.exp("list")
    assert "warning: the runs did not reach 'origin' after your push: 'origin' refused" in told
    assert "did not reach" not in pushes.exp("list")
    assert "did not reach" in pushes.exp("hooks", "status")
    hook.unlink()
    pushes.exp("push")
    assert "did not reach" not in pushes.exp("hooks", "status")


def test_killed_background_push_is_reported_by_the_next_command(
    pushes: Pushes, tmp_path: Path
) -> None:
    pushes.repo.git("config", "remote.origin.receivepack", f"touch {tmp_path}/on; sleep 60;:")
    pushes.repo.git("config", "remote.origin.uploadpack", f"touch {tmp_path}/on; sleep 60;:")
    background.start(Repo.discover(pushes.repo.path), "origin", str(pushes.hub.path), [LINE])
    pushes.wait((tmp_path / "on").exists)
    (note,) = notes.running(Repo.discover(pushes.repo.path))
    assert note.sender is not None
    os.kill(note.sender.pid, signal.SIGKILL)
    pushes.settle()
    told = pushes.exp("list")
    assert "did not reach 'origin' after your push: the process that was to send them was" in told


LINE = f"refs/heads/main {'1' * 40} refs/heads/main {'0' * 40}"


def test_an_emptied_hub_gets_the_runs_with_the_next_push(pushes: Pushes) -> None:
    pushes.git("push", "origin", "main")
    pushes.settle()
    shutil.rmtree(pushes.hub.path)
    subprocess.run(["git", "init", "--quiet", "--bare", str(pushes.hub.path)], check=True)
    pushes.git("push", "origin", "main")
    pushes.settle()
    assert pushes.branches() == ALL


def test_hook_called_by_another_tool_sends_the_runs(
    pushes: Pushes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As husky does: its own script calls gitexp."""
    hook = pushes.repo.path / ".git/hooks/pre-push"
    hook.write_text('#!/bin/sh\n"$SHELL_OF_TOOL" -c \'git exp hook pre-push "$@"\' x "$@"\n')
    monkeypatch.setenv("SHELL_OF_TOOL", "/bin/sh")
    pushes.git("push", "--dry-run", "origin", "main")
    pushes.settle()
    assert pushes.branches() == set()
    pushes.git("push", "origin", "main")
    pushes.settle()
    assert pushes.branches() == ALL


def test_reused_process_id_does_not_count_as_the_sender(pushes: Pushes) -> None:
    repo = Repo.discover(pushes.repo.path)
    folder = repo.state_dir / "pushes"
    folder.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        pytest.skip("the system does not tell when a process began")
    stat = " ".join(["S", *["0"] * 18, "12345"])
    head = f"sender {os.getpid()} {boot.read_text().strip()}\nstarted {stat}\n"
    (folder / "1").write_text(head + "waits 1\nremote origin\nurl x\nrefs\n\nend\n")
    assert len(notes.take_news(repo)) == 1


def test_a_push_for_review_sends_nothing_and_says_so(pushes: Pushes) -> None:
    hook = pushes.hub.path / "hooks/post-receive"  # as on Gerrit: the ref does not exist afterwards
    hook.write_text(
        "#!/bin/sh\nwhile read -r old new ref; do\n"
        "case $ref in refs/for/*) git update-ref -d $ref;; esac; done\n"
    )
    hook.chmod(0o755)
    pushes.git("push", "--no-verify", "origin", "main")
    pushes.repo.commit()
    _, told = pushes.git("push", "origin", "HEAD:refs/for/main%topic=x")
    assert "gitexp: the runs are not pushed to a review; `git exp push` sends them" in told
    assert "also sends to" not in told
    pushes.settle()
    assert pushes.branches() == {"main"}
    _, told = pushes.git("push", "origin", "HEAD:refs/for/main", "HEAD:main")
    assert "also sends to" in told
    pushes.settle()
    assert pushes.branches() == ALL
    pushes.exp("record", "-q", "-M", "accuracy=2")
    pushes.repo.commit()
    _, told = pushes.git("push", "origin", "HEAD:refs/for/main")
    assert "gitexp" not in told
    pushes.settle()
    assert (pushes.runs(), "did not reach" in pushes.exp("list")) == (1, False)
