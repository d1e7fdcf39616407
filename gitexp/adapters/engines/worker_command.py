"""Runs the command of a trial on a worker: its environment, its output, its end.

Part of the kit that a worker gets, see `worker.py`. What a command leaves behind ends with it, and
a guardian ends all trials when the worker is killed.
"""

from __future__ import annotations

import base64
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

GRACE_S = 10.0
"""Seconds between TERM and KILL."""

DRAIN_S = 1.0
"""Seconds in which processes that outlive a command may add to its output."""

SEND_S = 0.1
"""Seconds between two messages with lines."""

MAX_BYTES = 8 << 20
"""Of longer output, half of this comes from its start and half from its end; between them only
lines with the word METRIC are kept."""

_TICK_S = 0.05
_SOON_S = 0.002
_GUARDIANS: dict[int, subprocess.Popen[bytes]] = {}
_MARK = f"{os.getpid()}-{time.time():.6f}"
"""The value of a variable that all trials of this worker have."""


class Output:
    """What a command printed, in chunks of whole lines: number, seconds, stream, base64."""

    def __init__(self, started_s: float, send: Callable[[list[Any]], None] | None) -> None:
        self.chunks: list[list[Any]] = []
        self.last: list[tuple[bytes, list[Any]]] = []
        self.last_bytes = 0
        self.left_out, self._room, self._count = 0, MAX_BYTES // 2, 0
        self._rest: dict[str, bytes] = {}
        self._started_s, self._send = started_s, send
        self._unsent: list[list[Any]] = []
        self._sent_s = started_s

    def feed(self, stream: str, data: bytes) -> None:
        """Take in what a pipe gave; an empty text ends the stream."""
        held = self._rest.pop(stream, b"") + data
        cut = len(held) if not data or len(held) > 1 << 16 else held.rfind(b"\n") + 1
        self._rest[stream] = held[cut:]
        if held[:cut]:
            self._add(stream, held[:cut])

    def _add(self, stream: str, whole: bytes) -> None:
        seconds = round(time.monotonic() - self._started_s, 3)
        self._count += 1
        chunk = [self._count, seconds, stream, base64.b64encode(whole).decode()]
        if self._room > 0:
            self._room -= len(whole)
            self.chunks.append(chunk)
        else:
            self.last.append((whole, chunk))
            self.last_bytes += len(whole)
        if self._send is not None:
            self._unsent.append(chunk)
        while self.last_bytes > MAX_BYTES // 2:
            old, (number, at, name, _) = self.last.pop(0)
            self.last_bytes -= len(old)
            kept = b"".join(line for line in old.splitlines(True) if b"METRIC" in line)
            self.left_out += len(old) - len(kept)
            if kept:
                self.chunks.append([number, at, name, base64.b64encode(kept).decode()])

    def flush(self) -> None:
        """Send the new lines, if it is time and a coordinator listens."""
        now_s = time.monotonic()
        if self._send is not None and self._unsent and now_s - self._sent_s >= SEND_S:
            chunks, self._unsent, self._sent_s = self._unsent, [], now_s
            with contextlib.suppress(Exception):  # a lost connection never stops a trial
                self._send(chunks)

    def all(self) -> list[list[Any]]:
        """Return all chunks that are kept."""
        return [*self.chunks, *(chunk for _, chunk in self.last)]


