"""The cache gives the same answers as one built from nothing, whatever happened before."""

import fcntl
import json
import math
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitexp.adapters.git.process import Git
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import NotFound
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    AnnotationKind,
    Code,
    Command,
    Decision,
    Direction,
    Entry,
    Outcome,
    Run,
    Value,
    run_order,
)
from gitexp.core.query.matching import ATTRIBUTES, matches, parse_query, resolve
from gitexp.core.schema import layout as refs
from gitexp.core.schema.toml_codec import encode_annotation, encode_run
from gitexp.storage.cache import fill, readers
from gitexp.storage.cache.ordering import condition_of
from gitexp.storage.cache.rows import Derived
from gitexp.storage.cache.run_index import RunIndex
from gitexp.storage.cache.sql import _MANY, Compiler, program, row_of, run_of
from gitexp.storage.cache.writer import Writer, create_indexes, create_tables
from tests.storage.branches import (
    DAMAGES,
    REF,
    STARTED,
    Branch,
    assert_true,
    documents,
    flip,
    make_annotation,
    make_run,
    query,
)


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    return Branch(tmp_path / "repo")


def unpack(branch: Branch, tmp_path: Path) -> None:
    """Unpack all objects of the repository into loose ones."""
    pack = next((branch.repo.common_dir / "objects").glob("pack/*.pack"), None)
    if pack is not None:
        held = pack.rename(tmp_path / "held.pack")
        pack.with_suffix(".idx").unlink()
        subprocess.run(
            ["git", "-C", str(branch.folder), "unpack-objects", "-q"],
            input=held.read_bytes(),
            check=True,
        )


# --- keeping up -----------------------------------------------------------------------------------


def test_an_absent_branch_has_no_runs(branch: Branch) -> None:
    index = branch.open()
    assert index.ref == REF
    assert (index.tip, index.count(), index.ids(), index.max_clock()) == (None, 0, [], 0)
    assert not index.keys()
    assert not index.broken
    assert not index.ids(sort_by="metrics.accuracy")


def test_it_follows_the_branch_step_by_step(branch: Branch, tmp_path: Path) -> None:
    index = branch.open()
    runs = [make_run(n) for n in range(1, 30)]
    steps: list[Callable[[], object]] = [
        lambda: branch.put(*runs[:10]),
        lambda: branch.put(runs[20], runs[5]),
        lambda: branch.annotate(runs[3], make_annotation(runs[3], 40)),
        lambda: branch.put(replace(runs[4], outcome=Outcome.RUNNING)),
        lambda: branch.put(replace(runs[4], metrics={"loss": 0.5}, tags=("late",))),
        lambda: branch.annotate(
            runs[3], make_annotation(runs[3], 41, decision=Decision.STOP, text="why")
        ),
        lambda: branch.delete(runs[7]),
        lambda: branch.put(*runs[10:]),
        lambda: branch.annotate(
            runs[6],
            make_annotation(runs[6], 50, kind=AnnotationKind.TAG, decision=None, tags=("x",)),
        ),
        lambda: branch.write(refs.series_path(runs[2].id, runs[2].started), b"step,time\n"),
        lambda: branch.write("README.md", b"words").write("runs/odd", b"words"),
        lambda: branch.write(refs.environment_path("ab" * 8), b""),
    ]
    for step in steps:
        step()
        tip = branch.commit()
        index.refresh()
        assert index.tip == tip
        assert_true(index, branch, tmp_path)


def test_a_second_opening_reads_nothing_again(branch: Branch) -> None:
    branch.put(make_run(1)).commit()
    branch.open().close()
    before = branch.file.stat()
    index = branch.open()
    assert index.count() == 1
    assert branch.file.stat() == before


def test_an_update_reads_only_what_changed(branch: Branch) -> None:
    branch.put(*(make_run(n) for n in range(1, 20))).commit()
    branch.open().close()
    branch.put(make_run(20)).commit()
    seen: list[tuple[int, int]] = []
    RunIndex.open(branch.repo, REF, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]


def test_a_rewritten_branch_is_followed(branch: Branch, tmp_path: Path) -> None:
    branch.put(make_run(1), make_run(2)).commit()
    index = branch.open()
    branch.runs.clear()
    branch.put(make_run(3)).commit(orphan=True)
    subprocess.run(
        ["git", "-C", str(branch.folder), "reflog", "expire", "--expire=now", "--all"], check=True
    )
    subprocess.run(["git", "-C", str(branch.folder), "gc", "-q", "--prune=now"], check=True)
    index.refresh()
    assert_true(index, branch, tmp_path)


def test_a_deleted_branch_empties_the_index(branch: Branch) -> None:
    tip = branch.put(make_run(1)).commit()
    index = branch.open()
    subprocess.run(["git", "-C", str(branch.folder), "update-ref", "-d", REF, tip], check=True)
    index.refresh()
    assert (index.tip, index.count()) == (None, 0)


