"""The manual: generated from the commands, without roff warnings, found by git when installed."""

import os
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

from gitexp.cli.app import COMMANDS, run
from gitexp.cli.manual import roff
from gitexp.cli.manual.pages import pages, write
from tests.conftest import RepoBuilder

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "man"

needs_man = pytest.mark.skipif(
    shutil.which("man") is None or shutil.which("groff") is None,
    reason="man or groff is not installed",
)


def test_shipped_manual_pages_are_up_to_date() -> None:
    made = {f"{name}.1": text for name, text in pages().items()}
    there = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()}
    assert there == made, "run `python tests/docs/generated.py`"


@needs_man
def test_man_reports_no_warning_for_the_pages() -> None:
    faults = []
    for path in sorted(COMMITTED.glob("git-exp*.1")):
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(path)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "MANWIDTH": "80"},
        )
        if done.stderr or done.returncode:
            faults.append(f"{path.name}: {done.stderr}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a -- b", "a \\-\\- b"),
        (
            "`git exp -h`, **bold** and *thin*",
            "\\fBgit exp \\-h\\fR, \\fBbold\\fR and \\fIthin\\fR",
        ),
        (".start", "\\&.start"),
        ("'quoted' \\ ~^", "\\&\\(aqquoted\\(aq \\e \\(ti\\(ha"),
    ],
)
def test_markdown_is_converted_to_roff(text: str, made: str) -> None:
    assert roff.line(text) == made


def test_every_command_is_on_the_first_page() -> None:
    first = pages()["git-exp"]
    for name in COMMANDS:
        assert f"git\\-exp\\-{name.replace('-', chr(92) + '-')}" in first


@needs_man
@pytest.mark.parametrize(
    ("words", "title"),
    [(["help", "exp"], "GIT-EXP(1)"), (["help", "exp-run"], "GIT-EXP-RUN(1)")],
)
def test_git_help_finds_installed_pages(
    words: list[str], title: str, sealed: Path, capfd: "pytest.CaptureFixture[str]"
) -> None:
    assert run(["man", "--install"]) == 0
    out, err = capfd.readouterr()
    folder = sealed / ".local" / "share" / "man"
    assert str(folder / "man1") in out
    assert err.startswith("next: ")
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"  # git knows `exp`
    page = {"MANPATH": f"{folder}:", "MANPAGER": "cat", "MANWIDTH": "80"}
    env = {**os.environ, "PATH": path, **page}
    shown = subprocess.run(["git", *words], capture_output=True, text=True, env=env, check=False)
    assert title in shown.stdout, shown.stderr


def test_man_prints_the_source_without_a_terminal(capfd: "pytest.CaptureFixture[str]") -> None:
    for words, title in ((["man"], "GIT\\-EXP"), (["man", "exp-run"], "GIT\\-EXP\\-RUN")):
        assert run(words) == 0
        assert f"\n.TH {title} 1" in capfd.readouterr().out


def test_missing_page_is_an_error(capfd: "pytest.CaptureFixture[str]") -> None:
    assert run(["man", "lisst"]) == 128
    assert capfd.readouterr().err == (
        "error: there is no page 'lisst'\n"
        "hint: did you mean `list`?\n"
        "hint: `git exp man` shows the overview\n"
    )


def test_installing_into_a_read_only_directory_is_an_error(
    capfd: "pytest.CaptureFixture[str]",
) -> None:
    Path("taken").touch()
    assert run(["man", "--directory", "taken/man1"]) == 128
    assert "hint: `--directory DIR`" in capfd.readouterr().err


def test_wheel_contains_the_files_that_pyproject_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    for source in shared:
        assert (ROOT / source).exists(), source
    assert set(shared.values()) == {
        "share/man/man1",
        "share/bash-completion/completions/git-exp",
        "share/zsh/site-functions/_git-exp",
        "share/fish/vendor_completions.d/git-exp.fish",
    }


def test_written_pages_are_named_for_git(tmp_path: Path, repo: RepoBuilder) -> None:
    names = [path.name for path in write(tmp_path / "man1")]
    assert {"git-exp.1", "git-exp-run.1", "gitexp-run.1"} <= set(names)
