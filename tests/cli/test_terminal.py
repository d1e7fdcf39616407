"""Widths, colour and pager, on a real terminal of known size."""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MakeRepo, RepoBuilder

BINARIES = Path(sys.executable).parent
NOW = "1790000000"
RUNS = (
    ("brave-otter", "0.1", "0.93", "0.2"),
    ("calm-heron-with-a-long-name", "0.2", "0.97", "0.1"),
    ("deft-sable", "0.4", "0.81", "0.65"),
)

Terminal = Callable[..., str]

_made: list[Path] = []


@pytest.fixture
def runs(
    make_repo: MakeRepo, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> RepoBuilder:
    """Three runs with eight metrics and four parameters, all recorded at the same second."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(BINARIES), os.environ["PATH"]]))
    monkeypatch.setenv("GITEXP_NOW", NOW)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("PAGER")
    repo = make_repo()
    if _made:
        shutil.rmtree(repo.path)
        shutil.copytree(_made[0], repo.path, symlinks=True)
    else:
        for name, rate, accuracy, loss in RUNS:
            same = ("-S", "epochs=100", "-S", "optimizer=sgd", "-S", "batch_size=32")
            layers = [f"-Mlayer_{n}_norm={n}.{n}{rate[-1]}" for n in range(6)]
            values = ("-S", f"lr={rate}", "-M", f"accuracy={accuracy}", "-M", f"loss={loss}")
            words = ("record", "-q", "-n", name, *same, *values, *layers)
            subprocess.run(["git", "exp", *words], check=True, cwd=repo.path, capture_output=True)
        _made.append(tmp_path_factory.mktemp("terminal") / "repo")
        shutil.copytree(repo.path, _made[0], symlinks=True)
    monkeypatch.chdir(repo.path)
    return repo


@pytest.fixture
def terminal(runs: RepoBuilder, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Types a command on a terminal of a size. Returns its screen at the end."""

    def show(*argv: str, columns: int = 80, **env: str) -> str:
        child, screen = pty.fork()
        if child == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            # Not the C library's own environment, in which readline sets COLUMNS.
            os.execvpe(argv[0], argv, {**os.environ, **env})
        shown = b""
        try:
            while select.select([screen], [], [], 60)[0]:
                piece = os.read(screen, 65536)
                shown += piece
        except OSError:
            pass  # the last process has closed the terminal
        os.close(screen)
        os.waitpid(child, 0)
        text = shown.decode(errors="replace").replace("\r\n", "\n")
        return re.sub(r"\b[0-9a-f]{7}\b", "1234567", text)

    return show


# --- widths ---------------------------------------------------------------------------------------

AT_80 = """\
id       name                    accuracy  layer_0_norm  layer_1_norm  loss   lr
1234567  deft-sable                  0.81          0.04          1.14  0.65  0.4
1234567  calm-heron-with-a-lon…      0.97          0.02          1.12   0.1  0.2
1234567  brave-otter                 0.93          0.01          1.11   0.2  0.1
same in all: age, outcome, batch_size, epochs, optimizer
no room for 4: layer_2_norm, layer_3_norm, layer_4_norm, layer_5_norm
"""
AT_200 = """\
id       name                         age            outcome    accuracy  layer_0_norm  layer_1_norm  layer_2_norm  layer_3_norm  layer_4_norm  layer_5_norm  loss  batch_size  epochs   lr  optimizer
1234567  deft-sable                   0 seconds ago  succeeded      0.81          0.04          1.14          2.24          3.34          4.44          5.54  0.65          32     100  0.4  sgd
1234567  calm-heron-with-a-long-name  0 seconds ago  succeeded      0.97          0.02          1.12          2.22          3.32          4.42          5.52   0.1          32     100  0.2  sgd
1234567  brave-otter                  0 seconds ago  succeeded      0.93          0.01          1.11          2.21          3.31          4.41          5.51   0.2          32     100  0.1  sgd
"""  # noqa: E501 - it is wide on purpose


def test_list_fits_80_columns(terminal: Terminal) -> None:
    assert terminal("git", "exp", "--no-pager", "list") == AT_80


def test_list_fits_200_columns(terminal: Terminal) -> None:
    assert terminal("git", "exp", "--no-pager", "list", columns=200) == AT_200


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 132, 200])
def test_no_line_of_a_list_is_wider_than_the_terminal(terminal: Terminal, columns: int) -> None:
    shown = terminal("git", "exp", "--no-pager", "list", columns=columns)
    widest = max(len(line) for line in shown.splitlines())
    assert widest <= max(columns, len("1234567  calm-he…")), shown