def test_an_index_from_nothing_keeps_out_other_users(branch: Branch) -> None:
    branch.put(make_run(1)).commit()
    branch.open()
    assert stat.S_IMODE(branch.file.stat().st_mode) == 0o600


# --- records that cannot be read ------------------------------------------------------------------


def test_unreadable_records_are_listed_and_stop_nothing(branch: Branch, tmp_path: Path) -> None:
    good, bad, other = make_run(1), make_run(2), make_run(3)
    branch.put(good, other).annotate(good, make_annotation(good, 9))
    path = refs.run_path(bad.id, bad.started)
    branch.write(path, b"schema = 99\n")
    branch.write(refs.annotation_path(good.id, good.started, "ab" * 8), b"\xff\xfe")
    branch.write(refs.annotation_path(other.id, other.started, "cd" * 8), b"schema = 1\n")
    wrong = refs.annotation_path(other.id, other.started, "ef" * 8)
    branch.write(wrong, encode_annotation(make_annotation(good, 10)))
    branch.write(refs.run_path(bad.id, STARTED + timedelta(days=400)), encode_run(good))
    branch.commit()
    index = branch.open()
    assert_true(index, branch, tmp_path)
    assert [path for path, _ in index.broken] == sorted(
        [
            path,
            refs.annotation_path(good.id, good.started, "ab" * 8),
            refs.annotation_path(other.id, other.started, "cd" * 8),
            wrong,
            refs.run_path(bad.id, STARTED + timedelta(days=400)),
        ]
    )
    branch.put(bad).write(wrong, None).commit()
    index.refresh()
    assert_true(index, branch, tmp_path)
    assert len(index.broken) == 3


def test_an_object_lost_after_the_index_was_made_is_listed(branch: Branch, tmp_path: Path) -> None:
    branch.put(make_run(1), make_run(2)).commit()
    index = branch.open()
    unpack(branch, tmp_path)
    oid = branch.repo.resolve(f"{REF}:{refs.run_path(make_run(1).id, make_run(1).started)}")
    assert oid is not None
    (branch.repo.common_dir / "objects" / oid[:2] / oid[2:]).unlink()
    assert len(list(index.documents())) == 1
    assert index.ids() == [make_run(2).id]
    assert len(index.broken) == 1


def test_a_missing_object_is_listed_and_found_again(branch: Branch, tmp_path: Path) -> None:
    branch.put(make_run(1), make_run(2)).commit()
    unpack(branch, tmp_path)
    oid = branch.repo.resolve(f"{REF}:{refs.run_path(make_run(1).id, make_run(1).started)}")
    assert oid is not None
    loose = branch.repo.common_dir / "objects" / oid[:2] / oid[2:]
    loose.rename(tmp_path / "loose")
    index = branch.open()
    assert index.ids() == [make_run(2).id]
    assert len(index.broken) == 1
    (tmp_path / "loose").rename(loose)
    branch.put(make_run(3)).commit()
    index.refresh()
    assert_true(index, branch, tmp_path)


def test_two_records_of_one_run_count_once(branch: Branch, tmp_path: Path) -> None:
    run = make_run(1)
    branch.put(run)
    second = refs.run_path(run.id, run.started + timedelta(days=90))
    branch.write(second, encode_run(replace(run, name="other"))).commit()
    index = branch.open()
    assert_true(index, branch, tmp_path)
    assert index.broken == [(second, "the run has another record already")]


def test_the_rival_of_a_run_sealed_twice_stays_readable(branch: Branch, tmp_path: Path) -> None:
    run, rival = make_run(1), make_run(1, metrics={"accuracy": 0.1})
    branch.put(run, make_run(2)).commit()
    index = branch.open()
    assert index.conflicting() == []
    branch.write(refs.rival_path(refs.run_path(run.id, run.started), "ab" * 20), encode_run(rival))
    branch.commit()
    index.refresh()
    assert index.conflicting() == [run.id]
    assert index.rivals(run.id) == [rival]
    assert_true(index, branch, tmp_path)


def test_two_tombstones_delete_as_one_does(branch: Branch) -> None:
    run = make_run(1)
    branch.put(run).delete(run)
    path = refs.annotation_path(run.id, run.started, refs.TOMBSTONE)
    branch.write(refs.rival_path(path, "ab" * 20), b"not even readable").commit()
    index = branch.open()
    assert (index.count(), index.max_clock(), len(index.broken)) == (0, 900, 1)
    assert len(index.paths(run.id)) == 3


def test_the_worst_records_are_only_listed(branch: Branch, tmp_path: Path) -> None:
    run = make_run(1)
    branch.put(run)
    early = encode_annotation(make_annotation(run, 5)).replace(
        b"time = 2026-11-23 10:15:02+00:00", b"time = 0001-01-01 00:00:00+23:59"
    )
    assert b"+23:59" in early
    branch.write(refs.annotation_path(run.id, run.started, f"{5:016x}"), early)
    branch.write(refs.run_path(run.id, run.started), encode_run(run) + b"# " + b"x" * (1 << 20))
    branch.write(refs.rival_path(refs.run_path(run.id, run.started), "ab" * 20), b"\xff")
    branch.commit()
    index = branch.open()
    assert (index.count(), len(index.broken)) == (0, 3)
    branch.put(run).commit()
    index.refresh()
    assert (index.count(), len(index.broken), index.rivals(run.id)) == (1, 2, [])
    assert_true(index, branch, tmp_path)


