"""Pumps that copy a command's output to gitexp's own, byte for byte, and pass it to listeners.

When gitexp writes to a terminal the command gets a pseudo-terminal, so that it colours, buffers and
draws as without gitexp.
"""

import contextlib
import errno
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gitexp.adapters.system import clock

DRAIN_S = 1.0
"""Seconds in which processes left by the command may still add to its output."""

MAX_LINE_BYTES = 1 << 16
"""Longer lines are copied but not passed to `on_line`."""

_CHUNK_BYTES = 1 << 18
_PIPE_BYTES = 1 << 20

OnLine = Callable[[str, bytes], None]
OnOutput = Callable[[bytes, str], None]


@dataclass(slots=True)
class Listeners:
    """Output listeners. Their exceptions never reach the command."""

    on_line: OnLine | None
    on_output: OnOutput | None
    fault: Exception | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, name: str, chunk: bytes, lines: Sequence[bytes]) -> None:
        """Pass output of the named stream to the listeners, until one of them raises."""
        with self._mutex:
            if self.fault is not None:
                return
            try:
                if self.on_output is not None and chunk:
                    self.on_output(chunk, name)
                if self.on_line is not None:
                    for line in lines:
                        self.on_line(name, line)
            except Exception as error:  # noqa: BLE001 - raised again when the command has ended
                self.fault = error


class Lines:
    """Splits chunks into lines and holds back an unfinished line, up to a limit.

    A carriage return also ends a line: programs redraw progress over the same line with it.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False
        self._after_return = False
        """True when the last chunk ended with a carriage return, which may be half of a CRLF."""

    def cut(self, chunk: bytes) -> list[bytes]:
        """Return the finished lines. An empty chunk ends the stream."""
        if not chunk:
            last, self._rest = self._rest, b""
            return [last] if last else []
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_return = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            self._hold(chunk)
            return []
        lines = (self._rest + head).split(b"\n")
        if self._too_long:
            del lines[0]
        self._rest, self._too_long = b"", False
        self._hold(tail)
        return [line for line in lines if len(line) <= MAX_LINE_BYTES]

    def _hold(self, piece: bytes) -> None:
        self._too_long = self._too_long or len(self._rest) + len(piece) > MAX_LINE_BYTES
        self._rest = b"" if self._too_long else self._rest + piece


class Pump:
    """Copies one stream of the command to one of gitexp's, on its own thread."""

    def __init__(self, name: str, sink: int, listeners: Listeners) -> None:
        self.name = name
        self.fault: str | None = None
        self.is_terminal = False
        self.outlet, self.inlet = -1, -1
        self._sink: int | None = sink
        self._listeners = listeners
        self._lines = Lines() if listeners.on_line is not None else None
        self._child_ended, self._tell_ended = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"pump {name}", daemon=True)
        with contextlib.suppress(OSError):
            if os.isatty(sink):
                self.outlet, self.inlet = _open_terminal(sink)
                self.is_terminal = True
                self.copy_size()
        if not self.is_terminal:
            self.outlet, self.inlet = _open_pipe()

    def copy_size(self) -> None:
        """Set the size of the command's terminal to that of ours."""
        if self.is_terminal and self._sink is not None:
            import fcntl
            import termios

            with contextlib.suppress(OSError):
                size = fcntl.ioctl(self._sink, termios.TIOCGWINSZ, bytes(8))
                fcntl.ioctl(self.outlet, termios.TIOCSWINSZ, size)

    def start(self) -> None:
        """Start to copy."""
        self._thread.start()

    def note_end(self) -> None:
        """Note the end of the command: copy the rest, wait shortly for its children's output."""
        if self._tell_ended >= 0:
            os.close(self._tell_ended)
            self._tell_ended = -1

    def close(self) -> None:
        """Wait until everything is copied. Harmless when repeated."""
        self.note_end()
        if self._thread.ident is not None:
            self._thread.join()
        for fd in (self.outlet, self._child_ended):
            if fd >= 0:
                os.close(fd)
        self.outlet = self._child_ended = -1

    def _run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # the main thread handles signals
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        for chunk in _arriving(self.outlet, self._child_ended):
            self._write(chunk)
            self._listeners.tell(self.name, chunk, self._lines.cut(chunk) if self._lines else ())
        self._listeners.tell(self.name, b"", self._lines.cut(b"") if self._lines else ())

    def _write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        while left and self._sink is not None:
            try:
                left = left[os.write(self._sink, left) :]
            except BlockingIOError:
                select.select([], [self._sink], [])
            except OSError as error:
                self._sink = None  # the reader has closed its end; the command and its record go on
                if error.errno not in (errno.EPIPE, errno.EIO, errno.EBADF):
                    self.fault = f"its {self.name} could not be passed on: {error.strerror}"


def connect(listeners: Listeners, stdout: int, stderr: int) -> list[Pump]:
    """Return a pump for each of our two streams, or a single one when both are the same file."""
    if _is_one(stdout, stderr):
        return [Pump("stdout", stdout, listeners)]
    return [Pump("stdout", stdout, listeners), Pump("stderr", stderr, listeners)]


def _is_one(stdout: int, stderr: int) -> bool:
    try:
        return os.path.sameopenfile(stdout, stderr)
    except OSError:  # one of them is closed
        return False


def _open_pipe() -> tuple[int, int]:
    outlet, inlet = os.pipe()
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return outlet, inlet


def _open_terminal(like: int) -> tuple[int, int]:
    """Open a pseudo-terminal with the modes of another one, except that it changes no byte."""
    import termios

    outlet, inlet = os.openpty()
    try:
        ways = termios.tcgetattr(like)
        ways[1] &= ~termios.OPOST
        ways[3] &= ~termios.ECHO
        termios.tcsetattr(inlet, termios.TCSANOW, ways)
    except termios.error:
        os.close(outlet)
        os.close(inlet)
        raise OSError(errno.ENOTTY, "not a terminal of the usual kind") from None
    return outlet, inlet


def _arriving(outlet: int, child_ended: int) -> Iterator[bytes]:
    """Yield output until all writers have closed it, or until the command's rest is read."""
    import selectors

    with selectors.DefaultSelector() as selector:
        selector.register(outlet, selectors.EVENT_READ)
        selector.register(child_ended, selectors.EVENT_READ)
        while True:
            if child_ended in {key.fd for key, _ in selector.select()}:
                break
            chunk = _read(outlet)
            if not chunk:
                return
            yield chunk
        selector.unregister(child_ended)
        # From here on only the time to wait counts, not the time to write: a slow reader of our
        # output must not cost the command its last lines. Its own rest fits into the pipe.
        waiting_s, until_s, left_bytes = DRAIN_S, clock.monotonic_s() + DRAIN_S, _PIPE_BYTES
        while left_bytes > 0 or clock.monotonic_s() < until_s:
            started_s = clock.monotonic_s()
            if not selector.select(max(0.0, waiting_s)):
                return
            waiting_s -= clock.monotonic_s() - started_s
            chunk = _read(outlet)
            if not chunk:
                return
            left_bytes -= len(chunk)
            yield chunk


def _read(outlet: int) -> bytes:
    try:
        return os.read(outlet, _CHUNK_BYTES)
    except OSError as error:
        if error.errno == errno.EIO:  # a terminal's last user has closed it
            return b""
        raise
