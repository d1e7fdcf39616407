"""`git exp purge`: removed and kept data, other clones, and interrupted purges."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitexp.core.schema.layout import PURGED_FOLDER
from gitexp.features.doctor import purge
from gitexp.features.sync.sync import fetch_from
from tests.cli.conftest import Exp as Numbered
from tests.conftest import RepoBuilder

SECRET = "hunter2 is the password\n"
RUN = ("run", "--again", "--", "python", "-c", "print('METRIC loss=1')")


class Exp(Numbered):
    """As in the other tests, but with real ids: after a purge no history gives their order."""

    def _normal(self, text: str) -> str:
        return "\n".join(line.rstrip() for line in text.splitlines())


Move = Callable[[Path], Exp]


@pytest.fixture
def exp(exp: Numbered, capfd: pytest.CaptureFixture[str]) -> Exp:
    """`git exp` in a repository with a small training script."""
    return Exp(exp.repo, capfd)


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Move:
    """Return `git exp` in another clone."""

    def go(path: Path) -> Exp:
        monkeypatch.chdir(path)
        return Exp(RepoBuilder(path), capfd)

    return go


@pytest.fixture
def hub(exp: Exp, tmp_path: Path) -> RepoBuilder:
    """Create a bare repository as the remote `origin`, with the user's own branch."""
    path = tmp_path / "hub.git"
    exp.repo.git("init", "--quiet", "--bare", str(path))
    exp.repo.git("remote", "add", "origin", str(path))
    exp.repo.git("push", "--quiet", "origin", "main")
    return RepoBuilder(path)


def record(exp: Exp, selector: str) -> dict[str, Any]:
    (found,) = json.loads(exp("show", selector, "--json").out)["runs"]
    return dict(found)


def is_there(repo: RepoBuilder, oid: str) -> bool:
    return bool(repo.git("cat-file", "-t", oid, check=False))


def reached(repo: RepoBuilder, *refs: str) -> set[str]:
    return {line.split()[0] for line in repo.git("rev-list", "--objects", *refs).splitlines()}


def ours(repo: RepoBuilder) -> set[str]:
    """Return all objects that refs of gitexp reach."""
    listed = repo.git("for-each-ref", "--format=%(refname)", "refs/heads/gitexp*", "refs/gitexp")
    return reached(repo, *listed.split()) if listed else set()


def with_secret(exp: Exp, name: str = "leaky") -> str:
    """Record a run with an untracked file that holds a secret. Return the id of its blob."""
    exp.repo.write("conf/s.txt", SECRET)
    exp.repo.write("conf/k.txt", "fine\n")
    exp("run", "-n", name, *RUN[1:])
    return exp.repo.git("hash-object", "conf/s.txt")


def record_blob(exp: Exp, run: str) -> str:
    listed = exp.repo.git("ls-tree", "-r", "gitexp", "--", "runs")
    return next(line.split()[2] for line in listed.splitlines() if run in line)


def clone(hub: RepoBuilder, tmp_path: Path, move: Move, name: str) -> Exp:
    hub.git("clone", "--quiet", str(hub.path), str(tmp_path / name))
    other = move(tmp_path / name)
    other("sync")
    return other