# --- damage ---------------------------------------------------------------------------------------


@pytest.fixture
def filled(branch: Branch) -> Branch:
    runs = [make_run(n) for n in range(1, 25)]
    branch.put(*runs).annotate(runs[3], make_annotation(runs[3], 40)).commit()
    return branch


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("opened", [False, True])
def test_damage_never_changes_an_answer(
    filled: Branch, tmp_path: Path, damage: str, opened: bool
) -> None:
    index = filled.open()
    if not opened:
        index.close()
    DAMAGES[damage](filled.file)
    index.refresh()
    assert_true(index, filled, tmp_path)
    filled.put(make_run(30)).commit()
    index.refresh()
    assert_true(index, filled, tmp_path)


@pytest.mark.parametrize("share", [n / 40 for n in range(41)])
def test_a_flipped_bit_anywhere_is_noticed(filled: Branch, tmp_path: Path, share: float) -> None:
    filled.open().close()
    flip(filled.file, share)
    assert_true(filled.open(), filled, tmp_path)


def test_an_older_copy_is_brought_forward(filled: Branch, tmp_path: Path) -> None:
    filled.open().close()
    shutil.copytree(filled.repo.state_dir, tmp_path / "copy")
    filled.put(make_run(31)).delete(make_run(4)).commit()
    filled.open().close()
    for file in (tmp_path / "copy").iterdir():
        shutil.copy2(file, filled.repo.state_dir / file.name)
    assert_true(filled.open(), filled, tmp_path)


def test_a_newer_copy_is_brought_back(filled: Branch, tmp_path: Path) -> None:
    old = filled.repo.read_ref(REF)
    assert old is not None
    filled.put(make_run(31)).commit()
    filled.open().close()
    del filled.runs[make_run(31).id]
    subprocess.run(["git", "-C", str(filled.folder), "update-ref", REF, old], check=True)
    assert_true(filled.open(), filled, tmp_path)


def test_the_index_of_another_repository_is_not_believed(filled: Branch, tmp_path: Path) -> None:
    other = Branch(tmp_path / "other")
    other.put(make_run(77)).commit()
    other.open().close()
    filled.open().close()
    for file in other.repo.state_dir.iterdir():
        shutil.copy2(file, filled.repo.state_dir / file.name)
    assert_true(filled.open(), filled, tmp_path)


def test_the_index_of_another_branch_is_not_believed(filled: Branch) -> None:
    filled.open().close()
    assert RunIndex.open(filled.repo, "refs/heads/other").ids() == []
    assert filled.open().count() == 24


