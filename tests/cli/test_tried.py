"""`git exp tried`, and the repeat check of `git exp run`: which runs of a trial count."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gitexp
from gitexp.core.analysis.fingerprint import fingerprint_1
from gitexp.core.model.run import Run
from tests.cli.conftest import Exp

TRIAL = ("--", "python", "train.py", "--lr", "0.2")
WAIT = "touch ready; while ! [ -e go ]; do sleep 0.05; done"


def begin(directory: Path, *args: str) -> "subprocess.Popen[bytes]":
    """Start `git exp run` in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitexp", "run", *args],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(Path(gitexp.__file__).parents[1])},
        start_new_session=True,
    )


def await_file(path: Path, process: "subprocess.Popen[bytes]") -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.02)


@pytest.fixture
def tree_b(exp: Exp, tmp_path: Path) -> Iterator[Path]:
    """Create a second work tree of the repository, called `b`."""
    exp.repo.write(".gitignore", "ready\ngo\n")
    exp.repo.git("add", "-A")
    exp.repo.git("commit", "-qm", "ignore")
    path = tmp_path / "b"
    exp.repo.git("worktree", "add", "-q", "--detach", str(path))
    yield path
    (path / "go").touch()


def asked(exp: Exp, *args: str, check: int = 1) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("tried", "--json", *args, check=check).out)
    return document


class TestWhatCounts:
    def test_tried_shows_a_run_that_timed_out(self, exp: Exp) -> None:
        exp("run", "--timeout", "0.1s", "--", "sleep", "600", check=124)
        assert "timed out" in exp("tried", "--", "sleep", "600", check=1).out

    def test_decided_trial_that_timed_out_is_refused(self, exp: Exp) -> None:
        exp("run", "--timeout", "0.1s", "--", "sleep", "600", check=124)
        exp("decide", "last", "discard", "-m", "too slow")
        done = exp("run", "--", "sleep", "600", check=128)
        assert "timed out; decided discard: too slow" in done.err
        document = asked(exp, "--", "sleep", "600")
        assert (document["rejected"], document["refused"]) == (True, True)

    def test_longer_time_limit_is_not_refused(self, exp: Exp) -> None:
        exp("run", "--timeout", "0.1s", "--", "sleep", "0.5", check=124)
        exp("decide", "last", "discard", "-m", "too slow")
        exp("run", "--timeout", "0.05s", "--", "sleep", "0.5", check=128)
        done = exp("run", "--timeout", "1h", "--", "sleep", "0.5")
        assert "perhaps not the same: it timed out after TIME, this run may take 3600 s" in done.err

    def test_decided_interrupted_run_is_refused(self, exp: Exp) -> None:
        exp("start", *TRIAL)
        exp("finish", exp.ids()[0], "--outcome", "interrupted")
        assert exp("tried", *TRIAL).err.startswith("new: ")
        exp("decide", "last", "discard", "-m", "hangs")
        assert "interrupted; decided discard: hangs" in exp("tried", *TRIAL, check=1).out

    def test_repeat_setting_turns_refusal_off(self, exp: Exp) -> None:
        exp("run", *TRIAL)
        exp("decide", "last", "discard")
        exp.repo.git("config", "exp.repeat", "warn")
        document = asked(exp, *TRIAL)
        assert (document["rejected"], document["refused"]) == (True, False)


