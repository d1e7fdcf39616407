"""Wrong commands of new users: every message has the right command or the next step."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gitexp.adapters.system import clock
from gitexp.cli.app import run
from gitexp.cli.output.progress import PATIENCE_S, Progress, waiting
from tests.cli.conftest import Done, Exp
from tests.conftest import RepoBuilder

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "an option of one's own command": (
        ("run", "--lr", "0.1", "python", "train.py"),
        "error: there is no option '--lr'\n"
        "hint: options of your own command come after it: `git exp run -- CMD --lr ...`\n"
        "hint: `git exp run -h` explains",
    ),
    "an option that is nearly right": (
        ("list", "--sortby", "lr"),
        "error: there is no option '--sortby'\n"
        "hint: did you mean `--sort-by`?\n"
        "hint: `git exp list -h` explains",
    ),
    "no run": (
        ("decide",),
        "error: RUN is missing\n"
        'hint: for example `git exp decide last keep -m "good enough for the paper"`\n'
        "hint: `git exp decide -h` explains",
    ),
    "no decision": (
        ("decide", "last"),
        "error: one of improve, keep, discard, stop is missing\n"
        'hint: for example `git exp decide last keep -m "good enough for the paper"`\n'
        "hint: `git exp decide -h` explains",
    ),
    "no command": (
        ("run",),
        "error: the command to run is missing\n"
        "hint: for example `git exp run -- python train.py --lr 0.01`\n"
        "hint: `git exp run -h` explains",
    ),
    "a command that is nearly right": (
        ("lsit",),
        "error: there is no command 'lsit'; did you mean 'list'?\nhint: `git exp -h` explains",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_command_line_gives_a_useful_hint(exp: Exp, case: str) -> None:
    words, told = WRONG[case]
    assert exp(*words, check=129).err == told


def test_misspelt_decision_suggests_the_right_one(
    exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["git-exp", "decide", "last", "improv"])
    assert "hint: did you mean `improve`?" in exp("decide", "last", "improv", check=129).err


def test_misspelt_program_suggests_the_right_one(
    exp: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "trainer"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    assert "hint: did you mean `trainer`?" in exp("run", "--", "trianer", check=127).err


@pytest.mark.parametrize("words", [("list",), ("log",), ("export",), ("brief",)])
def test_reading_commands_without_runs_say_how_to_record_one(
    exp: Exp, words: tuple[str, ...]
) -> None:
    done = exp(*words)
    assert (done.out + done.err).startswith("there are no runs yet; `git exp run -- CMD` records")


def test_two_dashes_are_optional(exp: Exp) -> None:
    exp("run", "-q", "-n", "bare", "python", "train.py", "--lr", "0.5")
    exp("run", "-q", "-n", "dashes", "--", "python", "train.py", "--lr", "0.5")
    shown = exp("diff", "bare", "dashes").out
    assert "argv" not in shown, "they are one and the same trial"
    assert exp("tried", "python", "train.py", "--lr", "0.5", check=1).err == ""


def test_comparing_a_run_with_itself_is_an_error(exp: Exp, train: Callable[..., Done]) -> None:
    train("0.5", "one")
    assert exp("compare", "last", "best:accuracy").out == "<1> one is that run itself"


def test_a_metric_with_a_dot_needs_no_quotes(exp: Exp) -> None:
    exp("run", "-q", "-n", "dotted", "--", "python", "-c", "print('METRIC val.loss=0.5')")
    assert "dotted" in exp("best", "val.loss").out
    assert "dotted" in exp("show", "best:val.loss").out
    assert exp("list", "--where", "val.loss < 1", "--name-only").out == "<run 1>"
    assert exp("list", "--where", "metrics.val.loss < 1", "--name-only").out == "<run 1>"
    err = exp("best", "val.los", check=128).err
    assert "did you mean `val.loss`?" in err
    assert '"' not in err


@pytest.mark.parametrize("key", ["exp.repeet", "exp.metricFile"])
def test_unknown_setting_is_an_error(repo: RepoBuilder, exp: Exp, key: str) -> None:
    repo.git("config", key, "warn")
    assert f"warning: unknown setting '{key.lower()}'; did you mean 'exp." in exp("list").err


def test_every_command_has_the_short_help_option(capfd: pytest.CaptureFixture[str]) -> None:
    from gitexp.cli.app import COMMANDS

    for name in COMMANDS:
        assert run([name, "-h"]) == 0
        assert capfd.readouterr().out.startswith(f"Usage: git exp {name}")


def test_help_fits_on_one_screen_and_names_every_command(
    capfd: pytest.CaptureFixture[str],
) -> None:
    from gitexp.cli.app import COMMANDS, GROUPS

    assert run(["-h"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) < 24, "a screen of 24 lines also shows the prompt"
    assert max(len(line) for line in lines) <= 80
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)
    shown = {word for line in lines for word in line.replace(",", " ").split()}
    assert set(COMMANDS) - shown == set()


def test_help_as_a_command_says_what_each_command_does(capfd: pytest.CaptureFixture[str]) -> None:
    from gitexp.cli.app import COMMANDS

    assert run(["help"]) == 0
    listed = [line.split(maxsplit=1) for line in capfd.readouterr().out.splitlines()]
    assert {line[0]: line[1] for line in listed if line and line[0] in COMMANDS} == COMMANDS


# --- signs of life --------------------------------------------------------------------------------


class Screen(io.StringIO):
    """Standard error on a terminal."""

    def isatty(self) -> bool:
        return True


def on_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Replaces standard error from here on; a fixture would run before pytest replaces it too."""
    shown = Screen()
    monkeypatch.setattr("sys.stderr", shown)
    return shown


def test_progress_appears_after_a_second_and_is_erased(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = on_screen(monkeypatch)
    now = 100.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now)
    progress = Progress("reading")
    progress(10, 100)
    assert screen.getvalue() == ""
    now += PATIENCE_S
    progress(50, 1000)
    assert screen.getvalue() == "\r\x1b[Kreading [#                       ] 50 of 1,000"
    progress(60, 1000)
    assert "60" not in screen.getvalue(), "not more often than ten times a second"
    progress(1000, 1000)
    assert screen.getvalue().endswith("\r\x1b[K")


def test_waiting_message_appears_after_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = on_screen(monkeypatch)
    with waiting("reading"):
        pass
    assert screen.getvalue() == ""
    monkeypatch.setattr("gitexp.cli.output.progress.PATIENCE_S", 0.01)
    with waiting("reading"):
        end = time.monotonic() + 20
        while "reading" not in screen.getvalue() and time.monotonic() < end:
            pass
    assert "reading, 0 s" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_waiting_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with waiting("reading"):
        pass
    assert capfd.readouterr().err == ""