def run(
    task: dict[str, Any],
    top: str,
    private: str,
    kit: str,
    running: dict[str, dict[str, Any]],
    stopped: dict[str, int],
    guardian: ModuleType,
    send: Callable[[list[Any]], None] | None,
) -> dict[str, Any]:
    """Run a command to its end; returns how it ended and what it printed."""
    run_id, started_s = task["run"], time.monotonic()
    directory = os.path.normpath(os.path.join(top, task["directory"]))
    os.makedirs(directory, exist_ok=True)
    env = _environment(task, directory, private, kit, started_s)
    output = Output(started_s, send)
    argv = list(task["argv"])
    if argv[0] in ("python", "python3"):
        argv[0] = sys.executable
    try:
        process = subprocess.Popen(
            argv,
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        status = 127 if isinstance(error, FileNotFoundError) else 126
        fault = f"cannot run '{argv[0]}' on {os.uname().nodename}: {why}"
        return _ended(output, status, 0.0, fault=fault)
    guard = _guard(guardian)
    _tell(guard, f"+{process.pid}")
    try:
        return _Watch(task, process, output, guardian, started_s, stopped).to_the_end(running)
    finally:
        _tell(guard, f"-{process.pid}")
        running[run_id]["wake"] = None


def _ended(output: Output, status: int, seconds: float, **more: Any) -> dict[str, Any]:
    output.feed("stdout", b"")
    output.feed("stderr", b"")
    return {
        "exit_code": status,
        "duration_s": round(seconds, 3),
        "chunks": output.all(),
        "left_out": output.left_out,
        "timed_out": False,
        "stopped": False,
        **more,
    }


def _environment(
    task: dict[str, Any], directory: str, private: str, kit: str, started_s: float
) -> dict[str, str]:
    """Return the worker's environment with the variables of the trial; writes their files."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env.update(task["env"])
    for name in ("journal", "params.toml"):
        with open(os.path.join(private, name), "w", encoding="utf-8") as file:
            file.write(task["params"] if name == "params.toml" else task["journal"])
    if task["inject"]:
        before = env.get("PYTHONPATH")
        rest = "" if before is None else os.pathsep + before if before else os.sep
        env["PYTHONPATH"] = os.path.join(kit, "inject", "path") + rest
        env["GITEXP_REPORT"] = os.path.join(private, task["run"] + ".report")
    env.update(
        PWD=directory,
        GITEXP_WORKER=_MARK,
        GITEXP_RUN=task["run"],
        GITEXP_JOURNAL=os.path.join(private, "journal"),
        GITEXP_STARTED_S=repr(started_s),
        GITEXP_PARAMS=os.path.join(private, "params.toml"),
    )
    return env


class _Watch:
    """Reads what a command prints, and ends it when its time is over or it is asked to end."""

    def __init__(
        self,
        task: dict[str, Any],
        process: subprocess.Popen[bytes],
        output: Output,
        guardian: ModuleType,
        started_s: float,
        stopped: dict[str, int],
    ) -> None:
        self.task, self.process, self.output = task, process, output
        self.guardian, self.started_s, self.stopped = guardian, started_s, stopped
        self.kill_s: float | None = None
        self.ended_s: float | None = None
        self.closed_s: float | None = None
        self.timed_out, self.asked = False, 0
        self.marker = f"GITEXP_RUN={task['run']}".encode()

    def to_the_end(self, running: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Wait until the command and all that it started have ended."""
        outlet, inlet = os.pipe()
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as undo:
            undo.callback(os.close, outlet)
            undo.callback(os.close, inlet)
            running[self.task["run"]]["wake"] = inlet
            undo.callback(running[self.task["run"]].update, wake=None)
            selector.register(outlet, selectors.EVENT_READ, None)
            for pipe, name in ((self.process.stdout, "stdout"), (self.process.stderr, "stderr")):
                assert pipe is not None
                undo.callback(pipe.close)
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe.fileno(), selectors.EVENT_READ, name)
            while not self._is_over(selector):
                for key, _ in selector.select(self._tick_s(selector)):
                    self._read(selector, key)
                self.output.flush()
                self._enforce()
            selector.unregister(outlet)
            for key in list(selector.get_map().values()):
                self._read(selector, key)  # on a busy machine, the end of what it printed
        times = self.stopped.get(self.task["run"], 0)
        how = {"timed_out": self.timed_out, "stopped": bool(times) and not self.timed_out}
        seconds = (self.ended_s or self.started_s) - self.started_s
        return _ended(self.output, self.process.returncode, seconds, **how)

    def _tick_s(self, selector: selectors.BaseSelector) -> float:
        """Return how long to wait for output: a command that closed its pipes is about to end."""
        if len(selector.get_map()) > 1:
            return _TICK_S
        self.closed_s = self.closed_s or time.monotonic()
        return _SOON_S if time.monotonic() - self.closed_s < _TICK_S else _TICK_S

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        """Take in what a pipe has: at most a quarter of a megabyte, more than fits into one."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(key.fd, 1 << 18)
            if key.data is None:
                return
            if not data:
                selector.unregister(key.fd)
            self.output.feed(key.data, data)

    def _is_over(self, selector: selectors.BaseSelector) -> bool:
        now_s = time.monotonic()
        if self.ended_s is None:
            if self.process.poll() is None:
                return False
            self.ended_s = now_s
        if len(selector.get_map()) > 1 and now_s < self.ended_s + DRAIN_S:
            return False
        if not self._has_members() or now_s > self.ended_s + 4 * DRAIN_S:
            return True
        if self.kill_s is None:
            self._signal(signal.SIGTERM)
            self.kill_s = now_s + DRAIN_S
        return False

    def _has_members(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True

    def _enforce(self) -> None:
        now_s, limit_s = time.monotonic(), self.task["timeout_s"]
        times = self.stopped.get(self.task["run"], 0)
        if self.ended_s is None and limit_s and not times and now_s > self.started_s + limit_s:
            self.timed_out = True
        if self.ended_s is None and (times or self.timed_out) and self.kill_s is None:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
            self.kill_s = now_s + GRACE_S
        if times > 1 and self.asked < times:
            self.kill_s = now_s
        self.asked = times
        if self.kill_s is not None and now_s >= self.kill_s:
            self._signal(signal.SIGKILL)
            self.kill_s = now_s + _TICK_S

    def _signal(self, number: int) -> None:
        """Send a signal to the command, its group, and what carries its run's marker elsewhere."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, number)
        for pid in self.guardian.marked_processes(self.marker):
            with contextlib.suppress(OSError):
                if os.getpgid(pid) != self.process.pid:
                    os.kill(pid, number)


def _guard(guardian: ModuleType) -> subprocess.Popen[bytes]:
    """Return the process that ends all trials here when this worker is killed."""
    guard = _GUARDIANS.get(os.getpid())
    if guard is None or guard.poll() is not None:
        argv = [sys.executable, "-I", "-S", guardian.__file__, f"GITEXP_WORKER={_MARK}"]
        guard = subprocess.Popen(
            list(map(str, argv)), stdin=subprocess.PIPE, start_new_session=True
        )
        _GUARDIANS[os.getpid()] = guard
    return guard


def _tell(guard: subprocess.Popen[bytes], word: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        assert guard.stdin is not None
        guard.stdin.write(f"{word}\n".encode())
        guard.stdin.flush()
