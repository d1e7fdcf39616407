"""Work of a team end to end: hook, remote, gate, and a colleague who reproduces."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import MakeRepo, RepoBuilder
from tests.e2e.conftest import Git

TRAIN = "from extra import rate\nprint(f'METRIC accuracy={rate}')\n"


@pytest.fixture
def author(make_repo: MakeRepo, git: Git) -> RepoBuilder:
    """A clone with a remote, its first commit pushed, and the hook installed."""
    hub = make_repo("hub", bare=True)
    author = make_repo("author")
    author.git("remote", "add", "origin", str(hub.path))
    author.git("push", "--quiet", "--set-upstream", "origin", "main")
    git(author.path, "exp", "hooks", "install")
    return author


def hub_runs(author: RepoBuilder) -> list[str]:
    """Return the ids of the runs that the remote has."""
    hub = author.path.parent / "hub"
    listed = author.git(
        "--git-dir", str(hub), "ls-tree", "-r", "--name-only", "gitexp", check=False
    )
    return [Path(line).stem for line in listed.splitlines() if line.startswith("runs/")]


def test_push_sends_the_runs(author: RepoBuilder, git: Git) -> None:
    git(author.path, "exp", "run", "--", "python3", "train.py")
    author.commit({"x": "1"})
    git(author.path, "push", "origin", "main")
    git(author.path, "exp", "push")  # wait for the background push
    assert len(hub_runs(author)) == 1


def test_results_of_a_pushed_commit_are_recorded_once(author: RepoBuilder, git: Git) -> None:
    author.commit(
        {"gitexp.toml": 'metrics-files = ["metrics.json"]\n', "metrics.json": '{"accuracy": 0.9}'}
    )
    pushed = git(author.path, "push", "origin", "main")
    assert "recorded the results of" in pushed.stderr
    author.commit(message="nothing new")
    assert "recorded" not in git(author.path, "push", "origin", "main").stderr
    (run,) = json.loads(git(author.path, "exp", "list", "--json").stdout)["runs"]
    assert (run["origin"], run["metrics"]) == ("push", {"accuracy": 0.9})


def test_an_evaluation_command_is_run_on_the_commit(author: RepoBuilder, git: Git) -> None:
    author.commit(
        {
            "gitexp.toml": 'evaluate = "python3 hostile.py"\n',
            "evaluate.py": "print('METRIC score=' + open('data').read())\n",
            "data": "7",
        }
    )
    told = git(author.path, "push", "origin", "main").stderr
    assert "gitexp.toml sets the command `evaluate`" in told
    assert git(author.path, "exp", "list", "--name-only").stdout == ""
    author.commit(message="again")
    author.git("config", "exp.evaluate", "python3 evaluate.py")
    author.write("data", "8")  # not committed, so not pushed
    git(author.path, "push", "origin", "main")
    (run,) = json.loads(git(author.path, "exp", "list", "--json").stdout)["runs"]
    assert run["metrics"] == {"score": 7}
    assert author.git("worktree", "list").count("\n") == 0


def test_only_a_gate_stops_a_worse_push(author: RepoBuilder, git: Git) -> None:
    rules = 'metrics-files = ["m.json"]\n[metrics.accuracy]\ndirection = "maximize"\n'
    rules += "gate = 0.01\nnoise = 0\n"
    author.commit({"gitexp.toml": rules, "m.json": '{"accuracy": 0.9}'})
    git(author.path, "push", "origin", "main")
    author.commit({"m.json": '{"accuracy": 0.895}'})
    git(author.path, "push", "origin", "main")
    author.commit({"m.json": '{"accuracy": 0.8}'})
    refused = git(author.path, "push", "origin", "main", check=1)
    assert "the gate on 'accuracy' says no: 0.8 is worse than the best, 0.9" in refused.stderr
    git(author.path, "push", "--no-verify", "origin", "main")


def test_a_broken_gitexp_never_fails_the_push(author: RepoBuilder, git: Git) -> None:
    author.commit({"gitexp.toml": "this is not TOML\n"})
    git(author.path, "push", "origin", "main")
    author.git("branch", "gitexp", "main")
    author.commit({"gitexp.toml": ""})
    git(author.path, "push", "origin", "main")


def test_a_colleague_reproduces_a_dirty_run_after_rebase_and_gc(
    author: RepoBuilder, git: Git, tmp_path: Path
) -> None:
    author.commit({"train.py": "print('METRIC accuracy=0')\n"})
    author.write("train.py", TRAIN)
    author.write("extra.py", "rate = 0.75\n")
    run_id = git(author.path, "exp", "run", "-q", "--", "python3", "train.py")
    assert "0.75" in run_id.stdout
    author.git("checkout", "--quiet", "train.py")
    (author.path / "extra.py").unlink()
    author.git("reset", "--quiet", "--hard", "HEAD~1")  # no branch contains the run's commit now
    author.commit({"other": "1"}, "history went another way")
    author.git("reflog", "expire", "--expire=now", "--all")
    author.git("gc", "--quiet", "--prune=now")
    git(author.path, "exp", "push")
    git(tmp_path, "clone", "--quiet", str(tmp_path / "hub"), "colleague")
    colleague = tmp_path / "colleague"
    shutil.rmtree(author.path)
    git(colleague, "exp", "fetch")
    assert (
        "was not recorded in this clone"
        in git(colleague, "exp", "reproduce", "last", check=128).stderr
    )
    done = git(colleague, "exp", "reproduce", "last", "--yes")
    assert "reproduced: 1 metric equal" in done.stdout