def test_an_index_of_another_schema_is_made_again(
    filled: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("gitexp.storage.cache.connection.SCHEMA", "0")
        filled.open().close()
    assert_true(filled.open(), filled, tmp_path)


def test_a_document_changed_behind_an_open_index_is_noticed_by_its_checksum(filled: Branch) -> None:
    index = filled.open()
    assert list(index.documents())
    conn = sqlite3.connect(filled.file, isolation_level=None)
    conn.execute("UPDATE docs SET doc = replace(doc, 'Ada', 'Eve')")
    conn.close()
    assert list(index.documents()) == documents(filled)
    assert [entry.run.author for entry in index.entries(index.ids(limit=1))] == [
        "Ada <ada@example.org>"
    ]


@pytest.mark.parametrize("table", ["packed", "parts"])
def test_packed_values_changed_behind_an_open_index_are_noticed(
    filled: Branch, tmp_path: Path, table: str
) -> None:
    index = filled.open()
    conn = sqlite3.connect(filled.file, isolation_level=None)
    conn.execute(f"UPDATE {table} SET checksum = checksum + 1")
    conn.close()
    assert_true(index, filled, tmp_path)


def test_an_order_that_names_no_run_is_noticed_although_the_stamp_fits(filled: Branch) -> None:
    filled.open().close()
    before, whole = filled.file.stat(), filled.file.read_bytes()
    for run in filled.runs:
        number = row_of(run).to_bytes(8, "big", signed=True)
        whole = whole.replace(number, number[:-1] + bytes([number[-1] ^ 1]))
    filled.file.write_bytes(whole)
    os.utime(filled.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert list(filled.open().documents()) == documents(filled)


def test_a_changed_run_leaves_the_packed_values_of_its_neighbours(
    filled: Branch, tmp_path: Path
) -> None:
    filled.open().close()
    first, second, *_ = filled.runs.values()
    filled.annotate(first, make_annotation(first, 40))
    filled.put(replace(second, metrics={"new": 1})).delete(first).commit()
    index = filled.open()
    with sqlite3.connect(filled.file) as conn:
        assert not conn.execute("SELECT * FROM packed").fetchall()
    assert_true(index, filled, tmp_path)


def test_a_question_unpacks_its_own_keys_only(filled: Branch) -> None:
    index = filled.open()
    packed = "SELECT name FROM keys WHERE key IN (SELECT key FROM packed)"
    with sqlite3.connect(filled.file) as conn:
        before = {name for (name,) in conn.execute(packed)}
        assert index.ids(query("lr > 0.5", *index.keys()), "metrics.accuracy", limit=3)
        after = {name for (name,) in conn.execute(packed)}
    assert before - after == {"metrics.accuracy", "params.lr"}


def test_half_made_files_of_dead_writers_are_cleared(filled: Branch) -> None:
    filled.repo.state_dir.mkdir()
    old, young = (filled.repo.state_dir / f"index.sqlite-{name}.new" for name in ("old", "young"))
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    filled.open()
    assert (old.exists(), young.exists()) == (False, True)


def test_many_changes_are_read_from_nothing(filled: Branch, tmp_path: Path) -> None:
    filled.open().close()
    filled.put(*(make_run(n) for n in range(100, 1150))).commit()
    seen: list[tuple[int, int]] = []
    index = RunIndex.open(filled.repo, REF, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(500, 1074), (1000, 1074), (1074, 1074)]
    assert_true(index, filled, tmp_path)


# --- where it cannot be written, and many at once -------------------------------------------------


def test_a_folder_that_cannot_be_made_leaves_an_index_in_memory(filled: Branch) -> None:
    blocked = filled.folder / "blocked"
    blocked.write_text("a file, not a folder")
    index = filled.open(blocked / "index.sqlite")
    assert list(index.documents()) == documents(filled)
    filled.put(make_run(30)).commit()
    index.refresh()
    assert list(index.documents()) == documents(filled)


CROWDED = """
import resource, signal, sys
from pathlib import Path
from gitexp.storage.cache.run_index import RunIndex
from gitexp.adapters.git.repository import Repo
repo = Repo.discover(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
index = RunIndex.open(repo, "refs/heads/gitexp")
print(len(index.ids(sort_by="metrics.accuracy")), len(list(index.documents())))
"""


@pytest.mark.parametrize("room", [0, 10_000, 100_000])
def test_where_files_cannot_grow_the_answer_comes_from_memory(filled: Branch, room: int) -> None:
    # `-B`: a .pyc file cut at the size limit would break later imports of its module.
    argv = [sys.executable, "-B", "-c", CROWDED, str(filled.folder), str(room)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert (done.stdout, done.stderr) == ("24 24\n", "")
    filled.open().close()
    filled.put(make_run(30)).commit()
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert (done.stdout, done.stderr) == ("25 25\n", "")
    assert list(filled.open().documents()) == documents(filled)


def test_a_busy_index_is_answered_from_memory(
    filled: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitexp.storage.cache.file.BUSY_S", 0.05)
    filled.open().close()
    filled.put(make_run(30)).commit()
    other = sqlite3.connect(filled.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    index = filled.open()
    assert list(index.documents()) == documents(filled)
    other.execute("ROLLBACK")
    other.close()
    assert_true(filled.open(), filled, tmp_path)


def test_a_stamp_that_stays_locked_is_not_waited_for(
    filled: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitexp.storage.cache.file.BUSY_S", 0.05)
    filled.open().close()
    with filled.file.with_name("index.sqlite.stamp").open() as stamp:
        fcntl.flock(stamp, fcntl.LOCK_EX)
        assert list(filled.open().documents()) == documents(filled)
        filled.put(make_run(30)).commit()
        assert list(filled.open().documents()) == documents(filled)
    assert list(filled.open().documents()) == documents(filled)


ASK = """
import sys
from pathlib import Path
from gitexp.storage.cache.run_index import RunIndex
from gitexp.adapters.git.repository import Repo
index = RunIndex.open(Repo.discover(Path(sys.argv[1])), "refs/heads/gitexp")
for _ in range(20):
    index.refresh()
    assert index.count() == len(list(index.documents()))
print(index.tip, index.count())
"""


def test_processes_that_open_at_once_all_get_the_truth(filled: Branch, tmp_path: Path) -> None:
    def start() -> list[subprocess.Popen[str]]:
        argv = [sys.executable, "-c", ASK, str(filled.folder)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return [
            subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) for _ in range(4)
        ]

    for number in (30, 31, 32):
        tip = filled.put(make_run(number)).commit()
        said = [process.communicate()[0].strip() for process in start()]
        assert said == [f"{tip} {len(filled.runs)}"] * 4
    assert_true(filled.open(), filled, tmp_path)
    left = {path.name for path in filled.repo.state_dir.iterdir()}
    assert left == {"index.sqlite", "index.sqlite.stamp"}


# --- questions ------------------------------------------------------------------------------------


def test_sorting_puts_missing_values_last_and_ties_newest_first(branch: Branch) -> None:
    values = [0.5, None, 0.5, math.nan, 0.9, -1, "text", math.inf, True]
    runs = [
        make_run(n + 1, metrics={} if value is None else {"m": value})
        for n, value in enumerate(values)
    ]
    branch.put(*runs).commit()
    index = branch.open()

    def order(*, descending: bool, limit: int | None = None) -> list[int]:
        ids = index.ids(sort_by="metrics.m", descending=descending, limit=limit)
        numbers = {run.id: n for n, run in enumerate(runs)}
        return [numbers[run] for run in ids]

    assert order(descending=False) == [5, 2, 0, 4, 8, 7, 6, 3, 1]
    assert order(descending=True) == [7, 8, 4, 2, 0, 5, 6, 3, 1]
    for limit in range(10):
        assert order(descending=True, limit=limit) == order(descending=True)[:limit]


def test_sorting_by_an_attribute_puts_missing_values_last(branch: Branch) -> None:
    runs = [make_run(n, duration_s=d) for n, d in [(1, 2.0), (2, None), (3, 1.0), (4, None)]]
    branch.put(*runs).commit()
    index = branch.open()
    assert index.ids(sort_by="duration_s") == [runs[n].id for n in (2, 0, 3, 1)]
    assert index.ids(sort_by="duration_s", descending=True) == [runs[n].id for n in (0, 2, 3, 1)]


def test_a_filter_and_an_order_and_a_limit_work_together(filled: Branch) -> None:
    index = filled.open()
    keys = index.keys()
    where = query("metrics.accuracy > 0.3 and opt.name == 'adam'", *keys)
    expected = [
        e
        for e in sorted(
            filled.entries(), key=lambda e: (e.run.metrics["accuracy"], e.run.clock), reverse=True
        )
        if matches(where, e)
    ]
    found = index.ids(where, "metrics.accuracy", descending=True, limit=4)
    assert found == [e.run.id for e in expected[:4]]
    assert len(found) == 4


def test_best_knows_only_finite_numbers_of_finished_runs(branch: Branch) -> None:
    runs = [
        make_run(1, metrics={"m": 0.5}),
        make_run(2, metrics={"m": math.inf}),
        make_run(3, metrics={"m": 0.9}, outcome=Outcome.RUNNING),
        make_run(4, metrics={"m": 0.5}),
        make_run(5, metrics={"m": 0.1}),
        make_run(6, metrics={"m": "text"}),
    ]
    branch.put(*runs).commit()
    index = branch.open()

    def numbers(ids: list[RunId]) -> list[int]:
        return [run.clock for run in runs for _ in [0] if run.id in ids] and [
            next(run.clock for run in runs if run.id == found) for found in ids
        ]

    assert numbers(index.best("m", Direction.MAXIMIZE, 9)) == [4, 1, 5]
    assert numbers(index.best("m", Direction.MINIMIZE)) == [5]
    assert numbers(index.best("m", Direction.MAXIMIZE, sealed=False)) == [3]
    assert numbers(index.best("m", Direction.MAXIMIZE, before=runs[3])) == [1]
    where = query("metrics.m < 0.3", "metrics.m")
    assert numbers(index.best("m", Direction.MAXIMIZE, where=where)) == [5]
    assert index.best("unknown", Direction.MAXIMIZE) == []
    assert numbers(index.newest(2)) == [6, 5]
    assert numbers(index.newest(9, sealed=False, before=runs[3])) == [3, 2, 1]
    assert numbers(index.newest(9, with_metric="m", before=runs[3])) == [2, 1]


def test_runs_are_found_by_what_names_them(filled: Branch) -> None:
    first, fourth = make_run(1), make_run(4)
    filled.put(make_run(30, source="mlflow:7", code=replace(first.code, snapshot=TREE))).commit()
    index = filled.open()
    assert index.by_prefix(first.id[:6]) == [first.id]
    assert index.by_prefix("") == sorted(filled.runs)
    assert index.by_name("brave-otter-4")[0] == make_run(24).id
    newest_first = sorted(filled.runs.values(), key=run_order, reverse=True)
    assert index.by_commit(first.code.commit) == [
        run.id for run in newest_first if run.code.commit == first.code.commit
    ]
    assert index.by_commit(TREE) == [make_run(30).id]
    assert index.by_source("mlflow:7") == make_run(30).id
    assert index.by_source("mlflow:8") is None
    assert [e.run.id for e in index.by_fingerprint("f0")] == [
        run.id for run in newest_first if run.fingerprint == "f0"
    ]
    assert index.entry(fourth.id) == next(e for e in filled.entries() if e.run.id == fourth.id)
    with pytest.raises(NotFound):
        index.entries([first.id, RunId("0" * 16)])


TREE = ObjectId("5a" * 20)


def test_what_is_no_text_names_no_run(filled: Branch) -> None:
    index = filled.open()
    assert not index.by_name("\udcff")
    assert not index.produced_by("\ud800")


def test_documents_come_in_the_order_asked(filled: Branch) -> None:
    index = filled.open()
    wanted = [make_run(n).id for n in (3, 1, 2, 3)]
    assert [json.loads(doc)["id"] for doc in index.documents(wanted)] == wanted
    assert [entry.run.id for entry in index.entries(wanted)] == wanted


def test_entries_keep_the_types_that_json_lacks(branch: Branch) -> None:
    odd: dict[str, Value] = {"day": date(2026, 1, 2), "nan": math.nan, "t": "NaN", "when": STARTED}
    plain = make_run(1, params={"lr": 0.1}, metrics={"m": 1.0})
    run = make_run(2, params=odd, metrics={"m": -math.inf}, environment={"at": time(1, 2)})
    branch.put(plain, run).commit()
    for index in (branch.open(), branch.open()):  # the first builds the documents
        assert repr(index.entry(run.id).run) == repr(run)
        assert index.entry(plain.id).run == plain
        assert json.loads(next(index.documents([run.id])))["params"]["nan"] == "NaN"
    conn = sqlite3.connect(branch.file)
    kept = conn.execute("SELECT typed IS NULL FROM docs ORDER BY 1").fetchall()
    conn.close()
    assert kept == [(0,), (1,)]


def test_short_ids_are_unique_and_no_longer_than_needed(branch: Branch) -> None:
    ids = ["0" * 16, "0" * 15 + "1", "abcdefab00000000", "abcdefabcd000000", "f" * 16]
    runs = [make_run(n + 1, id=RunId(run)) for n, run in enumerate(ids)]
    branch.put(*runs, *(make_run(n) for n in range(100, 300))).commit()
    index = branch.open()
    expected = ["0" * 16, "0" * 15 + "1", "abcdefab0", "abcdefabc", "f" * 7]
    assert list(index.short([run.id for run in runs]).values()) == expected
    everything = index.short(index.ids())
    assert [everything[run.id] for run in runs] == expected
    assert len(everything) == 205
    assert index.shortest_prefix(runs[2].id) == "abcdefab0"


def test_a_column_has_the_values_of_the_records(branch: Branch) -> None:
    values = [1, 2.5, True, False, "text", "true", math.inf, -math.inf, 2**63 - 1]
    runs = [make_run(n + 1, metrics={"m": value}) for n, value in enumerate(values)]
    branch.put(*runs, make_run(90, metrics={"m": math.nan})).commit()
    index = branch.open()
    column = index.column("metrics.m")
    assert [column[run.id] for run in runs] == values
    assert [type(column[run.id]) for run in runs] == [type(value) for value in values]
    assert math.isnan(float(str(column[make_run(90).id])))
    assert index.column("metrics.m", [runs[0].id]) == {runs[0].id: 1}
    assert index.column("dirty")[runs[0].id] is False
    assert index.column("duration_s") == {}


def test_a_deleted_key_is_no_longer_listed(branch: Branch) -> None:
    run = make_run(1, metrics={"gone": 1})
    branch.put(run, make_run(2)).commit()
    index = branch.open()
    assert index.keys("metrics") == ["metrics.accuracy", "metrics.gone"]
    branch.delete(run).commit()
    index.refresh()
    assert index.keys("metrics") == ["metrics.accuracy"]
    assert index.ids(query("metrics.gone is None", "metrics.gone")) == [make_run(2).id]


def test_what_a_program_produced_is_remembered(branch: Branch, tmp_path: Path) -> None:
    branch.put(
        make_run(1, produced=("a", "b")),
        make_run(2, produced=("b", "c")),
        make_run(3, produced=("z",), command=Command(argv=("make",))),
    ).commit()
    index = branch.open()
    assert index.produced_by("python train.py") == {"a", "b", "c"}
    branch.delete(make_run(2)).commit()
    index.refresh()
    assert index.produced_by("python train.py") == {"a", "b"}
    assert index.produced_by("make") == {"z"}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("python", "train.py", "--lr", "1"), "python train.py"),
        (("/usr/bin/env", "-S", "scripts/go"), "env scripts/go"),
        (("make", "all"), "make"),
        (("./bench.sh",), "bench.sh"),
        ((), ""),
    ],
)
def test_a_program_is_named_by_its_file(argv: tuple[str, ...], expected: str) -> None:
    assert program(Command(argv=argv)) == expected


def test_row_numbers_keep_the_order_of_ids() -> None:
    ids = [RunId(text * 16) for text in "0178af"]
    rows = [row_of(run) for run in ids]
    assert rows == sorted(rows)
    assert [run_of(row) for row in rows] == ids
    assert -(2**63) <= rows[0] <= rows[-1] < 2**63


# --- a query means the same in SQL and in Python --------------------------------------------------

NASTY = [
    "' OR '1'='1",
    "'; DROP TABLE runs; --",
    '" OR ""="',
    "1 UNION SELECT * FROM vals",
    "%' AND sleep(5) --",
    "?1",
    ":name",
    "\\",
    "NULL",
    "NaN",
    "Infinity",
    "true",
    "0.1",
    "",
    "é\u0000x",
    "\U0001f600",
]
texts = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
)
values = st.one_of(
    st.booleans(),
    st.integers(-2, 2),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0.0, -0.0, 0.1, 1.0, 2.0**53, math.nan, math.inf, -math.inf]),
    st.floats(),
    texts,
    st.just(STARTED),
    st.lists(st.integers(0, 2), max_size=2),
)
tables = st.dictionaries(st.sampled_from(["a", "b", "top-1", "x.y", "' OR 1"]), values, max_size=4)
runs_drawn = st.builds(
    make_run,
    st.integers(1, 10**6),
    name=texts,
    reason=st.none() | texts,
    duration_s=st.none() | st.floats(0, 10),
    outcome=st.sampled_from(Outcome),
    tags=st.lists(texts, max_size=2, unique=True).map(tuple),
    params=tables,
    metrics=tables,
    environment=tables,
    command=st.none()
    | st.builds(Command, argv=st.just(()), exit_code=st.none() | st.integers(-1, 1)),
    code=st.builds(
        Code,
        commit=st.just(TREE),
        tree=st.just(TREE),
        dirty=st.booleans(),
        branch=st.none() | texts,
    ),
)
KEYS = [
    f"{space}.{key}"
    for space in ("metrics", "params", "env")
    for key in ("a", "b", "top-1", "x.y", "' OR 1")
]
fields = st.one_of(
    st.sampled_from([*ATTRIBUTES, "metrics.a", "metrics.b", "params.a", "env.a"]),
    st.sampled_from(['metrics["top-1"]', 'params["x.y"]', 'metrics["\' OR 1"]']),
)
literals = st.one_of(
    texts.map(repr),
    st.integers(-3, 3).map(repr),
    st.integers(-(2**63), 2**63 - 1).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["True", "False", "1e999", "-1e999", "0.1", repr(STARTED.isoformat())]),
)
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
tuples = st.lists(literals, max_size=3).map(lambda items: f"[{', '.join(items)}]")
inside = st.sampled_from(["in", "not in"])
atoms = st.one_of(
    st.builds("{} {} {}".format, fields | st.just("tag"), operators, literals),
    st.builds("{} {} {} {} {}".format, literals, operators, fields, operators, literals),
    st.builds("{} {} {}".format, fields, operators, fields),
    st.builds("{} {} {}".format, fields | st.just("tag"), inside, tuples),
    st.builds("{!r} {} {}".format, texts, inside, fields | st.just("tags")),
    st.builds("{} {} None".format, fields | st.just("tag"), st.sampled_from(["is", "is not"])),
    fields | st.just("tag"),
)
filters = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def tables_in_memory() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    create_tables(conn)
    create_indexes(conn)
    yield conn
    conn.close()


