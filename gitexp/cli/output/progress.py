"""Signs of life on standard error for what takes longer than a second.

Nothing is shown before a second has passed, nothing stays when it is over, and nothing is written
where standard error is no terminal.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from gitexp.adapters.system import clock

PATIENCE_S = 1.0
"""What ends sooner shows nothing."""

_STEP_S = 0.1
_BAR = 24
_ERASE = "\r\x1b[K"


class Progress:
    """Counts up in place: `building the run index [#####     ] 2,500 of 5,000`."""

    def __init__(self, doing: str, *, started_s: float | None = None) -> None:
        self._doing = doing
        self._next_s = (clock.monotonic_s() if started_s is None else started_s) + PATIENCE_S
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is; at the end the line goes away."""
        now_s = clock.monotonic_s()
        if done >= total:
            if self._shown:
                _write(_ERASE)
                self._shown = False
        elif now_s >= self._next_s:
            filled = _BAR * done // max(total, 1)
            bar = "#" * filled + " " * (_BAR - filled)
            _write(f"{_ERASE}{self._doing} [{bar}] {done:,} of {total:,}")
            self._shown = True
            self._next_s = now_s + _STEP_S


class _Waiting:
    """Says what is waited for, and how long already, from another thread."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._how_far = ""
        self._started_s = clock.monotonic_s()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Callable[[str], None]:
        self._thread.start()
        return self._note

    def _note(self, how_far: str) -> None:
        self._how_far = f" ({how_far})"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        shown = False
        while not self._over.wait(PATIENCE_S):
            seconds = clock.monotonic_s() - self._started_s
            _write(f"{_ERASE}{self._doing}{self._how_far}, {seconds:.0f} s")
            shown = True
        if shown:
            _write(_ERASE)


@contextmanager
def waiting(doing: str) -> Iterator[Callable[[str], None]]:
    """Say what is going on for as long as it does: `importing (5,000 of 9,000), 3 s`.

    Gives a function that takes what stands in the brackets. Not for what may ask for a password.
    """
    if not sys.stderr.isatty():
        yield lambda _how_far: None
        return
    with _Waiting(doing) as note:
        yield note


def announce(doing: str) -> None:
    """Say what begins now and may take long or ask for a password, on a line of its own."""
    if sys.stderr.isatty():
        _write(f"{doing}\n")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
