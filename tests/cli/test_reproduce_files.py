"""`reproduce` of runs with files that their recorded code lacks."""

import json
import shutil
from pathlib import Path

import pytest

from gitexp.features.execution import place_inputs
from tests.cli.conftest import Exp

SCORE = """\
import pathlib, sys
print("METRIC score=%d" % sum(len(pathlib.Path(p).read_bytes()) for p in sys.argv[1:]))
"""


@pytest.fixture
def score(exp: Exp) -> Exp:
    """A command that reads the files in its arguments."""
    reads = SCORE.replace("sys.argv[1:]", "['data/train.csv']")
    exp.repo.commit({"score.py": SCORE, "reads.py": reads, ".gitignore": "/data/\n"}, "score")
    return exp


def test_an_ignored_file_is_named_before_and_after(score: Exp) -> None:
    score.repo.write("data/train.csv", "12345")
    score.repo.write("__pycache__/x.pyc", "1")
    score("run", "--", "python", "reads.py")
    done = score("reproduce", "last", check=125)
    lines = done.err.splitlines()
    before = lines.index("not in the recorded code: data/ (ignored by git)")
    assert lines[before + 1] == "if the command needs it: `--link data`"
    assert before < next(n for n, line in enumerate(lines) if "FileNotFoundError" in line)
    assert "the recorded code lacks: data/ (ignored by git)" in lines[before + 2 :]
    assert "__pycache__" not in "\n".join(lines[: before + 2])


def test_linked_directory_exists_in_the_reproduction(score: Exp) -> None:
    score.repo.write("data/train.csv", "12345")
    score("run", "--", "python", "reads.py")
    done = score("reproduce", "last", "--link", "data")
    assert "reproduced" in done.out
    assert "taken from your work tree: data" in done.err
    assert "not in the recorded code" not in done.err
    assert (score.repo.path / "data/train.csv").read_text() == "12345"
    (again,) = json.loads(score("show", "last", "--json").out)["runs"]
    assert again["warnings"] == ["linked from the work tree, its recorded content not known: data"]


def test_link_adds_files_to_a_directory_of_the_recorded_code(score: Exp) -> None:
    score.repo.commit({"mixed/tracked.txt": "123"}, "mixed")
    score.repo.write(".git/info/exclude", "*.bin\n")
    score.repo.write("mixed/extra.bin", "45")
    score("run", "--", "python", "score.py", "mixed/tracked.txt", "mixed/extra.bin")
    score.repo.write("mixed/tracked.txt", "changed since")
    assert "reproduced" in score("reproduce", "last", "--link", "mixed").out


@pytest.mark.parametrize("path", ["missing", "..", "/etc"])
def test_invalid_link_is_an_error(score: Exp, path: str) -> None:
    score("run", "--", "python", "score.py")
    done = score("reproduce", "last", "--link", path, check=None)
    assert done.code not in (0, 1)
    assert f"cannot link '{path}'" in done.err


def test_left_out_model_with_equal_content_is_used(score: Exp) -> None:
    score.repo.write("model.pt", "1234")
    score("run", "--", "python", "score.py", "model.pt")
    done = score("reproduce", "last")
    assert "reproduced" in done.out
    assert "taken from your work tree: model.pt" in done.err
    score.repo.write("model.pt", "12345")
    done = score("reproduce", "last~1", check=125)
    assert "not in the recorded code: model.pt (a model or data file)" in done.err


def test_change_of_a_linked_large_file_is_reported(
    score: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place_inputs, "_SMALL_BYTES", 3)
    score.repo.write("model.pt", "1234")
    script = "import os, sys; print('METRIC link=%d' % os.path.islink('model.pt'))"
    score("run", "--", "python", "-c", script)
    assert "1" in score("reproduce", "last", check=1).out
    script = "import os\nif os.path.islink('model.pt'): open('model.pt', 'w').write('xx')"
    score("run", "--", "python", "-c", script)
    assert "the command changed '" in score("reproduce", "last").err


def test_a_file_that_the_run_writes_is_copied(score: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_inputs, "_SMALL_BYTES", 3)
    score.repo.write("state.npy", "1234")
    script = "p = 'state.npy'; n = len(open(p).read()); open(p, 'a').write('5'); print(n)"
    score("run", "--", "python", "-c", script)
    score.repo.write("state.npy", "1234")
    score("reproduce", "last")
    assert (score.repo.path / "state.npy").read_text() == "1234"


def test_a_symlinked_input_works(score: Exp, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/train.csv").write_text("12345")
    (score.repo.path / "data").symlink_to(tmp_path / "store")
    (score.repo.path / "one.csv").symlink_to(tmp_path / "store/train.csv")
    (score.repo.path / "near.csv").symlink_to("../store/train.csv")
    score.repo.git("add", "near.csv")
    names = ("data/train.csv", "one.csv", "near.csv")
    options = [word for name in names for word in ("--input", name)]
    score("run", *options, "--", "python", "score.py", *names)
    assert "reproduced" in score("reproduce", "last").out


def test_a_symlinked_input_directory_works(score: Exp, tmp_path: Path) -> None:
    (tmp_path / "store/deep").mkdir(parents=True)
    (tmp_path / "store/deep/train.csv").write_text("12345")
    (score.repo.path / "data").symlink_to(tmp_path / "store")
    score("run", "--input", "data", "--", "python", "score.py", "data/deep/train.csv")
    assert "reproduced" in score("reproduce", "last").out


def test_changed_input_is_not_called_missing(score: Exp) -> None:
    score.repo.write("data/train.csv", "12345")
    score("run", "--input", "data/train.csv", "--", "python", "score.py", "data/train.csv")
    score.repo.write("data/train.csv", "123456")
    done = score("reproduce", "last", check=125)
    assert "input 'data/train.csv' has other content" in done.err
    shutil.rmtree(score.repo.path / "data")
    done = score("reproduce", "last", check=125)
    assert "input 'data/train.csv' is not here" in done.err


def test_nested_repository_with_equal_content_is_used(score: Exp) -> None:
    score.repo.write("vendor/lib.txt", "123")
    score.repo.git("init", "--quiet", "vendor")
    score.repo.git("-C", "vendor", "add", ".")
    score.repo.git("-C", "vendor", "commit", "--quiet", "-m", "inner")
    score("run", "--", "python", "score.py", "vendor/lib.txt")
    assert "reproduced" in score("reproduce", "last").out


def test_json_names_what_is_missing_and_linked(score: Exp) -> None:
    score.repo.write("data/train.csv", "12345")
    score.repo.write("model.pt", "1")
    score("run", "--", "python", "score.py", "model.pt")
    found = json.loads(score("reproduce", "last", "--json").out)
    assert (found["missing"], found["linked"]) == (["data/"], ["model.pt"])


def test_a_dry_run_names_what_is_missing(score: Exp) -> None:
    score.repo.write("data/train.csv", "12345")
    score("run", "--", "python", "score.py")
    done = score("reproduce", "last", "--dry-run")
    assert "not in the recorded code: data/ (ignored by git)" in done.err


def test_files_that_only_might_have_metrics_are_no_warning(exp: Exp) -> None:
    exp.repo.commit({"metrics.json": '{"loss": 9}'})
    exp("run", "--", "echo", "METRIC loss=1")
    assert "warning" not in exp("reproduce", "last").err
