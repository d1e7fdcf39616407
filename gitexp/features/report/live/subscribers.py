"""The readers of the live page: each gets the same events in the same order."""

import json
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

MOST_WAITING: Final = 1000
"""Events that a slow reader may leave; then it is closed, and comes back for everything."""

MOST_READERS: Final = 64

Event = tuple[str, bytes]
"""Name and JSON."""


class Subscription:
    """The events for one reader."""

    def __init__(self) -> None:
        """No event waits."""
        self._events: queue.Queue[Event | None] = queue.Queue(MOST_WAITING)
        self.closed = False

    def put(self, event: Event | None) -> None:
        """Add an event; `None` ends the subscription."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.closed = True

    def get(self, timeout_s: float) -> Event | None:
        """Return the next event. Raises `queue.Empty` after the time; `None` is the end."""
        return None if self.closed else self._events.get(timeout=timeout_s)


class Subscribers:
    """All readers."""

    def __init__(self) -> None:
        """No reader yet."""
        self._lock = threading.Lock()
        self._all: set[Subscription] = set()
        self._ended = False
        self.arrived = threading.Event()
        """Set while there is a reader, or the end has come."""

    def __len__(self) -> int:
        """Number of readers."""
        return len(self._all)

    def join(self, first: Callable[[], Iterable[Event]]) -> Subscription | None:
        """Add a reader, whose first events are given; `None` when there are too many.

        No event is sent while `first` is asked, so that none is lost and none comes twice.
        """
        with self._lock:
            if self._ended or len(self._all) >= MOST_READERS:
                return None
            made = Subscription()
            for event in first():
                made.put(event)
            self._all.add(made)
            self.arrived.set()
            return made

    def leave(self, one: Subscription) -> None:
        """Remove a reader."""
        with self._lock:
            self._all.discard(one)
            if not self._all and not self._ended:
                self.arrived.clear()

    def send(self, name: str, make: Callable[[], Any]) -> None:
        """Send an event to all readers, unless there is nothing in it."""
        with self._lock:
            document = make()
            if document:
                event = encode_event(name, document)
                for one in self._all:
                    one.put(event)

    def end(self) -> None:
        """Tell all readers that this is the end."""
        with self._lock:
            self._ended = True
            for one in self._all:
                one.put(encode_event("end", {}))
                one.put(None)
            self.arrived.set()


def encode_event(name: str, document: Any) -> Event:
    """Encode an event."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return name, text.encode(errors="replace")
