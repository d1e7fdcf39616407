"""The loop of `gitexp.sweep`: hand trials to an executor, and record how they end.

As for every sweep, each trial has a journal from before it starts until its record is on the
branch, and this process alone writes the branch, in batches.
"""

from collections.abc import Callable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from gitexp.adapters.journal.journal import Journal, read_journal
from gitexp.adapters.system import clock
from gitexp.api.calls import Answer, Command, call
from gitexp.core.errors import GitexpError
from gitexp.core.model.run import Outcome, Run
from gitexp.core.model.tables import nest
from gitexp.core.schema.toml_codec import encode_run
from gitexp.features.execution.code_snapshot import pin
from gitexp.features.recording.made_here import mark_recorded_here
from gitexp.features.recording.record import apply_totals, fit_to_limits, fold_events, note_events
from gitexp.features.sweeps.coordinator import BATCH_S
from gitexp.features.sweeps.files import branch_file, was_asked_to_end
from gitexp.features.sweeps.plan import Plan, Planned
from gitexp.features.sweeps.progress import Result
from gitexp.features.sweeps.source import Source, take_new
from gitexp.features.sweeps.summary import has_failed
from gitexp.storage.branch.events import RunEvent, sealed
from gitexp.storage.workspace import Workspace

_TICK_S: Final = 0.25


