"""Completion: the suggestions, and the real shells that ask for them."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitexp.cli.completion.suggest import COMMAND, FILES, Word, suggest
from gitexp.cli.completion_command import SCRIPTS
from tests.conftest import MakeRepo, RepoBuilder

SOURCES = Path(__file__).parents[2] / "gitexp" / "cli" / "completion"
BINARIES = Path(sys.executable).parent
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
GITS_OWN = Path("/usr/share/bash-completion/completions/git")


_made: list[Path] = []


@pytest.fixture
def runs(
    make_repo: MakeRepo, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> RepoBuilder:
    """Two runs, `brave-otter` and `calm-heron`, in the repository of the current directory."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(BINARIES), os.environ["PATH"]]))
    repo = make_repo()
    if not _made:
        for name, rate in (("brave-otter", "0.1"), ("calm-heron", "0.2")):
            record = ("record", "-q", "-n", name, "-t", "sweep", "-S", f"opt.lr={rate}")
            metrics = ("-M", f"accuracy={rate}", "-M", f"val.loss={rate}")
            subprocess.run(["git", "exp", *record, *metrics], check=True, cwd=repo.path)
        subprocess.run(["git", "exp", "list"], check=True, capture_output=True, cwd=repo.path)
        repo.git("remote", "add", "origin", "../elsewhere.git")
        _made.append(tmp_path_factory.mktemp("completion") / "repo")
        shutil.copytree(repo.path, _made[0], symlinks=True)
    else:
        shutil.rmtree(repo.path)
        shutil.copytree(_made[0], repo.path, symlinks=True)
    monkeypatch.chdir(repo.path)
    return repo


def texts(*typed: str) -> list[str]:
    return [word.text for word in suggest(typed)]


def run_id(repo: RepoBuilder, name: str) -> str:
    done = subprocess.run(
        ["git", "exp", "list", "--name-only", "-w", f"name == '{name}'"],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


# --- the answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["li"], ["list"]),
        (["--no-pager", "sho"], ["show"]),
        (["show", ""], ["last", "best", "calm-heron", "brave-otter"]),
        (["show", "la"], ["last", "last:any"]),
        (["show", "last:"], ["last:any"]),
        (["show", "br"], ["brave-otter"]),
        (["show", "best:"], ["best:accuracy", "best:val.loss"]),
        (["log", "last", "ca"], ["calm-heron"]),
        (["compare", "last", "be"], ["best", "best:"]),
        (["run", "--parent", "br"], ["brave-otter"]),
        (["best", "a"], ["accuracy"]),
        (["best", "accuracy", ""], []),
        (["run", "--maximize", ""], ["accuracy", "val.loss"]),
        (["list", "--sort-b"], ["--sort-by"]),
        (["list", "--sort-by", "opt"], ["opt.lr"]),
        (["list", "--sort-by=acc"], ["--sort-by=accuracy"]),
        (["list", "--sort-order", ""], ["asc", "desc"]),
        (["list", "--sort-order=d"], ["--sort-order=desc"]),
        (["run", "-S", ""], ["opt.lr="]),
        (["record", "-M", "v"], ["val.loss="]),
        (["decide", "last", "im"], ["improve"]),
        (["tag", "last", ""], ["sweep"]),
        (["tag", "last", "other", "sw"], ["sweep"]),
        (["push", ""], ["origin"]),
        (["config", "dura"], ["durability"]),
        (["hooks", "u"], ["uninstall"]),
        (["man", "repr"], ["reproduce"]),
        (["completion", "f"], ["fish"]),
        (["run", "--params", "x"], [FILES]),
        (["run", "--params=x"], [FILES]),
        (["run", "--again", ""], ["--"]),
        (["there-is-no-such", ""], []),
        (["show", "nothing-like-it"], []),
    ],
    ids=lambda value: " ".join(value) or "nothing",
)
def test_completion_suggests_the_next_word(
    runs: RepoBuilder, typed: list[str], offered: list[str]
) -> None:
    assert [text for text in texts(*typed) if "." not in text or text in offered] == offered


def test_an_id_is_completed_to_its_shown_length(runs: RepoBuilder) -> None:
    whole = run_id(runs, "brave-otter")
    assert whole[:7] in texts("show", whole[:3])
    assert whole in texts("show", whole[:9])


def test_options_are_offered_with_their_meaning(runs: RepoBuilder) -> None:
    offered = suggest(["push", "-"])
    assert Word("--quiet", "Say nothing but problems") in offered
    assert "--wait-for-code" not in [word.text for word in offered], "it is hidden"


def test_words_after_two_dashes_are_completed_as_a_user_command(runs: RepoBuilder) -> None:
    assert suggest(["run", "-n", "x", "--", "python", "tr"]) == [Word(COMMAND, "4")]


def test_completion_outside_a_repository_suggests_nothing(tmp_path: Path) -> None:
    assert texts("show", "") == []
    assert texts("best", "") == []
    assert texts("li") == ["list"]


def test_a_missing_index_is_not_built(runs: RepoBuilder) -> None:
    index = runs.path / ".git" / "gitexp" / "index.sqlite"
    index.unlink()
    assert texts("show", "") == []
    assert not index.exists()


def test_completion_offers_no_control_characters(
    make_repo: MakeRepo, capfd: "pytest.CaptureFixture[str]"
) -> None:
    from gitexp.cli.app import run

    repo = make_repo("odd")
    os.chdir(repo.path)
    assert run(["record", "-q", "-n", "od\u202ed", "-M", "accuracy=1"]) == 0
    assert run(["list", "--name-only"]) == 0
    capfd.readouterr()
    assert run(["complete", "bash", "--", "show", "od"]) == 0
    assert capfd.readouterr().out == ""


