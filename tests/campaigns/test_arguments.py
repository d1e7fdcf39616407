"""Random arguments: an answer or a short error, and no change after an error."""

import hashlib
import itertools
import os
import random
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import click
import pytest

from gitexp.api.tracker import Tracker
from gitexp.cli.app import COMMANDS, HIDDEN, context_of, run
from gitexp.core.errors import ExitCode
from tests.conftest import RepoBuilder

LEFT_OUT = {"demo", "ui"}
"""One creates its own repository and trains models; the other serves until Ctrl-C."""

WAITING = {"wait_for_code"}
"""It waits a minute."""

NOT_STARTED = {126, 127}
"""Exit codes with which `run` records a command that cannot be started, as in a shell."""

ANSWERS = {ExitCode.DONE, ExitCode.NO, ExitCode.UNKNOWN}
ERRORS = {ExitCode.FAILED, ExitCode.USAGE}

LINES = 5
LETTERS = 4000
"""Maximum number of lines of an error."""

LONG = "x" * (1 << 20)
STRANGE = (
    *(
        "",
        " ",
        "\n",
        "жук 🪲",
        "e\u0301",
        "\ud800",
        "\udcff.csv",
        "a\0b",
        "\0",
        "\x1b[31m",
        "\x9b2J",
    ),
    *("\u202e", "-", "--", "---", "-x", "--no-such", "-9", "--=", "-n-1", "--where=", "=", "=1"),
    *(LONG, "-" + LONG, f"lr={LONG}", f"{LONG}=1", "9" * 400, "-1", "0", "1e999", "nan", "inf"),
    *("../..", "/", ".", "/dev/null", "/dev/full", "train.py", "none.csv", "%s", "${HOME}", "~"),
    *("(((", "lr >", "'", '"', "lr == '\0'", "a.b.c=1", "a..b=1", "lr=[1, 2", "lr={}", "@{-1}"),
    *("HEAD", "HEAD~99", "main", "gitexp", "refs/heads/gitexp", ":/x", "^main", "main..gitexp"),
)
PLAIN = (
    *(
        "last",
        "best",
        "last~1",
        "first",
        "sweep",
        "brave",
        "accuracy",
        "lr",
        "lr=0.1",
        "accuracy=1",
    ),
    *("keep", "discard", "lr > 0", "tag == 'sweep'", "json", "csv", "origin", "1", "3", "0.5"),
    *("install", "status", "remove", "bash", "true", "out.csv", "note of mine"),
)


def options_of(name: str) -> list[str]:
    """Return the spellings of the options of a command."""
    return [
        spelled
        for parameter in context_of(name).command.params
        if isinstance(parameter, click.Option) and parameter.name not in WAITING
        for spelled in parameter.opts + parameter.secondary_opts
    ]


def is_program(word: str) -> bool:
    """Return words that `run` starts in place of `true`."""
    return word == "--" or ("\0" not in word and shutil.which(word) is not None)


class Vectors:
    """Draw argument vectors: a command, and words that more or less fit it."""

    def __init__(self, seed: int, runs: list[str]) -> None:
        self._rng = random.Random(seed)
        self._runs = runs
        self._commands = sorted(({*COMMANDS, *HIDDEN}) - LEFT_OUT)
        self._options = {name: options_of(name) for name in self._commands}

    def __iter__(self) -> "Vectors":
        return self

    def __next__(self) -> list[str]:
        rng = self._rng
        name = rng.choice(self._commands)
        words = [self._word(name) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4, 6)))]
        if name in ("run", "start"):  # they start the words after them
            return [name, *(word for word in words if not is_program(word)), "--", "true"]
        return [*(["--no-pager"] if rng.random() < 0.1 else []), name, *words]

    def _word(self, name: str) -> str:
        rng, chance = self._rng, self._rng.random()
        if chance < 0.35 and self._options[name]:
            option = rng.choice(self._options[name])
            value = rng.choice(STRANGE + PLAIN)
            return f"{option}={value}" if option[:2] == "--" and rng.random() < 0.4 else option
        if chance < 0.4:
            return rng.choice(self._options[rng.choice(self._commands)] or ["-h"])
        if chance < 0.6:
            return rng.choice(self._runs)
        return rng.choice(PLAIN if chance < 0.8 else STRANGE)


def state_of(repo: Path) -> str:
    """Return what a failed command must not change: refs, HEAD, index, hooks, the user's files."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(repo):
        inside = folder == f"{repo}/.git"
        folders[:] = ["refs", "hooks", "info"] if inside else sorted(folders)
        for name in sorted(names):
            if not inside or name in ("HEAD", "index", "config", "packed-refs"):
                file = Path(folder, name)
                digest.update(os.fsencode(file) + b"\0" + file.read_bytes())
    return digest.hexdigest()


def restore(repo: Path, kept: Path) -> str:
    """Undo all changes of a command. Return the state."""
    for entry in repo.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    shutil.copytree(kept, repo, dirs_exist_ok=True, symlinks=True)
    return state_of(repo)


@pytest.fixture
def stage(repo: RepoBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A repository with runs of changed code, a remote, and the ids of its runs."""
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    RepoBuilder(tmp_path).git("init", "--quiet", "--bare", "origin.git")
    repo.git("remote", "add", "origin", "../origin.git")
    repo.write("train.py", "print('changed')\n")
    tracker = Tracker(repo.path)
    values = [{"metrics": {"accuracy": n / 4}, "params": {"lr": n}} for n in range(4)]
    ids = [tracker.log({**value, "tags": ["sweep"]}).id for value in values]
    monkeypatch.chdir(repo.path)
    assert run(["run", "--name", "brave", "-S", "lr=9", "--", "true"]) == 0
    return [*ids, *(run[:7] for run in ids)]


def assert_short(err: str) -> None:
    assert len(err.splitlines()) <= LINES
    assert len(err) <= LETTERS
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", err)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("times", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_any_arguments_give_an_answer_or_a_short_error(
    times: int,
    repo: RepoBuilder,
    stage: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kept = shutil.copytree(repo.path, tmp_path / "kept", symlinks=True)
    codes: Counter[int] = Counter()
    slowest = (0.0, "")
    before = restore(repo.path, kept)
    for argv in itertools.islice(Vectors(13, stage), times):
        began_s = time.monotonic()
        code = run(argv)
        _, err = capfd.readouterr()
        shown = " ".join(word[:60] for word in argv).encode("unicode_escape").decode()
        slowest = max(slowest, (time.monotonic() - began_s, shown))
        codes[code] += 1
        expected = ANSWERS | ERRORS | (NOT_STARTED if argv[0] == "run" else set())
        assert code in expected, f"{shown}: {code}\n{err}"
        if code in NOT_STARTED:
            assert "error: " in err, f"{shown}: {err[:500]}"
            assert_short(err)
        if code in ERRORS:
            assert err.startswith(("error: ", "warning: ")), f"{shown}: {err[:500]}"
            assert_short(err)
            assert state_of(repo.path) == before, f"{shown}: changed something\n{err}"
        elif state_of(repo.path) != before:
            before = restore(repo.path, kept)
    with capfd.disabled():
        counted = {int(code): count for code, count in sorted(codes.items())}
        print(f"\n{times} vectors: {counted}; slowest {slowest[0]:.1f} s: {slowest[1]}")