@settings(max_examples=120, deadline=None)
@given(
    runs=st.lists(runs_drawn, max_size=6, unique_by=lambda run: run.id),
    asked=st.lists(filters, min_size=1, max_size=4),
)
def test_sql_and_python_agree_on_every_query(
    tables_in_memory: sqlite3.Connection, runs: list[Run], asked: list[str]
) -> None:
    conn = tables_in_memory
    conn.execute("BEGIN")
    try:
        derived = [Derived(run.id, record=run) for run in sorted(runs, key=lambda run: run.id)]
        Writer(conn).add(derived)
        for text in asked:
            parsed = resolve(parse_query(text), KEYS)
            for sql in (Compiler(), Compiler(count=lambda _asked, _values: _MANY)):
                condition = condition_of(sql, parsed)
                found = conn.execute(f"SELECT id FROM runs r WHERE {condition}", sql.values)
                expected = {run.id for run in runs if matches(parsed, Entry(run))}
                assert {run for (run,) in found.fetchall()} == expected
                negated = f"SELECT id FROM runs r WHERE NOT {condition_of(sql, parsed)}"
                assert {run for (run,) in conn.execute(negated, sql.values)} == {
                    run.id for run in runs
                } - expected
    finally:
        conn.execute("ROLLBACK")


def test_the_largest_filter_is_within_the_bounds_of_sqlite(filled: Branch) -> None:
    index = filled.open()
    many = " or ".join("metrics.accuracy in (1, 2)" for _ in range(199))
    assert index.ids(query(f"{many} or outcome == 'succeeded'", *index.keys()), limit=1)
    for a, b in ((" and ", " or "), (" or ", " and ")):
        deep = "tag"
        for level in range(14):
            deep = f"lr > accuracy{(a, b)[level % 2]}({deep})"
        deepest = query(f"not ({deep})", *index.keys())
        every = sorted(filled.runs)
        expected = [e.run.id for e in filled.entries() if matches(deepest, e)]
        assert sorted(index.ids(deepest, "params.lr")) == sorted(expected)
        assert 0 < len(expected) < len(every)