def test_the_verdict_of_a_run_is_folded_between_words(terminal: Terminal) -> None:
    shown = terminal("git-exp", "run", "--", "echo", "METRIC accuracy=0.5 layer_0_norm=1")
    told = re.sub(r"\x1b\[[0-9;]*m", "", shown[shown.index("succeeded after") :])
    assert max(len(line) for line in told.splitlines()) <= 80, told
    assert "higher is better (a guess)" in " ".join(told.split())


def test_sorted_and_requested_columns_stay(terminal: Terminal) -> None:
    shown = terminal("git", "exp", "--no-pager", "list", "--sort-by", "layer_5_norm")
    assert "layer_5_norm" in shown.splitlines()[0]
    shown = terminal("git", "exp", "--no-pager", "list", "--keep", "epochs", columns=20)
    assert "epochs" in shown.splitlines()[0]


def test_list_in_a_pipe_has_all_columns(runs: RepoBuilder) -> None:
    done = subprocess.run(
        ["git", "exp", "list"], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert "layer_5_norm" in done.stdout.splitlines()[0]
    assert "same in all" not in done.stdout


# --- colour ---------------------------------------------------------------------------------------


def is_coloured(shown: str) -> bool:
    return "\x1b[3" in shown


def test_terminal_output_is_coloured_unless_turned_off(
    terminal: Terminal, runs: RepoBuilder
) -> None:
    log = ("git", "exp", "--no-pager", "log", "-n", "1")
    assert is_coloured(terminal(*log))
    assert not is_coloured(terminal(*log, NO_COLOR="1"))
    assert not is_coloured(terminal(*log, TERM="dumb"))
    assert is_coloured(terminal(*log, TERM="dumb", FORCE_COLOR="1"))
    assert not is_coloured(terminal(*log, NO_COLOR="1", FORCE_COLOR="1"))
    runs.git("config", "color.ui", "never")
    assert not is_coloured(terminal(*log))
    runs.git("config", "color.exp", "auto")
    assert is_coloured(terminal(*log)), "the setting of our own is stronger"


@pytest.mark.parametrize(
    ("setting", "env", "coloured"),
    [
        ("auto", {}, False),
        ("always", {}, True),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "0"}, False),
        ("always", {"NO_COLOR": "1"}, False),
    ],
)
def test_pipe_output_is_coloured_only_on_request(
    runs: RepoBuilder, setting: str, env: dict[str, str], coloured: bool
) -> None:
    runs.git("config", "color.exp", setting)
    shown = subprocess.run(
        ["git", "exp", "log"], capture_output=True, text=True, check=True, env={**os.environ, **env}
    )
    assert is_coloured(shown.stdout) is coloured


# --- the pager ------------------------------------------------------------------------------------