# --- bash -----------------------------------------------------------------------------------------

ASK = """\
shopt -s extglob
[ -f "$BASH_COMPLETION" ] && . "$BASH_COMPLETION" && . "$GITS_OWN"
. "$SCRIPT"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
if [ "$1" = git ]; then __git_wrap__git_main; else _git_exp_alone git-exp; fi
printf '%s|' "${COMPREPLY[@]}"
"""

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
needs_gits = pytest.mark.skipif(
    not (BASH_COMPLETION.exists() and GITS_OWN.exists()),
    reason="bash-completion or git's own completion is not installed",
)


def ask_bash(typed: str, *, plain: bool = False) -> list[str]:
    """Return what bash suggests for the last word; readline also ends words at `=` and `:`."""
    words = [*re.findall(r"[=:]|[^\s=:]+", typed), *([""] if typed[-1] in " :=" else [])]
    settings = {"SCRIPT": SOURCES / SCRIPTS["bash"], "GITS_OWN": GITS_OWN}
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", typed, *words],
        env={
            **os.environ,
            **{name: str(path) for name, path in settings.items()},
            "BASH_COMPLETION": "/nowhere" if plain else str(BASH_COMPLETION),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split("|")[:-1]


@needs_bash
@needs_gits
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("git exp li", ["list "]),
        ("git exp show br", ["brave-otter "]),
        ("git -C . exp show best:a", ["accuracy "]),
        ("git exp list --sort-by=acc", ["accuracy "]),
        ("git exp run -S ", ["opt.lr="]),
        ("git exp run -- cat tr", ["train.py"]),
        ("git exp run --params tr", ["train.py"]),
        ("git-exp show best:a", ["accuracy "]),
        ("git-exp run -- cat tr", ["train.py"]),
    ],
)
def test_bash_completes(runs: RepoBuilder, typed: str, offered: list[str]) -> None:
    assert ask_bash(typed) == offered


@needs_bash
def test_bash_completes_without_the_package(runs: RepoBuilder) -> None:
    assert ask_bash("git-exp show br", plain=True) == ["brave-otter "]
    assert ask_bash("git-exp run -- cat tr", plain=True) == ["train.py"]


# --- zsh and fish ---------------------------------------------------------------------------------


def in_terminal(argv: list[str], keys: str, until: str, env: dict[str, str]) -> str:
    """Return what a shell shows on a terminal after these keys, within 20 seconds."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(env)
        os.execvp(argv[0], argv)
    shown = ""

    def read_until(text: str) -> None:
        nonlocal shown
        end = time.monotonic() + 20
        while text not in shown and time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 65536).decode(errors="replace")

    try:
        read_until("ready> ")
        shown = ""
        os.write(terminal, keys.encode())
        read_until(until)
    finally:
        os.kill(child, 9)
        os.close(terminal)
        os.waitpid(child, 0)
    return shown


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("git exp li\t", "git exp list"),
        ("git exp show br\t", "brave-otter"),
        ("git exp list --sort-by=acc\t", "--sort-by=accuracy"),
        ("git-exp show best:a\t", "best:accuracy"),
        ("git exp run -S op\t", "opt.lr="),
        ("git exp run -- cat tr\t", "cat train.py"),
        ("git exp exp\t", "export"),
    ],
)
def test_zsh_completes(runs: RepoBuilder, sealed: Path, typed: str, shown: str) -> None:
    (sealed / ".zshrc").write_text(
        f"PS1='ready> '\nfpath=({SOURCES} $fpath)\nautoload -Uz compinit; compinit -u -D\n"
    )
    env = {"ZDOTDIR": str(sealed), "TERM": "vt100", "COLUMNS": "120"}
    assert shown in in_terminal(["zsh", "-i"], typed, shown, env)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("git-exp li", ["list\tshow the runs as a table"]),
        ("git exp li", ["list\tshow the runs as a table"]),
        ("git -C . exp run -S o", ["opt.lr="]),
        ("git-exp list --sort-by=acc", ["--sort-by=accuracy"]),
        ("git-exp run -- cat tr", ["train.py"]),
        ("git exp run --params tr", ["train.py"]),
        ("git-exp decide last im", ["improve"]),
    ],
)
def test_fish_completes(runs: RepoBuilder, typed: str, offered: list[str]) -> None:
    done = subprocess.run(
        ["fish", "-c", f"source {SOURCES / SCRIPTS['fish']}; complete -C '{typed}'"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.rstrip("\t") for line in done.stdout.splitlines()] == offered


# --- installing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/git-exp"),
        ("zsh", ".local/share/zsh/site-functions/_git-exp"),
        ("fish", ".config/fish/completions/git-exp.fish"),
    ],
)
def test_install_writes_where_the_shell_looks(
    shell: str, place: str, sealed: Path, capfd: "pytest.CaptureFixture[str]"
) -> None:
    from gitexp.cli.app import run

    assert run(["completion", shell, "--install"]) == 0
    out, err = capfd.readouterr()
    assert out == f"{sealed / place}\n"
    assert err.startswith("next: ")
    assert (sealed / place).read_text() == (SOURCES / SCRIPTS[shell]).read_text()


def test_shell_is_detected_or_must_be_named(
    monkeypatch: pytest.MonkeyPatch, capfd: "pytest.CaptureFixture[str]"
) -> None:
    from gitexp.cli.app import run

    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert run(["completion"]) == 0
    assert capfd.readouterr().out.startswith("#compdef git-exp")
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert run(["completion"]) == 128
    assert "hint: name it" in capfd.readouterr().err
