"""Sessions: one id for each work tree, and its local state."""

from pathlib import Path

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import InvalidInput
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.storage.sessions import VARIABLE, Applied, Session
from tests.conftest import RepoBuilder


def made(path: Path, environ: dict[str, str] | None = None) -> Session:
    session = Session.make(Repo.discover(path), environ or {})
    assert session is not None
    return session


@pytest.fixture
def linked(repo: RepoBuilder) -> Path:
    """Add a second work tree to the repository."""
    repo.commit({"a": "1"}, "start")
    path = repo.path.parent / "linked"
    repo.git("worktree", "add", "--quiet", "--detach", str(path))
    return path


def test_a_work_tree_keeps_its_session_and_a_linked_one_has_its_own(
    repo: RepoBuilder, linked: Path
) -> None:
    assert Session.find(Repo.discover(repo.path), {}) is None
    first = made(repo.path)
    assert made(repo.path).id == first.id
    assert made(linked).id != first.id
    assert made(linked).id == made(linked).id
    assert len(first.id) == 16
    assert set(first.id) <= set("0123456789abcdef")


def test_session_is_removed_with_its_linked_work_tree(repo: RepoBuilder, linked: Path) -> None:
    made(linked)
    repo.git("worktree", "remove", str(linked))
    assert not list((repo.path / ".git").rglob("sessions"))


def test_the_environment_names_a_session(repo: RepoBuilder) -> None:
    own = made(repo.path)
    assert made(repo.path, {VARIABLE: "agent-1"}).id == "agent-1"
    assert made(repo.path, {VARIABLE: ""}).id == own.id


@pytest.mark.parametrize("name", ["/home/ada/work", "..", "a b", "a\n", "x" * 65, "-x", "é"])
def test_a_session_is_never_a_path(repo: RepoBuilder, name: str) -> None:
    with pytest.raises(InvalidInput, match=VARIABLE):
        made(repo.path, {VARIABLE: name})


@pytest.mark.parametrize("content", [b"\xff/../x\n", b"", b"../../etc\n"])
def test_a_damaged_id_is_replaced(repo: RepoBuilder, content: bytes) -> None:
    made(repo.path)
    (repo.path / ".git/gitexp/sessions/worktree").write_bytes(content)
    assert Session.find(Repo.discover(repo.path), {}) is None
    assert made(repo.path).id == made(repo.path).id


def test_failed_start_is_remembered_until_a_run_starts(repo: RepoBuilder) -> None:
    session, other = made(repo.path), made(repo.path, {VARIABLE: "agent-1"})
    assert not session.has_failed_start
    session.expect_start()
    assert session.has_failed_start
    assert not other.has_failed_start
    session.note_start()
    assert not session.has_failed_start
    session.note_start()


def test_applied_run_is_remembered(repo: RepoBuilder) -> None:
    session = made(repo.path)
    assert session.applied is None
    applied = Applied(RunId("1" * 16), 7, ObjectId("c0" * 20))
    session.note_applied(applied)
    assert made(repo.path).applied == applied
    assert made(repo.path, {VARIABLE: "agent-1"}).applied is None


@pytest.mark.parametrize("text", ["", "one two", "x y z", "1111111111111111 seven c0"])
def test_damaged_note_of_an_applied_run_is_ignored(repo: RepoBuilder, text: str) -> None:
    session = made(repo.path)
    session.note_applied(Applied(RunId("1" * 16), 7, ObjectId("c0" * 20)))
    (repo.path / f".git/gitexp/sessions/{session.id}.applied").write_text(text)
    assert session.applied is None
