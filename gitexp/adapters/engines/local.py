"""The engine that runs commands as child processes on this machine.

Each command is the leader of a session of its own: no key of the terminal reaches it, and what it
started ends with it. A guardian ends them all when this process is killed.
"""

import contextlib
import os
import selectors
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gitexp.adapters.engines import guardian
from gitexp.adapters.engines.protocol import Ended, Happening, Order, Printed, TimeUp
from gitexp.adapters.system import clock
from gitexp.adapters.system.command import open_filter, start_apart
from gitexp.core.errors import GitexpError, NotRunnable

if TYPE_CHECKING:
    from subprocess import Popen  # noqa: TID251 - only the type

ENGINE_VARIABLE: Final = "GITEXP_ENGINE"
"""Marks the processes of one engine: the guardian of a killed one may still be at work when
another runs the rest of its sweep."""

GRACE_S: Final = 10.0
"""Seconds between TERM and KILL: time to write a checkpoint."""

DRAIN_S: Final = 1.0
"""Seconds in which processes that outlive a command may add to its output; then they are ended."""

_GIVE_UP_S: Final = 4.0
"""Seconds to wait for processes that a command left: on a dead disk none can be killed."""

_CHUNK_BYTES: Final = 1 << 18
_SOON_S: Final = 0.05


