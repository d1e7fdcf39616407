"""Output kept in the clone: shown, searched again, deleted."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Done, Exp

PRINT = "for n in range(100): print(f'line {n}: rmse is: {100 - n}.5.')"


def document_of(exp: Exp, run: str = "last") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exp("show", run, "--json").out)["runs"][0]
    return document


def kept(exp: Exp) -> list[Path]:
    return sorted((exp.repo.path / ".git" / "gitexp" / "output").glob("*"))


@pytest.fixture
def printed(exp: Exp) -> Exp:
    exp("run", "-q", "-n", "printed", "--", "python", "-c", PRINT)
    return exp


def test_show_output_prints_all_of_it(printed: Exp) -> None:
    assert len(document_of(printed)["output_tail"].splitlines()) == 40
    expected = [f"line {n}: rmse is: {100 - n}.5." for n in range(100)]
    assert printed("show", "--output").out.splitlines() == expected


def test_secrets_are_redacted(exp: Exp) -> None:
    secret = "ghp_" + "a1B2" * 9
    exp("run", "-q", "--", "echo", f"token {secret}")
    (path,) = kept(exp)
    assert secret not in path.read_text()
    assert "[redacted]" in exp("show", "--output").out


def test_escape_codes_of_the_command_do_not_reach_the_terminal(exp: Exp) -> None:
    exp("run", "-q", "--", "printf", r"a\033[31mred\033[0m\007\033]0;title\007\rb\n")
    shown = exp("show", "--output").out
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_other_clones_show_the_last_lines_and_say_so(printed: Exp) -> None:
    for path in kept(printed):
        path.unlink()
    done = printed("show", "--output")
    assert len(done.out.splitlines()) == 40
    assert "the whole output is not kept in this clone" in done.err


def test_a_run_without_output_says_so(exp: Exp) -> None:
    exp("run", "-q", "--", "true")
    done = exp("show", "--output")
    assert done.out == ""
    assert "no output of run" in done.err


def test_keep_output_none_keeps_the_tail_out_of_the_record(exp: Exp) -> None:
    exp.repo.git("config", "exp.keepOutput", "none")
    exp("run", "-q", "--", "echo", "hello")
    assert "output_tail" not in document_of(exp)
    assert exp("show", "--output").out == "hello"


def test_note_pattern_adds_the_last_value_with_author_and_pattern(printed: Exp) -> None:
    done = printed("note", "printed", "--metric-pattern", r"rmse=rmse is: ([\d.]+)")
    assert "rmse 1.5 (the last of 100 values)" in done.err
    assert "only last values are added, no series" in done.err
    document = document_of(printed)
    assert document["metrics"] == {"rmse": 1.5}
    assert "recorded_metrics" not in document
    (annotation,) = document["annotations"]
    assert annotation["text"] == r"read from its output with 'rmse=rmse is: ([\d.]+)'"
    assert "added later" in printed("show").out


def test_note_pattern_without_a_match_is_an_error(printed: Exp) -> None:
    done = printed("note", "printed", "--metric-pattern", r"mae=mae is: ([\d.]+)", check=None)
    assert done.code == 125
    assert "the patterns find no number in its output" in done.err
    assert "annotations" not in document_of(printed)


def test_note_with_an_invalid_pattern_is_an_error(printed: Exp) -> None:
    done = printed("note", "printed", "--metric-pattern", "mae=([", check=None)
    assert "cannot use the metric pattern" in done.err
    assert "annotations" not in document_of(printed)


def test_a_removed_run_leaves_no_output(printed: Exp) -> None:
    assert kept(printed)
    printed("remove", "printed", "--yes")
    assert kept(printed) == []


def test_gc_removes_old_output(printed: Exp) -> None:
    def gc() -> Done:
        return printed("gc")

    assert "output" not in gc().out
    (path,) = kept(printed)
    os.utime(path, (1, 1))
    assert f"removed '{path}'" in gc().out.replace("<run 1>", path.stem)
    assert kept(printed) == []


# --- keep-output full -----------------------------------------------------------------------------


@pytest.fixture
def full(exp: Exp) -> Exp:
    exp.repo.git("config", "exp.keepOutput", "full")
    exp("run", "-q", "-n", "printed", "--", "python", "-c", PRINT)
    return exp


def output_files(exp: Exp) -> list[str]:
    return exp.repo.git("ls-tree", "-r", "--name-only", "gitexp", "--", "output").splitlines()


def test_full_output_is_stored_beside_the_record(full: Exp) -> None:
    (path,) = output_files(full)
    assert path.endswith(f"/{full.ids()[0][:2]}/{full.ids()[0]}.txt")
    (local,) = kept(full)
    local.unlink()
    assert len(full("show", "--output").out.splitlines()) == 100
    full("note", "last", "--metric-pattern", r"rmse=rmse is: ([\d.]+)")
    assert document_of(full)["metrics"] == {"rmse": 1.5}


def test_full_output_passes_doctor_and_is_removed_with_its_run(full: Exp) -> None:
    full("run", "-q", "-n", "silent", "--", "true")
    before = full("list", "--json").out
    full("gc", "--rebuild-index")
    assert full("list", "--json").out == before
    assert "all is well" in full("doctor").out.lower() or full("doctor").code == 0
    full("remove", "printed", "--yes")
    assert output_files(full) == []


def test_full_output_is_pushed_with_the_run(full: Exp, tmp_path: Path) -> None:
    origin = tmp_path / "origin.git"
    full.repo.git("init", "--quiet", "--bare", str(origin))
    full.repo.git("remote", "add", "origin", str(origin))
    full.repo.git("push", "--quiet", "origin", "HEAD")
    full("push", "origin")
    full.repo.git("branch", "-D", "gitexp")
    (local,) = kept(full)
    local.unlink()
    full("fetch", "origin")
    assert len(output_files(full)) == 1
    assert len(full("show", "printed", "--output").out.splitlines()) == 100


def test_only_full_publishes_output(printed: Exp) -> None:
    assert output_files(printed) == []
