"""The run branch is checked out in a work tree, and a user commits there."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Exp
from tests.conftest import RepoBuilder

RUN = ("run", "--again", "--", "python", "-c", "print('METRIC loss=1')")


@pytest.fixture
def checked_out(exp: Exp, tmp_path: Path) -> RepoBuilder:
    """A work tree of the run branch, with one run in it."""
    exp(*RUN)
    exp.repo.git("worktree", "add", "--quiet", str(tmp_path / "records"), "gitexp")
    return RepoBuilder(tmp_path / "records")


def names(exp: Exp) -> int:
    return len(json.loads(exp("list", "--json").out)["runs"])


def test_recording_works_while_the_branch_is_checked_out(
    exp: Exp, checked_out: RepoBuilder
) -> None:
    exp(*RUN)
    assert names(exp) == 2
    assert "branch 'gitexp' is checked out in" in exp("doctor", check=None).out


@pytest.mark.parametrize("commits", [1, 2])
def test_records_removed_by_a_commit_are_restored(
    exp: Exp, checked_out: RepoBuilder, commits: int
) -> None:
    exp(*RUN)
    exp("decide", "last", "keep", "-m", "good")
    before = exp.repo.git("ls-tree", "-r", "gitexp")
    for n in range(commits):
        checked_out.write("notes.txt", f"mine {n}")
        checked_out.git("add", "notes.txt")
        checked_out.git("commit", "--quiet", "-am", "an ordinary commit")
    assert names(exp) == 1
    done = exp(*RUN)
    assert "restored the records of 1 run that commit" in done.err
    assert names(exp) == 3
    after = exp.repo.git("ls-tree", "-r", "gitexp")
    assert not set(before.splitlines()) - set(after.splitlines())
    assert exp.repo.git("show", "gitexp:notes.txt") == f"mine {commits - 1}"
    assert "restored" not in exp(*RUN).err


def test_seal_reverted_by_a_commit_is_restored(exp: Exp, checked_out: RepoBuilder) -> None:
    start = (
        f"import subprocess; subprocess.run(['git', '-C', {str(checked_out.path)!r},"
        " 'reset', '--quiet', '--hard'], check=True)\nprint('METRIC loss=1')"
    )
    exp("run", "--", "python", "-c", start)
    checked_out.git("commit", "--quiet", "-am", "an ordinary commit")
    outcomes = [run["outcome"] for run in json.loads(exp("list", "--json").out)["runs"]]
    assert outcomes == ["running", "succeeded"]
    exp("note", "last~1", "any record")
    outcomes = [run["outcome"] for run in json.loads(exp("list", "--json").out)["runs"]]
    assert outcomes == ["succeeded", "succeeded"]


def test_a_removed_run_stays_removed(exp: Exp, checked_out: RepoBuilder) -> None:
    exp(*RUN)
    exp("remove", "last", "--yes")
    checked_out.git("commit", "--quiet", "-am", "an ordinary commit")
    exp(*RUN)
    assert names(exp) == 2
    assert "all is well" not in exp("doctor", check=None).err  # it is still checked out


def test_doctor_reports_and_restores_lost_records(exp: Exp, checked_out: RepoBuilder) -> None:
    exp(*RUN)
    checked_out.git("commit", "--quiet", "-am", "an ordinary commit")
    exp.repo.git("worktree", "remove", "--force", str(checked_out.path))
    done = exp("doctor", check=None)
    assert done.code != 0
    assert "records of 1 run were removed or reverted by a commit" in done.out
    fixed = exp("doctor", "--fix", check=None)
    assert "restored the records of 1 run" in fixed.out + fixed.err
    assert names(exp) == 2
    assert "all is well" in exp("doctor").err


def test_a_loss_below_later_records_is_found(exp: Exp, checked_out: RepoBuilder) -> None:
    """As if an older gitexp had recorded after the commit."""
    exp(*RUN)
    checked_out.git("commit", "--quiet", "-am", "an ordinary commit")
    tip = exp.repo.git("rev-parse", "gitexp")
    tree = exp.repo.git("rev-parse", "gitexp^{tree}")
    made = exp.repo.git("commit-tree", tree, "-p", tip, "-m", "run x\n\n[skip ci]\n")
    exp.repo.git("update-ref", "refs/heads/gitexp", made)
    assert exp("doctor", check=None).code != 0
    exp("doctor", "--fix", check=None)
    assert names(exp) == 2
