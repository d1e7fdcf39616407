"""What makes a trial new besides tracked code: named files, variables, redirected output."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gitexp
from tests.cli.conftest import Exp
from tests.conftest import some_daily

READ = "import sys\nprint('METRIC size=%d' % len(open(sys.argv[-1]).read()))\n"


@pytest.fixture
def read(exp: Exp) -> Exp:
    """A script that reads the file in its argument; git ignores `data/`."""
    exp.repo.commit({"read.py": READ, ".gitignore": "data/\nbuild/\n*.pt\n"}, "a reader")
    (exp.repo.path / "data").mkdir()
    (exp.repo.path / "data/a.csv").write_text("1,2\n")
    return exp


def discard(exp: Exp, *argv: str) -> None:
    exp("run", "--", *argv)
    exp("decide", "last", "discard", "-m", "bad")


def asked(exp: Exp, *argv: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("tried", "--json", "--", *argv, check=None).out)
    return document


def last(exp: Exp) -> dict[str, Any]:
    run: dict[str, Any] = json.loads(exp("show", "last", "--json").out)["runs"][0]
    return run


class TestNamedFiles:
    @pytest.mark.parametrize(
        "words",
        some_daily(
            [
                ["--data=./data/a.csv"],
                ["--x", "data"],
                ["data/a.csv"],
                ["--data", "data/a.csv"],
                ["data"],
            ],
            2,
        ),
    )
    def test_changed_ignored_data_makes_a_new_trial(self, read: Exp, words: list[str]) -> None:
        argv = ["sh", "-c", "true", "sh", *words]
        discard(read, *argv)
        assert asked(read, *argv)["refused"] is True
        (read.repo.path / "data/a.csv").write_text("1,3\n")
        assert asked(read, *argv)["tried"] is False
        read("run", "--", *argv)

    def test_an_input_is_below_the_directory_and_one_of_the_settings_below_the_top(
        self, exp: Exp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for path in ("data.csv", "sub/data.csv"):
            exp.repo.write(path, path)
        exp.repo.git("config", "exp.inputs", "data.csv")
        monkeypatch.chdir(exp.repo.path / "sub")
        exp("run", "--input", "data.csv", "--", "true")
        assert sorted(last(exp)["inputs"]) == ["data.csv", "sub/data.csv"]

    def test_data_outside_the_repository_is_compared(self, read: Exp, tmp_path: Path) -> None:
        data = tmp_path / "far.csv"
        data.write_text("1")
        discard(read, "python", "read.py", str(data))
        assert last(read)["inputs"][str(data)]["named"] is True
        data.write_text("2")
        kin = asked(read, "python", "read.py", str(data))
        assert kin["tried"] is False
        assert kin["kin"][0]["relation"] == "other data"

    def test_a_link_to_data_outside_is_followed(self, read: Exp, tmp_path: Path) -> None:
        (tmp_path / "far.csv").write_text("1")
        (read.repo.path / "near.csv").symlink_to(tmp_path / "far.csv")
        read.repo.git("add", "-A")
        read.repo.git("commit", "-qm", "link")
        discard(read, "python", "read.py", "near.csv")
        (tmp_path / "far.csv").write_text("2")
        assert asked(read, "python", "read.py", "near.csv")["tried"] is False

    def test_tracked_files_are_code_and_no_inputs(self, read: Exp) -> None:
        read("run", "--", "python", "read.py", "read.py")
        assert "inputs" not in last(read)

    def test_named_document_counts(self, read: Exp) -> None:
        """READMEs are not code, but this one is data."""
        read.repo.commit({"README.md": "a"}, "words")
        discard(read, "python", "read.py", "README.md")
        read.repo.commit({"README.md": "b"}, "other words")
        assert asked(read, "python", "read.py", "README.md")["tried"] is False

    @pytest.mark.parametrize("path", ["old.log", "runs/a.yaml"])
    def test_named_log_counts(self, read: Exp, path: str) -> None:
        read.repo.write(path, "a")
        discard(read, "python", "read.py", path)
        assert asked(read, "python", "read.py", path)["refused"] is True
        read.repo.write(path, "b")
        assert asked(read, "python", "read.py", path)["tried"] is False

    @pytest.mark.parametrize("place", ["build", "outside"])
    def test_changed_program_makes_a_new_trial(self, read: Exp, tmp_path: Path, place: str) -> None:
        folder = read.repo.path / "build" if place == "build" else tmp_path / "outside"
        folder.mkdir()
        program = folder / "bench"
        program.write_text("#!/bin/sh\necho METRIC a=1\n")
        program.chmod(0o755)
        discard(read, str(program), "1")
        assert asked(read, str(program), "1")["refused"] is True
        program.write_text("#!/bin/sh\necho METRIC a=2\n")
        assert asked(read, str(program), "1")["tried"] is False

    def test_program_in_the_work_tree_is_never_a_system_program(
        self, read: Exp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also when the repository is below `/opt`."""
        monkeypatch.setattr(
            "gitexp.features.execution.named_inputs._SYSTEM", (str(read.repo.path.parent),)
        )
        program = read.repo.path / "build" / "bench"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\necho METRIC a=1\n")
        program.chmod(0o755)
        discard(read, "build/bench")
        program.write_text("#!/bin/sh\necho METRIC a=2\n")
        assert asked(read, "build/bench")["tried"] is False

    def test_file_on_standard_input_counts(self, read: Exp, tmp_path: Path) -> None:
        (tmp_path / "in").write_text("1")
        argv = ["python", "-c", "print('METRIC a=' + input())"]
        assert shell(read, f"run -- {_quoted(argv)} < {tmp_path}/in").returncode == 0
        (tmp_path / "in").write_text("2")
        assert shell(read, f"tried -- {_quoted(argv)} < {tmp_path}/in").returncode == 0
        (tmp_path / "in").write_text("1")
        assert shell(read, f"tried -- {_quoted(argv)} < {tmp_path}/in").returncode == 1

    def test_named_output_is_no_input(self, read: Exp) -> None:
        argv = ["sh", "-c", "date +%N > data/result.txt", "sh", "--out", "data/result.txt"]
        discard(read, *argv)
        assert asked(read, *argv)["refused"] is True

    def test_written_file_is_not_compared_and_prevents_refusal(self, read: Exp) -> None:
        argv = ["sh", "-c", "date +%N > model.pt", "sh", "model.pt"]
        discard(read, *argv)
        assert "model.pt" in last(read)["produced"]
        found = asked(read, *argv)
        assert (found["tried"], found["refused"]) == (True, False)
        assert found["doubts"] == ["model.pt (earlier runs wrote it)"]
        done = read("run", "--", *argv)
        assert "perhaps not the same: model.pt (earlier runs wrote it)" in done.err

    def test_input_too_large_to_hash_prevents_refusal(
        self, read: Exp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gitexp.features.execution.named_inputs.MAX_BYTES", 3)
        discard(read, "python", "read.py", "data/a.csv")
        found = asked(read, "python", "read.py", "data/a.csv")
        assert (found["tried"], found["refused"]) == (True, False)
        assert found["doubts"] == ["data/a.csv (too large to hash)"]
        (read.repo.path / "data/a.csv").write_text("1,2,3\n")
        assert asked(read, "python", "read.py", "data/a.csv")["tried"] is False

    def test_a_secret_is_not_hashed(self, read: Exp) -> None:
        (read.repo.path / "data/.env").write_text("TOKEN=1")
        done = read("run", "--", "python", "read.py", "data/.env")
        assert "data/.env (looks like a secret by its name)" in done.err
        assert last(read)["inputs"]["data/.env"] == {"sha256": "", "bytes": 7, "named": True}

    def test_the_refusal_says_what_was_not_compared(self, read: Exp) -> None:
        discard(read, "python", "read.py", "data/a.csv")
        done = read("run", "--", "python", "read.py", "data/a.csv", check=128)
        assert "hint: not compared: other environment variables, and files that git" in done.err


class TestVariables:
    def test_env_params_are_recorded_as_parameters(
        self, exp: Exp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exp.repo.write("gitexp.toml", 'env-params = ["DEPTH", "UNSET"]\n')
        monkeypatch.setenv("DEPTH", "3")
        discard(exp, "true")
        assert last(exp)["params"] == {"DEPTH": 3}
        assert asked(exp, "true")["refused"] is True
        monkeypatch.setenv("DEPTH", "4")
        found = asked(exp, "true")
        assert found["tried"] is False
        assert found["kin"][0]["differences"] == [
            {"kind": "other params", "name": "DEPTH", "before": 3, "after": 4}
        ]

    def test_known_variables_are_recorded_and_make_kin(
        self, exp: Exp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        monkeypatch.setenv("HARMLESS", "x")
        discard(exp, "true")
        assert last(exp)["environment"]["variables"] == {"OMP_NUM_THREADS": "2"}
        assert asked(exp, "true")["refused"] is True
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        done = exp("tried", "--", "true")
        assert "(other environment: OMP_NUM_THREADS 2 → 4)" in done.out


def _quoted(argv: list[str]) -> str:
    return subprocess.list2cmdline(argv)


def shell(exp: Exp, line: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell line after `git exp`, with redirections of the shell."""
    return subprocess.run(
        ["sh", "-c", f"{sys.executable} -m gitexp {line}"],
        cwd=exp.repo.path,
        env={**os.environ, "PYTHONPATH": str(Path(gitexp.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )


class TestWritten:
    @pytest.mark.parametrize(
        "redirection",
        some_daily(["> log.txt", "2> log.txt", "> log.txt 2>&1", "| tee log.txt", ">> log.txt"], 2),
    )
    def test_redirected_output_is_never_code(self, exp: Exp, redirection: str) -> None:
        for _ in range(2):
            done = shell(exp, f"run -- python train.py --lr 0.2 {redirection}")
            assert done.returncode == 0, done.stderr
        assert len(asked(exp, "python", "train.py", "--lr", "0.2")["identical"]) == 2

    def test_files_written_by_tools_are_never_code(self, exp: Exp) -> None:
        discard(exp, "true")
        for path in (
            "wandb/run-1/files/config.yaml",
            "wandb/run-1/files/code/train.py",
            "mlruns/0/meta.yaml",
            "lightning_logs/version_0/hparams.yaml",
            "outputs/2026-11-30/12-00-00/.hydra/config.yaml",
            "runs/detect/train/args.yaml",
            "nohup.out",
            "train.log",
            "sub/.ipynb_checkpoints/a-checkpoint.ipynb",
        ):
            file = exp.repo.write(path, "anything: 1\n")
            assert asked(exp, "true")["refused"] is True, path
            exp.repo.git("add", "--force", path)
            assert asked(exp, "true")["tried"] is False, f"{path}: it is tracked now"
            exp.repo.git("reset", "--quiet")
            file.unlink()

    def test_other_untracked_files_count(self, exp: Exp) -> None:
        discard(exp, "true")
        for path in ("runs/search.py", "helper.py", "conf.yaml", "data.csv"):
            file = exp.repo.write(path, "anything: 1\n")
            assert asked(exp, "true")["tried"] is False, path
            file.unlink()
            assert asked(exp, "true")["refused"] is True

    def test_a_source_file_that_appears_during_a_run_counts(self, exp: Exp) -> None:
        argv = ["sh", "-c", "echo x=1 > appeared.py; echo y > appeared.bin"]
        discard(exp, *argv)
        assert asked(exp, *argv)["tried"] is False
        (exp.repo.path / "appeared.py").unlink()
        assert asked(exp, *argv)["refused"] is True


class TestReproduce:
    def test_reproduction_uses_ignored_data_that_the_command_names(self, read: Exp) -> None:
        read("run", "--", "python", "read.py", "data/a.csv")
        assert "reproduced" in read("reproduce", "last").out
        (read.repo.path / "data/a.csv").write_text("other\n")
        done = read("reproduce", "@{0}", check=125)
        assert "input 'data/a.csv' has other content" in done.err

    def test_written_input_does_not_prevent_a_reproduction(self, read: Exp) -> None:
        (read.repo.path / "model.pt").write_text("before")
        read("run", "--", "sh", "-c", "echo 1 > model.pt; echo METRIC a=1", "sh", "model.pt")
        assert "reproduced" in read("reproduce", "last").out


class TestStandardInput:
    def test_standard_input_of_an_enclosing_loop_is_no_input(self, read: Exp) -> None:
        """`while read` reads from a file that the command inherits at its current offset."""
        (read.repo.path / "data/list").write_text("1\n2\n")
        line = f"while read x; do {sys.executable} -m gitexp run -- true $x; done < data/list"
        done = shell(read, f"list > {os.devnull}; {line}")
        assert done.returncode == 0, done.stderr
        assert "inputs" not in last(read)
        assert asked(read, "true", "2")["tried"] is True


def test_thousands_of_arguments_are_not_all_checked(read: Exp) -> None:
    argv = ["true", *(f"w{n}" for n in range(6000))]
    done = read("run", "--", *argv)
    assert "not compared with other runs: some arguments (too many)" in done.err
