"""Files that a program read and git does not track: a change makes the same trial a new one."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from gitexp.adapters.system.probe import hash_file
from gitexp.core.model.run import FileState
from gitexp.features.trials.changed_reads import GONE, ReadFiles
from gitexp.features.trials.reads import MAX_FILES, opened_files
from tests.cli.conftest import Exp
from tests.conftest import RepoBuilder
from tests.core.sample_runs import make_run

READ = """\
import sys
for name in sys.argv[1:]:
    with open(name) as file:
        file.read()
print("METRIC loss=1")
"""
TRAIN = """\
for name in ("kept.csv", "data/train.csv"):
    with open(name) as file:
        file.read()
print("METRIC loss=1")
"""


@pytest.fixture
def reading(exp: Exp) -> Exp:
    exp.repo.commit(
        {
            "read.py": READ,
            "train.py": TRAIN,
            "kept.csv": "1",
            ".gitignore": "data/\nmade.txt\n.env\n",
            "conf.py": "",
        }
    )
    exp.repo.write("data/train.csv", "1\n")
    for name in ("data/train.csv", "data"):
        os.utime(exp.repo.path / name, (1e9, 1e9))
    return exp


def reads(exp: Exp) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("show", "last", "--json").out)
    found: dict[str, Any] = document["runs"][0].get("reads", {})
    return found


def test_changed_ignored_data_makes_a_rejected_trial_new(reading: Exp) -> None:
    argv = ("run", "--", "python", "train.py")
    reading(*argv)
    assert reads(reading) == {
        "data/train.csv": {
            "sha256": "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
            "bytes": 2,
        }
    }
    reading("decide", "last", "discard", "-m", "no")
    assert "this very trial was tried before" in reading(*argv, check=128).err
    reading.repo.write("data/train.csv", "2\n")
    asked = reading("tried", "--", *argv[2:])
    told = "data/train.csv, which it read and git does not track, has changed since"
    assert asked.code == 0
    assert told in asked.out
    document = json.loads(reading("tried", "--json", "--", *argv[2:]).out)
    assert document["changed"][0]["path"] == "data/train.csv"
    done = reading(*argv)
    assert "not a repeat of <1> " in done.err
    assert told in done.err


def test_runs_on_other_data_are_no_repeats_of_each_other(reading: Exp) -> None:
    """Other data is another group, also with other seeds; the same data again is the same group."""
    argv = ("run", "-q", "-S", "seed={}", "--again", "--", "python", "train.py")

    def run(content: str, seed: int) -> tuple[str, dict[str, Any]]:
        os.utime(reading.repo.write("data/train.csv", content), (1e9, 1e9))
        reading(*(word.format(seed) for word in argv))
        (entry,) = json.loads(reading("show", "last", "--json").out)["runs"]
        return entry["group"], entry.get("changed_reads", {})

    first, changed = run("1\n", 1)
    assert changed == {}
    second, changed = run("22\n", 2)
    assert [*changed] == ["data/train.csv"]
    assert second != first
    assert run("1\n", 2) == (first, {})
    assert run("22\n", 1) == (second, changed)
    third, _ = run("333\n", 1)
    assert third not in (first, second)


def test_deleted_file_counts_as_changed(reading: Exp) -> None:
    argv = (
        "--",
        "python",
        "-c",
        "import os; os.path.exists('data/train.csv') and open('data/train.csv')",
    )
    reading("run", *argv)
    assert [*reads(reading)] == ["data/train.csv"]
    assert reading("tried", *argv, check=1).code == 1
    (reading.repo.path / "data/train.csv").unlink()
    assert reading("tried", *argv).code == 0


def test_written_files_and_secrets_are_not_listed_as_read(reading: Exp) -> None:
    reading.repo.write(".env", "KEY=1")
    script = "open('made.txt', 'w').write('1'); open('made.txt').read(); open('.env').read()"
    reading("run", "--", "python", "-c", script)
    assert reads(reading) == {}


def test_reads_outside_the_work_tree_are_listed(reading: Exp, sealed: Path, tmp_path: Path) -> None:
    for path in (sealed / "set.csv", sealed / ".config" / "x.ini", tmp_path / "far.csv"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    names = [str(tmp_path / "far.csv"), str(sealed / "set.csv"), str(sealed / ".config/x.ini")]
    reading.repo.commit({"far.py": f"for name in {names!r}:\n    open(name).close()\n"})
    argv = ("--", "python", "far.py")
    reading("run", *argv)
    assert {*reads(reading)} == {str(tmp_path / "far.csv"), "~/set.csv"}
    (sealed / "set.csv").write_text("2")
    assert "~/set.csv" in reading("tried", *argv).out
    reading.repo.git("config", "exp.environment", "none")
    reading("run", *argv)
    assert reads(reading) == {}


def test_named_file_is_an_input_and_not_listed_as_read(
    reading: Exp, sealed: Path, tmp_path: Path
) -> None:
    outside = [str(sealed / "set.csv"), str(tmp_path / "far.csv")]
    for path in outside:
        Path(path).write_text("1")
        os.utime(path, (1e9, 1e9))
    reading("run", "--", "python", "read.py", "kept.csv", "data/train.csv", *outside)
    (run,) = json.loads(reading("show", "last", "--json").out)["runs"]
    assert {*run["inputs"]} == {"data/train.csv", *outside}
    assert "reads" not in run


def test_ignored_module_is_listed_and_packages_are_not(reading: Exp) -> None:
    reading.repo.write("data/extra.py", "X = 1\n")
    os.utime(reading.repo.path / "data/extra.py", (1e9, 1e9))
    argv = ("--", "python", "-c", "import sys; sys.path.append('data'); import extra, click")
    for _ in range(2):  # from the source, then from what Python compiled
        reading("run", "--again", *argv)
        assert [*reads(reading)] == ["data/extra.py"]


@pytest.mark.parametrize("place", ["/dev/shm", "/run", "/usr/src"])
def test_reads_are_listed_in_a_work_tree_below_a_system_directory(
    place: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        folder = tempfile.mkdtemp(dir=place)
    except OSError:
        pytest.skip(f"{place} cannot be written")
    try:
        repo = RepoBuilder(Path(folder))
        repo.git("init", "--quiet")
        repo.commit({"train.py": TRAIN, "kept.csv": "1", ".gitignore": "data/\n"})
        os.utime(repo.write("data/train.csv", "1\n"), (1e9, 1e9))
        monkeypatch.chdir(repo.path)
        exp = Exp(repo, capfd)
        exp("run", "--", "python", "train.py")
        assert [*reads(exp)] == ["data/train.csv"]
    finally:
        shutil.rmtree(folder)


def test_reads_of_forked_workers_are_listed_up_to_a_limit(reading: Exp) -> None:
    for number in range(MAX_FILES + 20):
        reading.repo.write(f"data/{number:04}.csv", "1")
    script = (
        "import glob, multiprocessing\n"
        "def read(name): open(name).close()\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        pool.map(read, sorted(glob.glob('data/*.csv')))\n"
    )
    reading.repo.commit({"all.py": script})
    reading("run", "--", "python", "all.py")
    assert len(reads(reading)) == MAX_FILES


def test_read_hook_keeps_no_file_open_and_never_raises(reading: Exp) -> None:
    script = (
        "import os, sys\n"
        "print(os.open('data/train.csv', os.O_RDONLY))\n"
        "os.closerange(3, 100)\n"
        "print(open('kept.csv').read())\n"
        "os.chdir('data'); os.rmdir(os.path.abspath('gone')) if os.path.exists('gone') else None\n"
        "for odd in (b'train.csv', 0, 'no such file', 'a\\x00b'):\n"
        "    try:\n"
        "        open(odd, closefd=odd != 0).close()\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__)\n"
    )
    reading.repo.commit({"odd.py": script})
    done = reading("run", "-q", "--", "python", "odd.py")
    assert done.out == "3\n1\nFileNotFoundError\nValueError"
    assert [*reads(reading)] == ["data/train.csv"]


def test_no_inject_lists_no_reads(reading: Exp) -> None:
    reading("run", "--no-inject", "--", "python", "read.py", "data/train.csv")
    assert reads(reading) == {}


STATE = FileState(sha256="a", bytes=1)


def test_the_first_changed_file(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    same = {name: hash_file(tmp_path / name) for name in "ab"}
    files = ReadFiles(tmp_path)
    assert files.first_change(make_run(1)) is None
    assert files.first_change(make_run(2, reads=same)) is None
    assert files.first_change(make_run(3, reads=same | {"a": STATE, "b": STATE})) == "a"
    assert files.state("gone", STATE) == GONE
    (tmp_path / "loop").symlink_to("loop")
    assert files.state("loop", STATE) == STATE


def test_damaged_list_is_read_up_to_the_damage(tmp_path: Path) -> None:
    report = tmp_path / "r.report"
    (tmp_path / "r.report.reads").write_bytes(b"'/a'\n'/a'\n\xff\nimport os\n3\n'b'\n...\n'/c/../d")
    assert opened_files(report) == ["/a"]
