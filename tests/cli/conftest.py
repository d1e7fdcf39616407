"""Run commands in this process, and normalize their output so that tests can compare all of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitexp.cli.app import run
from tests.conftest import MakeRepo, RepoBuilder

TRAIN = """\
import sys

rate = float(sys.argv[sys.argv.index("--lr") + 1])
for step in range(3):
    print(f"METRIC loss={rate / (step + 1):.4f} step={step}")
print(f"METRIC accuracy={1 - rate:.4f}")
"""


_AN_ID = re.compile(r"\b(?:[0-9a-f]{16}|[0-9a-f]{7})\b")
"""What may be the id of a run, or its start."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Exp:
    """Runs `git exp` in a repository and normalizes ids, times and durations."""

    def __init__(self, repo: RepoBuilder, capfd: pytest.CaptureFixture[str]) -> None:
        self.repo = repo
        self._capfd = capfd
        self._ids_at: tuple[str, list[str]] = ("", [])

    def __call__(self, *args: str, check: int | None = 0) -> Done:
        """Run a command. Fails the test if its exit code is not `check`."""
        self._capfd.readouterr()
        code = run(args)
        out, err = self._capfd.readouterr()
        done = Done(code, self._normal(out), self._normal(err))
        if check is not None:
            assert code == check, f"git exp {' '.join(args)}: exit {code}\n{out}\n{err}"
        return done

    def ids(self) -> list[str]:
        """Return the ids of all runs, oldest first."""
        listed = self.repo.git("ls-tree", "-r", "--name-only", "gitexp", "--", "runs", check=False)
        ids = [Path(line).stem for line in listed.splitlines()]
        log = self.repo.git(
            "log", "--reverse", "--format=%(trailers:key=Run-Id,valueonly)", "gitexp"
        )
        order = [line for line in log.split() if line]
        return sorted(ids, key=order.index)

    def _normal(self, text: str) -> str:
        for number, run_id in enumerate(self._known() if _AN_ID.search(text) else [], start=1):
            text = re.sub(rf"\b{run_id}\b", f"<run {number}>", text)
            text = re.sub(rf"\b{run_id[:7]}\b", f"<{number}>", text)
        text = re.sub(r"\b\d+ (second|minute)s? ago", "AGO", text)
        text = re.sub(r"after [\d.]+ m?s\b", "after TIME", text)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC", "DATE", text)
        return "\n".join(line.rstrip() for line in text.splitlines())

    def _known(self) -> list[str]:
        """Return the ids of all runs. Git is asked when the branch has moved."""
        try:
            tip = (self.repo.path / ".git/refs/heads/gitexp").read_text()
        except OSError:  # no branch, or a packed one
            return self.ids() if self.repo.git("for-each-ref", "refs/heads/gitexp") else []
        if self._ids_at[0] != tip:
            self._ids_at = (tip, self.ids())
        return self._ids_at[1]


@pytest.fixture
def repo(make_repo: MakeRepo, request: pytest.FixtureRequest) -> RepoBuilder:
    """A repository with one commit; a second one has the training script for `exp`."""
    return make_repo(second={"train.py": TRAIN} if "exp" in request.fixturenames else {})


@pytest.fixture
def exp(
    repo: RepoBuilder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Exp:
    """`git exp` in a repository with a small training script."""
    monkeypatch.chdir(repo.path)
    return Exp(repo, capfd)


@pytest.fixture
def train(exp: Exp) -> Callable[..., Done]:
    """Run the training with a rate and a name."""

    def start(lr: str, name: str, *options: str, check: int | None = 0) -> Done:
        argv = ("--", "python", "train.py", "--lr", lr)
        return exp("run", "-n", name, *options, *argv, check=check)

    return start
