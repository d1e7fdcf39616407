"""Files in the snapshot of a run, and files outside it that count."""

import json
from typing import Any

import pytest

from gitexp.features.execution import outside_files
from tests.cli.conftest import Exp

RUN = ("--", "python", "-c", "print('METRIC loss=1')")
SIZES = ("git", "ls-tree", "-r", "-l")


def code_of(exp: Exp, run: str = "last") -> dict[str, Any]:
    (found,) = json.loads(exp("show", run, "--json").out)["runs"]
    code: dict[str, Any] = found["code"]
    return code


def fingerprint_now(exp: Exp) -> str:
    done = exp("tried", "--json", *RUN, check=None)
    return str(json.loads(done.out)["fingerprint"])


def in_snapshot(exp: Exp, run: str = "last") -> set[str]:
    tree = code_of(exp, run)["tree"]
    return set(exp.repo.git("ls-tree", "-r", "--name-only", tree).split("\n"))


MODELS_AND_DATA = (
    *("model.pt", "deep/down/model.pth", "a.ckpt", "a.pkl", "a.joblib", "a.npy", "a.npz"),
    *("a.h5", "a.hdf5", "a.onnx", "a.safetensors", "a.parquet", "a.arrow", "a.feather"),
    "logs/events.out.tfevents.1700000000.host.1.0",
)


def test_untracked_model_and_data_files_stay_out(exp: Exp) -> None:
    exp.repo.write("helper.py", "x = 1\n")
    for path in MODELS_AND_DATA:
        exp.repo.write(path, "x")
    exp("run", *RUN)
    code = code_of(exp)
    assert sorted(code["hashed"]) == sorted(MODELS_AND_DATA)
    assert "unhashed" not in code
    assert "helper.py" in in_snapshot(exp)
    assert not in_snapshot(exp) & set(MODELS_AND_DATA)


def test_model_outside_of_the_snapshot_is_named(exp: Exp) -> None:
    exp.repo.write("model.pt", "x")
    done = exp("run", *RUN)
    assert "not in the snapshot: model.pt (a model or data file)" in done.err


def test_tracked_model_is_in_the_snapshot(exp: Exp) -> None:
    exp.repo.commit({"model.pt": "1"}, "a model")
    exp.repo.write("model.pt", "2")
    exp("run", *RUN)
    assert exp.repo.git("show", f"{code_of(exp)['tree']}:model.pt") == "2"


def test_snapshot_include_adds_and_excludes_files(exp: Exp) -> None:
    exp.repo.git("config", "--add", "exp.snapshotInclude", "data/*.npy")
    exp.repo.git("config", "--add", "exp.snapshotInclude", "!*.csv")
    for path in ("data/a.npy", "b.npy", "c.csv"):
        exp.repo.write(path, "x")
    exp("run", *RUN)
    assert "data/a.npy" in in_snapshot(exp)
    assert sorted(code_of(exp)["hashed"]) == ["b.npy", "c.csv"]


def test_changed_model_makes_another_trial(exp: Exp) -> None:
    exp.repo.write("model.pt", "1")
    first = fingerprint_now(exp)
    exp("run", *RUN)
    assert exp("tried", *RUN, check=1)
    exp.repo.write("model.pt", "2")
    assert fingerprint_now(exp) != first
    assert "other data" in exp("tried", *RUN).out
    exp.repo.write("model.pt", "1")
    assert exp("tried", *RUN, check=1)


def test_a_file_over_the_size_limit_is_hashed_too(exp: Exp) -> None:
    exp.repo.git("config", "exp.maxFileSize", "10")
    exp.repo.write("big.csv", "12345678901")
    exp("run", *RUN)
    exp.repo.write("big.csv", "12345678902")
    assert exp("tried", *RUN, check=0)


def test_files_written_by_earlier_runs_do_not_count(exp: Exp) -> None:
    train = ("--", "python", "-c", "import os; open('model.pt', 'wb').write(os.urandom(9))")
    exp("run", *train)
    exp("run", *train)
    assert "hashed" not in code_of(exp)
    assert exp("tried", *train, check=1)


def test_a_file_that_does_not_count_as_code_is_not_hashed(exp: Exp) -> None:
    exp.repo.git("config", "exp.codeExclude", "scratch/")
    exp.repo.write("scratch/a.npy", "x")
    exp("run", *RUN)
    code = code_of(exp)
    assert "hashed" not in code
    assert code["left_out"] == ["scratch/a.npy (a model or data file)"]


@pytest.mark.parametrize("why", ["too large", "secret"])
def test_files_that_cannot_be_hashed_are_named(exp: Exp, why: str) -> None:
    path = "model.pt" if why == "too large" else ".env"
    exp.repo.git("config", "exp.maxHashSize", "3")
    exp.repo.write(path, "12345")
    done = exp("run", *RUN)
    assert f"cannot tell whether this trial is a repeat: the content of {path}" in done.err
    code = code_of(exp)
    assert code["unhashed"] == [path]
    assert "hashed" not in code


def test_large_snapshot_is_reported(exp: Exp) -> None:
    exp.repo.write("a.txt", b"\0" * (4 << 20))
    assert "takes in" not in exp("run", *RUN).err
    exp.repo.write("b.txt", b"\1" * (2 << 20))
    done = exp("run", *RUN)
    assert "the snapshot takes in 6.3 MB of untracked files, most in a.txt (4.2 MB), b.txt" in (
        done.err
    )


def test_thousands_of_files_fit_a_record(exp: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_files, "MAX_LISTED", 20)
    for n in range(50):
        exp.repo.write(f"data/{n % 5}/{n}.npy", str(n))
    first = fingerprint_now(exp)
    done = exp("run", *RUN)
    assert "not in the snapshot: 45 more" in done.err
    code = code_of(exp)
    assert list(code["hashed"]) == ["data/"]
    assert len(code["left_out"]) == 21
    assert code["left_out"][-1] == "and 30 more"
    exp.repo.write("data/0/0.npy", "changed")
    assert fingerprint_now(exp) != first


class TestNestedRepository:
    """An untracked repository inside the work tree."""

    @pytest.fixture
    def inner(self, exp: Exp) -> Exp:
        exp.repo.write("vendor/lib.py", "x = 1\n")
        exp.repo.git("init", "--quiet", "vendor")
        exp.repo.git("-C", "vendor", "add", ".")
        exp.repo.git("-C", "vendor", "commit", "--quiet", "-m", "inner")
        return exp

    def test_content_of_a_nested_repository_counts(self, inner: Exp) -> None:
        inner("run", *RUN)
        assert list(code_of(inner)["hashed"]) == ["vendor/"]
        assert inner("tried", *RUN, check=1)
        inner.repo.write("vendor/lib.py", "x = 2\n")
        assert inner("tried", *RUN, check=0)

    def test_untracked_files_of_a_nested_repository_count_and_ignored_ones_do_not(
        self, inner: Exp
    ) -> None:
        inner.repo.write("vendor/.gitignore", "*.log\n")
        inner("run", *RUN)
        inner.repo.write("vendor/a.log", "x")
        assert inner("tried", *RUN, check=1)
        inner.repo.write("vendor/new.py", "x")
        assert inner("tried", *RUN, check=0)

    def test_broken_nested_repository_is_named(self, inner: Exp) -> None:
        (inner.repo.path / "vendor/.git/index").write_text("nonsense")
        inner("run", *RUN)
        assert code_of(inner)["unhashed"] == ["vendor/"]
