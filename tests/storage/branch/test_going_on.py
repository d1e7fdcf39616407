"""A write that starts from an earlier state is complete, even if git changes the branches first."""

import subprocess
import sys
import tomllib
from typing import Any

import pytest

import gitexp
from gitexp.adapters.journal.journal import Journal
from tests.conftest import RepoBuilder, some_daily

HAPPENINGS = {
    "nothing": "true",
    "keep branch deleted": "git update-ref -d refs/heads/gitexp-code",
    "run branch deleted": "git update-ref -d refs/heads/gitexp",
    "both deleted": "git branch -D -q gitexp gitexp-code",
    "renamed": "git branch -m gitexp elsewhere",
    "rewound": "git update-ref refs/heads/gitexp gitexp~1",
    "keep branch rewound": "git update-ref refs/heads/gitexp-code gitexp-code^",
    "gone on": "git update-ref refs/heads/gitexp"
    " $(git commit-tree -p gitexp -m other gitexp^{tree})",
    "packed": "git pack-refs --all",
    "collected": "git gc --quiet --prune=now",
    "deleted and collected": "git branch -D -q gitexp gitexp-code; git reflog expire --all"
    " --expire=now; git gc --quiet --prune=now",
}


def run(repo: RepoBuilder, n: int, command: str) -> None:
    repo.write("train.py", f"# attempt {n}\n")
    script = f"echo METRIC attempt={n}; {command}"
    done = subprocess.run(
        [sys.executable, "-m", "gitexp", "run", "--", "sh", "-c", script],
        cwd=repo.path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("happening", some_daily(HAPPENINGS, 4))
def test_a_run_and_its_code_are_kept(repo: RepoBuilder, happening: str) -> None:
    run(repo, 1, "true")
    run(repo, 2, HAPPENINGS[happening])
    check(repo, "succeeded", "metrics")


@pytest.mark.parametrize("happening", some_daily(HAPPENINGS, 3))
def test_what_a_start_has_asked_for_may_change_before_it_is_written(
    repo: RepoBuilder, happening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(repo, 1, "true")
    create = Journal.create

    def create_late(*args: Any, **options: Any) -> Journal:
        subprocess.run(["sh", "-c", HAPPENINGS[happening]], cwd=repo.path, check=True)
        return create(*args, **options)

    monkeypatch.setattr(Journal, "create", create_late)
    repo.write("train.py", "# attempt 2\n")
    live = gitexp.start(params={"attempt": 2}, directory=repo.path)
    check(repo, "running", "params", is_pinned=True)
    live.finish()
    check(repo, "succeeded", "params")


def check(repo: RepoBuilder, outcome: str, table: str, *, is_pinned: bool = False) -> None:
    """Verify that the run with `attempt = 2` in a table is recorded whole, and run `git fsck`."""
    paths = repo.git("ls-tree", "-r", "--name-only", "gitexp", "runs").splitlines()
    records = [tomllib.loads(repo.git("show", f"gitexp:{path}")) for path in paths]
    (record,) = (record for record in records if record.get(table, {}).get("attempt") == 2)
    assert record["outcome"] == outcome
    snapshot = record["code"]["snapshot"]
    repo.git("merge-base", "--is-ancestor", snapshot, "gitexp-code")
    assert repo.git("show", f"{snapshot}:train.py") == "# attempt 2"
    repo.git("cat-file", "-e", f"gitexp:environments/{record['environment']['packages']}.toml")
    assert bool(repo.git("for-each-ref", "refs/gitexp/pending")) == is_pinned
    repo.git("fsck", "--strict", "--no-dangling")
