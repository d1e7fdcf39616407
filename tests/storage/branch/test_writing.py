"""Writing to a branch: both writers create the same commits, and a late writer is refused."""

import errno
import os
import stat
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitexp.adapters.git.fast_import import import_steps
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Barrier, Blob, DropRef, Identity, NewCommit, Step, VerifyRef
from gitexp.adapters.git.transaction import apply
from gitexp.core.errors import CommandFailed, Conflict
from gitexp.core.model.ids import ObjectId
from tests.conftest import MakeRepo, RepoBuilder

REF = "refs/heads/runs"
ADA = Identity("Ada", "ada@example.org")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

Files = Mapping[str, bytes | Blob | None]

names = st.sampled_from(["a", "a.b", "a-b", "ab", "b", "c\xe9", "a0"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
edits = st.dictionaries(paths, st.none() | st.binary(max_size=3), max_size=6)


def commit(parents: Sequence[str], files: Files, ref: str = REF) -> NewCommit:
    tip = parents[0] if parents and parents[0][0] != ":" else None
    return NewCommit(ref, "a record\n", ADA, NOON, parents, list(files.items()), tip=tip)


def write(repo: Repo, *steps: Step) -> list[ObjectId]:
    return apply(repo, steps, durable=False)


def packed(repo: Repo, *steps: Step) -> list[ObjectId]:
    """Write through `git fast-import`, as during a gc."""
    return import_steps(repo, steps, durable=False, packed=True)[0]


def clash(files: Files) -> bool:
    """Return whether a path is a file for one entry and a directory for another."""
    return any(other.startswith(f"{path}/") for path in files for other in files)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(edits.filter(lambda files: not clash(files)), min_size=1, max_size=4))
def test_both_ways_give_the_same_commits(repo: RepoBuilder, rounds: list[Files]) -> None:
    ours, other = Repo.discover(repo.path), "refs/heads/packed"
    for ref, old in ours.read_refs(REF, other).items():
        ours.update_ref(ref, ours.null, old, "again")
    tip: list[ObjectId] = []
    for files in rounds:
        written = write(ours, commit(tip, files))
        assert packed(ours, commit(tip, files, other)) == written
        tip = written
    ours.git("fsck", "--strict", "--no-dangling")
    assert ours.read_ref(REF) == tip[0]


def test_a_chain_and_two_branches_at_once(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    steps: list[NewCommit | Barrier] = [
        commit([], {"x/a": b"1"}, "refs/heads/keep"),
        Barrier(),
        commit([], {"a/b/c": b"1", "a/d": b"2"}),
        commit([":2"], {"a/b/c": None, "a/e": Blob(ours.write_blob(b"3"))}),
    ]
    made = write(ours, *steps)
    assert ours.read_refs(REF, "refs/heads/keep") == {REF: made[2], "refs/heads/keep": made[0]}
    assert [entry.path for entry in ours.list_tree(REF)] == ["a/d", "a/e"]
    ours.git("fsck", "--strict")


def test_what_is_there_is_not_written_again(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    tip = write(ours, commit([], {"environments/x": b"packages", "runs/a": b"1"}))
    repo.git("gc", "--quiet")
    write(ours, commit(tip, {"environments/x": b"packages", "runs/b": b"2"}))
    assert loose(repo) == 4  # a record, its directory, the root tree, the commit


def loose(repo: RepoBuilder) -> int:
    return int(repo.git("count-objects").split()[0])


def test_sha256(make_repo: MakeRepo) -> None:
    ours = Repo.discover(make_repo(sha256=True).path)
    tip = write(ours, commit([], {"a/b": b"1"}))
    assert len(write(ours, commit(tip, {"a/c": b"2"}))[0]) == 64
    ours.git("fsck", "--strict")


def test_a_try_that_a_gc_cut_off_is_not_in_the_way_of_the_next(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    step = commit([], {"a": b"1"})
    tip = packed(ours, step)
    (pack,) = (repo.path / ".git/objects/pack").glob("*.pack")
    ours.update_ref(REF, ours.null, tip[0], "again")
    pack.with_suffix(".idx").unlink()
    pack.with_suffix(".keep").write_bytes(b"fast-import")
    assert packed(ours, step) == tip


def test_late_writers_are_refused(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    first = write(ours, commit([], {"a": b"1"}))
    second = write(ours, commit(first, {"b": b"2"}))
    for parents in (first, []):
        with pytest.raises(Conflict, match="cannot move the run branch"):
            write(ours, commit(parents, {"c": b"3"}))
    assert ours.read_ref(REF) == second[0]
    repo.git("update-ref", "-d", REF)
    with pytest.raises(Conflict, match="cannot move the run branch"):
        write(ours, commit(second, {"c": b"3"}))


def test_whoever_moves_the_branch_meanwhile_wins(repo: RepoBuilder) -> None:
    """Another process moves the branch between reading its tip and updating the ref."""
    ours = Repo.discover(repo.path)
    first = write(ours, commit([], {"a": b"1"}))
    step = NewCommit("refs/heads/rival", "a rival\n", ADA, NOON, first, tip=None)
    rival = packed(ours, step)[0]
    hook = repo.path / ".git/hooks/reference-transaction"
    hook.write_text(
        f'#!/bin/sh\n[ "$1" = prepared ] || exit 0\nrm "$0"\necho {rival} > .git/{REF}\nexit 1\n'
    )
    hook.chmod(0o755)
    with pytest.raises(CommandFailed):
        write(ours, commit(first, {"c": b"3"}))
    with pytest.raises(Conflict):
        write(ours, commit(first, {"c": b"3"}))
    assert ours.read_ref(REF) == rival


def test_a_branch_with_a_lost_folder_is_left_alone(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    tip = write(ours, commit([], {"runs/x/a": b"1", "runs/y/b": b"2"}))
    tree = repo.git("rev-parse", f"{REF}:runs/x").strip()
    (repo.path / ".git/objects" / tree[:2] / tree[2:]).unlink()
    ours = Repo.discover(repo.path)  # a new object without cached trees
    with pytest.raises(CommandFailed):
        write(ours, commit(tip, {"runs/x/c": b"3"}))
    assert ours.read_ref(REF) == tip[0]
    write(ours, commit(tip, {"runs/y/c": b"3"}))  # another directory: still writable
    assert repo.git("rev-parse", f"{REF}:runs/x").strip() == tree


def test_a_file_that_is_not_there_is_not_named(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    for oid in ("1" * 40, repo.git("rev-parse", "HEAD").strip()):
        with pytest.raises(CommandFailed, match="cannot run"):
            write(ours, commit([], {"a": Blob(oid)}))
    assert ours.read_ref(REF) is None


def test_a_pin_that_cannot_go_stays(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    pin = "refs/gitexp/pending/x"
    tip = write(ours, commit([], {"a": b"1"}))[0]
    ours.update_ref(pin, tip, ours.null, "pin")
    (repo.path / ".git" / f"{pin}.lock").touch()
    second = write(ours, commit([tip], {"b": b"2"}), DropRef(pin))
    assert ours.read_refs(REF, pin) == {REF: second[0], pin: tip}
    (repo.path / ".git" / f"{pin}.lock").unlink()
    write(ours, commit(second, {"c": b"3"}), DropRef(pin))
    assert ours.read_ref(pin) is None


@pytest.mark.skipif(not hasattr(os, "umask"), reason="there are no permissions")
def test_a_shared_repository_gets_its_permissions_from_git(repo: RepoBuilder) -> None:
    repo.git("config", "core.sharedRepository", "group")
    ours = Repo.discover(repo.path)
    before = os.umask(0o077)
    try:
        tip = write(ours, commit([], {"a": b"1"}))[0]
    finally:
        os.umask(before)
    place = repo.path / ".git/objects" / tip[:2] / tip[2:]
    assert stat.S_IMODE(place.stat().st_mode) & 0o040


def test_a_full_folder_leaves_nothing_behind(repo: RepoBuilder, tmp_path: Path) -> None:
    ours = Repo.discover(repo.path)
    tip = write(ours, commit([], {"a": b"1"}))
    objects = repo.path / ".git/objects"
    blob = ours.git("hash-object", "--stdin", stdin=b"2").text.strip()
    (objects / blob[:2]).rename(tmp_path / "away") if (objects / blob[:2]).exists() else None
    (objects / blob[:2]).write_text("in the way")
    before = sorted(objects.rglob("*"))
    with pytest.raises(CommandFailed):
        write(ours, commit(tip, {"b": b"2"}))
    assert ours.read_ref(REF) == tip[0]
    assert not [path for path in sorted(objects.rglob("tmp_obj*")) if path not in before]


def test_flushing_goes_on_while_python_ends(tmp_path: Path) -> None:
    """A run without `finish` is recorded at exit, when Python starts no new threads."""
    code = (
        "import atexit; from pathlib import Path; from gitexp.adapters.git.fsync import fsync_all\n"
        "atexit.register(lambda: print(fsync_all([Path('.')] * 20), 'flushed'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout.decode().split() == ["None", "flushed"]


def test_a_damaged_loose_object_is_written_anew(repo: RepoBuilder) -> None:
    """After a power cut. Git keeps the damaged file, since it only checks that the file exists."""
    ours = Repo.discover(repo.path)
    oid = ours.write_blob(b"a record")
    place = repo.path / ".git/objects" / oid[:2] / oid[2:]
    for damage in (b"", place.read_bytes()[:-3], zlib.compress(b"blob 8\0a r3cord")):
        place.chmod(0o644)
        place.write_bytes(damage)
        repo.git("update-ref", "-d", REF)
        write(ours, commit([], {"a": b"a record"}))
        assert repo.git("show", f"{REF}:a") == "a record"


def test_what_the_branch_names_and_has_lost_is_written_again(repo: RepoBuilder) -> None:
    """After a crash that lost an object, another process completes the record again."""
    ours = Repo.discover(repo.path)
    tip = write(ours, commit([], {"a": b"a record"}))
    oid = repo.git("rev-parse", f"{REF}:a").strip()
    place = repo.path / ".git/objects" / oid[:2] / oid[2:]
    place.unlink()
    tip = write(Repo.discover(repo.path), commit(tip, {"a": b"a record"}))
    assert repo.git("show", f"{REF}:a") == "a record"
    place.chmod(0o644)
    place.write_bytes(b"")
    write(Repo.discover(repo.path), commit(tip, {"a": b"a record"}))
    assert repo.git("show", f"{REF}:a") == "a record"


def test_an_interrupted_move_leaves_no_lock(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    hook = repo.path / ".git/hooks/reference-transaction"
    hook.write_text(f'#!/bin/sh\n[ "$1" = prepared ] || exit 0\nkill -INT {os.getpid()}; sleep 1\n')
    hook.chmod(0o755)
    with pytest.raises(KeyboardInterrupt):
        write(ours, commit([], {"a": b"1"}))
    assert not list((repo.path / ".git").rglob("*.lock"))
    assert ours.read_ref(REF) is None


def test_a_file_that_cannot_be_flushed_is_not_taken_for_flushed(tmp_path: Path) -> None:
    code = (
        "import os, resource, sys; from gitexp.adapters.git.fsync import fsync_path\n"
        "last = os.dup(0); resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))\n"
        "fsync_path('.')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
    )
    assert b"Too many open files" in done.stderr


def test_a_ref_that_must_stay_refuses_the_others(repo: RepoBuilder) -> None:
    ours, keep = Repo.discover(repo.path), "refs/heads/keep"
    first, kept = write(ours, commit([], {"a": b"1"}), commit([], {"x": b"1"}, keep))
    write(ours, commit([first], {"b": b"1"}), VerifyRef(keep, kept))
    tip = ours.read_ref(REF)
    assert tip is not None
    repo.git("update-ref", "-d", keep)
    for writer in (ours, with_fast_import(repo)):
        with pytest.raises(Conflict):
            write(writer, commit([tip], {"c": b"1"}), VerifyRef(keep, kept))
    assert ours.read_ref(REF) == tip


def with_fast_import(repo: RepoBuilder) -> Repo:
    """Return the repository as a shared one, whose records are written with `git fast-import`."""
    repo.git("config", "core.sharedRepository", "group")
    return Repo.discover(repo.path)


def test_a_branch_that_was_set_back_stays_so(repo: RepoBuilder) -> None:
    ours = Repo.discover(repo.path)
    first = write(ours, commit([], {"a": b"1"}))
    second = write(ours, commit(first, {"b": b"1"}))
    repo.git("update-ref", REF, first[0])
    for writer in (ours, with_fast_import(repo)):
        with pytest.raises(Conflict):
            write(writer, commit(second, {"c": b"1"}))
    assert ours.read_ref(REF) == first[0]


def test_what_could_not_be_flushed_leaves_nothing_behind(
    repo: RepoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    ours = Repo.discover(repo.path)
    with pytest.raises(CommandFailed):
        apply(ours, [commit([], {"a": b"1"})], durable=True)
    assert not list((repo.path / ".git/objects").rglob("tmp_obj*"))
    assert ours.read_ref(REF) is None
