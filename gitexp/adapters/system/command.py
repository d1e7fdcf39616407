"""The user's command: find it, run it, watch it, copy its output byte for byte.

The command must not notice gitexp: it gets a terminal where gitexp has one, the same signals, and
its output appears at once and unchanged. This module knows nothing of runs or records; callers pass
functions that receive the output.
"""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from gitexp.adapters.system import clock
from gitexp.adapters.system.deadline import Deadline, Limit
from gitexp.adapters.system.output_pump import Listeners, OnLine, OnOutput, Pump, connect
from gitexp.core.errors import InvalidInput, NotRunnable
from gitexp.core.model.frozen import frozen

if TYPE_CHECKING:
    from subprocess import Popen


@frozen
class CommandResult:
    """Result of a command."""

    exit_code: int
    """The command's own exit code; minus the signal number when a signal ended it."""
    interrupted: bool
    """A signal of `_INTERRUPTING` ended it, or gitexp received a request to end before its end."""
    duration_s: float
    """Seconds from its start to its end."""
    warnings: tuple[str, ...] = ()
    """One sentence for each part of its output that could not be copied."""
    timed_out: bool = False
    """Ended at its time limit, before any other request to end."""


def run_command(
    argv: Sequence[str],
    *,
    directory: Path,
    env: Mapping[str, str],
    on_line: OnLine | None = None,
    on_output: OnOutput | None = None,
    stdout: int = 1,
    stderr: int = 2,
    limit: Limit | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> CommandResult:
    """Run a command to its end and copy its output to gitexp's own as it arrives.

    `on_output` receives every chunk and the name of its stream, `stdout` or `stderr`; `on_line`
    that name and every whole line without its newline. Both run on other threads, never two at
    once. Their exceptions are raised here after the command has ended. If both of our streams are
    the same file or terminal, so are the command's, in exact order, and all its lines count as
    `stdout`.

    Requests to end, by signal, are forwarded to the command; gitexp stays until the command ends.
    At its `limit` the command and all its descendants are ended, see `deadline`. `on_wait` is
    called about once a second while the command runs, in the main thread only; it must not raise.
    Raises `InvalidInput` when the command cannot be started.
    """
    find_command(argv[0] if argv else "", directory, env)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    listeners = Listeners(on_line, on_output)
    with contextlib.ExitStack() as cleanup:
        pumps = connect(listeners, stdout, stderr)
        for pump in pumps:
            cleanup.callback(pump.close)
        forwarding = cleanup.enter_context(_Forwarding(pumps))
        started_s = clock.monotonic_s()
        child = _start(argv, directory, env, pumps)
        try:
            for pump in pumps:
                pump.start()
            deadline = None if limit is None else Deadline(limit, child, started_s)
            exit_code = forwarding.wait(child, deadline, on_wait)
            duration_s = clock.monotonic_s() - started_s
        finally:
            for pump in pumps:
                pump.note_end()
            for pump in pumps:
                pump.close()
    if listeners.fault is not None:
        raise listeners.fault
    return CommandResult(
        exit_code,
        forwarding.was_asked_to_end or -exit_code in _INTERRUPTING,
        duration_s,
        tuple(pump.fault for pump in pumps if pump.fault),
        forwarding.has_timed_out,
    )


def _start(
    argv: Sequence[str], directory: Path, env: Mapping[str, str], pumps: Sequence[Pump]
) -> "Popen[bytes]":
    try:
        return _popen(argv, directory, env, stdout=pumps[0].inlet, stderr=pumps[-1].inlet)
    finally:
        for pump in pumps:
            os.close(pump.inlet)


def start_apart(argv: Sequence[str], directory: Path, env: Mapping[str, str]) -> "Popen[bytes]":
    """Start a command in its own session, with an empty input and its output in two pipes.

    Keys of the terminal do not reach it. Raises `NotRunnable` when it cannot be started.
    """
    ends = {"stdin": -3, "stdout": -1, "stderr": -1}  # DEVNULL and PIPE
    return _popen(argv, directory, env, **ends, start_new_session=True)


def _popen(
    argv: Sequence[str], directory: Path, env: Mapping[str, str], **options: Any
) -> "Popen[bytes]":
    import subprocess  # 10 ms, only needed to run a command

    try:
        return subprocess.Popen(list(argv), cwd=directory, env=dict(env), **options)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        status = 127 if isinstance(error, FileNotFoundError) else 126
        raise NotRunnable(f"cannot run '{argv[0]}'", status=status, why=why) from error


def open_reader(argv: Sequence[str], env: Mapping[str, str]) -> "Popen[bytes]":
    """Start a program that shows what we write to its input: a pager, `man`.

    Raises `InvalidInput` when it cannot be started.
    """
    import subprocess

    try:
        return subprocess.Popen(list(argv), env=dict(env), stdin=subprocess.PIPE)
    except OSError as error:
        raise InvalidInput(f"cannot run '{argv[0]}'", why=error.strerror) from error


def open_filter(argv: Sequence[str], env: Mapping[str, str] | None = None) -> "Popen[bytes]":
    """Start a program of gitexp with pipes; signals of the terminal do not reach it.

    Without `env` it has the environment of this process. Raises `InvalidInput` when it cannot be
    started.
    """
    import subprocess

    try:
        return subprocess.Popen(
            list(argv),
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise InvalidInput(f"cannot run '{argv[0]}'", why=error.strerror) from error


# --- finding ------------------------------------------------------------------------------------


def find_command(name: str, directory: Path, env: Mapping[str, str]) -> Path:
    """Return the file that would run as `name` in `directory` with `env`.

    Raises `NotRunnable` when there is none, or when it clearly cannot start, and `InvalidInput` for
    an empty name or a missing directory.
    """
    if not directory.is_dir():
        raise InvalidInput(f"cannot run in '{directory}'", why="there is no such folder")
    if not name:
        raise InvalidInput("cannot run an empty command")
    blocked = None
    for path in _candidates(name, directory, env):
        if path.is_file() and os.access(path, os.X_OK):
            _check_start(name, path, directory, env)
            return path
        blocked = blocked or (path if path.exists() else None)
    raise _not_runnable(name, blocked, directory, env)


def which(name: str, directory: Path, env: Mapping[str, str]) -> Path | None:
    """Find a file as `find_command`, but return `None` when there is no such executable."""
    for path in _candidates(name, directory, env):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    return None


def _candidates(name: str, directory: Path, env: Mapping[str, str]) -> Iterator[Path]:
    if "/" in name or os.sep in name:
        yield directory / name
    elif name:
        for folder in env.get("PATH", os.defpath).split(os.pathsep):
            yield directory / folder / name


def _not_runnable(
    name: str, blocked: Path | None, directory: Path, env: Mapping[str, str]
) -> NotRunnable:
    what = f"cannot run '{name}'"
    if blocked is not None and blocked.is_dir():
        return NotRunnable(what, why="it is a folder")
    if blocked is not None:
        hints = [f"make it executable: `chmod +x {name}`"]
        if blocked.suffix == ".py":
            hints.insert(0, f"start it with `python {name}`")
        return NotRunnable(what, why="the file is not executable", hints=hints)
    if "/" in name:
        return NotRunnable(
            what,
            status=127,
            why="there is no such file",
            hints=[f"it was sought from '{directory}'"],
        )
    path = directory / name
    if path.is_file():
        start = f"./{name}" if os.access(path, os.X_OK) else f"python {name}"
        hints = [f"for the file in this folder type `{start}`"]
        return NotRunnable(what, status=127, why="no folder of PATH has it", hints=hints)
    hints = ["give the command and its arguments as separate words"] if " " in name else []
    near = _near(name, env)
    return NotRunnable(what, status=127, why="no folder of PATH has it", hints=[*hints, *near])


def _near(name: str, env: Mapping[str, str]) -> list[str]:
    """Return hints with the most similar name among the programs on PATH."""
    import difflib

    programs: set[str] = set()
    for folder in env.get("PATH", os.defpath).split(os.pathsep):
        with contextlib.suppress(OSError):
            programs.update(os.listdir(folder or "."))  # noqa: PTH208
    near = difflib.get_close_matches(name, sorted(programs), n=1, cutoff=0.8)
    return [f"did you mean `{near[0]}`?"] if near else []


def _check_start(name: str, path: Path, directory: Path, env: Mapping[str, str]) -> None:
    """Refuse a script that no system would start, before gitexp records anything about it."""
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError:
        return  # executable but not readable: let the system decide
    what = f"cannot run '{name}'"
    first = head.partition(b"\n")[0]
    if not first.startswith(b"#!"):
        if b"\0" in head:
            return
        hints = ["begin it with a line like `#!/bin/sh`", f"or start it with `sh {name}`"]
        raise NotRunnable(what, why="it is text that names no interpreter", hints=hints)
    if first.endswith(b"\r"):
        hints = [f"convert it: `sed -i 's/\\r$//' {name}`"]
        raise NotRunnable(what, why="its lines end as in Windows files", hints=hints)
    interpreter, *words = os.fsdecode(first[2:]).replace("\t", " ").strip(" ").split(" ")
    if not (directory / interpreter).exists():
        raise NotRunnable(what, why=f"its interpreter '{interpreter}' is missing")
    if Path(interpreter).name == "env":
        program = next((w for w in words if w and not w.startswith("-") and "=" not in w), None)
        if program is not None and which(program, directory, env) is None:
            raise NotRunnable(what, why=f"its interpreter '{program}' is in no folder of PATH")


# --- signals ------------------------------------------------------------------------------------

_INTERRUPTING = frozenset(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL")
    if hasattr(signal, name)
)
_FROM_KEYBOARD = frozenset(
    getattr(signal, name) for name in ("SIGINT", "SIGQUIT") if hasattr(signal, name)
)
_MANY_SIGNALS = 1 << 12
_PATIENCE_S = 1.0
"""Seconds until the end of the command is noticed when its signal was lost."""
_POLL_S = 0.05
"""Seconds between two checks of the command outside the main thread, where no signal wakes us."""
_FORWARDED = (_INTERRUPTING | _FROM_KEYBOARD) - {getattr(signal, "SIGKILL", None)}


class _Forwarding:
    """Forwards signals to the command while it runs. Outside of the main thread it only waits.

    Python handles a signal between two steps of its interpreter. A signal right before a blocking
    call, or to another thread, does not end that call. So `wait` selects on a file descriptor to
    which Python writes every signal, SIGCHLD included; the handlers only store the signal.
    """

    def __init__(self, pumps: Sequence[Pump]) -> None:
        self.was_asked_to_end = False
        self.has_timed_out = False
        self._pumps = pumps
        self._arrived: list[int] = []
        self._wakeup = -1
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._wakeup, inlet = os.pipe()
        for fd in (self._wakeup, inlet):
            os.set_blocking(fd, False)
            self._undo.callback(os.close, fd)
        self._undo.callback(
            signal.set_wakeup_fd, signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)
        )
        self._handle(signal.SIGCHLD, lambda _number, _frame: None)  # so that Python writes it
        for number in _FORWARDED:
            # A signal ignored on entry, as under `nohup`, stays ignored for gitexp and the command.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._handle(number, self._on_request)
        if any(pump.is_terminal for pump in self._pumps):
            self._handle(signal.SIGWINCH, self._on_resize)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    def wait(
        self, child: "Popen[bytes]", deadline: Deadline | None, on_wait: Callable[[], None]
    ) -> int:
        """Forward signals, also earlier ones, until the command ends; return its exit code."""
        exit_code = self._wait(child, deadline, on_wait)
        if deadline is not None:
            deadline.end_orphans()
        return exit_code

    def _wait(
        self, child: "Popen[bytes]", deadline: Deadline | None, on_wait: Callable[[], None]
    ) -> int:
        if self._wakeup < 0 and deadline is None:
            return child.wait()
        while (exit_code := child.poll()) is None:
            while self._arrived:
                self._forward(child, self._arrived.pop(0))
            if deadline is not None:
                self._enforce(deadline)
            patience_s = min(_PATIENCE_S, _PATIENCE_S if deadline is None else deadline.remaining_s)
            if self._wakeup < 0:
                clock.sleep(min(patience_s, _POLL_S))
                continue
            on_wait()
            awake, _, _ = select.select([self._wakeup], [], [], patience_s)
            if awake:
                os.read(self._wakeup, _MANY_SIGNALS)
        return exit_code

    def _enforce(self, deadline: Deadline) -> None:
        was_reached = deadline.is_reached
        deadline.enforce()
        if deadline.is_reached and not was_reached and not self.was_asked_to_end:
            self.has_timed_out = True

    def _forward(self, child: "Popen[bytes]", number: int) -> None:
        # The terminal sends a key's signal to its whole foreground group, the command included.
        if not (number in _FROM_KEYBOARD and _is_in_foreground()):
            child.send_signal(number)

    def _handle(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        self._undo.callback(signal.signal, number, signal.signal(number, handler))

    def _on_request(self, number: int, _frame: FrameType | None) -> None:
        self.was_asked_to_end = True
        self._arrived.append(number)

    def _on_resize(self, number: int, _frame: FrameType | None) -> None:
        for pump in self._pumps:
            pump.copy_size()
        self._arrived.append(number)  # the command may have read the size before it was set


def _is_in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
