"""Record and list runs from Python.

Under `git exp run` every call attaches to the run of that command. Elsewhere `start` begins a new
run.
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gitexp.adapters.journal.journal import Journal, read_journal
from gitexp.adapters.journal.liveness import RUN_VARIABLE
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.core.inputs.python_values import (
    PLAIN_TYPES,
    Number,
    as_outcome,
    as_table,
    as_tags,
    own_argv,
    plain_number,
)
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Direction, Origin, Outcome, RecordedRun, Run, Table, flatten
from gitexp.core.schema.limits import check_table
from gitexp.features.execution.execute import JOURNAL_VARIABLE, STARTED_VARIABLE

if TYPE_CHECKING:
    from gitexp.features.execution.prepare import RunRequest

_FAILURE_TAIL = 4000


current: ContextVar["Callable[[], ActiveRun] | None"] = ContextVar("current", default=None)
"""Opens the run of the trial that this thread runs for `gitexp.sweep`."""


class ActiveRun:
    """A run in progress, created by `start`. Several threads may use it."""

    def __init__(self, journal: Journal, run_id: RunId, started_s: float) -> None:
        self.id = run_id
        """The run's id."""
        self._journal: Journal | None = journal
        self._started_s = started_s

    def log(
        self,
        metrics: Mapping[str, Number | str] | None = None,
        /,
        *,
        step: int | None = None,
        **more: Number | str,
    ) -> None:
        """Log metrics: `run.log(accuracy=0.85, step=3)` or `run.log({"val/loss": 0.2})`.

        Comparisons use the last value of a metric; all its values form the series. Without `step`
        each metric counts its own values. A call takes microseconds; a killed process loses at most
        the last line. Raises `InvalidInput` for a value that is neither a number nor text.
        """
        values = {**(metrics or {}), **more}
        plain: dict[str, Any] = {}
        for name, value in values.items():
            if isinstance(value, Mapping):
                plain.update(flatten(as_table({name: value})))
            else:
                is_plain = type(value) in PLAIN_TYPES
                plain[name] = value if is_plain else plain_number(name, value)
        self._open().metrics(plain, step=step, time_s=clock.monotonic_s() - self._started_s)

    def params(self, params: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Add parameters that become known after the start. Raises `InvalidInput`."""
        table = as_table({**(params or {}), **more})
        check_table(table, "parameter")
        self._open().append("params", values=table)

    def tag(self, *tags: str) -> None:
        """Add tags."""
        self._open().append("tags", tags=[str(tag) for tag in tags])

    def note(self, text: str) -> None:
        """Add a note to the run."""
        self._open().append("note", text=str(text))

    def finish(self, outcome: str = "succeeded") -> None:
        """Stop logging. Under `git exp run` the run itself ends with its command, not here.

        Raises `InvalidInput` for an unknown outcome.
        """
        as_outcome(outcome)
        if self._journal is not None:
            self._journal.sync()
            self._journal.close()
            self._journal = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish(_outcome_of(error))

    def _open(self) -> Journal:
        if self._journal is None:
            raise InvalidInput(f"run {self.id[:7]} has ended", hints=["`gitexp.start()` a new one"])
        return self._journal


class OwnedRun(ActiveRun):
    """A run that this process started and seals itself."""

    def __init__(self, workspace: Any, journal: Journal, run: Run, packages: Table) -> None:
        super().__init__(journal, run.id, clock.monotonic_s())
        self._workspace = workspace
        self._run = run
        self._packages = packages
        self._pid = os.getpid()
        self._tail = ""

    @property
    def record(self) -> Run:
        """The run as recorded up to now; final after `finish`."""
        return self._run

    def finish(self, outcome: str = "succeeded") -> None:
        """End the run and seal its record on the run branch. A second call does nothing.

        Raises `InvalidInput` for an unknown outcome, `GitexpError` when the record cannot be
        written: then the journal keeps the run, and the next `git exp` command completes it.
        """
        from gitexp.features.recording.record import apply_totals, fold_events, seal

        ended = as_outcome(outcome)
        journal, self._journal = self._journal, None
        if journal is None or os.getpid() != self._pid:
            return  # ended already, or a forked child: only the process that started it ends it
        found = fold_events(read_journal(journal.path))
        run = replace(
            apply_totals(self._run, found),
            outcome=ended,
            duration_s=round(clock.monotonic_s() - self._started_s, 3),
            output_tail=self._tail,
        )
        self._run = seal(
            self._workspace, journal, run, found.series, self._packages, notes=found.notes
        )
        self._workspace.release()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._tail = "".join(traceback.format_exception(error))[-_FAILURE_TAIL:]
        super().__exit__(kind, error, trace)


def start(
    params: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    reason: str | None = None,
    tags: Sequence[str] = (),
    inputs: Sequence[str] = (),
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    directory: str | os.PathLike[str] | None = None,
) -> ActiveRun:
    """Start a run. Its code and parameters are on the run branch when this returns.

    Use it as a context manager: an exception makes the run `failed`, Ctrl-C `interrupted`. Under
    `git exp run` it attaches to that run and adds the parameters and tags to it. Raises
    `NotARepository` or `NoCommit` when no code can be recorded, `InvalidInput` for a wrong value.
    If only the write to the branch fails, it prints a warning and keeps the run in the journal.
    """
    live = active()
    if live is not None:
        if params:
            live.params(params)
        if tags:
            live.tag(*tags)
        return live
    from gitexp.features.execution.prepare import RunRequest

    where = Path.cwd() if directory is None else Path(directory).resolve()
    request = RunRequest(
        origin=Origin.API,
        argv=own_argv(sys.argv, Path.cwd()),
        directory=where,
        params=as_table(params or {}),
        inputs=tuple(inputs),
        name=name,
        reason=reason,
        tags=as_tags(tags),
        directions={
            **dict.fromkeys(maximize, Direction.MAXIMIZE),
            **dict.fromkeys(minimize, Direction.MINIMIZE),
        },
    )
    return _begin(request, None if directory is None else where)


def _begin(request: "RunRequest", place: Path | None) -> OwnedRun:
    """Start a run in a directory. `None`: in the repository that git finds, `GIT_DIR` included."""
    from gitexp.features.execution.code_snapshot import pin
    from gitexp.features.execution.prepare import prepare
    from gitexp.features.execution.recover import recover
    from gitexp.features.recording.record import record_start
    from gitexp.storage.workspace import Workspace

    workspace = Workspace.open(place)
    with suppress(GitexpError):
        recover(workspace)
    with workspace.reading() as reading:
        prepared = prepare(reading, request)
        run = pin(reading, prepared.run)
        journal, problem = record_start(reading, run, prepared.packages)
    workspace.release()
    if problem is not None:
        sys.stderr.write(f"gitexp: {problem.what}; run {run.id[:7]} is in the journal only\n")
    own = OwnedRun(workspace, journal, run, prepared.packages)
    _end_at_exit(own)
    return own


def active() -> ActiveRun | None:
    """Return the run of `git exp run` that started this process, or of the trial of a sweep.

    `None` as well when that run has ended.
    """
    trial = current.get()
    if trial is not None:
        return trial()
    run_id, path = os.environ.get(RUN_VARIABLE), os.environ.get(JOURNAL_VARIABLE)
    if not run_id or not path:
        return None
    try:
        journal = Journal.attach(Path(path))
    except GitexpError:
        return None  # the run ended before this process
    with suppress(ValueError):
        return ActiveRun(journal, RunId(run_id), float(os.environ.get(STARTED_VARIABLE, "")))
    return ActiveRun(journal, RunId(run_id), clock.monotonic_s())


def runs(
    where: str | None = None,
    *,
    sort_by: str | None = None,
    descending: bool = False,
    limit: int | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> list[RecordedRun]:
    """Return recorded runs with their annotations, newest first unless sorted.

    `where` is an expression such as `"accuracy > 0.8 and lr < 0.1"`. Raises `InvalidQuery`.
    """
    from gitexp.core.query.matching import parse_sort
    from gitexp.storage.workspace import Workspace

    workspace = Workspace.open(None if directory is None else Path(directory).resolve())
    index = workspace.index
    key = None if sort_by is None else parse_sort(sort_by, index.keys())
    chosen = index.ids(workspace.query(where), key, descending=descending, limit=limit)
    return index.entries(chosen)


def _outcome_of(error: BaseException | None) -> str:
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return Outcome.SUCCEEDED
    return Outcome.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Outcome.FAILED


def _end_at_exit(live: OwnedRun) -> None:
    """Finish the run when the process exits, in case the program does not."""
    import atexit

    @atexit.register
    def end() -> None:
        failed = getattr(sys, "last_value", None) is not None
        with suppress(GitexpError):
            live.finish(Outcome.FAILED if failed else Outcome.SUCCEEDED)
