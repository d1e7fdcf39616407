"""Follow the repository: make the page's data anew when the branch moved, and tell the readers.

Two threads. While nothing changes they call `stat` a few times a second, and nothing while no page
is open.
"""

import gzip
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError
from gitexp.core.schema.layout import run_ref
from gitexp.features.report.live.running import Running
from gitexp.features.report.live.stamps import Stamps, Watched
from gitexp.features.report.live.subscribers import Event, Subscribers, Subscription, encode_event
from gitexp.storage.workspace import Workspace

LOOK_S: Final = 0.25
"""Seconds between two looks while a page is open."""

JUDGE_S: Final = 1.0
"""Seconds between two judgements of the runs that go on: a silent one changes its state too."""

LONGEST_PAUSE_S: Final = 30.0
"""After a fault the data are made again, with pauses that grow up to this."""

_COMPRESSION: Final = 1


class MakeDocuments(Protocol):
    """Makes the documents of the page, each better than the one before. Raises `GitexpError`."""

    def __call__(self, workspace: Workspace, *, is_first: bool) -> Iterable[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Version:
    """The data of the page at one moment."""

    number: int
    packed: bytes
    """JSON, compressed by gzip."""


class Watcher:
    """What the page shows, kept up to date."""

    def __init__(
        self,
        make_workspace: Callable[[], Workspace],
        make_documents: MakeDocuments,
        on_bug: Callable[[Exception], None],
    ) -> None:
        """Nothing is read yet. `on_bug` gets each exception that is no `GitexpError`."""
        self._make_workspace = make_workspace
        self._on_bug = on_bug
        self._make_documents = make_documents
        self._workspace = make_workspace()
        self._watched = Watched(self._workspace)
        self._running = Running(self._workspace)
        self.subscribers = Subscribers()
        self._version: Version | None = None
        self._fault: dict[str, Any] | None = None
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._seen: Stamps | None = None
        self._settings = self._watched.settings()
        self._tip: str | None = None
        self._pause_s = 0.0
        self._due_s = 0.0
        self._states: dict[Any, Any] = {}
        self._judge_s = 0.0

    # --- for the server -----------------------------------------------------------------------

    def version(self, timeout_s: float = 600.0) -> Version | None:
        """Return the newest data; waits for the first. `None` when they cannot be made."""

        def is_known() -> bool:
            return bool(self._version or self._fault or self._ended.is_set())

        with self._changed:
            self._changed.wait_for(is_known, timeout_s)
            return self._version

    @property
    def fault(self) -> Mapping[str, Any] | None:
        """Why the data could not be made last."""
        return self._fault

    def join(self) -> Subscription | None:
        """Add a reader; its first events say how things are now.

        The others get what is new before: a point is read once, for all readers.
        """
        self.subscribers.send("steps", self._steps)
        return self.subscribers.join(self._first_events)

    def end(self) -> None:
        """End the thread and all readers."""
        self._ended.set()
        self.subscribers.end()
        with self._changed:
            self._changed.notify_all()

    def follow(self) -> None:
        """Follow until the end: runs here, the branch in a thread beside, as it may take long."""
        beside = threading.Thread(target=self._follow_branch, name="branch", daemon=True)
        beside.start()
        while not self._ended.is_set():
            self._carefully(self.look_at_runs)
            self._wait(LOOK_S)
        beside.join()

    def _follow_branch(self) -> None:
        while not self._ended.is_set():
            begun_s = clock.monotonic_s()
            self._carefully(self.look_at_branch)
            # Large data are made at most half of the time.
            self._wait(max(LOOK_S, clock.monotonic_s() - begun_s))

    def _carefully(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception as error:  # noqa: BLE001 - the page must say that it stands still
            self._fail(GitexpError(f"this is a bug: {type(error).__name__}"))
            self._on_bug(error)

    def _wait(self, seconds: float) -> None:
        """Wait; while no page is open, wait until one is."""
        self._ended.wait(seconds)
        while not self._ended.is_set() and self._version and not len(self.subscribers):
            self.subscribers.arrived.wait()

    # --- one look -----------------------------------------------------------------------------

    def look(self) -> None:
        """Look once, and tell the readers what changed."""
        self.look_at_runs()
        self.look_at_branch()

    def look_at_runs(self) -> None:
        """Tell the readers what the runs that go on have logged."""
        self.subscribers.send("steps", self._steps)
        now_s = clock.monotonic_s()
        if now_s >= self._judge_s:
            self._judge_s = now_s + JUDGE_S
            self.subscribers.send("running", self._newly_running)

    def look_at_branch(self) -> None:
        """Make the data anew when the branch or the settings changed."""
        stamps = self._watched.stamps()
        is_due = self._fault is not None and clock.monotonic_s() >= self._due_s
        if stamps != self._seen or is_due:
            self._seen = stamps
            self._renew()

    def _first_events(self) -> list[Event]:
        number = 0 if self._version is None else self._version.number
        events = [encode_event("data", {"version": number})] if number else []
        events.append(encode_event("running", self._running.document()))
        return events + ([encode_event("fault", self._fault)] if self._fault else [])

    def _steps(self) -> Mapping[str, Any] | None:
        """Return what runs logged since the last look."""
        came_or_went = self._running.look()
        if came_or_went:
            self._judge_s = 0.0
        fresh = self._running.fresh_points()
        if not fresh:
            return None
        states = self._running.states()
        self._states |= {run: states[run] for run in fresh if run in self._states}
        return {
            "now": clock.file_time_ns() // 1_000_000,
            "runs": [{**states[run], "curves": points} for run, points in fresh.items()],
        }

    def _newly_running(self) -> Mapping[str, Any] | None:
        """Return all runs that go on, when one came, went, or is judged otherwise."""
        states = self._running.states()
        before, self._states = self._states, states
        return self._running.document() if _judged(before) != _judged(states) else None

    def _renew(self) -> None:
        """Make the data anew, if the tip or the settings changed."""
        try:
            settings = self._watched.settings()
            if settings != self._settings or self._fault is not None:
                self._settings = settings
                self._begin_anew()
            tip = self._workspace.repo.read_ref(run_ref(self._workspace.settings.branch))
            if self._version is not None and tip == self._tip and self._fault is None:
                return
            for document in self._make_documents(self._workspace, is_first=self._version is None):
                self._publish(document)
            self._tip = tip
        except GitexpError as error:
            if not self._ended.is_set():
                self._fail(error)

    def _begin_anew(self) -> None:
        """Open the repository again: its settings, or its files, may be others."""
        self._workspace.look_again()
        self._workspace = self._make_workspace()
        self._watched = Watched(self._workspace)
        self._running.workspace = self._workspace
        self._tip = None

    def _publish(self, data: Mapping[str, Any]) -> None:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        packed = gzip.compress(text.encode(errors="replace"), _COMPRESSION, mtime=0)
        with self._changed:
            before = self._version
            if before is None or before.packed != packed:
                number = 1 if before is None else before.number + 1
                self._version = Version(number, packed)
            self._fault, self._pause_s = None, 0.0
            self._changed.notify_all()
        number = 0 if self._version is None else self._version.number
        self.subscribers.send("data", lambda: {"version": number})

    def _fail(self, error: GitexpError) -> None:
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s or 1.0)
        self._due_s = clock.monotonic_s() + self._pause_s
        fault = {"error": error.what, "because": error.why}
        is_new = fault != self._fault
        with self._changed:
            self._fault = fault
            self._changed.notify_all()
        if is_new:
            self.subscribers.send("fault", lambda: fault)


def _judged(states: Mapping[Any, Mapping[str, Any]]) -> dict[Any, tuple[str, bool]]:
    return {run: (one["state"], one["stalled"]) for run, one in states.items()}
