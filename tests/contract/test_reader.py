"""Questions that git is told early: the answers are of then, and nothing else changes."""

import os

import pytest

from gitexp.errors import CommandFailed
from gitexp.repo.launch import Git
from gitexp.repo.reader import Found, ObjectReader
from tests.conftest import RepoBuilder


def oids(found: list[Found | None]) -> list[str | None]:
    return [one and one.oid for one in found]


def reader_in(repo: RepoBuilder) -> ObjectReader:
    return ObjectReader(Git(repo.path, {}))


def test_an_expected_answer_is_of_when_it_was_expected(repo: RepoBuilder) -> None:
    before = repo.head
    with reader_in(repo) as reader:
        assert oids(reader.read(["HEAD"])) == [before]
        reader.expect("HEAD", "HEAD^{tree}")
        reader.expect("HEAD", "HEAD^{tree}")
        reader.expect("nowhere")
        assert oids(reader.read(["HEAD:"])) == [repo.git("rev-parse", "HEAD^{tree}")]
        after = repo.commit()
        assert oids(reader.read(["HEAD"])) == [after]
        assert oids(reader.read(["HEAD", "HEAD^{tree}"]))[0] == before
        assert oids(reader.read(["HEAD", "HEAD^{tree}"]))[0] == after
        assert reader.read(["nowhere"]) == [None]


def test_what_is_forgotten_is_asked_again(repo: RepoBuilder) -> None:
    with reader_in(repo) as reader:
        reader.expect("HEAD")
        assert oids(reader.read(["HEAD^{tree}"]))
        reader.expect("HEAD^{commit}")
        after = repo.commit()
        reader.forget()
        assert oids(reader.read(["HEAD"]) + reader.read(["HEAD^{commit}"])) == [after, after]


def test_an_expected_answer_that_kills_git_is_nobodys_else_fault(repo: RepoBuilder) -> None:
    damaged = repo.git("hash-object", "-w", "--stdin", stdin=os.urandom(100_000))
    file = repo.path / ".git" / "objects" / damaged[:2] / damaged[2:]
    file.chmod(0o644)
    os.truncate(file, 50_000)
    with reader_in(repo) as reader:
        reader.expect("HEAD")
        reader.expect(damaged)
        reader.expect("HEAD^{tree}")
        assert oids(reader.read(["HEAD"])) == [repo.head]
        assert oids(reader.read(["HEAD^{tree}"])) == [repo.git("rev-parse", "HEAD^{tree}")]
        with pytest.raises(CommandFailed):
            reader.read([damaged])
        assert oids(reader.read(["HEAD"])) == [repo.head]


def test_more_than_a_pipe_holds_may_be_expected(repo: RepoBuilder) -> None:
    large = repo.git("hash-object", "-w", "--stdin", stdin=b"x" * (1 << 20))
    with reader_in(repo) as reader:
        reader.expect(large)
        for n in range(200):
            reader.expect(f"refs/heads/none-{n}", "HEAD")
        assert oids(reader.read(["HEAD"])) == [repo.head]
        (found,) = reader.read([large])
    assert found is not None
    assert found.content == b"x" * (1 << 20)


def test_where_no_repository_is_nothing_comes_of_it(repo: RepoBuilder) -> None:
    empty = repo.path.parent / "empty"
    empty.mkdir()
    with ObjectReader(Git(empty, {})) as reader:
        for _ in range(50):
            reader.expect("HEAD")
            reader.expect("HEAD^{tree}")
        with pytest.raises(CommandFailed):
            reader.read(["HEAD"])
