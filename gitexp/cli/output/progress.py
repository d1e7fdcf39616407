"""Progress on standard error for work that takes longer than a second.

It appears after one second, disappears when the work ends, and is not written at all if standard
error is no terminal.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from gitexp.adapters.system import clock

PATIENCE_S = 1.0
"""Seconds before progress appears."""

_STEP_S = 0.1
_BAR = 24
_ERASE = "\r\x1b[K"


class Progress:
    """A bar that is updated in place: `building the run index [#####     ] 2,500 of 5,000`."""

    def __init__(self, doing: str, *, started_s: float | None = None) -> None:
        self._doing = doing
        self._next_s = (clock.monotonic_s() if started_s is None else started_s) + PATIENCE_S
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Update the bar; erase it when `done` reaches `total`."""
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
    """A thread that shows the current work and its duration once a second."""

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
    """Show the current work while the block runs: `importing (5,000 of 9,000), 3 s`.

    Yields a function that sets the text in the brackets. Not for work that may ask for a password:
    the updates would overwrite the prompt.
    """
    if not sys.stderr.isatty():
        yield lambda _how_far: None
        return
    with _Waiting(doing) as note:
        yield note


def announce(doing: str) -> None:
    """Print a line before work that may take long or ask for a password."""
    if sys.stderr.isatty():
        _write(f"{doing}\n")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
