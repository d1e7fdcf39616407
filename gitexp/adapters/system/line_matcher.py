"""Search of a command's output for patterns, in a separate process.

`feed` does not wait by default. Lines queue up to a limit; further lines are skipped and counted.
So no pattern can delay the command or its output.
"""

import contextlib
import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeAlias, cast

from gitexp.adapters.system import clock
from gitexp.adapters.system.command import open_filter
from gitexp.core.errors import GitexpError
from gitexp.core.inputs import line_matching

MAX_WAITING: Final = 8 << 20
"""Maximum characters in the queue."""
MAX_LINE: Final = 4096
"""Characters of a line that are searched."""
PATIENCE_S: Final = 10.0
"""Seconds to finish the search after the command has ended."""

OnFound: TypeAlias = Callable[[float, dict[str, str], str], None]
"""Called with the time of a line, the named matches in it, and the line."""


class Searched(NamedTuple):
    """Result of a search."""

    unsearched: int
    """Skipped lines, because the patterns are too slow."""
    slow: tuple[int, ...]
    """Numbers of the patterns that the search dropped as too slow."""


class Matcher:
    """Search of lines for patterns."""

    def __init__(self, patterns: Sequence[tuple[str, str | None]], on_found: OnFound) -> None:
        """Start the search. `on_found` is called on another thread. Raises `GitexpError`."""
        argv = [sys.executable or "python3", "-I", "-S", str(Path(line_matching.__file__))]
        self._child = open_filter(argv)
        self._on_found = on_found
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._fed = self._left_out = self._searched = 0
        self._slow: list[int] = []
        self._ended = False
        self._changed = threading.Condition()
        with self._changed:
            self._append(json.dumps([list(pattern) for pattern in patterns]).encode() + b"\n")
        self._threads = [
            threading.Thread(target=self._write, name="matcher in", daemon=True),
            threading.Thread(target=self._read, name="matcher out", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def feed(self, line: str, time_s: float, *, wait_s: float = 0.0) -> None:
        """Queue a line; if the queue stays full for `wait_s` seconds, skip it."""
        message = f"{time_s:.3f}\t{line[:MAX_LINE]}".replace("\n", " ").encode(errors="replace")
        with self._changed:
            if wait_s:
                self._changed.wait_for(lambda: self._has_room(message), wait_s)
            if self._has_room(message):
                self._fed += 1
                self._append(message + b"\n")
            else:
                self._left_out += 1

    def close(self, patience_s: float = PATIENCE_S) -> Searched:
        """Wait up to `patience_s` seconds for the queue to empty, then kill the process."""
        until_s = clock.monotonic_s() + patience_s
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, until_s - clock.monotonic_s()))
        self._child.kill()
        self._child.wait()
        for thread in self._threads:
            thread.join()
        slow = tuple(n for n, count in enumerate(self._slow) if count >= line_matching.MAX_SLOW)
        return Searched(self._left_out + self._fed - self._searched, slow)

    def _has_room(self, message: bytes) -> bool:
        return self._size + len(message) <= MAX_WAITING

    def _append(self, message: bytes) -> None:
        self._waiting.append(message)
        self._size += len(message)
        self._changed.notify_all()

    def _write(self) -> None:
        stdin = cast("IO[bytes]", self._child.stdin)
        with contextlib.suppress(OSError, ValueError):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._ended)
                    if not self._waiting:
                        break
                    messages = [self._waiting.popleft() for _ in range(min(64, len(self._waiting)))]
                stdin.write(b"".join(messages))
                stdin.flush()
                with self._changed:
                    self._size -= sum(map(len, messages))
                    self._changed.notify_all()
        with contextlib.suppress(OSError, ValueError):
            stdin.close()

    def _read(self) -> None:
        stdout = cast("IO[bytes]", self._child.stdout)
        with contextlib.suppress(OSError, ValueError):
            for raw in stdout:
                document: dict[str, Any] = json.loads(raw)
                if "found" in document:
                    with contextlib.suppress(GitexpError):
                        self._on_found(document["time"], document["found"], document["line"])
                else:
                    self._searched, self._slow = document["searched"], document["slow"]
        stdout.close()
