"""Code commits: content of the keep branch, published data, and the change of format."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitexp.adapters.git.remotes import push_remote
from gitexp.cli.app import run
from gitexp.core.schema.layout import FORMAT
from gitexp.features.sync import replace_remote
from gitexp.features.sync.publication import count_publication
from gitexp.features.sync.sync import fetch_from
from gitexp.storage.workspace import Workspace
from tests.cli.conftest import Done, Exp
from tests.conftest import MakeRepo, RepoBuilder

SAMPLE = Path(__file__).parents[1] / "samples" / "format-1.bundle"
RUN = ("run", "--again", "--", "python", "-c", "print('METRIC loss=1')")


def record(exp: Exp, selector: str = "last") -> dict[str, Any]:
    (found,) = json.loads(exp("show", selector, "--json").out)["runs"]
    return dict(found)


def reachable(repo: RepoBuilder, *refs: str) -> dict[str, tuple[str, str]]:
    """Return the commits that refs reach, each with its parents and the subject."""
    listed = repo.git("log", "--format=%H%x09%P%x09%s", *refs, "--")
    return {
        line.split("\t")[0]: (line.split("\t")[1], line.split("\t")[2])
        for line in listed.splitlines()
    }


def in_clone(path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Exp:
    """Return `git exp` in another clone."""
    monkeypatch.chdir(path)
    return Exp(RepoBuilder(path), capfd)


class TestRecording:
    """A run and the keep branch."""

    @pytest.mark.parametrize("dirty", [False, True])
    def test_the_code_commit_has_the_tree_and_no_parent(self, exp: Exp, *, dirty: bool) -> None:
        if dirty:
            exp.repo.write("new.py", "x = 1\n")
        exp(*RUN)
        code = record(exp)["code"]
        assert code["commit"] == exp.repo.head
        assert code["dirty"] == dirty
        shown = exp.repo.git("cat-file", "commit", code["snapshot"])
        assert shown == (
            f"tree {code['tree']}\nauthor gitexp <gitexp@localhost> 0 +0000\n"
            "committer gitexp <gitexp@localhost> 0 +0000\n\ncode of runs"
        )
        assert code["snapshot"] in reachable(exp.repo, "gitexp-code")

    def test_no_commit_of_the_users_is_reachable(self, exp: Exp) -> None:
        exp(*RUN)
        exp.repo.write("new.py", "x = 1\n")
        exp(*RUN)
        exp.repo.commit({"new.py": "x = 2\n"}, "a message of the user's")
        exp(*RUN)
        found = reachable(exp.repo, "gitexp", "gitexp-code")
        assert not found.keys() & reachable(exp.repo, "main").keys()
        subjects = {subject for _, subject in found.values() if "run" not in subject}
        assert subjects <= {"keep the code of runs"} or not any("user" in s for s in subjects)

    def test_equal_trees_have_equal_code_commits_in_every_clone(
        self,
        exp: Exp,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        exp(*RUN)
        exp.repo.git("clone", "--quiet", str(exp.repo.path), str(tmp_path / "other"))
        other = in_clone(tmp_path / "other", monkeypatch, capfd)
        monkeypatch.setenv("GIT_AUTHOR_NAME", "Another User")
        other.repo.git("commit", "--quiet", "--amend", "-m", "another commit, the same tree")
        other(*RUN)
        monkeypatch.chdir(exp.repo.path)
        theirs = other.repo.git("rev-parse", "gitexp-code^@")
        assert theirs == exp.repo.git("rev-parse", "gitexp-code^@")

    def test_the_code_survives_the_loss_of_the_users_commit(self, exp: Exp) -> None:
        exp.repo.branch("short-lived")
        exp.repo.commit({"train.py": "print('METRIC loss=7')\n"}, "soon gone")
        exp("run", "--", "python", "train.py")
        lost = exp.repo.head
        exp.repo.git("checkout", "--quiet", "main")
        exp.repo.git("branch", "--quiet", "-D", "short-lived")
        exp.repo.git("reflog", "expire", "--expire=now", "--all")
        exp.repo.git("gc", "--quiet", "--prune=now")
        assert exp.repo.git("cat-file", "-t", lost, check=False) == ""
        assert "reproduced" in exp("reproduce", "last").out
        assert "all is well" in exp("doctor").err
        exp("branch", "last", "again")
        assert exp.repo.git("show", "again:train.py") == "print('METRIC loss=7')"
        assert exp.repo.git("rev-list", "--count", "again") == "1"

    @pytest.mark.parametrize("dirty", [False, True])
    def test_branch_of_a_run_starts_at_the_users_commit(self, exp: Exp, *, dirty: bool) -> None:
        commit = exp.repo.head
        if dirty:
            exp.repo.write("new.py", "x = 1\n")
        exp(*RUN)
        exp("branch", "last", "again")
        assert exp.repo.git("rev-parse", "again^{tree}") == record(exp)["code"]["tree"]
        assert exp.repo.git("rev-parse", "again~1" if dirty else "again") == commit

    def test_project_can_set_its_own_identity(self, exp: Exp) -> None:
        exp("init", "--code-identity", "Lab <lab@example.org>")
        exp(*RUN)
        snapshot = record(exp)["code"]["snapshot"]
        assert "author Lab <lab@example.org> 0 +0000" in exp.repo.git("cat-file", "-p", snapshot)
        assert "all is well" in exp("doctor").err

    def test_invalid_identity_is_an_error(self, exp: Exp) -> None:
        done = exp("init", "--code-identity", "no-mail", check=None)
        assert done.code not in (0, 1)
        assert "cannot use identity 'no-mail'" in done.err
        assert exp.repo.git("for-each-ref", "refs/heads/gitexp") == ""


class TestPushing:
    """Clones of other users."""

    @pytest.fixture
    def hub(self, exp: Exp, make_repo: MakeRepo) -> RepoBuilder:
        """Create a remote that has the main branch."""
        hub = make_repo("hub", bare=True)
        exp.repo.git("remote", "add", "origin", str(hub.path))
        exp.repo.git("push", "--quiet", "origin", "main")
        return hub

    def test_a_branch_that_was_never_pushed_stays_here(self, exp: Exp, hub: RepoBuilder) -> None:
        exp.repo.branch("private")
        exp.repo.commit({"diary.txt": "not for you", "train.py": "x = 1\n"}, "a private message")
        exp.repo.git("rm", "--quiet", "diary.txt")
        exp.repo.commit({"train.py": "x = 2\n"}, "a second private message")
        exp(*RUN)
        exp("push")
        objects = hub.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
        here = [exp.repo.git("rev-parse", name) for name in ("private", "private~1", "private~2")]
        diary = exp.repo.git("rev-parse", "private~1:diary.txt")
        assert not {*here[:2], diary} & set(objects.split())
        assert "private" not in "".join(
            hub.git("cat-file", "-p", oid, check=False) for oid in objects.split()
        ).replace('branch = "private"', "")

    def test_a_colleague_reproduces_a_run_of_a_branch_that_was_never_pushed(
        self,
        exp: Exp,
        hub: RepoBuilder,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        exp.repo.branch("private")
        exp.repo.commit({"train.py": "print('METRIC loss=7')\n"}, "a private message")
        exp("run", "--", "python", "train.py")
        exp("push")
        exp.repo.git("clone", "--quiet", str(hub.path), str(tmp_path / "colleague"))
        colleague = in_clone(tmp_path / "colleague", monkeypatch, capfd)
        colleague("fetch")
        assert "all is well" in colleague("doctor").err
        assert "reproduced" in colleague("reproduce", "last", "--yes").out

    def test_push_without_code_sends_records_only(self, exp: Exp, hub: RepoBuilder) -> None:
        exp.repo.git("config", "exp.pushCode", "false")
        exp.repo.write("new.py", "x = 1\n")
        exp(*RUN)
        exp("push")
        exp("sync")
        exp("sync")
        refs = hub.git("for-each-ref", "--format=%(refname:short)").split()
        assert refs == ["gitexp", "main"]
        assert hub.git("cat-file", "-t", record(exp)["code"]["tree"], check=False) == ""

    def test_doctor_accepts_unpublished_code_in_other_clones(
        self,
        exp: Exp,
        hub: RepoBuilder,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        exp.repo.git("config", "exp.pushCode", "false")
        exp(*RUN)
        exp("push")
        exp.repo.write("new.py", "x = 1\n")
        exp("run", "-n", "unsent", *RUN[1:])
        exp("push")
        exp.repo.git("clone", "--quiet", str(hub.path), str(tmp_path / "colleague"))
        colleague = in_clone(tmp_path / "colleague", monkeypatch, capfd)
        colleague("fetch")
        told = colleague("doctor").out
        assert "the code of 1 run was not published" in told and "unsent" in told
        assert "fault" not in told
        colleague(*RUN)  # now this clone has a keep branch
        assert "fault" not in colleague("doctor").out
        # Code of our own runs that no branch keeps is still a fault.
        colleague.repo.git("update-ref", "-d", "refs/heads/gitexp-code")
        assert "fault    keep" in colleague("doctor", check=1).out


class TestNewerFormat:
    """A branch written by a later gitexp does not change."""

    @pytest.fixture
    def newer(self, exp: Exp) -> Exp:
        exp(*RUN)
        self.raise_format(exp.repo)
        return exp

    @staticmethod
    def raise_format(repo: RepoBuilder) -> None:
        index = {"GIT_INDEX_FILE": str(repo.path / ".git/other-index")}
        blob = repo.git("hash-object", "-w", "--stdin", stdin=f"format = {FORMAT + 1}\n")
        repo.git("read-tree", "gitexp", env=index)
        repo.git("update-index", "--cacheinfo", f"100644,{blob},format.toml", env=index)
        tree = repo.git("write-tree", env=index)
        commit = repo.git("commit-tree", tree, "-p", "gitexp", "-m", "newer")
        repo.git("update-ref", "refs/heads/gitexp", commit)

    @pytest.mark.parametrize(
        "argv",
        [
            RUN,
            ("record", "-S", "a=1"),
            ("note", "last", "x"),
            ("decide", "last", "keep", "-m", "x"),
            ("tag", "last", "x"),
            ("remove", "last", "--yes"),
            ("reproduce", "last"),
            ("doctor", "--fix"),
            ("recover",),
            ("init",),
            ("upgrade",),
        ],
        ids=lambda argv: argv[0],
    )
    def test_branch_of_a_newer_format_is_not_changed(
        self, newer: Exp, argv: tuple[str, ...]
    ) -> None:
        before = newer.repo.git("for-each-ref")
        done = newer(*argv, check=None)
        assert newer.repo.git("for-each-ref") == before
        if argv[0] not in ("recover",):
            assert f"it has format {FORMAT + 1}, this gitexp knows up to {FORMAT}" in (
                done.err + done.out
            )

    def test_run_stays_in_its_journal_on_a_newer_format(self, newer: Exp) -> None:
        newer(*RUN, check=None)
        assert list((newer.repo.path / ".git/gitexp").glob("**/*.journal"))


class TestOlderFormat:
    """A repository whose keep branch has the user's commits."""

    @pytest.fixture
    def old(
        self,
        make_repo: MakeRepo,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> Exp:
        """Return a clone of the sample, with a remote that has all of it."""
        hub = make_repo("hub", bare=True)
        return self.clone(hub, SAMPLE, tmp_path / "old", monkeypatch, capfd)

    @staticmethod
    def clone(
        hub: RepoBuilder,
        source: Path,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> Exp:
        subprocess.run(
            ["git", "clone", "--quiet", "--branch", "main", str(source), str(path)], check=True
        )
        exp = in_clone(path, monkeypatch, capfd)
        for branch in ("gitexp", "gitexp-code"):
            exp.repo.git("branch", "--no-track", branch, f"origin/{branch}")
        exp.repo.git("remote", "set-url", "origin", str(hub.path))
        exp.repo.git("push", "--quiet", "origin", "main", "gitexp", "gitexp-code")
        exp("fetch")
        return exp

    def second(
        self, old: Exp, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> Exp:
        """Return a second clone with both branches of format 1."""
        path = old.repo.path.with_name("second")
        shutil.copytree(old.repo.path, path, symlinks=True)
        return in_clone(path, monkeypatch, capfd)

    @staticmethod
    def is_free_of_history(repo: RepoBuilder, ref: str = "gitexp-code") -> bool:
        found = reachable(repo, ref)
        users = reachable(repo, "main")
        return not found.keys() & users.keys() and all(
            not parents or subject.startswith(("keep the code", "merge the kept code"))
            for parents, subject in found.values()
        )

    def test_format_1_works_without_an_upgrade(self, old: Exp) -> None:
        assert "all is well" in old("doctor").err
        assert "reproduced" in old("reproduce", "mellow-alder", "--yes").out
        assert "reproduced" in old("reproduce", "cosmic-delta", "--yes").out
        old(*RUN)
        old.repo.write("new.py", "x = 1\n")
        old(*RUN)
        assert "all is well" in old("doctor").err
        old("sync")
        assert old.repo.git("show", "gitexp:format.toml").startswith("format = 1\n")

    def test_new_runs_in_format_1_add_no_user_commits(self, old: Exp) -> None:
        old.repo.commit({"new.py": "x = 1\n"}, "private")
        old(*RUN)
        assert old.repo.head not in reachable(old.repo, "gitexp-code")

    def test_an_upgrade_keeps_all_code_and_no_history(self, old: Exp) -> None:
        old("upgrade")
        assert self.is_free_of_history(old.repo)
        assert "all is well" in old("doctor").err
        assert old.repo.git("show", "gitexp:format.toml").startswith("format = 2\n")
        assert "reproduced" in old("reproduce", "cosmic-delta", "--yes").out
        tips = old.repo.git("for-each-ref", "refs/heads")
        old("upgrade")
        assert old.repo.git("for-each-ref", "refs/heads") == tips
        assert old.repo.git("for-each-ref", "refs/gitexp/building") == ""

    def test_two_clones_upgrade_to_the_same_commits(
        self, old: Exp, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        second = self.second(old, monkeypatch, capfd)
        monkeypatch.setenv("GIT_COMMITTER_NAME", "Another User")
        second("upgrade")
        monkeypatch.chdir(old.repo.path)
        old("upgrade")
        for branch in ("gitexp", "gitexp-code"):
            assert old.repo.git("rev-parse", branch) == second.repo.git("rev-parse", branch)

    def test_interrupted_upgrade_is_completed(self, old: Exp) -> None:
        """The keep branch moves first; after the kill, the format is 1 with code commits only."""
        runs = old.repo.git("rev-parse", "gitexp")
        old("upgrade")
        upgraded = old.repo.git("rev-parse", "gitexp")
        old.repo.git("update-ref", "refs/heads/gitexp", runs)
        old.repo.git("update-ref", "refs/gitexp/building/code", "main")
        assert "all is well" in old("doctor").err
        old("upgrade")
        assert old.repo.git("rev-parse", "gitexp") == upgraded
        assert self.is_free_of_history(old.repo)

    def test_remote_of_format_1_is_replaced_only_on_request(self, old: Exp) -> None:
        hub = old.repo.git("ls-remote", "origin")
        old("upgrade")
        done = old("sync", check=None)
        assert done.code not in (0, 1)
        assert "`git exp upgrade --push origin` replaces that branch" in done.err
        assert self.is_free_of_history(old.repo)
        assert old.repo.git("ls-remote", "origin") == hub

    def test_remote_is_replaced_on_request(self, old: Exp) -> None:
        old("upgrade", "--push", "origin")
        (seen,) = old.repo.git(
            "for-each-ref", "--format=%(refname)", "refs/gitexp/remotes/*/gitexp-code"
        ).split()
        assert self.is_free_of_history(old.repo, seen)
        listed = old.repo.git("ls-remote", "origin", "gitexp-code").split()[0]
        assert listed == old.repo.git("rev-parse", "gitexp-code")
        old(*RUN)
        old("sync")
        assert "equal already" in old("upgrade", "--push", "origin").err

    def test_remote_set_up_as_a_mirror_is_replaced_too(self, old: Exp) -> None:
        before = set(old.repo.git("ls-remote", "origin").splitlines())
        old.repo.git("config", "remote.origin.mirror", "true")
        old("upgrade", "--push", "origin")
        after = set(old.repo.git("ls-remote", "origin").splitlines())
        names = {line.split("\t")[1] for line in before ^ after}
        assert names == {"refs/heads/gitexp", "refs/heads/gitexp-code"}, "nothing else is sent"

    def test_remote_that_moved_is_not_replaced(
        self, old: Exp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetch = fetch_from

        def fetch_then_move(*args: Any) -> Any:
            report = fetch(*args)
            old.repo.git("push", "--quiet", "--force", "origin", "main:gitexp-code")
            return report

        monkeypatch.setattr(replace_remote, "fetch_from", fetch_then_move)
        done = old("upgrade", "--push", "origin", check=None)
        assert done.code not in (0, 1)
        assert "another clone pushed first" in done.err
        assert old.repo.git("ls-remote", "origin", "gitexp-code").split()[0] == old.repo.head

    def test_a_clone_of_format_1_follows_the_hub(
        self, old: Exp, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        second = self.second(old, monkeypatch, capfd)
        second.repo.write("mine.py", "x = 1\n")
        second(*RUN)
        mine = record(second)["code"]["tree"]
        monkeypatch.chdir(old.repo.path)
        old("upgrade", "--push", "origin")
        monkeypatch.chdir(second.repo.path)
        second("sync")
        assert self.is_free_of_history(second.repo)
        assert second.repo.git("show", "gitexp:format.toml").startswith("format = 2\n")
        assert "all is well" in second("doctor").err
        trees = second.repo.git("log", "--format=%T", "gitexp-code").split()
        assert mine in trees
        monkeypatch.chdir(old.repo.path)
        old("sync")
        for branch in ("gitexp", "gitexp-code"):
            assert old.repo.git("rev-parse", branch) == second.repo.git("rev-parse", branch)

    def test_a_colleague_of_format_1_brings_code_and_no_history(
        self, old: Exp, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A gitexp of format 1 pushes to the remote after the upgrade here."""
        second = self.second(old, monkeypatch, capfd)
        second.repo.write("mine.py", "x = 1\n")
        second(*RUN)
        second("push")
        mine = record(second)["code"]["tree"]
        monkeypatch.chdir(old.repo.path)
        old("upgrade")
        old("fetch")
        assert self.is_free_of_history(old.repo)
        assert mine in old.repo.git("log", "--format=%T", "gitexp-code").split()
        tips = old.repo.git("for-each-ref", "refs/heads")
        old("fetch")
        assert old.repo.git("for-each-ref", "refs/heads") == tips


def test_unknown_remote_is_reported_before_the_upgrade(
    repo: RepoBuilder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.path)
    assert run(["upgrade", "--push", "nowhere"]) == 128
    assert Done(0, *capfd.readouterr()).err.startswith("error: there is no remote 'nowhere'\n")


def test_an_upgrade_without_a_branch_says_so(
    repo: RepoBuilder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.path)
    assert run(["upgrade"]) == 0
    assert "there is no branch 'gitexp' yet" in Done(0, *capfd.readouterr()).err


class TestPublication:
    """The announcement before the first push."""

    def test_first_push_counts_runs_and_code_states(self, exp: Exp, make_repo: MakeRepo) -> None:
        hub = make_repo("hub", bare=True)
        exp.repo.git("remote", "add", "origin", str(hub.path))
        exp.repo.git("push", "--quiet", "origin", "main")
        exp(*RUN)
        exp(*RUN)
        exp.repo.write("new.py", "x = 1\n")
        exp(*RUN)
        workspace = Workspace.open(exp.repo.path)
        counted = count_publication(
            workspace.branch, push_remote(workspace.repo), workspace.settings
        )
        assert str(counted) == ("3 runs, the files of 2 code states, 1 of them not on this remote")
        assert counted.is_first
        only = workspace.settings._replace(push_code=False)
        assert (
            str(count_publication(workspace.branch, push_remote(workspace.repo), only)) == "3 runs"
        )
        exp("push")
        exp(*RUN)
        counted = count_publication(
            workspace.branch, push_remote(workspace.repo), workspace.settings
        )
        assert (str(counted), counted.is_first) == ("1 run", False)
