"""A view shows one commit, whatever happens to the file and to the branch."""

import random
import sqlite3
from pathlib import Path

import pytest

from gitexp.core.model.ids import ObjectId
from gitexp.storage.cache.runs import CachedRuns
from tests.storage.branches import (
    DAMAGES,
    REF,
    Branch,
    answers,
    make_annotation,
    make_run,
    query,
)

SECTOR = 512
"""Bytes that a disk writes wholly or not at all."""


class Two:
    """A branch with two commits, and what is true at each."""

    def __init__(self, folder: Path) -> None:
        self.branch = Branch(folder / "repo")
        runs = [make_run(number) for number in range(1, 13)]
        self.old = self.branch.put(*runs).annotate(runs[3], make_annotation(runs[3], 40)).commit()
        self.new = self.branch.put(make_run(31, params={"x": 1})).delete(runs[5]).commit()
        self.cache = self.branch.cache()
        self.truth = {tip: self._truth(folder / "fresh", tip) for tip in (self.old, self.new)}

    def _truth(self, folder: Path, tip: ObjectId) -> dict[str, object]:
        with self.branch.cache(folder / f"{tip}.sqlite").at(tip) as runs:
            return answers(runs)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def is_private(runs: CachedRuns) -> bool:
    opened = runs._view._opened
    return opened is not None and opened.is_private


def test_views_of_two_commits_stand_side_by_side(two: Two) -> None:
    old, new = two.cache.at(two.old), two.cache.at(two.new)
    for _ in range(2):
        assert answers(old) == two.truth[two.old]
        assert answers(new) == two.truth[two.new]
        old.release()
    assert not is_private(old)
    assert not is_private(new)


def test_a_view_does_not_follow_the_branch(two: Two) -> None:
    index = two.cache.newest()
    two.branch.put(make_run(40)).commit()
    assert two.cache.newest().count() == index.count() + 1
    assert answers(index) == two.truth[two.new]


def test_no_commit_has_no_runs(two: Two) -> None:
    assert two.cache.at(None).ids() == []
    assert two.cache.newest().tip == two.new


def test_a_question_needs_its_own_keys_only(two: Two) -> None:
    index = two.cache.newest()
    assert index.ids(query("lr > 0.5", *index.keys()), "metrics.accuracy", limit=3)
    with sqlite3.connect(two.branch.file) as conn:
        found = {name for (name,) in conn.execute("SELECT name FROM keys")}
    assert found == {"metrics.accuracy", "params.lr"}


def test_a_view_keeps_its_keys_when_the_file_is_made_again(two: Two) -> None:
    index = two.cache.newest()
    ordered = index.ids(sort_by="metrics.accuracy")
    index.release()
    two.cache.delete()
    assert index.ids(sort_by="metrics.accuracy") == ordered
    two.branch.file.write_bytes(two.branch.file.read_bytes()[:4096] + bytes(9000))
    assert index.ids(sort_by="metrics.accuracy") == ordered


def test_a_view_of_a_deleted_file_goes_on(two: Two) -> None:
    index = two.cache.newest()
    two.cache.delete()
    other = two.cache.newest()
    assert answers(index) == answers(other) == two.truth[two.new]


def log_of(branch: Branch) -> Path:
    return branch.file.with_name("index.sqlite-wal")


def test_an_update_writes_to_the_log_only(two: Two) -> None:
    two.cache.newest().release()
    before = two.branch.file.read_bytes()
    for number in range(50, 53):
        two.branch.put(make_run(number)).commit()
        two.cache.newest().release()
    assert two.branch.file.read_bytes() == before
    assert log_of(two.branch).stat().st_size > 0


def test_a_long_log_is_emptied_unless_a_view_reads_it(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = two.cache.newest()
    monkeypatch.setattr("gitexp.storage.cache.cache_file._LOG_BYTES", 1)
    for number in range(50, 53):
        two.branch.put(make_run(number)).commit()
        two.cache.newest().release()
    assert log_of(two.branch).stat().st_size > 0
    index.release()
    two.branch.put(make_run(60)).commit()
    two.cache.newest().release()
    assert log_of(two.branch).stat().st_size == 0


@pytest.mark.parametrize("cuts", [3, pytest.param(200, marks=pytest.mark.long)])
def test_a_log_that_a_power_cut_left_incomplete_gives_no_wrong_answer(two: Two, cuts: int) -> None:
    """The log is not flushed, so any of its sectors may be missing, and its end as well."""
    two.cache.newest().ids(sort_by="metrics.accuracy")
    for number in range(50, 56):
        two.branch.put(make_run(number, metrics={"accuracy": number / 100})).commit()
        two.cache.newest().release()
    log = log_of(two.branch)
    kept = {file: file.read_bytes() for file in (two.branch.file, log)}
    true, chance = answers(two.cache.newest()), random.Random(7)
    for _ in range(cuts):
        content = bytearray(kept[log])
        for _ in range(chance.randrange(3)):
            start = chance.randrange(0, len(content), SECTOR)
            content[start : start + SECTOR] = bytes(SECTOR)
        two.branch.file.write_bytes(kept[two.branch.file])
        log.write_bytes(content[: chance.randrange(0, len(content) + 1, SECTOR)])
        with two.branch.open() as index:
            assert answers(index) == true
    assert len(true["ids"]) == len(two.branch.runs)


def test_values_of_odd_keys_are_found(tmp_path: Path) -> None:
    branch = Branch(tmp_path / "repo")
    odd = {
        'a"b': 1,
        "c.d": 2.5,
        "\u00e9": "x",
        "e\\f": True,
        "$": [1, 2],
        "t": {"[0]": 0.1},
        "#": -1,
    }
    branch.put(
        make_run(1, params={**odd, "t": {"[0]": 0.1}}),
        make_run(2, params={"t": {"[0]": 0.30000000000000004}}),
    )
    branch.commit()
    index = branch.open()
    found = {key: index.column(key).get(make_run(1).id) for key in index.keys("params")}
    assert found == {
        'params.a"b': 1,
        "params.c.d": 2.5,
        "params.\u00e9": "x",
        "params.e\\f": True,
        "params.$": "[1, 2]",
        "params.t.[0]": 0.1,
        "params.#": -1,
    }
    assert index.column("params.t.[0]")[make_run(2).id] == 0.30000000000000004


def test_numbers_are_exact(tmp_path: Path) -> None:
    chance = random.Random(3)
    numbers = [chance.uniform(-1, 1) * 10.0 ** chance.randrange(-300, 300) for _ in range(300)]
    branch = Branch(tmp_path / "repo")
    runs = [make_run(n + 1, metrics={"m": number}) for n, number in enumerate(numbers)]
    branch.put(*runs).commit()
    column = branch.open().column("metrics.m")
    assert [column[run.id] for run in runs] == numbers


def test_views_survive_damage_by_turns(two: Two) -> None:
    chance, kinds = random.Random(5), [kind for kind in DAMAGES if kind != "a folder"]
    for kind in kinds:
        views = [two.cache.at(chance.choice([two.old, two.new])) for _ in range(2)]
        views[0].release()
        DAMAGES[kind](two.branch.file)
        for view in (*views, two.cache.newest()):
            assert list(view.documents()) == two.truth[view.tip or two.new]["documents"]
        two.branch.repo.git("update-ref", REF, chance.choice([two.old, two.new]))
        fresh = two.cache.newest()
        assert answers(fresh) == two.truth[fresh.tip or two.new], kind
