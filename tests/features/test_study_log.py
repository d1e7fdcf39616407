"""The journal of studies: no acknowledged study is lost, and a push sends exactly these."""

import threading
from pathlib import Path
from typing import Any

import pytest

from gitexp.core.errors import Conflict, InvalidInput, UnreadableRecord
from gitexp.features.sweeps import study_log
from gitexp.features.sweeps.study_log import StudyLog, branch_of
from gitexp.storage.workspace import Workspace
from tests.conftest import RepoBuilder


def open_log(path: Path, name: str = "main") -> StudyLog:
    return StudyLog(Workspace.open(path), name)


def numbers(log: StudyLog, start: int = 0) -> list[Any]:
    return [entry["n"] for entry in log.read(start)]


def add(log: StudyLog, *values: Any) -> None:
    log.append([{"n": value} for value in values])


@pytest.fixture
def place(repo: RepoBuilder) -> Path:
    repo.commit({"a.txt": "a"})
    return repo.path


def test_entries_are_read_from_any_number_on(place: Path) -> None:
    log = open_log(place)
    assert log.read(0) == []
    add(log, 1, 2)
    add(log, float("inf"), "text")
    assert numbers(log) == [1, 2, float("inf"), "text"]
    assert numbers(log, 4) == []
    add(log, 5)
    assert numbers(log, 4) == [5]
    assert numbers(log, 3) == ["text", 5]
    assert numbers(open_log(place)) == [1, 2, float("inf"), "text", 5]


def test_an_entry_that_was_cut_off_is_removed_before_the_next(place: Path) -> None:
    log = open_log(place)
    add(log, 1, 2)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'0a0b0c0d {"n":3')
    assert numbers(open_log(place)) == [1, 2]
    log.path.write_bytes(whole + b'0a0b0c0d {"n":3')
    add(log, 4)
    assert numbers(log) == [1, 2, 4]
    log.path.write_bytes(b"half")
    other = open_log(place)
    add(other, 9)
    assert numbers(other) == [1, 2, 9]  # the branch had the others


def test_a_damaged_entry_is_an_error_and_not_a_gap(place: Path) -> None:
    log = open_log(place)
    add(log, 1, 2, 3)
    log.path.write_bytes(log.path.read_bytes().replace(b'"n":2', b'"n":7'))
    with pytest.raises(UnreadableRecord):
        open_log(place).read(0)


def test_the_branch_has_every_entry_in_files_of_limited_size(
    place: Path, repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_log, "SEGMENT_BYTES", 60)
    monkeypatch.setattr(study_log, "COMMIT_S", 0.0)
    log = open_log(place)
    for number in range(8):
        add(log, number, "x" * 20)
    names = repo.git("ls-tree", "-r", "--name-only", log.branch).split()
    assert names[0] == "README.md"
    assert len(names) > 4
    whole = "".join(repo.git("show", f"{log.branch}:{name}") + "\n" for name in names[1:])
    assert whole.encode() == log.path.read_bytes()
    assert len(repo.git("rev-list", log.branch).split()) == 8
    log.commit()
    assert len(repo.git("rev-list", log.branch).split()) == 8
    assert repo.git("status", "--porcelain") == ""


def test_entries_that_a_killed_process_left_are_committed_by_the_next(
    place: Path, repo: RepoBuilder
) -> None:
    log = open_log(place)
    add(log, 1)
    assert repo.git("for-each-ref", f"refs/heads/{log.branch}") == ""
    open_log(place)
    assert '{"n":1}' in repo.git("show", f"{log.branch}:logs/000000.jsonl")


def test_a_clone_goes_on_with_the_branch(place: Path, repo: RepoBuilder, tmp_path: Path) -> None:
    log = open_log(place)
    add(log, 1, 2)
    log.commit()
    other = tmp_path / "other"
    repo.git("clone", "-q", str(place), str(other))
    refs = f"+refs/heads/{log.branch}:refs/heads/{log.branch}"
    repo.git("-C", str(other), "fetch", "-q", "origin", refs)
    there = open_log(other)
    add(there, 3)
    there.commit()
    assert numbers(there) == [1, 2, 3]
    repo.git("fetch", "-q", str(other), refs[1:])
    assert numbers(log) == [1, 2]
    add(log := open_log(place), 4)
    log.commit()
    assert numbers(log) == [1, 2, 3, 4]


def test_journals_that_went_on_apart_are_a_conflict_and_stay(
    place: Path, repo: RepoBuilder, tmp_path: Path
) -> None:
    log = open_log(place)
    add(log, 1)
    log.commit()
    first = repo.git("rev-parse", log.branch)
    add(log, 2)
    log.commit()
    repo.git("update-ref", f"refs/heads/{log.branch}", first)
    add(log, 3)  # the branch was moved back: it gets everything again
    log.commit()
    tip = repo.git("rev-parse", log.branch)
    assert numbers(log) == [1, 2, 3]
    kept = log.path.read_bytes()
    log.path.write_bytes(b"".join(study_log.encode_entry({"n": n}) for n in (1, 9, 9)))
    with pytest.raises(Conflict) as caught:
        open_log(place)
    assert "went on apart" in caught.value.what
    assert b'"n":9' in log.path.read_bytes()
    assert repo.git("rev-parse", log.branch) == tip
    with pytest.warns(RuntimeWarning, match="not on branch"):
        log._committed_s -= 60
        add(log, 10)
    assert b'"n":10' in log.path.read_bytes()
    log.path.unlink()
    with pytest.raises(UnreadableRecord):
        add(log, 11)
    log.path.write_bytes(kept)
    assert numbers(open_log(place)) == [1, 2, 3]


def test_threads_lose_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_log, "COMMIT_S", 0.2)
    logs = [open_log(place), open_log(place)]

    def work(number: int) -> None:
        for step in range(5):
            add(logs[number % 2], [number, step])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = numbers(logs[0])
    assert sorted(found) == [[number, step] for number in range(4) for step in range(5)]
    for number in range(4):
        assert [step for own, step in found if own == number] == list(range(5))


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", "a" * 65, "a b"])
def test_a_name_that_is_no_branch_is_refused(place: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        branch_of(Workspace.open(place), name)