class TestRunning:
    def test_tried_shows_a_run_in_another_work_tree(self, exp: Exp, tree_b: Path) -> None:
        process = begin(tree_b, "--", "sh", "-c", WAIT)
        await_file(tree_b / "ready", process)
        told = exp("tried", "--", "sh", "-c", WAIT, check=1).out
        assert "this very trial is running now:\n  <1> " in told
        assert ": running in work tree b since " in told
        document = asked(exp, "--", "sh", "-c", WAIT)
        assert [run["outcome"] for run in document["running"]] == ["running"]
        assert document["identical"] == []
        (tree_b / "go").touch()
        assert process.wait() == 0
        assert asked(exp, "--", "sh", "-c", WAIT)["running"] == []

    def test_a_dead_run_is_not_running(self, exp: Exp, tree_b: Path) -> None:
        process = begin(tree_b, "--", "sh", "-c", WAIT)
        await_file(tree_b / "ready", process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert "new: " in exp("tried", "--", "sh", "-c", WAIT).err

    def test_tried_shows_an_open_manual_run(self, exp: Exp) -> None:
        exp("start", *TRIAL)
        told = exp("tried", *TRIAL, check=1).out
        assert ", begun by hand" in told
        assert "work tree" not in told

    def test_run_without_a_local_journal_may_be_running(self, exp: Exp, tree_b: Path) -> None:
        """As for a fetched run: its journal is in the clone that started it."""
        process = begin(tree_b, "--", "sh", "-c", WAIT)
        await_file(tree_b / "ready", process)
        (journal,) = (exp.repo.path / ".git/gitexp/journal").glob("*.journal")
        aside = journal.rename(journal.with_suffix(".aside"))
        told = exp("tried", "--", "sh", "-c", WAIT, check=1).out
        aside.rename(journal)
        (tree_b / "go").touch()
        process.wait()
        assert ", as far as is known: it was not started here" in told


TRAIN = "import sys\nprint('METRIC loss=1')\n"


class TestSameTrial:
    @pytest.fixture(autouse=True)
    def _ran(self, exp: Exp) -> None:
        exp.repo.commit({"t.py": TRAIN}, "a script")
        exp("run", "--", "python", "t.py", "--lr", "0.1", "--fast")
        exp("decide", "last", "discard", "-m", "swings")

    @pytest.mark.parametrize(
        "words",
        [
            "python t.py --fast --lr 0.1",
            "python3 t.py --lr 0.1 --fast",
            "python ./t.py --lr=0.1 --fast",
            f"{sys.executable} t.py --lr 1e-1 --fast",
        ],
    )
    def test_trial_with_an_equivalent_command_is_refused(self, exp: Exp, words: str) -> None:
        assert asked(exp, "--", *words.split())["refused"] is True
        exp("run", "--", *words.split(), check=128)

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ("--lr 0.1", "with --fast"),
            ("--lr 0.1 --fast --wd 0.1", "without wd, now 0.1"),
            ("--lr 0.1 --fast --cold", "without --cold"),
            ("--lr 0.2 --fast", "lr 0.1 → 0.2"),
            ("--lr 0.2", "with --fast; lr 0.1 → 0.2"),
        ],
    )
    def test_kin_are_shown_with_their_differences(self, exp: Exp, words: str, told: str) -> None:
        done = exp("tried", "--", "python", "t.py", *words.split())
        assert "decided discard: swings" in done.out
        assert done.out.endswith(f"({told})")

    @pytest.mark.parametrize(
        ("rate", "told"),
        [("0.2", "lr 0.1, the default → 0.2"), ("0.1", "lr 0.1, the default, now")],
    )
    def test_kin_without_an_option_are_shown_with_its_default(
        self, exp: Exp, rate: str, told: str
    ) -> None:
        code = "import argparse\np = argparse.ArgumentParser()\n"
        code += "p.add_argument('--lr', type=float, default=0.1)\np.parse_args()\n"
        exp.repo.commit({"parses.py": code})
        exp("run", "-q", "--", "python", "parses.py")
        assert told in exp("tried", "--", "python", "parses.py", "--lr", rate).out

    def test_the_nearest_kin_comes_first(self, exp: Exp) -> None:
        for lr in ("0.3", "0.4", "0.5"):
            exp("run", "--", "python", "t.py", "--lr", lr)
        kin = asked(exp, "--", "python", "t.py", "--lr", "0.1", "--fast", "--wd", "1", check=0)
        assert [found["run"]["params"] for found in kin["kin"]] == [{"fast": True, "lr": 0.1}]
        assert kin["kin"][0]["differences"] == [{"kind": "other params", "name": "wd", "after": 1}]

    def test_runs_with_three_differences_are_no_kin(self, exp: Exp) -> None:
        words = ("python", "t.py", "--lr", "0.2", "--wd", "1")
        assert asked(exp, "--", *words, check=0)["kin"] == []

    def test_run_with_another_python_is_kin(self, exp: Exp, tmp_path: Path) -> None:
        home = tmp_path / "other"
        (home / "bin").mkdir(parents=True)
        (home / "lib/python3.99/site-packages/extra-1.0.dist-info").mkdir(parents=True)
        (home / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.99.1\n")
        python = home / "bin" / "python"
        python.write_bytes(b"\x7fELF")
        python.chmod(0o755)
        done = exp("tried", "--", str(python), "t.py", "--lr", "0.1", "--fast")
        assert f"(other environment: Python {'.'.join(map(str, sys.version_info[:3]))}" in done.out
        assert "→ 3.99.1)" in done.out


class TestOlderRecords:
    """Runs whose fingerprint is of version 1."""

    @pytest.fixture(autouse=True)
    def _ran(self, exp: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
        exp.repo.commit({"t.py": TRAIN}, "a script")

        def older(run: Run) -> str:
            assert run.command is not None
            return fingerprint_1(
                run.code.digest,
                run.command.argv,
                directory=run.command.directory,
                params=run.params,
                inputs=run.inputs,
            )

        with monkeypatch.context() as patch:
            patch.setattr("gitexp.features.execution.prepare.fingerprint_of", older)
            exp("run", "--", "python", "t.py", "--lr", "0.1", "--fast")
        exp("decide", "last", "discard", "-m", "swings")

    @pytest.mark.parametrize("words", ["--lr 0.1 --fast", "--fast --lr 0.1"])
    def test_older_records_are_compared_by_their_fields(self, exp: Exp, words: str) -> None:
        found = asked(exp, "--", "python", "t.py", *words.split())
        assert (found["refused"], len(found["identical"])) == (True, 1)
        assert found["identical"][0]["fingerprint"] != found["fingerprint"]

    def test_older_records_with_other_code_are_kin(self, exp: Exp) -> None:
        exp.repo.commit({"t.py": TRAIN + "\n# other\n"}, "edited")
        done = exp("tried", "--", "python", "t.py", "--lr", "0.1", "--fast")
        assert done.out.endswith("(other code: t.py)")


@pytest.mark.parametrize(
    "command",
    [
        ("report", "-o", "page.html"),
        ("report", "--md", "-o", "comment.txt"),
        ("export", "-o", "runs.csv"),
    ],
)
def test_a_file_that_gitexp_wrote_is_no_code(exp: Exp, command: tuple[str, ...]) -> None:
    trial = ("--", "sh", "-c", "echo METRIC loss=1")
    exp("run", *trial)
    exp(*command)
    exp("tried", *trial, check=1)
    (exp.repo.path / command[-1]).write_text("edited\n")
    exp("tried", *trial)
