"""T20: every command on a clone of an attacker's remote.

Nothing is executed or written outside, `.git` does not change, and no control character reaches the
terminal.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitexp.adapters.git.repository import Repo
from gitexp.cli.app import run
from gitexp.core.render.text import UNSAFE
from tests.conftest import MakeRepo, RepoBuilder
from tests.hostile import build

RAW = re.compile(f"(?![\n\t])[{UNSAFE}]")
LOOKING = (
    *("list", "log", "log --oneline", "show", "brief", "best a", "plot a", "doctor", "config"),
    *("list --md", "list --csv", "list --porcelain", "list --json", "export --format json"),
    *("export --format latex", "recover", "compare {0} {1}", "diff {0} {1}", "tried -- {1}"),
    *("hooks status", "remove --dry-run {1}"),
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Directory in which executed code leaves a mark."""
    marks = tmp_path / "marks"
    marks.mkdir()
    return marks


@pytest.fixture
def victim(
    make_repo: MakeRepo, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RepoBuilder]:
    """A clone with a checkout hook; checks at the end that nothing was executed."""
    hub = build(make_repo, outside)
    hub.git("clone", "--quiet", str(hub.path), str(tmp_path / "victim"))
    repo = RepoBuilder(tmp_path / "victim")
    hook = repo.write(".git/hooks/post-checkout", f"#!/bin/sh\ntouch '{outside}/hook'\n")
    hook.chmod(0o755)
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("PAGER", "cat")
    before = _own_files(repo.path), _names(tmp_path)
    assert run(["fetch"]) == 0
    yield repo
    assert _names(outside) == []
    assert (_own_files(repo.path), _names(tmp_path)) == before


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _own_files(top: Path) -> dict[str, str]:
    """Return all files except those in which git and gitexp keep their own data."""
    ours = ("objects", "refs", "logs", "gitexp", "FETCH_HEAD", "packed-refs", "worktrees")
    return {
        str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(top.rglob("*"))
        if path.is_file()
        and not path.is_symlink()
        and not (path.parts[len(top.parts)] == ".git" and path.parts[len(top.parts) + 1] in ours)
    }


def _ids(repo: RepoBuilder) -> list[str]:
    listed = repo.git("ls-tree", "-r", "--name-only", "gitexp", "--", "runs").splitlines()
    return [Path(line).stem for line in listed]


def test_reading_commands_execute_nothing_and_escape_all_text(
    victim: RepoBuilder, capfd: pytest.CaptureFixture[str]
) -> None:
    ids = _ids(victim)[:2]
    faults = []
    for form in LOOKING:
        capfd.readouterr()
        code = run(form.format(*ids).split())
        out, err = capfd.readouterr()
        if code not in (0, 1, 125, 128) or "bug in gitexp" in err or not out + err:
            faults.append(f"git exp {form}: exit code {code}\n{err}")
        if RAW.search(out + err):
            faults.append(f"git exp {form}: {out + err!r}")
    assert not faults, "\n".join(faults)


def test_no_foreign_run_is_executed_without_consent(
    victim: RepoBuilder, capfd: pytest.CaptureFixture[str]
) -> None:
    ids = _ids(victim)
    assert len(ids) == 9
    capfd.readouterr()
    for one in ids:
        assert run(["show", one]) == 0
        assert run(["reproduce", "--dry-run", one]) == 0
        assert run(["reproduce", one]) == 128, "closed standard input is not a yes"
        run(["apply", "--dry-run", one])
    out, err = capfd.readouterr()
    assert not RAW.search(out + err)
    assert err.count("was not recorded in this clone") == len(ids)


def test_reproduced_command_stays_inside_its_work_tree(
    victim: RepoBuilder, outside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only the command runs: no hooks, filters, submodules, or paths out of its directory."""
    for name in ("-x", "up", "absolute", "data", "result", "git", "--output=made"):
        code = run(["reproduce", "--yes", "--", name])
        assert code in (125, 128), f"{name}: {code} {capfd.readouterr().err}"
    assert _names(outside) == []
    code = run(["reproduce", "--yes", "the command"])
    assert _names(outside) == ["command"], capfd.readouterr().err
    (outside / "command").unlink()


@pytest.mark.parametrize("name", ["--output=made", "-x", "--git-dir"])
def test_a_name_is_never_an_option(victim: RepoBuilder, name: str) -> None:
    victim.git("update-ref", f"refs/heads/{name}", "HEAD")
    assert Repo.discover().resolve(name) == victim.head
    for words in (["show"], ["log"], ["apply", "--dry-run"], ["diff", "last"]):
        assert run([*words, "--", name]) in (0, 128)
    for words in (["fetch"], ["push"], ["sync"]):
        assert run([*words, "--", name]) in (128, 129)


def test_a_repository_hidden_in_the_work_tree_can_be_refused(
    victim: RepoBuilder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with plain git: the configuration of the repository names commands that git executes."""
    hidden = victim.path / "hidden"
    victim.git("init", "--quiet", "--bare", str(hidden))
    monkeypatch.chdir(hidden)
    victim.git("config", "--global", "safe.bareRepository", "explicit")
    assert run(["list"]) == 128
    assert "error: git refuses to use this repository" in capfd.readouterr().err
    shutil.rmtree(hidden)
