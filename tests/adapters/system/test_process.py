"""The user's command behaves the same with and without gitexp."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import gitexp
from gitexp.adapters.system.command import CommandResult, find_command, run_command
from gitexp.adapters.system.deadline import Limit
from gitexp.core.errors import InvalidInput

PACKAGE = str(Path(gitexp.__file__).parent.parent)
PYTHON = sys.executable


def run(*argv: str | Path, **options: Any) -> CommandResult:
    words = [str(word) for word in argv]
    return run_command(words, directory=Path.cwd(), env=dict(os.environ), **options)


def test_exit_is_noticed_when_its_signal_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The byte that Python writes to the wakeup descriptor at a signal may be lost."""
    monkeypatch.setattr(signal, "set_wakeup_fd", lambda *_args, **_options: -1)
    assert run("sh", "-c", "exit 3").exit_code == 3


class TestOutput:
    def test_output_is_copied_unchanged(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        code = r"import os; os.write(1, bytes(range(256))); os.write(2, b'\x00err\r\n')"
        seen = bytearray()
        done = run(PYTHON, "-c", code, on_output=lambda chunk, _: seen.extend(chunk))
        assert capfdbinary.readouterr() == (bytes(range(256)), b"\x00err\r\n")
        assert sorted(seen) == sorted(bytes(range(256)) + b"\x00err\r\n")
        assert (done.exit_code, done.interrupted, done.warnings) == (0, False, ())

    def test_output_follows_earlier_output_of_gitexp(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        print("before", end=" ")
        run("echo", "during")
        assert capfd.readouterr().out == "before during\n"

    def test_listener_gets_whole_lines_with_their_stream(self) -> None:
        lines: list[tuple[str, bytes]] = []
        code = (
            "import os, time\n"
            "for piece in (b'a', b'b\\nc\\r\\n\\n', b'no end'):\n"
            "    os.write(1, piece); time.sleep(0.05)\n"
            "os.write(2, b'e\\n')"
        )
        run(PYTHON, "-c", code, on_line=lambda *line: lines.append(line))
        assert [line for line in lines if line[0] == "stdout"] == [
            ("stdout", b"ab"),
            ("stdout", b"c"),
            ("stdout", b""),
            ("stdout", b"no end"),
        ]
        assert [line for line in lines if line[0] == "stderr"] == [("stderr", b"e")]

    def test_a_carriage_return_ends_a_line_and_the_bytes_pass_unchanged(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        lines: list[bytes] = []
        pieces = (b"10%\r20%\r", b"\n30%\r", b"40%\r\n\rend")
        code = f"import os, time\nfor p in {pieces!r}: os.write(1, p); time.sleep(0.05)"
        run(PYTHON, "-c", code, on_line=lambda _, line: lines.append(line))
        assert [line for line in lines if line] == [b"10%", b"20%", b"30%", b"40%", b"end"]
        assert capfd.readouterr().out == b"".join(pieces).decode()

    def test_progress_over_one_line_without_end_is_cut_into_lines(self) -> None:
        lines: list[bytes] = []
        code = "import os\nfor n in range(20000): os.write(1, b'%d of 20000\\r' % n)"
        run(PYTHON, "-c", code, on_line=lambda _, line: lines.append(line))
        assert lines == [b"%d of 20000" % n for n in range(20000)]

    @pytest.mark.parametrize("length", [65_536, 65_537, 1_000_000])
    def test_a_line_without_end_does_not_fill_memory(self, length: int) -> None:
        lines: list[bytes] = []
        code = f"import os; os.write(1, b'x' * {length} + b'\\nshort\\n' + b'y' * 70000)"
        run(PYTHON, "-c", code, on_line=lambda _, line: lines.append(line))
        assert lines == [b"x" * length, b"short"] if length <= 65_536 else [b"short"]

    def test_rest_of_an_overlong_line_is_not_passed_on(self) -> None:
        lines: list[bytes] = []
        code = (
            "import os, time; os.write(1, b'x' * 70000); time.sleep(0.2); os.write(1, b'y\\nz\\n')"
        )
        run(PYTHON, "-c", code, on_line=lambda _, line: lines.append(line))
        assert lines == [b"z"]

    def test_output_appears_at_once(self) -> None:
        """A prompt of the command appears while the command waits for the answer."""
        code = driver("['sh', '-c', 'printf x; read y; printf $y']")
        with subprocess.Popen(
            code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=driver_env()
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.read(1) == b"x"
            child.stdin.write(b"answer\n")
            child.stdin.flush()
            assert child.stdout.read() == b"answer"

    def test_merged_streams_keep_their_order(self) -> None:
        code = "import os\nfor n in range(2000): os.write(1 + n % 2, b'%d\\n' % n)"
        done = subprocess.run(
            driver(repr([PYTHON, "-c", code])),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=driver_env(),
            check=True,
        )
        assert done.stdout.split() == [b"%d" % n for n in range(2000)]

    def test_output_can_go_to_another_file(self, capfd: pytest.CaptureFixture[str]) -> None:
        run("sh", "-c", "echo out; echo err >&2", stdout=2)
        captured = capfd.readouterr()
        assert (captured.out, captured.err) == ("", "out\nerr\n")

    def test_large_output_is_copied(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        size = [0]

        def count(chunk: bytes, _stream: str) -> None:
            size[0] += len(chunk)

        with Path(os.devnull).open("wb") as sink:
            done = run(
                "head", "-c", "200000000", "/dev/zero", on_output=count, stdout=sink.fileno()
            )
        assert size == [200_000_000]
        assert done.duration_s < 20

    def test_command_continues_when_the_reader_closes_the_pipe(self, tmp_path: Path) -> None:
        script = f"for n in $(seq 20000); do echo $n; done; echo done > {tmp_path}/proof"
        report = tmp_path / "report"
        with subprocess.Popen(
            driver(repr(["sh", "-c", script]), report),
            stdout=subprocess.PIPE,
            env=driver_env(),
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            child.stdout.close()
        assert (tmp_path / "proof").read_text() == "done\n"
        told = json.loads(report.read_text())
        assert told["exit_code"] == 0
        assert told["warnings"] == []
        assert told["tail"].endswith("19999\n20000\n")

    def test_output_lost_on_a_full_disk_is_reported(self) -> None:
        with Path("/dev/full").open("wb") as full:
            done = run("echo", "lost", stdout=full.fileno())
        assert done.exit_code == 0
        assert done.warnings == ("its stdout could not be passed on: No space left on device",)

    def test_command_runs_with_closed_streams(self, tmp_path: Path) -> None:
        report = tmp_path / "report"
        command = driver(repr(["sh", "-c", "echo out; echo err >&2"]), report)
        subprocess.run(
            ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command], env=driver_env(), check=True
        )
        assert sorted(json.loads(report.read_text())["tail"].split()) == ["err", "out"]

    def test_slow_reader_gets_all_output(self, tmp_path: Path) -> None:
        """The pipe is full when the command ends: the rest of the output waits for the reader."""
        report = tmp_path / "report"
        with subprocess.Popen(
            driver(repr(["head", "-c", "600000", "/dev/zero"]), report),
            stdout=subprocess.PIPE,
            env=driver_env(),
        ) as child:
            assert child.stdout is not None
            time.sleep(2.5)
            assert len(child.stdout.read()) == 600_000

    def test_non_blocking_stream_gets_all_output(self) -> None:
        outlet, inlet = os.pipe()
        os.set_blocking(inlet, False)
        got = bytearray()

        def drain() -> None:
            time.sleep(0.2)
            while chunk := os.read(outlet, 65536):
                got.extend(chunk)

        reader = threading.Thread(target=drain)
        reader.start()
        run("head", "-c", "1000000", "/dev/zero", stdout=inlet)
        os.close(inlet)
        reader.join()
        os.close(outlet)
        assert len(got) == 1_000_000

    def test_exception_of_a_listener_is_raised_after_the_command(self, tmp_path: Path) -> None:
        def fail(_chunk: bytes, _stream: str) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run("sh", "-c", "echo a; sleep 0.2; echo b; touch proof", on_output=fail)
        assert (tmp_path / "proof").exists()

    def test_run_leaves_no_file_open(self) -> None:
        run("true")
        before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
        run("echo", "x")
        with pytest.raises(InvalidInput):
            run("no-such-command")
        assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


class TestLeftovers:
    def test_run_ends_while_a_child_keeps_the_pipe_open(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        started = time.monotonic()
        run("sh", "-c", "sleep 30 & echo $!")
        assert 1 <= time.monotonic() - started < 1.9
        os.kill(int(capfd.readouterr().out), signal.SIGKILL)

    def test_output_of_a_child_shortly_after_the_end_is_copied(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        run("sh", "-c", "(sleep 0.3; echo late) & echo early")
        assert capfd.readouterr().out == "early\nlate\n"

    def test_run_ends_while_a_child_keeps_printing(self, tmp_path: Path) -> None:
        started = time.monotonic()
        with Path(os.devnull).open("wb") as sink:
            run(
                *("sh", "-c", "yes & echo $! > pid; sleep 0.1"),
                on_output=lambda _chunk, _stream: time.sleep(
                    0.002
                ),  # reads more slowly than `yes` writes
                stdout=sink.fileno(),
            )
        assert time.monotonic() - started < 60  # without the fix it waits forever
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


class TestEnd:
    @pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
    def test_exit_code_is_that_of_the_command(self, code: int) -> None:
        done = run("sh", "-c", f"exit {code}")
        assert (done.exit_code, done.interrupted) == (code, False)

    @pytest.mark.parametrize(
        ("number", "interrupted"),
        [
            (signal.SIGKILL, True),
            (signal.SIGTERM, True),
            (signal.SIGINT, True),
            (signal.SIGHUP, True),
            (signal.SIGSEGV, False),
            (signal.SIGABRT, False),
        ],
    )
    def test_exit_code_is_the_negative_signal(
        self, number: signal.Signals, interrupted: bool
    ) -> None:
        done = run("sh", "-c", f"ulimit -c 0; kill -{number.value} $$")
        assert (done.exit_code, done.interrupted) == (-number, interrupted)

    def test_the_duration_is_measured(self) -> None:
        assert 0.2 <= run("sleep", "0.2").duration_s < 5

    def test_duration_excludes_children_that_outlive_the_command(self) -> None:
        assert run("sh", "-c", "sleep 0.6 &").duration_s < 0.5

    def test_command_gets_its_directory_environment_and_input(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        seen = bytearray()
        run_command(
            ["sh", "-c", "pwd; echo $MARK; env | wc -l"],
            directory=tmp_path / "sub",
            env={"PATH": os.environ["PATH"], "MARK": "x"},
            on_output=lambda chunk, _: seen.extend(chunk),
        )
        assert seen.decode().split()[:2] == [str(tmp_path / "sub"), "x"]
        done = subprocess.run(
            driver("['cat']"), input=b"through", capture_output=True, env=driver_env(), check=True
        )
        assert done.stdout == b"through"


# --- signals ------------------------------------------------------------------------------------


def driver(argv: str, report: Path | str = os.devnull) -> list[str]:
    """Return the arguments of a process that runs a command and reports its end."""
    code = f"""
import dataclasses, json, os, sys, pathlib
from gitexp.adapters.journal.journal import OutputTail
from gitexp.adapters.system.command import run_command
tail = OutputTail(None)
done = run_command({argv}, directory=pathlib.Path.cwd(), env=os.environ, on_output=tail.feed)
told = dict(dataclasses.asdict(done), tail=tail.text())
pathlib.Path({str(report)!r}).write_text(json.dumps(told))
"""
    return [PYTHON, "-c", code]


def driver_env() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": PACKAGE}


TRAP = """
import os, signal, sys, time
def note(number, frame):
    os.write(1, f"got {signal.Signals(number).name}\\n".encode())  # all at once, whatever -u says
    if sys.argv[1:] != ["stay"]:
        sys.exit(9)
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
    signal.signal(getattr(signal, name), note)
os.write(1, b"ready\\n")
for _ in range(200):  # bounded, so that a failing test ends
    time.sleep(0.05)
"""


def in_main_thread(script: str, *args: str) -> str:
    """Run a script and return its output. Tests run in parallel are not in the main thread."""
    argv = [PYTHON, "-c", script, *args]
    return subprocess.run(argv, capture_output=True, env=driver_env(), check=True, text=True).stdout


class TestSignals:
    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
    def test_signals_are_forwarded_and_the_end_is_reported(self, tmp_path: Path, name: str) -> None:
        report = tmp_path / "report"
        with subprocess.Popen(
            driver(repr([PYTHON, "-c", TRAP]), report),
            stdout=subprocess.PIPE,
            env=driver_env(),
            start_new_session=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            child.send_signal(getattr(signal, name))
            assert child.stdout.read() == f"got {name}\n".encode()
        assert child.returncode == 0
        told = json.loads(report.read_text())
        assert told["exit_code"] == 9
        assert told["interrupted"] is True
        assert told["tail"] == f"ready\ngot {name}\n"

    def test_run_continues_while_the_command_ignores_a_signal(self, tmp_path: Path) -> None:
        report = tmp_path / "report"
        with subprocess.Popen(
            driver(repr([PYTHON, "-c", TRAP, "stay"]), report),
            stdout=subprocess.PIPE,
            env=driver_env(),
            start_new_session=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            for name in ("SIGINT", "SIGTERM", "SIGINT"):
                child.send_signal(getattr(signal, name))
                assert child.stdout.readline() == f"got {name}\n".encode()
            os.killpg(child.pid, 0)
            pids = children(child.pid)
            os.kill(pids[0], signal.SIGKILL)
        told = json.loads(report.read_text())
        assert told["exit_code"] == -signal.SIGKILL
        assert told["interrupted"] is True

    def test_signal_that_another_thread_received_is_forwarded(self) -> None:
        """Such a signal does not interrupt the system call of the waiting thread."""
        script = """
import os, pathlib, signal, sys, threading
from gitexp.adapters.system.command import run_command

def take(chunk, _name):
    if chunk == b"ready\\n":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

argv = [sys.executable, "-c", sys.argv[1]]
done = run_command(argv, directory=pathlib.Path.cwd(), env=os.environ, on_output=take)
print(done.exit_code, done.interrupted)
"""
        assert in_main_thread(script, TRAP) == "ready\ngot SIGTERM\n9 True\n"

    def test_signal_handlers_are_restored_after_the_command(self) -> None:
        script = """
import os, pathlib, signal
from gitexp.adapters.system.command import run_command

def handlers():
    return [signal.getsignal(number) for number in sorted(signal.valid_signals())]

before = handlers()
run_command(["true"], directory=pathlib.Path.cwd(), env=os.environ)
print(handlers() == before, signal.set_wakeup_fd(-1))
"""
        assert in_main_thread(script) == "True -1\n"

    def test_many_signals_are_all_forwarded(self, tmp_path: Path) -> None:
        with subprocess.Popen(
            driver(repr([PYTHON, "-c", TRAP, "stay"])),
            stdout=subprocess.PIPE,
            env=driver_env(),
            start_new_session=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            for name in ("SIGINT", "SIGTERM") * 1000:
                child.send_signal(getattr(signal, name))
                assert child.stdout.readline() == f"got {name}\n".encode()
            os.kill(children(child.pid)[0], signal.SIGKILL)

    def test_ignored_signals_stay_ignored(self, tmp_path: Path) -> None:
        """Under `nohup` neither gitexp nor the command receives the signal."""
        report = tmp_path / "report"
        script = ["sh", "-c", "echo ready; sleep 0.5; echo survived"]
        with subprocess.Popen(
            ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *driver(repr(script), report)],
            stdout=subprocess.PIPE,
            env=driver_env(),
            start_new_session=True,
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            os.killpg(child.pid, signal.SIGHUP)
            assert child.stdout.read() == b"survived\n"
        told = json.loads(report.read_text())
        assert (told["exit_code"], told["interrupted"]) == (0, False)

    def test_signal_handlers_are_restored_after_an_error(self) -> None:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH)
        before = [signal.getsignal(number) for number in numbers]
        run("true")
        with pytest.raises(InvalidInput):
            run("no-such-command")
        assert [signal.getsignal(number) for number in numbers] == before

    def test_run_works_in_another_thread(self) -> None:
        done: list[CommandResult] = []
        thread = threading.Thread(target=lambda: done.append(run("sh", "-c", "exit 3")))
        thread.start()
        thread.join()
        assert done[0].exit_code == 3


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- terminals ----------------------------------------------------------------------------------


class Terminal:
    """A pseudo-terminal with a driver process in its foreground."""

    def __init__(self, argv: list[str], report: Path, *, redirect: str = "") -> None:
        self.report = report
        pid, self.fd = pty.fork()
        if pid == 0:  # pragma: no cover - another process
            try:
                script = 'exec "$@" ' + redirect
                words = ["sh", "-c", script, "sh", *driver(repr(argv), report)]
                os.execve("/bin/sh", words, dict(driver_env()))
            finally:
                os._exit(97)
        self.pid = pid
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, text: bytes) -> None:
        while text not in self.seen:
            chunk = self._read()
            assert chunk, self.seen
            self.seen += chunk

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def finish(self) -> dict[str, Any]:
        while chunk := self._read():
            self.seen += chunk
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        told: dict[str, Any] = json.loads(self.report.read_text())
        return told

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, 65536)
        except OSError:
            return b""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    def make(*argv: str, redirect: str = "") -> Terminal:
        return Terminal([*argv], tmp_path / "report", redirect=redirect)

    yield make


LOOK = """
import json, os, sys
print(json.dumps([os.isatty(n) for n in range(3)]), *os.get_terminal_size(1))
"""


class TestTerminal:
    def test_command_gets_a_terminal(self, terminal: Callable[..., Terminal]) -> None:
        window = terminal(PYTHON, "-c", LOOK)
        told = window.finish()
        assert "[true, true, true]" in told["tail"]
        assert told["exit_code"] == 0

    def test_command_gets_a_terminal_only_for_terminal_streams(
        self, terminal: Callable[..., Terminal], tmp_path: Path
    ) -> None:
        told = terminal(PYTHON, "-c", LOOK, redirect=f"2> {tmp_path}/err").finish()
        assert "[true, true, false]" in told["tail"]

    def test_terminal_output_is_unchanged(self, terminal: Callable[..., Terminal]) -> None:
        """The terminal converts LF to CR LF, as without gitexp: once, not twice."""
        window = terminal("printf", r"\033[1ma\nb\tc\r\n\001")
        told = window.finish()
        assert window.seen == b"\x1b[1ma\r\nb\tc\r\r\n\x01"
        assert told["exit_code"] == 0

    def test_both_streams_keep_their_order(self, terminal: Callable[..., Terminal]) -> None:
        code = "import os\nfor n in range(500): os.write(1 + n % 2, b'%d\\n' % n)"
        window = terminal(PYTHON, "-c", code)
        window.finish()
        assert window.seen.split() == [b"%d" % n for n in range(500)]

    def test_terminal_size_changes_reach_the_command(
        self, terminal: Callable[..., Terminal]
    ) -> None:
        code = (
            "import os, signal, time\n"
            "seen = []\n"
            "def show(*_): seen.append(os.get_terminal_size(1))\n"
            "signal.signal(signal.SIGWINCH, show); print('ready', flush=True)\n"
            "for _ in range(200):\n"
            "    if seen and seen[-1].columns == 77: break\n"
            "    time.sleep(0.05)\n"
            "print('size', *seen[-1])"
        )
        window = terminal(PYTHON, "-c", code)
        window.wait_for(b"ready")
        window.resize(33, 77)
        window.finish()
        assert window.seen.rstrip().splitlines()[-1] == b"size 77 33"

    def test_terminal_of_the_command_has_our_size(self, terminal: Callable[..., Terminal]) -> None:
        window = terminal("sh", "-c", "read x; exec stty size <&1")
        window.resize(21, 43)
        window.press(b"\n")
        assert "21 43" in window.finish()["tail"]

    @pytest.mark.parametrize(("key", "name"), [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")])
    def test_interrupt_key_reaches_only_the_command_once(
        self, terminal: Callable[..., Terminal], key: bytes, name: str
    ) -> None:
        window = terminal(PYTHON, "-c", TRAP, "stay")
        window.wait_for(b"ready")
        window.press(key)
        window.wait_for(b"got " + name.encode())
        time.sleep(0.3)
        os.kill(children(window.pid)[0], signal.SIGKILL)
        told = window.finish()
        assert told["tail"].count(f"got {name}") == 1
        assert told["interrupted"] is True

    def test_interrupt_key_is_not_sent_to_a_background_command(
        self, terminal: Callable[..., Terminal]
    ) -> None:
        window = terminal(PYTHON, "-c", "import os; os.setpgrp()\n" + TRAP, "stay")
        window.wait_for(b"ready")
        window.press(b"\x03")
        time.sleep(0.5)
        os.kill(children(window.pid)[0], signal.SIGTERM)
        window.wait_for(b"got SIGTERM")
        os.kill(children(window.pid)[0], signal.SIGKILL)
        assert window.finish()["tail"].rstrip("\n") == "ready\ngot SIGTERM"  # killed at once

    def test_ctrl_c_ends_a_plain_command(self, terminal: Callable[..., Terminal]) -> None:
        window = terminal("sh", "-c", "echo ready; exec sleep 60")
        window.wait_for(b"ready")
        window.press(b"\x03")
        told = window.finish()
        assert told["exit_code"] == -signal.SIGINT
        assert told["interrupted"] is True

    def test_term_is_forwarded_on_a_terminal(self, terminal: Callable[..., Terminal]) -> None:
        window = terminal(PYTHON, "-c", TRAP)
        window.wait_for(b"ready")
        os.kill(window.pid, signal.SIGTERM)
        assert window.finish()["tail"].endswith("got SIGTERM\n")

    def test_hangup_of_the_terminal_keeps_the_run(
        self, terminal: Callable[..., Terminal], tmp_path: Path
    ) -> None:
        window = terminal(
            "sh",
            "-c",
            "trap 'echo bye; exit 4' HUP; echo ready; for n in $(seq 100); do sleep 0.1; done",
        )
        window.wait_for(b"ready")
        os.close(window.fd)
        os.waitpid(window.pid, 0)
        told = json.loads(window.report.read_text())
        assert told["exit_code"] == 4
        assert told["interrupted"] is True
        assert told["tail"].startswith("ready\n")

    def test_killed_command_is_reported(self, terminal: Callable[..., Terminal]) -> None:
        window = terminal("sh", "-c", "echo ready; kill -9 $$")
        told = window.finish()
        assert told["exit_code"] == -9
        assert window.seen == b"ready\r\n"


# --- commands that cannot start -----------------------------------------------------------------


class TestFindCommand:
    def find(self, name: str, directory: Path | None = None, path: str | None = None) -> Path:
        env = {"PATH": os.environ["PATH"] if path is None else path}
        return find_command(name, directory or Path.cwd(), env)

    def refusal(self, name: str, directory: Path | None = None) -> InvalidInput:
        with pytest.raises(InvalidInput) as caught:
            self.find(name, directory)
        with pytest.raises(InvalidInput):
            run_command([name], directory=directory or Path.cwd(), env=dict(os.environ))
        return caught.value

    def test_find_command_returns_the_file_that_would_run(self, tmp_path: Path) -> None:
        tool = executable(tmp_path / "bin" / "tool", "#!/bin/sh\nexit 5\n")
        assert self.find("tool", path=f"/nowhere:{tool.parent}") == tool
        assert self.find("bin/tool") == tool
        assert self.find("./tool", tmp_path / "bin") == tool
        assert self.find("tool", tmp_path, path="bin") == tool
        assert run("./bin/tool").exit_code == 5

    def test_missing_command_is_refused_with_a_hint(self) -> None:
        error = self.refusal("no-such-command")
        assert error.what == "cannot run 'no-such-command'"
        assert error.why == "no folder of PATH has it"

    def test_command_line_in_one_word_is_refused_with_a_hint(self) -> None:
        assert "separate words" in self.refusal("python train.py").hints[0]

    def test_missing_file_is_refused_with_a_hint(self) -> None:
        assert self.refusal("./missing").why == "there is no such file"

    def test_script_without_leading_dot_is_refused_with_a_hint(self, tmp_path: Path) -> None:
        (tmp_path / "train.py").write_text("")
        assert self.refusal("train.py").hints == (
            "for the file in this folder type `python train.py`",
        )
        executable(tmp_path / "go", "#!/bin/sh\n")
        assert self.refusal("go-").hints == ()
        assert self.refusal("go").hints == ("for the file in this folder type `./go`",)

    def test_file_that_is_not_executable_is_refused_with_a_hint(self, tmp_path: Path) -> None:
        (tmp_path / "train.py").write_text("")
        error = self.refusal("./train.py")
        assert error.why == "the file is not executable"
        assert error.hints[0] == "start it with `python ./train.py`"

    def test_directory_as_command_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        assert self.refusal("./sub").why == "it is a folder"

    def test_missing_working_directory_is_refused(self, tmp_path: Path) -> None:
        assert self.refusal("true", tmp_path / "missing").why == "there is no such folder"

    def test_empty_command_is_refused(self) -> None:
        self.refusal("")
        with pytest.raises(InvalidInput):
            run_command([], directory=Path.cwd(), env={})

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            ("#!/no/such/python\n", "its interpreter '/no/such/python' is missing"),
            ("#!/usr/bin/env no-such\n", "its interpreter 'no-such' is in no folder of PATH"),
            (
                "#!/usr/bin/env -S A=b no-such -u\n",
                "its interpreter 'no-such' is in no folder of PATH",
            ),
            ("#!/bin/sh\r\necho\r\n", "its lines end as in Windows files"),
            ("echo hello\n", "it is text that names no interpreter"),
            ("", "it is text that names no interpreter"),
        ],
    )
    def test_script_without_interpreter_is_refused(
        self, tmp_path: Path, script: str, why: str
    ) -> None:
        executable(tmp_path / "script", script)
        assert self.refusal("./script").why == why

    @pytest.mark.parametrize(
        "script", ["#!/bin/sh\n", "#! /usr/bin/env sh\n", "#!/usr/bin/env -S sh -e\n"]
    )
    def test_valid_scripts_are_started(self, tmp_path: Path, script: str) -> None:
        executable(tmp_path / "script", script + "exit 6\n")
        assert run("./script").exit_code == 6

    def test_a_broken_program_is_refused_when_it_starts(self, tmp_path: Path) -> None:
        executable(tmp_path / "program", "\x7fELF\0\0\0")
        with pytest.raises(InvalidInput, match=r"cannot run '\./program'"):
            run("./program")

    def test_arguments_with_nul_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match="cannot run 'echo'"):
            run("echo", "a\0b")


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())
    path.chmod(0o755)
    return path


OURS = str(os.getpid())
"""Marks the commands of this test. Parallel tests in the same process group use other values."""


def limit(seconds: float, grace_s: float = 30.0, **fields: Any) -> Limit:
    return Limit(seconds, f"GITEXP_TEST_LIMIT={OURS}", grace_s=grace_s, **fields)


def existence(folder: Path) -> Callable[[], None]:
    """Return a function that waits until the command has created the file `ready`."""

    def wait() -> None:
        while not (folder / "ready").exists():
            time.sleep(0.02)

    return wait


class TestLimit:
    def test_time_limit_ends_the_command(self) -> None:
        seen: list[str] = []
        done = run("sleep", "600", limit=limit(0.1, on_reached=lambda: seen.append("reached")))
        assert (done.exit_code, done.timed_out, seen) == (-signal.SIGTERM, True, ["reached"])

    def test_time_limit_leaves_a_fast_command_alone(self) -> None:
        done = run("sh", "-c", "exit 3", limit=limit(600))
        assert (done.exit_code, done.timed_out) == (3, False)

    def test_time_limit_kills_a_command_that_ignores_term(self, tmp_path: Path) -> None:
        script = "trap '' TERM; touch ready; sleep 600 & wait; sleep 600"
        done = run("sh", "-c", script, limit=limit(0.1, 0.2, on_reached=existence(tmp_path)))
        assert (done.exit_code, done.timed_out) == (-signal.SIGKILL, True)

    def test_time_limit_lets_the_command_end_after_term(self, tmp_path: Path) -> None:
        script = "trap 'exit 5' TERM; touch ready; sleep 600 & wait"
        done = run("sh", "-c", script, limit=limit(0.1, on_reached=existence(tmp_path)))
        assert (done.exit_code, done.timed_out) == (5, True)

    def test_time_limit_ends_children_of_the_command(self, tmp_path: Path) -> None:
        """Also an orphan, and a process that ignores SIGTERM."""
        script = (
            "(sleep 600 & echo $! > orphan)\n"
            "sh -c 'trap \"\" TERM; echo $$ > deaf; while :; do sleep 0.1; done' &\n"
            "while ! [ -s deaf ]; do sleep 0.05; done\n"
            "touch ready; sleep 600"
        )
        env = {**os.environ, "GITEXP_TEST_LIMIT": OURS}
        bound = limit(0.1, 0.2, on_reached=existence(tmp_path))
        assert run_command(["sh", "-c", script], directory=tmp_path, env=env, limit=bound).timed_out
        for name in ("orphan", "deaf"):
            assert not is_running(int((tmp_path / name).read_text()))

    def test_time_limit_works_outside_the_main_thread(self) -> None:
        ends: list[CommandResult] = []
        thread = threading.Thread(target=lambda: ends.append(run("sleep", "60", limit=limit(0.1))))
        thread.start()
        thread.join()
        assert ends[0].timed_out

    def test_interrupt_before_the_time_limit_counts_as_interrupt(self, tmp_path: Path) -> None:
        """The signal to end comes first; the command reaches the limit while it ends."""
        code = (
            "import os, time\n"
            "from pathlib import Path\n"
            "from gitexp.adapters.system.deadline import Limit\n"
            "from gitexp.adapters.system.command import run_command\n"
            "script = 'trap : TERM; touch ready; while :; do sleep 0.1; done'\n"
            "def wait():\n"
            "    while not Path('asked').exists(): time.sleep(0.02)\n"
            f"limit = Limit(0.1, 'GITEXP_TEST_LIMIT={OURS}', wait, grace_s=0.2)\n"
            "done = run_command(['sh', '-c', script], directory=Path.cwd(), env=dict(os.environ),\n"
            "                   limit=limit)\n"
            "print(done.interrupted, done.timed_out)\n"
        )
        process = subprocess.Popen(
            [PYTHON, "-c", code],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": PACKAGE},
        )
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        process.terminate()
        (tmp_path / "asked").touch()
        assert process.communicate()[0] == "True False\n"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