class TestHere:
    """One clone."""

    def test_purge_removes_record_code_output_and_history_of_a_run(self, exp: Exp) -> None:
        exp("run", "-n", "first", "--", "python", "-c", "print('METRIC loss=1')")
        blob = with_secret(exp)
        run = record(exp, "leaky")["id"]
        record_oid, tip = record_blob(exp, run), exp.repo.git("rev-parse", "gitexp")
        assert (exp.repo.path / f".git/gitexp/output/{run}.txt").exists()
        told = exp("purge", "leaky", "--yes")
        assert f"purged run {run[:7]} leaky: 1 file" in told.out
        assert not {blob, record_oid, tip} & ours(exp.repo)
        assert not (exp.repo.path / f".git/gitexp/output/{run}.txt").exists()
        exp.repo.git("gc", "--quiet", "--prune=now")
        assert not any(is_there(exp.repo, oid) for oid in (blob, record_oid, tip))
        assert "first" in exp("list").out
        exp("doctor")
        exp.repo.git("fsck", "--full", "--strict")

    def test_a_dry_run_changes_nothing(self, exp: Exp) -> None:
        with_secret(exp)
        before = exp.repo.git("for-each-ref"), exp.repo.git("reflog", "show", "gitexp")
        assert "would purge run" in exp("purge", "leaky", "--dry-run").out
        assert "would purge file conf/s.txt" in exp("purge", "--path", "conf", "--dry-run").out
        assert (exp.repo.git("for-each-ref"), exp.repo.git("reflog", "show", "gitexp")) == before

    def test_purge_asks_for_confirmation(self, exp: Exp) -> None:
        with_secret(exp)
        before = exp.repo.git("for-each-ref")
        assert "`--yes` goes on" in exp("purge", "leaky", check=128).err
        assert exp.repo.git("for-each-ref") == before

    def test_purge_removes_a_file_from_all_code_and_records_that(self, exp: Exp) -> None:
        blob = with_secret(exp)
        exp.repo.write("train.py", "x = 1\n")
        exp("run", "-n", "second", *RUN[1:])
        trees = {record(exp, name)["code"]["tree"] for name in ("leaky", "second")}
        told = exp("purge", "--path", "conf/s.txt", "--yes")
        assert "purged file conf/s.txt: 1 version" in told.out
        assert not ({blob} | trees) & ours(exp.repo)
        assert {record(exp, name)["code"]["tree"] for name in ("leaky", "second")} == trees
        for command in ("reproduce", "apply"):
            refused = exp(command, "leaky", check=125)
            assert "'conf/s.txt' was purged from its code" in refused.err
        left = refused.err.split("--detach DIR ")[1].split("`")[0]
        files = exp.repo.git("ls-tree", "-r", "--name-only", left).split()
        assert files == ["conf/k.txt", "train.py"]
        doctor = exp("doctor").out
        assert "code of 2 runs was purged" in doctor

    def test_code_that_another_run_needs_stays_or_is_refused(self, exp: Exp) -> None:
        with_secret(exp)
        exp("run", "-n", "twin", *RUN[1:])
        code = record(exp, "leaky")["code"]
        told = exp("purge", "leaky", "--yes")
        assert "its code stays, other runs have the same" in told.out and "twin" in told.out
        assert code["tree"] in ours(exp.repo)
        refused = exp("purge", "--code", code["snapshot"], "--yes", check=128)
        assert "runs that stay need it" in refused.err and "twin" in refused.err
        assert code["tree"] in ours(exp.repo)
        exp("purge", "--code", code["snapshot"], "--yes", "--force")
        assert code["tree"] not in ours(exp.repo)
        assert "its code was purged" in exp("reproduce", "twin", check=125).err

    def test_purge_keeps_and_names_the_users_own_branches(self, exp: Exp) -> None:
        exp.repo.commit({"secret.txt": SECRET}, "by mistake")
        head = exp.repo.head
        exp(*RUN)
        told = exp("purge", "--path", "secret.txt", "--yes")
        assert exp.repo.head == head
        assert "still in refs/heads/main" in told.err
        assert "secret.txt is in HEAD: `git rm` it before the next run" in told.err

    @pytest.mark.parametrize("cut", ["replace_keep_branch", "purge_code", "read_purges"])
    def test_second_purge_completes_an_interrupted_one(
        self, exp: Exp, monkeypatch: pytest.MonkeyPatch, cut: str
    ) -> None:
        blob = with_secret(exp)
        exp("run", "-n", "other", "--", "python", "-c", "print('METRIC loss=2')")
        run = record(exp, "leaky")["id"]

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(purge, cut, die)
            assert exp("purge", "--path", "conf/s.txt", "--yes", check=None).code != 0
        exp("list")
        exp.repo.git("fsck", "--strict", "--connectivity-only")
        exp("purge", "--yes")
        assert blob not in ours(exp.repo)
        exp("doctor")
        exp("purge", run, "--yes")
        exp("purge", run, "--yes")
        assert "other" in exp("list").out

    def test_purge_of_an_unknown_name_is_an_error(self, exp: Exp) -> None:
        exp("purge", "--path", "x", "--yes", check=128)
        exp(*RUN)
        before = exp.repo.git("for-each-ref")
        assert "no code state has 'x'" in exp("purge", "--path", "x", "--yes", check=128).err
        exp("purge", "nothing", "--yes", check=128)
        exp("purge", "--code", "main~7", "--yes", check=128)
        exp("purge", "last", "--push", "nowhere", "--yes", check=128)
        assert exp.repo.git("for-each-ref") == before
        assert "nothing was ever purged here" in exp("purge").err