@dataclass(slots=True)
class _Child:
    """A command that runs, or has ended and left something behind."""

    order: Order
    process: "Popen[bytes]"
    started_s: float
    streams: dict[int, str] = field(default_factory=dict)
    """Open pipes by file descriptor."""
    exit_code: int | None = None
    ended_s: float = 0.0
    kill_s: float | None = None
    """When KILL is due."""
    timed_out: bool = False
    stopped: bool = False

    @property
    def group(self) -> int:
        return self.process.pid

    def close_pipes(self) -> None:
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class LocalEngine:
    """Commands as children of this process; for one thread, the main one."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._mark = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._marker = f"{ENGINE_VARIABLE}={self._mark}"
        self._children: dict[str, _Child] = {}
        self._happened: list[Happening] = []
        self._undo = contextlib.ExitStack()
        self._selector = self._undo.enter_context(selectors.DefaultSelector())
        self._wakeup = self._listen_for_signals()
        argv = [sys.executable, "-I", "-S", guardian.__file__, self._marker]
        self._guardian = open_filter(argv, guardian.own_environment())

    @property
    def slots(self) -> int:
        """How many commands may run at once."""
        return self._slots

    def _listen_for_signals(self) -> int:
        """Have every signal, the end of a child among them, end the wait."""
        outlet, inlet = os.pipe()
        for fd in (outlet, inlet):
            os.set_blocking(fd, False)
            self._undo.callback(os.close, fd)
        before = signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)
        self._undo.callback(signal.set_wakeup_fd, before)
        handler = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._undo.callback(signal.signal, signal.SIGCHLD, handler)
        self._selector.register(outlet, selectors.EVENT_READ)
        return outlet

    def start(self, order: Order) -> None:
        """Start a command. One that cannot be started ends at once, with a fault."""
        started_s = clock.monotonic_s()
        try:
            env = {**order.env, ENGINE_VARIABLE: self._mark}
            process = start_apart(order.argv, order.directory, env)
        except NotRunnable as error:
            fault = error.what if error.why is None else f"{error.what}: {error.why}"
            self._happened.append(Ended(order.run, error.status, 0.0, fault=fault))
            return
        child = _Child(order, process, started_s)
        self._children[order.run] = child
        self._tell_guardian(f"+{child.group}")
        for pipe, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
            assert pipe is not None  # noqa: S101 - both were asked for
            os.set_blocking(pipe.fileno(), False)
            child.streams[pipe.fileno()] = name
            self._selector.register(pipe.fileno(), selectors.EVENT_READ, child)

    def stop(self, run: str) -> None:
        """Ask a command to end; called again, end it now. Harmless when it has ended."""
        child = self._children.get(run)
        if child is None or child.exit_code is not None:
            return
        now_s = clock.monotonic_s()
        if child.stopped:
            child.kill_s = now_s
        else:
            child.stopped = True
            self._ask_to_end(child, now_s)

    def _ask_to_end(self, child: _Child, now_s: float) -> None:
        self._signal(child, signal.SIGTERM)
        self._signal(child, signal.SIGCONT)  # a stopped process would never see TERM
        if child.kill_s is None:
            child.kill_s = now_s + GRACE_S

    def wait(self, timeout_s: float) -> list[Happening]:
        """Return what happened since the last call, after at most `timeout_s` seconds."""
        timeout_s = 0.0 if self._happened else self._patience_s(timeout_s)
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 1 << 12)
            else:
                self._read(key.data, key.fd)
        for child in list(self._children.values()):
            self._look_at(child)
        happened, self._happened = self._happened, []
        return happened

    def _patience_s(self, timeout_s: float) -> float:
        now_s = clock.monotonic_s()
        due = [now_s + timeout_s]
        for child in self._children.values():
            limit_s = child.order.timeout_s
            if limit_s is not None and not (child.timed_out or child.stopped):
                due.append(child.started_s + limit_s)
            if child.kill_s is not None:
                due.append(child.kill_s)
            if child.exit_code is not None:
                due.append(now_s + _SOON_S)
        return max(0.0, min(due) - now_s)

    def _read(self, child: _Child, fd: int) -> None:
        try:
            chunk = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if chunk:
            self._happened.append(Printed(child.order.run, child.streams[fd], chunk))
        else:
            self._selector.unregister(fd)
            del child.streams[fd]

    def _look_at(self, child: _Child) -> None:
        """Notice the end of a command, and do what is due."""
        now_s = clock.monotonic_s()
        if child.exit_code is None:
            child.exit_code = child.process.poll()
            child.ended_s = now_s
        limit_s, run = child.order.timeout_s, child.order.run
        if child.exit_code is None:
            is_limited = limit_s is not None and not (child.timed_out or child.stopped)
            if is_limited and now_s >= child.started_s + (limit_s or 0.0):
                child.timed_out = True
                self._happened.append(TimeUp(run))
                self._ask_to_end(child, now_s)
        elif self._is_over(child, now_s):
            self._finish(child)
            return
        if child.kill_s is not None and now_s >= child.kill_s:
            self._signal(child, signal.SIGKILL)
            child.kill_s = now_s + _SOON_S

    def _is_over(self, child: _Child, now_s: float) -> bool:
        """Return whether an ended command left nothing behind, after asking the rest to end."""
        if child.streams and now_s < child.ended_s + DRAIN_S:
            return False
        if not self._has_members(child):
            return True
        if child.kill_s is None:
            self._ask_to_end(child, now_s)
            child.kill_s = now_s + DRAIN_S
        return now_s > child.ended_s + _GIVE_UP_S

    def _has_members(self, child: _Child) -> bool:
        try:
            os.killpg(child.group, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True

    def _finish(self, child: _Child) -> None:
        for fd in list(child.streams):
            self._read(child, fd)
        for fd in list(child.streams):
            self._selector.unregister(fd)
        child.close_pipes()
        self._tell_guardian(f"-{child.group}")
        del self._children[child.order.run]
        assert child.exit_code is not None  # noqa: S101 - it has ended
        self._happened.append(
            Ended(
                child.order.run,
                child.exit_code,
                child.ended_s - child.started_s,
                timed_out=child.timed_out,
                stopped=child.stopped,
            )
        )

    def _signal(self, child: _Child, number: int) -> None:
        """Send a signal to the command, its group, and what carries its run's marker elsewhere."""
        with contextlib.suppress(OSError):
            os.killpg(child.group, number)
        marker = f"GITEXP_RUN={child.order.run}".encode()
        for pid in guardian.marked_processes(marker):
            with contextlib.suppress(OSError):
                if os.getpgid(pid) != child.group:
                    os.kill(pid, number)

    def _tell_guardian(self, word: str) -> None:
        pipe = self._guardian.stdin
        if pipe is not None:
            with contextlib.suppress(OSError, ValueError):  # it was killed
                pipe.write(f"{word}\n".encode())
                pipe.flush()

    def close(self) -> None:
        """End everything that still runs, and free all resources."""
        for child in self._children.values():
            with contextlib.suppress(OSError):
                os.killpg(child.group, signal.SIGKILL)
            child.process.wait()
            child.close_pipes()
        self._children.clear()
        marker = self._marker.encode()
        if guardian.marked_processes(marker):
            guardian.end_processes(set(), marker)
        self._tell_guardian("done")
        with contextlib.suppress(GitexpError, OSError):
            self._guardian.communicate()
        self._undo.close()