# --- several processes ----------------------------------------------------------------------------


def contents(branch: Branch, path: Path) -> list[object]:
    """Return every row of a cache, unpacked.

    Keys are given by name, since their numbers depend on the order of reading.
    """
    index = branch.open(path)
    assert list(index.documents())
    for key in sorted(index.keys()):
        index.column(key)
    index.close()
    with sqlite3.connect(path) as conn:
        assert not conn.execute("SELECT * FROM packed").fetchall()
        columns = conn.execute("PRAGMA table_info(runs)")
        runs = [f'"{name}"' for _, name, *_ in columns if name != "part"]
        asked = [f"SELECT {', '.join(runs)} FROM runs"]
        asked += [
            f"SELECT * FROM {name}" for name in ("files", "docs", "tags", "produced", "broken")
        ]
        asked += [
            "SELECT name, rid, num, text, clock FROM vals JOIN keys USING (key) ORDER BY 1, 2"
        ]
        return [conn.execute(statement).fetchall() for statement in asked]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read with three processes, even for few runs."""
    monkeypatch.setattr(readers, "MANY", 0)
    monkeypatch.setattr(readers, "_processors", lambda: 3)
    monkeypatch.setattr(fill, "BATCH", 2)


def test_several_processes_read_the_same(
    filled: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    alone = tmp_path / "alone.sqlite"
    RunIndex.open(filled.repo, REF, path=alone).close()
    request.getfixturevalue("processes")
    started: list[object] = []
    start = readers._start

    def counted(repo: Repo) -> Any:
        started.append(repo)
        return start(repo)

    monkeypatch.setattr(readers, "_start", counted)
    together = tmp_path / "together.sqlite"
    RunIndex.open(filled.repo, REF, path=together).close()
    assert len(started) == 3
    assert contents(filled, together) == contents(filled, alone)


FAILURES = [
    "",
    "print('nonsense')",
    "import os; os.abort()",
    "import pickle, sys; pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(pickle.dumps(8))",
]
"""Programs that replace the reader process. The last one returns a number instead of rows."""


@pytest.mark.parametrize("damaged", [None, "annotations", "series", "runs/2026-12"])
def test_several_processes_read_an_odd_branch_the_same(
    filled: Branch, tmp_path: Path, request: pytest.FixtureRequest, damaged: str | None
) -> None:
    runs = [make_run(n) for n in range(1, 25)]
    for run in runs[::2]:
        filled.annotate(run, make_annotation(run, 50), make_annotation(run, 51))
        filled.write(refs.series_path(run.id, run.started), b"step,loss\n0,1\n")
    for run in runs[::5]:  # a copy in another month, and a conflicting version
        later = replace(run, started=run.started + timedelta(days=45))
        filled.write(refs.run_path(run.id, later.started), encode_run(later))
        filled.annotate(later, make_annotation(run, 60))
        rival = refs.rival_path(refs.run_path(run.id, run.started), "ab" * 20)
        filled.write(rival, encode_run(replace(run, metrics={"accuracy": 0.5})))
    filled.delete(runs[1]).write(refs.run_path(runs[2].id, runs[2].started), b"\xff")
    filled.write("runs/2026-12/stranger", b"").write(refs.environment_path("ab" * 8), b"").commit()
    if damaged is not None:
        unpack(filled, tmp_path)
        oid = filled.repo.resolve(f"{REF}:{damaged}")
        assert oid is not None
        (filled.repo.common_dir / "objects" / oid[:2] / oid[2:]).unlink()
    alone, together = tmp_path / "alone.sqlite", tmp_path / "together.sqlite"
    told: list[tuple[int, int]] = []
    RunIndex.open(filled.repo, REF, path=alone).close()
    request.getfixturevalue("processes")
    RunIndex.open(filled.repo, REF, path=together, progress=lambda *at: told.append(at)).close()
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)
    assert contents(filled, together) == contents(filled, alone)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("answer", FAILURES)
def test_what_a_failed_process_leaves_is_read_here(
    filled: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    def open_python(_git: object, _module: str) -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", answer], stdin=pipe, stdout=pipe)

    monkeypatch.setattr(Git, "open_python", open_python)
    index = RunIndex.open(filled.repo, REF, path=tmp_path / "other.sqlite")
    assert_true(index, filled, tmp_path)


@pytest.mark.usefixtures("processes")
def test_a_module_in_the_work_tree_is_not_ours(filled: Branch, tmp_path: Path) -> None:
    """The reader processes start in the work tree, which may contain a `json.py` of the user."""
    top = filled.repo.top or filled.repo.git_dir
    for name in ("json", "pickle", "gitexp"):
        (top / f"{name}.py").write_text(f"open({str(tmp_path / 'fell for it')!r}, 'w')")
    RunIndex.open(filled.repo, REF, path=tmp_path / "other.sqlite")
    assert not (tmp_path / "fell for it").exists()
