"""The loop of a sweep: start trials, read their output, record their results.

Only the coordinator writes the run branch, in batches. A trial that ended waits for the next batch
in its journal. A coordinator that dies leaves every trial on the branch or in its journal.
"""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final

from gitexp.adapters.engines.protocol import Ended, Engine, NotRun, Printed, RunsAgain, TimeUp
from gitexp.adapters.git.maintenance import start_maintenance
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError
from gitexp.core.model.run import Run
from gitexp.features.sweeps.places import Place
from gitexp.features.sweeps.plan import Planned
from gitexp.features.sweeps.progress import Limits, Listener, Progress, Result
from gitexp.features.sweeps.source import Source, take_new
from gitexp.features.sweeps.summary import has_failed, is_pruned
from gitexp.features.sweeps.trial import OpenTrial, SealedTrial
from gitexp.storage.branch.events import RunEvent
from gitexp.storage.workspace import Workspace

BATCH_S: Final = 1.0
"""Seconds that a trial that ended waits to be recorded, at most, unless the disk is slow."""

WRITING_SHARE: Final = 0.1
"""Share of the time that recording may take: a slow disk or a busy machine gets larger batches."""

MAX_BATCH_S: Final = 5.0
"""Seconds that a trial that ended waits to be recorded, at most."""

ANNOUNCE_S: Final = 2.0
"""Seconds after which a trial is put onto the branch as running."""

TOUCH_S: Final = 300.0
"""Seconds between two signs of life in the work trees; `git exp gc` waits for an hour."""

MAX_WAITING: Final = 200
"""Trials that may wait for the branch with their journals open."""

_TICK_S: Final = 0.25


