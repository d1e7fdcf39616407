"""`git exp report --publish`: a branch of a real remote, replaced by the page alone."""

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

from gitexp.core.errors import Conflict
from gitexp.features.report.publish import look_at, publish
from gitexp.storage.workspace import Workspace
from tests.cli.conftest import Exp
from tests.conftest import RepoBuilder


@pytest.fixture
def shared(exp: Exp, tmp_path: Path) -> Exp:
    """A run, and a remote that has the code."""
    exp("record", "-q", "-n", "first", "-S", "lr=0.1", "-M", "accuracy=0.9", "-m", "Ada's idea")
    exp.repo.git("init", "--quiet", "--bare", str(tmp_path / "remote.git"))
    exp.repo.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    exp.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    return exp


def at_remote(exp: Exp, *args: str) -> str:
    """What git says in the remote."""
    return exp.repo.git("--git-dir", exp.repo.git("remote", "get-url", "origin"), *args)


def state(repo: RepoBuilder) -> tuple[str, bytes, list[str]]:
    """HEAD, index and refs of the user, but for what git notes of the remote's branches."""
    refs = [line for line in repo.git("for-each-ref").splitlines() if "refs/remotes/" not in line]
    return repo.git("symbolic-ref", "HEAD"), (repo.path / ".git/index").read_bytes(), refs


def test_the_branch_is_replaced_and_nothing_here_changes(shared: Exp) -> None:
    shared.repo.write("notes.txt", "not committed\n")
    before = state(shared.repo)
    first = shared("report", "--publish", "--yes").err
    assert first.splitlines()[0].startswith("THIS BECOMES PUBLIC on branch 'gh-pages' of 'origin'")
    assert "1 run of 1 author by name and mail" in first
    assert "1 parameter, 1 metric" in first
    assert "0 code diffs, of 0 files" in first
    assert "the branch is new there" in first
    second = shared("report", "--publish", "origin", "--yes", "--anonymous", "--directory", "docs/")
    assert "it replaces the page that is there" in second.err
    assert at_remote(shared, "rev-list", "--count", "gh-pages") == "1"
    assert at_remote(shared, "log", "--format=%an %ae %cn", "gh-pages") == (
        "gitexp gitexp@localhost gitexp"
    )
    files = at_remote(shared, "ls-tree", "-r", "--name-only", "gh-pages").split()
    assert files == ["docs/.nojekyll", "docs/index.html"]
    page = at_remote(shared, "show", "gh-pages:docs/index.html")
    assert page.startswith("<!doctype html>")
    assert state(shared.repo) == before
    assert at_remote(shared, "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/gh-pages",
        "refs/heads/main",
    ]


def test_nothing_goes_out_unasked(shared: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
    told = shared("report", "--publish", check=128).err
    assert "THIS BECOMES PUBLIC" in told
    assert "error: cannot ask before going on" in told
    assert "THIS BECOMES PUBLIC" in shared("report", "--publish", "--dry-run").err
    monkeypatch.setenv("GITEXP_IN_PUSH", "1")
    told = shared("report", "--publish", "--yes", check=128).err
    assert told.splitlines()[0] == "error: a hook publishes no page"
    monkeypatch.delenv("GITEXP_IN_PUSH")
    shared("hooks", "install")
    shared.repo.commit({"other.py": "pass\n"}, "more")
    shared.repo.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    assert not at_remote(shared, "for-each-ref", "refs/heads/gh-pages")


def test_code_that_is_to_stay_here_is_not_in_the_page(shared: Exp) -> None:
    shared.repo.commit({"train.py": "print('another')\n"}, "a change")
    metrics = ("-S", "lr=0.2", "-M", "accuracy=0.95")
    shared("record", "-q", "-n", "second", "--parent", "first", *metrics)
    assert "1 code diff, of 1 file" in shared("report", "--publish", "--dry-run").err
    shared.repo.git("config", "exp.pushCode", "false")
    told = shared("report", "--publish", "--yes", "-o", "page.html").err
    assert "no code: `push-code = false` keeps it here" in told
    page = at_remote(shared, "show", "gh-pages:index.html")
    assert page == (shared.repo.path / "page.html").read_text().rstrip("\n")
    packed = re.search(r'id="payload">([A-Za-z0-9+/=]+)</script>', page)
    assert packed is not None
    payload = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    assert payload["patches"] == {}
    assert payload["n"] == 2


def test_work_of_others_on_the_branch_is_kept(shared: Exp) -> None:
    workspace = Workspace.open()
    shared.repo.git("push", "--quiet", "origin", "main:refs/heads/gh-pages")
    told = shared("report", "--publish", "--yes", check=128).err.splitlines()
    assert told[0] == "error: branch 'gh-pages' of 'origin' is not a page of gitexp"
    assert shared("report", "--publish", "--yes", "--force").code == 0
    assert at_remote(shared, "rev-list", "--count", "gh-pages") == "1"

    place = look_at(workspace, None, branch="gh-pages", directory="", force=False)
    assert place.is_ours
    page = at_remote(shared, "rev-parse", "gh-pages")
    added = at_remote(shared, "commit-tree", "-p", page, "-m", "a name", f"{page}^{{tree}}")
    at_remote(shared, "update-ref", "refs/heads/gh-pages", added)
    with pytest.raises(Conflict, match="cannot replace branch 'gh-pages' of 'origin'"):
        publish(workspace, place, b"<!doctype html>", anonymous=False)
    assert at_remote(shared, "rev-parse", "gh-pages") == added
    told = shared("report", "--publish", "--yes", check=128).err.splitlines()
    assert told[0].endswith("is not a page of gitexp"), "it has a commit more"

    new = look_at(workspace, None, branch="site", directory="", force=False)
    at_remote(shared, "update-ref", "refs/heads/site", added)
    with pytest.raises(Conflict, match="cannot replace branch 'site'"):
        publish(workspace, new, b"<!doctype html>", anonymous=False)


def test_what_cannot_be_published_is_said(shared: Exp, tmp_path: Path) -> None:
    shared.repo.git("init", "--quiet", "--bare", str(tmp_path / "empty.git"))
    shared.repo.git("remote", "add", "empty", str(tmp_path / "empty.git"))
    for options, said in (
        (("--publish", "empty"), "the page is not published to 'empty'"),
        (("--publish", "nowhere"), "there is no remote 'nowhere'"),
        (("--publish", "--branch", "main"), "the page cannot replace branch 'main'"),
        (("--publish", "--branch", "gitexp"), "the page cannot replace branch 'gitexp'"),
        (("--publish", "--branch", "a b"), "'a b' is no name for a branch"),
        (("--publish", "--directory", "../x"), "'../x' is no directory of a branch"),
        (("--publish", "--md"), "--publish publishes a page, not a comment: leave out --md"),
        (("--branch", "x", "-o", "p.html"), "--branch goes with --publish"),
    ):
        told = shared("report", *options, check=128)
        assert f"error: {said}" in told.err.splitlines(), (options, told.err)