class InThisThread(Executor):
    """An executor that calls at once, one after the other."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function; its result is there when this returns."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future has it, as with every executor
            future.set_exception(error)
        return future


@dataclass(slots=True)
class _Trial:
    """A trial that was handed out."""

    planned: Planned
    run: Run
    journal: Journal


class ExecutorLoop:
    """Runs the new trials of a plan with an executor. Call only while holding the sweep."""

    def __init__(
        self,
        workspace: Workspace,
        plan: Plan,
        work: "Callable[..., Any] | Command",
        executor: Executor,
        *,
        jobs: int,
        failures: int,
        metric: str,
        mark: Callable[[Planned, Run], Run],
        on_end: Callable[[Planned, Run], None],
    ) -> None:
        """Hand out `jobs` trials at once, and stop after `failures` in a row; 0 never stops."""
        self._workspace = workspace
        self._plan = plan
        self._work = work
        self._executor = executor
        self._jobs = jobs
        self._failures = failures
        self._metric = metric
        self._mark = mark
        self._on_end = on_end
        self._open: dict[str, _Trial] = {}
        self._futures: dict[Future[Answer], str] = {}
        self._ended: list[tuple[_Trial, RunEvent, tuple[str, ...]]] = []
        self._extra: tuple[tuple[str, bytes], ...] = (branch_file(plan.definition),)
        self._written_s = clock.monotonic_s()
        self._row = 0
        self._suspects = 0
        """Trials that ran when the executor broke. Of several, none is known to have done it."""
        self.reused: list[Planned] = []
        """Trials that were proposed and have a result already."""

    def run(self, queue: Source) -> Result:
        """Run trials to their end. Ctrl-C records those that run as interrupted, and goes on up."""
        result = Result()
        self._clock = self._workspace.next_clock()
        sample = pin(self._workspace, self._plan.sample().run)  # the code, until a record has it
        try:
            while self._open or (queue and result.stopped_by is None):
                if result.stopped_by is None and was_asked_to_end(
                    self._workspace, self._plan.definition
                ):
                    result.stopped_by = "it was asked to stop"
                self._fill(queue, result)
                self._take(queue, result)
                if clock.monotonic_s() - self._written_s >= BATCH_S:
                    self._write(result)
        finally:
            for future in self._futures:
                future.cancel()
            for trial in list(self._open.values()):
                answer = Answer(has_succeeded=False, duration_s=0.0)
                self._end(trial, answer, queue, result, outcome=Outcome.INTERRUPTED)
            self._write(result)
            for trial, _, _ in self._ended:
                trial.journal.close()  # the next command completes it
            self._workspace.branch.release(sample)
        result.left = len(queue)
        return result

    # --- handing out --------------------------------------------------------------------------

    def _fill(self, queue: Source, result: Result) -> None:
        while result.stopped_by is None and len(self._open) < self._jobs:
            planned = take_new(queue, self.reused.append)
            if planned is None:
                break
            trial = self._begin(planned)
            params = nest(planned.point)
            try:
                future = self._executor.submit(
                    call, self._work, params, trial.run.id, str(trial.journal.path), self._metric
                )
            except (BrokenExecutor, RuntimeError) as error:
                result.stopped_by = f"the executor takes no trials: {error}"
                self._end(trial, _failure(error), queue, result, outcome=Outcome.INTERRUPTED)
                break
            self._futures[future] = trial.run.id

    def _begin(self, planned: Planned) -> _Trial:
        prepared = planned.prepared
        run = replace(prepared.run, clock=self._clock, started=clock.now())
        self._clock += 1
        run = self._mark(planned, replace(run, session=self._workspace.new_session()))
        mark_recorded_here(self._workspace, run.id)
        extra = {"packages": prepared.packages, "top": str(prepared.top)}
        journal = Journal.create(
            self._workspace.journals, run.id, encode_run(run), durable=False, extra=extra
        )
        trial = _Trial(planned, run, journal)
        self._open[run.id] = trial
        return trial

    # --- taking back --------------------------------------------------------------------------

    def _take(self, queue: Source, result: Result) -> None:
        done, _ = wait(self._futures, timeout=_TICK_S, return_when=FIRST_COMPLETED)
        for future in done:
            trial = self._open[self._futures.pop(future)]
            try:
                answer = future.result()
            except BrokenExecutor as error:
                if result.stopped_by is None:
                    result.stopped_by = f"the executor is broken: {error}"
                    self._suspects = len(self._open)
                known = Outcome.FAILED if self._suspects == 1 else Outcome.INTERRUPTED
                self._end(trial, _failure(error), queue, result, outcome=known)
                continue
            except CancelledError as error:  # it may not even have started
                result.stopped_by = "the executor gave a trial up"
                self._end(trial, _failure(error), queue, result, outcome=Outcome.INTERRUPTED)
                continue
            except Exception as error:  # noqa: BLE001 - how an executor says that a worker failed
                answer = _failure(error)
            self._end(trial, answer, queue, result)

    def _end(
        self,
        trial: _Trial,
        answer: Answer,
        queue: Source,
        result: Result,
        *,
        outcome: Outcome | None = None,
    ) -> None:
        """Seal a trial in its journal; the branch comes later."""
        del self._open[trial.run.id]
        journal = trial.journal
        for event in answer.events:
            with suppress(GitexpError):
                fields = {name: value for name, value in event.items() if name != "event"}
                journal.append(event["event"], **fields)
        found = fold_events(read_journal(journal.path))
        ended = Outcome.SUCCEEDED if answer.has_succeeded else Outcome.FAILED
        command = trial.run.command
        run = replace(
            apply_totals(trial.run, found),
            outcome=outcome or ended,
            duration_s=round(answer.duration_s, 3),
            output_tail=answer.tail,
            command=command and replace(command, exit_code=answer.exit_code),
        )
        run, record = fit_to_limits(run)
        with suppress(GitexpError):
            journal.seal(record, series=found.series)
        packages = trial.planned.prepared.packages
        event_ = sealed(run, found.series, run.outcome.value, packages, record=record)
        self._ended.append((replace(trial, run=run), event_, found.notes))
        result.runs.append((trial.planned, run))
        queue.note_end(trial.planned, run)
        self._row = self._row + 1 if has_failed(run) else 0
        if self._failures and self._row >= self._failures and result.stopped_by is None:
            result.stopped_by = f"{self._row} trials failed one after the other"
        self._on_end(trial.planned, run)

    def _write(self, result: Result) -> None:
        """Put what ended onto the branch; when it cannot be, the journals have it."""
        self._written_s = clock.monotonic_s()
        if not self._ended:
            return
        events: list[RunEvent] = []
        result.unrecorded = len(self._ended)
        with suppress(GitexpError):
            for trial, seal, notes in self._ended:
                events += [seal, *note_events(self._workspace, trial.run, notes)]
            events[0] = replace(events[0], files=(*events[0].files, *self._extra))
            self._workspace.record(events)
            self._extra = ()
            for trial, _, _ in self._ended:
                with suppress(GitexpError):
                    trial.journal.remove()
            self._ended.clear()
            result.unrecorded = 0


def _failure(error: BaseException) -> Answer:
    text = f"{type(error).__name__}: {error}"
    return Answer(has_succeeded=False, duration_s=0.0, tail=text)


def size_of(executor: Executor | None, default: int) -> int:
    """Return how many trials an executor runs at once, as far as is known."""
    if executor is None or isinstance(executor, InThisThread):
        return 1
    workers = getattr(executor, "_max_workers", None)
    return workers if isinstance(workers, int) and workers > 0 else default