@pytest.fixture
def pager(tmp_path: Path) -> Path:
    """A pager that prints its name and settings before its input."""
    path = tmp_path / "pager"
    path.write_text('#!/bin/sh\nprintf "PAGED %s %s\\n" "$LESS" "$*"\nexec cat\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("words", [["list"], ["log"], ["show"], ["best"], ["compare"], ["config"]])
def test_long_answers_are_paged(terminal: Terminal, pager: Path, words: list[str]) -> None:
    assert terminal("git", "exp", *words, GIT_PAGER=str(pager)).startswith("PAGED FRX")


def test_pager_is_chosen_as_in_git(terminal: Terminal, runs: RepoBuilder, pager: Path) -> None:
    log = ("git-exp", "log", "-n", "1")
    runs.git("config", "core.pager", f"{pager} core")
    assert terminal(*log).startswith("PAGED FRX core\n")
    assert terminal(*log, PAGER="false").startswith("PAGED FRX core\n")
    assert terminal(*log, LESS="S").startswith("PAGED S core\n")
    assert terminal(*log, GIT_PAGER=f"{pager} env").startswith("PAGED FRX env\n")
    runs.git("config", "pager.exp", f"{pager} own")
    assert terminal(*log).startswith("PAGED FRX own\n")
    assert terminal("git", *log[0].split("-")[1:], *log[1:]).startswith("PAGED FRX own\n")


def test_the_pager_is_turned_off(terminal: Terminal, runs: RepoBuilder, pager: Path) -> None:
    runs.git("config", "core.pager", str(pager))
    assert "PAGED" not in terminal("git-exp", "--no-pager", "log")
    assert "PAGED" not in terminal("git", "--no-pager", "exp", "log")
    assert "PAGED" not in terminal("git-exp", "log", GIT_PAGER="cat")
    assert "PAGED" not in terminal("git-exp", "list", "--json")
    runs.git("config", "pager.exp", "false")
    assert "PAGED" not in terminal("git-exp", "log")
    assert "PAGED" not in terminal("git", "exp", "log")


def test_missing_pager_is_ignored(terminal: Terminal) -> None:
    shown = terminal("git-exp", "log", "-n", "1", GIT_PAGER="there-is-no-such-pager")
    assert "Outcome:" in shown
    assert "error" not in shown


def test_paged_output_keeps_colour_and_width(terminal: Terminal, pager: Path) -> None:
    shown = terminal("git-exp", "log", GIT_PAGER=str(pager))
    assert is_coloured(shown)
    listed = terminal("git-exp", "list", GIT_PAGER=str(pager))
    assert listed == "PAGED FRX \n" + AT_80


def test_closed_pager_is_no_error(terminal: Terminal) -> None:
    shown = terminal("git-exp", "log", GIT_PAGER="head -n 2")
    assert len(shown.splitlines()) == 2


@pytest.mark.parametrize("words", ["log", "compare deft-sable brave-otter", "list --json"])
def test_closed_pipe_ends_with_the_pipe_exit_code(runs: RepoBuilder, words: str) -> None:
    unread, answer = os.pipe()
    os.close(unread)
    done = subprocess.run(
        ["git-exp", *words.split()], stdout=answer, stderr=subprocess.PIPE, check=False
    )
    os.close(answer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_unread_output_is_dropped_after_the_pager(terminal: Terminal) -> None:
    """The text is still in gitexp's buffer when the pager has ended."""
    assert terminal("git-exp", "log", GIT_PAGER="true;") == ""


def test_errors_are_shown_in_the_pager(terminal: Terminal, pager: Path) -> None:
    shown = terminal("git-exp", "show", "no-such-run", GIT_PAGER=str(pager))
    assert "PAGED" in shown
    assert "error: there is no run 'no-such-run'" in shown


def test_commands_that_run_programs_are_never_paged(terminal: Terminal, pager: Path) -> None:
    for words in (("run", "--", "echo", "hello"), ("reproduce", "last", "-y")):
        assert "PAGED" not in terminal("git-exp", *words, GIT_PAGER=str(pager))


def test_the_exit_code_is_that_of_the_command(runs: RepoBuilder, pager: Path) -> None:
    script = f"GIT_PAGER={pager} git-exp compare deft-sable brave-otter; echo code $?"
    child, screen = pty.fork()
    if child == 0:
        os.execvpe("sh", ["sh", "-c", script], dict(os.environ))
    shown = b""
    try:
        while select.select([screen], [], [], 60)[0]:
            shown += os.read(screen, 65536)
    except OSError:
        pass
    os.close(screen)
    os.waitpid(child, 0)
    assert b"PAGED" in shown
    assert shown.rstrip().endswith(b"code 1")