class Coordinator:
    """Runs the new trials of one sweep with one engine."""

    def __init__(
        self,
        workspace: Workspace,
        marks: Mapping[str, str],
        engine: Engine,
        place: Place,
        *,
        mark: Callable[[Planned, Run], Run],
        extra: tuple[tuple[str, bytes], ...],
        variables: dict[str, str],
        limits: Limits,
        listener: Listener,
        forget: Callable[[list[str]], None] = lambda _runs: None,
        is_asked: Callable[[], bool] = lambda: False,
    ) -> None:
        """`marks` are variables that every command gets, `variables` those it gets if unset.

        `mark` gives a run its place in the sweep; `extra` are files that the branch gets too.
        `forget` is called with runs that the branch has now. `is_asked` returns whether another
        process asked the sweep to end.
        """
        self._workspace = workspace
        self._marks = marks
        self._engine = engine
        self._place = place
        self._forget = forget
        self._is_asked = is_asked
        self._mark = mark
        self._extra = extra
        self._variables = variables
        self._limits = limits
        self._listener = listener
        self._running: dict[str, tuple[Planned, OpenTrial]] = {}
        self._ended: list[SealedTrial] = []
        self._written_s = 0.0
        self._batch_s = BATCH_S
        self._touched_s = clock.monotonic_s()
        self._clock = 0
        self._requests = 0
        self._row = 0
        """Failures in a row."""
        self._adopted: set[str] = set()
        """Runs of a coordinator that has died; `queue` does not know them."""

    def run(self, queue: Source, adopted: Iterable[tuple[Planned, Run]] = ()) -> Result:
        """Run trials to their end, or until the sweep is stopped. Raises `GitexpError`.

        `adopted` are runs that the engine was given before, by a coordinator that has died.
        """
        for each, run in adopted:
            self._running[run.id] = (each, self._place.begin(each.prepared, run))
            self._adopted.add(run.id)
        progress = Progress(len(queue) + len(self._running), clock.monotonic_s())
        result = Result()
        self._workspace.refreshed()
        self._clock = self._workspace.next_clock()
        with self._hearing_signals():
            try:
                while self._running or (queue and not progress.is_draining):
                    self._obey(queue, progress, result)
                    self._fill(queue, progress)
                    self._take(queue, progress, result)
                    self._prune(queue)
                    self._write(result)
                    self._touch()
                    self._listener.on_tick(progress)
            finally:
                self._close(result)
        result.left = len(queue) + len(result.not_run)
        return result

    # --- starting -----------------------------------------------------------------------------

    def _touch(self) -> None:
        now_s = clock.monotonic_s()
        if now_s - self._touched_s >= TOUCH_S:
            self._touched_s = now_s
            self._place.touch()

    def _fill(self, queue: Source, progress: Progress) -> None:
        while not progress.is_draining and len(self._running) < self._engine.slots:
            planned = take_new(queue, self._listener.on_reuse)
            if planned is None:
                break
            run = replace(planned.prepared.run, clock=self._clock, started=clock.now())
            self._clock += 1
            run = self._mark(planned, replace(run, session=self._workspace.new_session()))
            trial = self._place.begin(planned.prepared, run)
            self._running[run.id] = (planned, trial)
            self._engine.start(trial.order(self._marks, self._variables))
            self._listener.on_start(planned, trial.run)
        progress.running = len(self._running)
        progress.total = progress.done + progress.running + len(queue)

    # --- hearing ------------------------------------------------------------------------------

    def _take(self, queue: Source, progress: Progress, result: Result) -> None:
        self._workspace.release()
        for happened in self._engine.wait(_TICK_S):
            planned, trial = self._running[happened.run]
            if isinstance(happened, Printed):
                for line in trial.hear(happened.chunk, happened.stream, happened.time_s):
                    self._listener.on_line(trial.run, happened.stream, line)
            elif isinstance(happened, TimeUp):
                trial.note_timeout()
            elif isinstance(happened, RunsAgain):
                self._begin_again(planned, trial)
            elif isinstance(happened, Ended):
                self._end(planned, trial, happened, progress, result)
                if happened.run not in self._adopted:
                    queue.note_end(*result.runs[-1])
            elif isinstance(happened, NotRun):
                self._drop(planned, trial, happened, progress, result)

    def _end(
        self,
        planned: Planned,
        trial: OpenTrial,
        ended: Ended,
        progress: Progress,
        result: Result,
    ) -> None:
        sealed = trial.end(ended)
        self._place.end(trial)
        del self._running[ended.run]
        self._ended.append(sealed)
        result.runs.append((planned, sealed.run))
        progress.done += 1
        progress.running = len(self._running)
        if has_failed(sealed.run):
            progress.failed += 1
            self._row += 1
        else:
            progress.pruned += is_pruned(sealed.run)
            self._row = 0
        self._listener.on_end(planned, sealed.run, progress)

    def _begin_again(self, planned: Planned, trial: OpenTrial) -> None:
        """Forget what a trial printed: its worker died, and another runs it from its start."""
        trial.abandon()
        self._place.end(trial)
        warnings = (*trial.run.warnings, "its worker was lost, so it ran again")
        again = self._place.begin(planned.prepared, replace(trial.run, warnings=warnings))
        again.is_announced = trial.is_announced
        if trial.pruned_at is not None:
            again.note_pruning(trial.pruned_at)
        self._running[again.run.id] = (planned, again)

    def _prune(self, queue: Source) -> None:
        running = [
            (planned, trial.journal.path)
            for run, (planned, trial) in self._running.items()
            if run not in self._adopted
        ]
        for run, step in queue.to_prune(running):
            self._running[run][1].note_pruning(step)
            self._engine.stop(run)

    def _drop(
        self,
        planned: Planned,
        trial: OpenTrial,
        happened: NotRun,
        progress: Progress,
        result: Result,
    ) -> None:
        """Take back a trial that no worker can run: it has no record, or an interrupted one."""
        reasons = {why for _, why in result.not_run}
        if happened.why not in reasons:
            self._listener.on_notice(f"not run: {happened.why}")
        result.not_run.append((planned, happened.why))
        if trial.is_announced:
            ended = Ended(happened.run, -1, 0.0, stopped=True, fault=f"not run: {happened.why}")
            self._ended.append(trial.end(ended))
        else:
            trial.withdraw()
        self._place.end(trial)
        del self._running[happened.run]
        progress.running = len(self._running)
        self._row += 1

    # --- stopping -----------------------------------------------------------------------------

    def _obey(self, queue: Source, progress: Progress, result: Result) -> None:
        """Act on signals, requests and limits."""
        if not (progress.is_draining or self._requests) and self._is_asked():
            self._requests = 1
        while self._requests:
            self._requests -= 1
            if not progress.is_draining:
                progress.is_draining = True
                running = len(self._running)
                more = f"; {running} running end first, Ctrl-C again stops them" if running else ""
                self._listener.on_notice(f"nothing new starts{more}")
            elif self._running:
                self._listener.on_notice(f"stopping {len(self._running)} running")
                for run in self._running:
                    self._engine.stop(run)
            result.was_interrupted = True
        if progress.is_draining or not queue:
            return
        if self._limits.failures and self._row >= self._limits.failures:
            progress.is_draining = True
            what = "could not run" if result.not_run else "failed"
            result.stopped_by = f"{self._row} trials {what} one after the other"
        elif self._limits.max_s is not None:
            seconds = clock.monotonic_s() - progress.started_s
            if seconds >= self._limits.max_s:
                progress.is_draining = True
                result.stopped_by = "its time is over"

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        """Count the signals to end: the first waits for running trials, the second stops them.

        TERM and HUP stop the trials at once: the machine or the terminal goes away.
        """

        def on_key(_number: int, _frame: Any) -> None:
            self._requests += 1

        def on_end(_number: int, _frame: Any) -> None:
            self._requests += 2

        before = {}
        for number, handler in (
            (signal.SIGINT, on_key),
            (signal.SIGTERM, on_end),
            (signal.SIGHUP, on_end),
        ):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
        try:
            yield
        finally:
            for number, handler_before in before.items():
                signal.signal(number, handler_before)

    # --- recording ----------------------------------------------------------------------------

    def _write(self, result: Result, *, now: bool = False) -> None:
        """Put what ended onto the branch, and what runs for a while; in one go, when it is due."""
        now_s = clock.monotonic_s()
        if not now and self._written_s and now_s - self._written_s < self._batch_s:
            return
        announced = [
            trial
            for _, trial in self._running.values()
            if not trial.is_announced
            and (
                (not self._written_s and not trial.may_wait)
                or now_s - trial.started_s >= ANNOUNCE_S
            )
        ]
        if not self._ended and not announced:
            return
        try:
            events = [event for sealed in self._ended for event in self._events(sealed)]
            events += [trial.announce() for trial in announced]
            first = events[0]
            events[0] = replace(first, files=(*first.files, *self._extra))
            self._workspace.record(events)
        except GitexpError as problem:
            self._keep_for_later(problem, announced)
            return
        finally:
            self._written_s = clock.monotonic_s()
            took_s = self._written_s - now_s
            self._batch_s = min(max(BATCH_S, took_s / WRITING_SHARE), MAX_BATCH_S)
        self._extra = ()
        for sealed in self._ended:
            with suppress(GitexpError):
                sealed.release()
        if self._ended:
            self._forget([sealed.run.id for sealed in self._ended])
        self._ended.clear()
        result.unrecorded = 0

    def _keep_for_later(self, problem: GitexpError, announced: list[OpenTrial]) -> None:
        for trial in announced:
            trial.is_announced = False
        self._listener.on_problem(problem)
        if len(self._ended) > MAX_WAITING:
            raise problem

    def _events(self, sealed: SealedTrial) -> list[RunEvent]:
        """Return the seal of a trial and its notes, which are recorded together."""
        from gitexp.features.recording.record import note_events

        seal = sealed.event(sealed.run.outcome.value)
        return [seal, *note_events(self._workspace, sealed.run, sealed.notes)]

    def _close(self, result: Result) -> None:
        """Record what ended; trials that still run here, after a failure of ours, are ended."""
        for _, trial in self._running.values():
            trial.is_announced = True  # no sign of life any more
        with suppress(GitexpError):
            self._write(result, now=True)
        self._engine.close()
        for _, trial in self._running.values():
            trial.journal.close()  # recovery completes it, or `sweep resume`
        result.unrecorded = len(self._ended)
        for sealed in self._ended:
            sealed.leave()
        self._place.close()
        start_maintenance(self._workspace.repo)
