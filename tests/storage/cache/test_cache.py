"""The cache gives the same answers as one built from nothing, whatever happened before."""

import fcntl
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gitexp.core.model.run import (
    AnnotationKind,
    Decision,
    Outcome,
)
from gitexp.core.schema import layout as refs
from gitexp.core.schema.toml_codec import encode_annotation, encode_run
from gitexp.storage.cache.cache import Cache
from tests.conftest import some_daily
from tests.storage.branches import (
    DAMAGES,
    REF,
    STARTED,
    Branch,
    answers,
    assert_true,
    documents,
    flip,
    make_annotation,
    make_run,
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
        index = branch.open()
        assert index.tip == tip
        assert_true(index, branch, tmp_path)


def test_a_second_opening_reads_nothing_again(branch: Branch) -> None:
    branch.put(make_run(1)).commit()
    branch.open().release()
    before = branch.file.stat()
    index = branch.open()
    assert index.count() == 1
    assert branch.file.stat() == before


def test_an_update_reads_only_what_changed(branch: Branch) -> None:
    branch.put(*(make_run(n) for n in range(1, 20))).commit()
    branch.open().release()
    branch.put(make_run(20)).commit()
    seen: list[tuple[int, int]] = []
    Cache(branch.repo, REF, progress=lambda done, total: seen.append((done, total))).newest()
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
    index = branch.open()
    assert_true(index, branch, tmp_path)


def test_a_deleted_branch_empties_the_index(branch: Branch) -> None:
    tip = branch.put(make_run(1)).commit()
    index = branch.open()
    subprocess.run(["git", "-C", str(branch.folder), "update-ref", "-d", REF, tip], check=True)
    index = branch.open()
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
    index = branch.open()
    assert_true(index, branch, tmp_path)
    assert len(index.broken) == 3


def test_a_record_lost_after_it_was_cached_is_still_there(branch: Branch, tmp_path: Path) -> None:
    branch.put(make_run(1), make_run(2)).commit()
    index = branch.open()
    unpack(branch, tmp_path)
    oid = branch.repo.resolve(f"{REF}:{refs.run_path(make_run(1).id, make_run(1).started)}")
    assert oid is not None
    (branch.repo.common_dir / "objects" / oid[:2] / oid[2:]).unlink()
    assert list(branch.open().documents()) == list(index.documents()) == documents(branch)
    branch.cache().delete()
    made_again = branch.open()
    assert made_again.ids() == [make_run(2).id]
    assert len(made_again.broken) == 1


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
    index = branch.open()
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
    index = branch.open()
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
    index = branch.open()
    assert (index.count(), len(index.broken), index.rivals(run.id)) == (1, 2, [])
    assert_true(index, branch, tmp_path)


# --- damage ---------------------------------------------------------------------------------------


@pytest.fixture
def filled(branch: Branch) -> Branch:
    runs = [make_run(n) for n in range(1, 25)]
    branch.put(*runs).annotate(runs[3], make_annotation(runs[3], 40)).commit()
    return branch


@pytest.mark.parametrize("damage", some_daily(DAMAGES, 4))
@pytest.mark.parametrize("opened", [False, True])
def test_damage_never_changes_an_answer(
    filled: Branch, tmp_path: Path, damage: str, opened: bool
) -> None:
    index = filled.open()
    if not opened:
        index.release()
    DAMAGES[damage](filled.file)
    assert list(index.documents()) == documents(filled)
    assert_true(filled.open(), filled, tmp_path)
    filled.put(make_run(30)).commit()
    assert_true(filled.open(), filled, tmp_path)


@pytest.mark.parametrize("share", some_daily([n / 20 for n in range(21)], 7))
def test_a_flipped_bit_changes_no_document_and_is_found(
    filled: Branch, tmp_path: Path, share: float
) -> None:
    filled.open().release()
    flip(filled.file, share)
    fresh = filled.open(tmp_path / "fresh.sqlite")
    index = filled.open()
    found = index.differences(fresh)
    assert list(index.documents()) == documents(filled)
    assert found or answers(index) == answers(fresh)


def test_an_older_copy_is_brought_forward(filled: Branch, tmp_path: Path) -> None:
    filled.open().release()
    shutil.copytree(filled.repo.state_dir, tmp_path / "copy")
    filled.put(make_run(31)).delete(make_run(4)).commit()
    filled.open().release()
    for file in (tmp_path / "copy").iterdir():
        shutil.copy2(file, filled.repo.state_dir / file.name)
    assert_true(filled.open(), filled, tmp_path)


def test_a_newer_copy_is_brought_back(filled: Branch, tmp_path: Path) -> None:
    old = filled.repo.read_ref(REF)
    assert old is not None
    filled.put(make_run(31)).commit()
    filled.open().release()
    del filled.runs[make_run(31).id]
    subprocess.run(["git", "-C", str(filled.folder), "update-ref", REF, old], check=True)
    assert_true(filled.open(), filled, tmp_path)


def test_the_index_of_another_repository_is_not_believed(filled: Branch, tmp_path: Path) -> None:
    other = Branch(tmp_path / "other")
    other.put(make_run(77)).commit()
    other.open().release()
    filled.open().release()
    for file in other.repo.state_dir.iterdir():
        shutil.copy2(file, filled.repo.state_dir / file.name)
    assert_true(filled.open(), filled, tmp_path)


def test_the_index_of_another_branch_is_not_believed(filled: Branch) -> None:
    filled.open().release()
    assert Cache(filled.repo, "refs/heads/other").newest().ids() == []
    assert filled.open().count() == 24


def test_an_index_of_another_schema_is_made_again(
    filled: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("gitexp.storage.cache.cache.SCHEMA", "0")
        filled.open().release()
    assert_true(filled.open(), filled, tmp_path)


def test_a_document_changed_behind_a_view_is_noticed_by_its_checksum(filled: Branch) -> None:
    index = filled.open()
    conn = sqlite3.connect(filled.file, isolation_level=None)
    conn.execute("UPDATE documents SET document = replace(document, 'Ada', 'Eve')")
    conn.close()
    for view in (index, filled.open()):
        assert list(view.documents()) == documents(filled)
        assert [entry.run.author for entry in view.entries(view.ids(limit=1))] == [
            "Ada <ada@example.org>"
        ]


def test_a_run_without_a_document_is_noticed(filled: Branch) -> None:
    filled.open().release()
    with sqlite3.connect(filled.file) as conn:
        conn.execute("DELETE FROM documents WHERE rid > 0")
    assert list(filled.open().documents()) == documents(filled)
    with sqlite3.connect(filled.file) as conn:
        conn.execute("DELETE FROM documents WHERE rid > 0")
    assert len(filled.open().entries(filled.runs)) == len(filled.runs)


@pytest.mark.parametrize("step", ["fill", "copy"])
def test_a_process_killed_while_it_fills_leaves_no_wrong_answer(
    filled: Branch, tmp_path: Path, step: str
) -> None:
    if step == "copy":
        filled.open().release()
        filled.put(make_run(30)).commit()
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from gitexp.adapters.git.repository import Repo\n"
        "from gitexp.storage.cache.cache import Cache\n"
        "def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "Cache(Repo.discover(Path(sys.argv[1])), 'refs/heads/gitexp', progress=die).newest()\n"
    )
    argv = [sys.executable, "-c", program, str(filled.folder)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(argv, env=env, check=False).returncode == -9
    assert_true(filled.open(), filled, tmp_path)


def test_half_made_files_of_dead_writers_are_cleared(filled: Branch) -> None:
    filled.repo.state_dir.mkdir()
    old, young = (filled.repo.state_dir / f"index.sqlite-{name}.new" for name in ("old", "young"))
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    filled.open()
    assert (old.exists(), young.exists()) == (False, True)


def test_many_changes_are_read_from_nothing(
    filled: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitexp.storage.cache.fill.BATCH", 10)
    filled.open().release()
    filled.put(*(make_run(n) for n in range(100, 125))).commit()
    seen: list[tuple[int, int]] = []
    index = Cache(
        filled.repo, REF, progress=lambda done, total: seen.append((done, total))
    ).newest()
    assert seen == [(10, 49), (20, 49), (30, 49), (40, 49), (49, 49)]
    assert_true(index, filled, tmp_path)


# --- where it cannot be written, and many at once -------------------------------------------------


def test_a_folder_that_cannot_be_made_leaves_an_index_in_memory(filled: Branch) -> None:
    blocked = filled.folder / "blocked"
    blocked.write_text("a file, not a folder")
    index = filled.open(blocked / "index.sqlite")
    assert list(index.documents()) == documents(filled)
    filled.put(make_run(30)).commit()
    index = filled.open(blocked / "index.sqlite")
    assert list(index.documents()) == documents(filled)


CROWDED = """
import resource, signal, sys
from pathlib import Path
from gitexp.storage.cache.cache import Cache
from gitexp.adapters.git.repository import Repo
repo = Repo.discover(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
index = Cache(repo, "refs/heads/gitexp").newest()
print(len(index.ids(sort_by="metrics.accuracy")), len(list(index.documents())))
"""


@pytest.mark.parametrize("room", [0, 10_000, 100_000])
def test_where_files_cannot_grow_the_answer_comes_from_memory(filled: Branch, room: int) -> None:
    # `-B`: a .pyc file cut at the size limit would break later imports of its module.
    argv = [sys.executable, "-B", "-c", CROWDED, str(filled.folder), str(room)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert (done.stdout, done.stderr) == ("24 24\n", "")
    filled.open().release()
    filled.put(make_run(30)).commit()
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert (done.stdout, done.stderr) == ("25 25\n", "")
    assert list(filled.open().documents()) == documents(filled)


def test_a_busy_index_is_answered_from_memory(
    filled: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitexp.storage.cache.cache_file.BUSY_S", 0.05)
    filled.open().release()
    filled.put(make_run(30)).commit()
    other = sqlite3.connect(filled.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    index = filled.open()
    assert list(index.documents()) == documents(filled)
    other.execute("ROLLBACK")
    other.close()
    assert_true(filled.open(), filled, tmp_path)


def test_a_lock_that_stays_held_is_not_waited_for(
    filled: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitexp.storage.cache.cache_file.BUSY_S", 0.05)
    filled.open().release()
    with filled.file.with_name("index.sqlite.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert list(filled.open().documents()) == documents(filled)
        filled.put(make_run(30)).commit()
        index = filled.open()
        assert list(index.documents()) == documents(filled)
        assert index.ids(sort_by="metrics.accuracy", limit=1)
    assert list(filled.open().documents()) == documents(filled)


ASK = """
import sys
from pathlib import Path
from gitexp.storage.cache.cache import Cache
from gitexp.adapters.git.repository import Repo
cache = Cache(Repo.discover(Path(sys.argv[1])), "refs/heads/gitexp")
for _ in range(20):
    index = cache.newest()
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
    assert left == {f"index.sqlite{ending}" for ending in ("", "-shm", "-wal", ".lock")}