class TestElsewhere:
    """A remote and other clones."""

    def test_purge_changes_the_remote_only_on_request_and_other_clones_follow(
        self, exp: Exp, hub: RepoBuilder, tmp_path: Path, move: Move
    ) -> None:
        blob = with_secret(exp)
        record_oid = record_blob(exp, record(exp, "leaky")["id"])
        exp("sync")
        assert {blob, record_oid} <= reached(hub, "--all")
        other = clone(hub, tmp_path, move, "other")
        other.repo.write("new.py", "y = 1\n")
        other("run", "-n", "later", *RUN[1:])
        here = move(exp.repo.path)
        before = hub.git("for-each-ref")
        here("purge", "leaky", "--yes")
        assert hub.git("for-each-ref") == before
        refused = here("sync", check=128)
        assert "still have what was purged here" in refused.err
        assert hub.git("for-each-ref") == before
        here("purge", "--push", "origin", "--yes")
        assert not {blob, record_oid} & reached(hub, "--all")

        other = move(other.repo.path)
        synced = other("sync")
        assert "runs or code were purged at 'origin'" in synced.err
        assert [line.split()[1] for line in other("list").out.splitlines()[1:]] == ["later"]
        assert blob not in ours(other.repo) | reached(hub, "--all")
        assert record(other, "later")["code"]["tree"] in ours(other.repo)
        other("purge")
        other("doctor")
        here = move(exp.repo.path)
        here("sync")
        assert exp.repo.git("rev-parse", "gitexp") == other.repo.git("rev-parse", "gitexp")
        assert "later" in here("list").out and "leaky" not in here("list").out

    def test_other_clones_cannot_restore_purged_data(
        self, exp: Exp, hub: RepoBuilder, tmp_path: Path, move: Move
    ) -> None:
        blob = with_secret(exp)
        exp("sync")
        other = clone(hub, tmp_path, move, "other")
        here = move(exp.repo.path)
        here("purge", "--path", "conf/s.txt", "--push", "origin", "--yes")
        other = move(other.repo.path)
        other.repo.write("conf/s.txt", SECRET)
        other("run", "-n", "again", *RUN[1:])
        other("push")
        assert blob not in reached(hub, "--all")
        assert "'conf/s.txt' was purged" in other("reproduce", "again", check=125).err
        here = move(exp.repo.path)
        here("fetch")
        assert blob not in ours(exp.repo)
        here(*RUN)  # this work tree still has the file
        here("push")
        assert blob not in reached(hub, "--all")
        here("doctor")

    def test_independent_purges_merge(
        self, exp: Exp, hub: RepoBuilder, tmp_path: Path, move: Move
    ) -> None:
        blob = with_secret(exp)
        exp("run", "-n", "second", "--", "python", "-c", "print('METRIC loss=2')")
        exp("run", "-n", "third", "--", "python", "-c", "print('METRIC loss=3')")
        exp("sync")
        other = clone(hub, tmp_path, move, "other")
        other("purge", "second", "--yes")
        here = move(exp.repo.path)
        here("purge", "--path", "conf/s.txt", "--push", "origin", "--yes")
        other = move(other.repo.path)
        other("sync", check=128)
        other("purge", "--push", "origin", "--yes")
        here = move(exp.repo.path)
        here("sync")
        tips = {repo.git("rev-parse", "gitexp") for repo in (exp.repo, other.repo, hub)}
        assert len(tips) == 1
        names = {line.split()[1] for line in here("list").out.splitlines()[1:]}
        assert names == {"leaky", "third"}
        assert len(exp.repo.git("ls-tree", "--name-only", f"gitexp:{PURGED_FOLDER}").split()) > 1
        assert blob not in reached(hub, "--all")

    def test_purge_does_not_overwrite_another_push(
        self,
        exp: Exp,
        hub: RepoBuilder,
        tmp_path: Path,
        move: Move,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:

        with_secret(exp)
        exp("sync")
        other = clone(hub, tmp_path, move, "other")
        other("run", "-n", "later", "--", "python", "-c", "print('METRIC loss=4')")

        def fetch_and_lose(*args: Any) -> None:
            fetch_from(*args)
            monkeypatch.undo()
            other.repo.git("push", "--quiet", "origin", "gitexp", "gitexp-code")

        here = move(exp.repo.path)
        monkeypatch.setattr("gitexp.features.sync.replace_remote.fetch_from", fetch_and_lose)
        refused = here("purge", "leaky", "--push", "origin", "--yes", check=128)
        assert "another clone pushed first" in refused.err
        assert hub.git("rev-parse", "gitexp") == other.repo.git("rev-parse", "gitexp")
