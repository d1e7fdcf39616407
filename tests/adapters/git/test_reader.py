"""One git process reads objects by name, in order. A damaged object does not block later ones."""

import os
import subprocess
from typing import Any

import pytest

from gitexp.adapters.git.cat_file import CatFile, GitObject
from gitexp.adapters.git.process import GitRunner
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed
from tests.conftest import RepoBuilder


def oids(found: list[GitObject | None]) -> list[str | None]:
    return [one and one.oid for one in found]


def reader_in(repo: RepoBuilder) -> CatFile:
    return CatFile(GitRunner(repo.path, {}))


def test_reader_answers_in_order_with_the_refs_of_the_moment(repo: RepoBuilder) -> None:
    before = repo.head
    with reader_in(repo) as reader:
        assert oids(reader.read(["HEAD", "nowhere", "HEAD"])) == [before, None, before]
        after = repo.commit()
        assert oids(reader.read(["HEAD"])) == [after]


def test_reader_starts_a_new_process_after_a_damaged_object(repo: RepoBuilder) -> None:
    damaged = repo.git("hash-object", "-w", "--stdin", stdin=os.urandom(100_000))
    file = repo.path / ".git" / "objects" / damaged[:2] / damaged[2:]
    file.chmod(0o644)
    os.truncate(file, 50_000)
    with reader_in(repo) as reader:
        with pytest.raises(CommandFailed):
            reader.read([damaged])
        assert oids(reader.read(["HEAD"])) == [repo.head]


def test_reader_takes_more_names_than_a_pipe_holds(repo: RepoBuilder) -> None:
    names = [f"refs/heads/{'none' * 20}-{n}" for n in range(3000)]
    with reader_in(repo) as reader:
        found = reader.read([*names, "HEAD"])
    assert oids(found) == [*[None] * 3000, repo.head]


def test_reader_fails_where_there_is_no_repository(repo: RepoBuilder) -> None:
    empty = repo.path.parent / "empty"
    empty.mkdir()
    with CatFile(GitRunner(empty, {})) as reader, pytest.raises(CommandFailed):
        reader.read(["HEAD"])


def test_reading_asks_one_process_until_its_block_ends(
    repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, ...]] = []
    start = GitRunner.open

    def noting(git: GitRunner, *args: str, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(args)
        return start(git, *args, **options)

    ours = Repo.discover(repo.path)
    monkeypatch.setattr(GitRunner, "open", noting)
    with ours.reading() as reading:
        with reading.reading() as inner:
            assert inner is reading
        tree = reading.peel("HEAD", "tree")
        assert (reading.peel("HEAD", "commit"), tree) == (repo.head, reading.peel("HEAD", "tree"))
        assert started == [("cat-file", "--batch")]
        ours.read_objects(["HEAD"])
        assert len(started) == 2
    with ours.reading() as later:
        later.read_objects(["HEAD"])
    assert len(started) == 3
