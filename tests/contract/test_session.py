"""What one thread has begun: it starts early, ends late, and nothing is left of it."""

import os
import signal
from contextlib import suppress

import pytest

from gitexp.errors import CommandFailed
from gitexp.repo import Repo
from gitexp.repo.launch import Git, Underway
from tests.conftest import RepoBuilder

MOVE = ("update-ref", "--stdin")


def is_gone(started: Underway) -> bool:
    """Whether a process has ended and was waited for."""
    try:
        os.kill(started.process.pid, 0)
    except ProcessLookupError:
        return started.process.returncode is not None
    return False


def orders(repo: RepoBuilder, ref: str) -> bytes:
    return f"start\ncreate {ref} {repo.head}\ncommit\n".encode()


def answers(started: Underway, stdin: bytes) -> bool:
    started.tell(stdin)
    return started.says(b"commit: ok\n", 1)


def test_what_was_expected_is_what_is_begun(repo: RepoBuilder) -> None:
    with Repo.discover(repo.path).session() as session:
        session.expect(*MOVE)
        session.expect(*MOVE)
        (expected,) = session._expected.values()
        assert session.begin(*MOVE) is expected
        other = session.begin(*MOVE)
        assert other is not expected
    assert is_gone(expected) and is_gone(other)


def test_one_that_has_answered_ends_by_itself(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    with ours.session() as session:
        moving = session.begin(*MOVE)
        assert answers(moving, orders(repo, "refs/heads/moved"))
        assert ours.resolve("refs/heads/moved") == repo.head
    assert is_gone(moving)
    assert moving.process.returncode == 0


def test_one_that_refuses_says_why(repo: RepoBuilder) -> None:
    repo.git("branch", "there")
    with Repo.discover(repo.path).session() as session:
        moving = session.begin(*MOVE)
        assert not answers(moving, orders(repo, "refs/heads/there"))
        assert "already exists" in moving.finish(check=False).stderr
    assert is_gone(moving)


def test_one_that_died_before_it_was_asked_says_nothing(repo: RepoBuilder) -> None:
    with Repo.discover(repo.path).session() as session:
        moving = session.begin(*MOVE)
        moving.process.kill()
        os.waitid(os.P_PID, moving.process.pid, os.WEXITED | os.WNOWAIT)
        assert not answers(moving, orders(repo, "refs/heads/moved"))
        assert moving.finish(check=False).status == -signal.SIGKILL


def test_nobody_waits_for_one_that_waits_for_the_end_of_its_input(repo: RepoBuilder) -> None:
    """As `update-ref` whose answer was lost on its way."""
    with Repo.discover(repo.path).session() as session:
        assert not answers(session.begin("hash-object", "--stdin"), b"content")


@pytest.mark.parametrize("asked", [False, True])
def test_a_fault_leaves_nobody_behind(repo: RepoBuilder, asked: bool) -> None:
    with suppress(KeyboardInterrupt), Repo.discover(repo.path).session(soon=True) as session:
        reader = session.reader.start()
        moving = session.begin(*MOVE)
        if asked:
            assert moving.process.stdin is not None
            moving.process.stdin.write(b"start\n")
        raise KeyboardInterrupt
    assert is_gone(moving)
    assert reader.returncode is not None


def test_what_cannot_start_early_may_start_later(
    repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> Underway:
        raise CommandFailed(MOVE, -1, "Resource temporarily unavailable")

    with Repo.discover(repo.path).session() as session:
        with monkeypatch.context() as patch:
            patch.setattr(Git, "begin", fail)
            session.expect(*MOVE)
            with pytest.raises(CommandFailed):
                session.begin(*MOVE)
        assert answers(session.begin(*MOVE), orders(repo, "refs/heads/moved"))


def test_sessions_within_one_are_the_same(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    with ours.session() as outer:
        with ours.session(soon=True) as inner:
            assert inner is outer
        assert ours.read_objects(["HEAD"]) != [None]
    with ours.session() as later:
        assert later is not outer
