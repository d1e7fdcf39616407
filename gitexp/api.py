"""What `import gitexp` offers: runs recorded from Python.

Floor 6, beside the command line. Under `git exp run` everything attaches to the run that is going
on; elsewhere `start` makes a run of its own.
"""

import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gitexp import clock
from gitexp.bounds import check_table
from gitexp.comparison import Answer
from gitexp.errors import GitexpError, InvalidInput
from gitexp.execution import JOURNAL_VARIABLE, RUN_VARIABLE, STARTED_VARIABLE
from gitexp.ids import RunId
from gitexp.journal import Journal, read_journal
from gitexp.model import Direction, Entry, Origin, Outcome, Run, Table, Value

Number = bool | int | float
_FAILURE_TAIL = 4000


class LiveRun:
    """A run that is going on; made by `start`. Safe to use from several threads."""

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

        The last value of a metric is what the run is compared by; all of them make its series.
        Without `step` a metric counts its own values. Costs microseconds; a killed process loses
        at most the last line. Raises `InvalidInput` for a value that is no number or text.
        """
        values = {**(metrics or {}), **more}
        plain = {
            name: value if type(value) in _PLAIN else _number(name, value)
            for name, value in values.items()
        }
        self._open().metrics(plain, step=step, time_s=clock.monotonic_s() - self._started_s)

    def params(self, params: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Add parameters that were not known at the start. Raises `InvalidInput`."""
        table = as_table({**(params or {}), **more})
        check_table(table, "parameter")
        self._open().append("params", values=table)

    def tag(self, *tags: str) -> None:
        """Add tags."""
        self._open().append("tags", tags=[str(tag) for tag in tags])

    def note(self, text: str) -> None:
        """Say something about the run."""
        self._open().append("note", text=str(text))

    def finish(self, outcome: str = "succeeded") -> None:
        """End the run. Under `git exp run` the run ends with its command, not here."""
        Outcome(outcome)
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


class OwnRun(LiveRun):
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
        """The run as recorded so far; final after `finish`."""
        return self._run

    def finish(self, outcome: str = "succeeded") -> None:
        """End the run and put it onto the branch. Raises `GitexpError` when that fails; the journal
        keeps the run then, and the next `git exp` command completes it.
        """
        from gitexp.lifecycle import collect, note_events, seal, with_collected  # noqa: PLC0415

        ended = Outcome(outcome)
        journal, self._journal = self._journal, None
        if journal is None or os.getpid() != self._pid:
            return  # ended already, or a forked child that has no say
        found = collect(read_journal(journal.path))
        run = replace(
            with_collected(self._run, found),
            outcome=ended,
            duration_s=round(clock.monotonic_s() - self._started_s, 3),
            output_tail=self._tail,
        )
        self._run = seal(self._workspace, journal, run, found.series, self._packages)
        if found.notes:
            workspace = self._workspace
            events = note_events(workspace, self._run, found.notes)
            workspace.store.write(events, identity=workspace.identity, moment=clock.now())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._tail = "".join(traceback.format_exception(error))[-_FAILURE_TAIL:]
        super().__exit__(kind, error, trace)


_PLAIN = frozenset({bool, int, float, str})


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
) -> LiveRun:
    """Start a run: its code and parameters are on the branch when this returns.

    Use it as a context manager; an exception makes the run `failed`, Ctrl-C `interrupted`. Under
    `git exp run` it attaches to that run and adds the parameters to it. Raises `NotARepository`,
    `NoCommit` or `InvalidInput` when there is nothing to tie the run to.
    """
    around = active()
    if around is not None:
        if params:
            around.params(params)
        if tags:
            around.tag(*tags)
        return around
    from gitexp.lifecycle import begin, recover  # noqa: PLC0415 - not needed under `git exp run`
    from gitexp.preparation import Trial, pin, prepare  # noqa: PLC0415 - see above
    from gitexp.workspace import Workspace  # noqa: PLC0415 - see above

    where = Path.cwd() if directory is None else Path(directory).resolve()
    workspace = Workspace.open(None if directory is None else where)
    with suppress(GitexpError):
        recover(workspace)
    trial = Trial(
        origin=Origin.API,
        argv=_own_argv(),
        directory=where,
        params=as_table(params or {}),
        inputs=tuple(inputs),
        name=name,
        reason=reason,
        tags=tuple(tags),
        directions={
            **dict.fromkeys(maximize, Direction.MAXIMIZE),
            **dict.fromkeys(minimize, Direction.MINIMIZE),
        },
    )
    prepared = prepare(workspace, trial)
    run = pin(workspace, prepared.run)
    journal, problem = begin(workspace, run, prepared.packages)
    if problem is not None:
        sys.stderr.write(f"gitexp: {problem.what}; run {run.id[:7]} is in the journal only\n")
    live = OwnRun(workspace, journal, run, prepared.packages)
    _end_at_exit(live)
    return live


def active() -> LiveRun | None:
    """The run this process belongs to, when `git exp run` started it; else `None`."""
    run_id, path = os.environ.get(RUN_VARIABLE), os.environ.get(JOURNAL_VARIABLE)
    if not run_id or not path:
        return None
    try:
        journal = Journal.attach(Path(path))
    except GitexpError:
        return None  # the run has ended, this process outlived it
    with suppress(ValueError):
        return LiveRun(journal, RunId(run_id), float(os.environ.get(STARTED_VARIABLE, "")))
    return LiveRun(journal, RunId(run_id), clock.monotonic_s())


def runs(
    where: str | None = None,
    *,
    sort_by: str | None = None,
    descending: bool = False,
    limit: int | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> list[Entry]:
    """Recorded runs with all that was added to them, newest first unless sorted.

    `where` is an expression such as `"accuracy > 0.8 and lr < 0.1"`. Raises `InvalidQuery`.
    """
    from gitexp.query import parse_sort  # noqa: PLC0415 - only for readers
    from gitexp.workspace import Workspace  # noqa: PLC0415 - only for readers

    workspace = Workspace.open(None if directory is None else Path(directory).resolve())
    index = workspace.index
    key = None if sort_by is None else parse_sort(sort_by, index.keys())
    chosen = index.ids(workspace.query(where), key, descending=descending, limit=limit)
    return index.entries(chosen)


@dataclass(frozen=True, slots=True)
class Report:
    """What `Tracker.compare` found; its text is the sentence to read."""

    text: str
    answer: Answer
    """Against the last run."""
    advice: str
    metric: str | None = None
    value: float | None = None
    last: float | None = None
    """The last run's value of the metric; absent when there was none."""
    best: float | None = None

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class Tracker:
    """Records whole runs as dictionaries and compares the newest with those before it.

    `tracker.log({"params": {...}, "metrics": {...}})`, `tracker.compare()`, `tracker.history`.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        from gitexp.workspace import Workspace  # noqa: PLC0415 - see the module's words

        self._directory = Path.cwd() if directory is None else Path(directory).resolve()
        self._workspace = Workspace.open(None if directory is None else self._directory)
        self._runs: list[Run] = []

    @property
    def history(self) -> list[Run]:
        """The runs this tracker logged, oldest first."""
        return list(self._runs)

    def log(self, results: Mapping[str, Any]) -> Run:
        """Record a run that has ended: tables `params` and `metrics`, and if wanted `name`,
        `reason`, `tags`, `outcome`. Returns the run. Raises `InvalidInput`.
        """
        from gitexp.lifecycle import record_whole  # noqa: PLC0415 - see the module's words
        from gitexp.preparation import Trial, prepare  # noqa: PLC0415 - see the module's words

        unknown = set(results) - {"params", "metrics", "name", "reason", "tags", "outcome"}
        if unknown or not isinstance(results.get("metrics", {}), Mapping):
            raise InvalidInput(
                "cannot log this",
                why=f"unknown: {', '.join(sorted(map(str, unknown)))}"
                if unknown
                else "`metrics` is not a table",
                hints=["log({'params': {...}, 'metrics': {...}})"],
            )
        metrics = as_table(results.get("metrics", {}))
        check_table(metrics, "metric")
        trial = Trial(
            origin=Origin.API,
            argv=_own_argv(),
            directory=self._directory,
            params=as_table(results.get("params", {})),
            name=results.get("name"),
            reason=results.get("reason"),
            tags=tuple(results.get("tags", ())),
        )
        self._workspace.refreshed()
        prepared = prepare(self._workspace, trial)
        outcome = Outcome(results.get("outcome", "succeeded"))
        run = replace(prepared.run, outcome=outcome, metrics=metrics)
        recorded = record_whole(self._workspace, run, [], prepared.packages)
        self._runs.append(recorded)
        return recorded

    def compare(self) -> Report:
        """Say whether the newest run is better than the last and the best before it.

        Prints the sentence, except at an interactive prompt, which shows what is returned.
        """
        report = self._compare()
        if not hasattr(sys, "ps1"):
            sys.stdout.write(f"{report}\n")
        return report

    def _compare(self) -> Report:
        from gitexp.judgement import judge  # noqa: PLC0415 - see the module's words
        from gitexp.render.verdict import metric_sentence  # noqa: PLC0415 - see above

        if not self._runs:
            return Report("nothing was logged yet", Answer.UNKNOWN, "log a run first")
        judgement = judge(self._workspace, self._runs[-1])
        last, best = judgement.verdict("last"), judgement.verdict("best")
        sentence = metric_sentence(last, best) if last or best else ""
        return Report(
            text=f"{sentence}\nnext: {judgement.advice}" if sentence else judgement.advice,
            answer=judgement.last_answer or Answer.UNKNOWN,
            advice=judgement.advice,
            metric=judgement.metric,
            value=None if last is None else last.value,
            last=None if last is None else last.reference_value,
            best=None if best is None else best.reference_value,
        )


def as_table(values: Mapping[str, Any]) -> Table:
    """Any mapping, namespace or dataclass as a table; numbers of NumPy and the like become plain.

    Raises `InvalidInput` for values that cannot be recorded.
    """
    return {str(name): _plain(str(name), value) for name, value in _items(values)}


def _items(values: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(values, Mapping):
        yield from values.items()
    elif hasattr(values, "__dict__"):
        yield from vars(values).items()
    else:
        raise InvalidInput(f"cannot take parameters from a {type(values).__name__}")


def _plain(name: str, value: Any) -> Value:
    if isinstance(value, Mapping):
        return as_table(value)
    if isinstance(value, list | tuple | set | frozenset):
        ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [_plain(name, inner) for inner in ordered if inner is not None]
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if isinstance(value, datetime | date | time):
        return value
    return "none" if value is None else _number(name, value)


def _number(name: str, value: Any) -> Number | str:
    """A number of NumPy, PyTorch and the like as Python's own. Raises `InvalidInput`."""
    with suppress(Exception):
        plain = value.item()
        if isinstance(plain, bool | int | float | str):
            return plain
    if isinstance(value, bool | int | float | str):
        return value
    raise InvalidInput(
        f"cannot record '{name}'",
        why=f"its value is a {type(value).__name__}, not a number or text",
    )


def _outcome_of(error: BaseException | None) -> str:
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return Outcome.SUCCEEDED
    return Outcome.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Outcome.FAILED


def _own_argv() -> tuple[str, ...]:
    """The command of this process, as one would type it again; nothing at a prompt."""
    if not sys.argv or not sys.argv[0] or sys.argv[0].startswith("-"):
        return ()
    script = Path(sys.argv[0])
    if not script.is_file():
        return ()
    with suppress(ValueError):
        script = script.resolve().relative_to(Path.cwd())
    return ("python", script.as_posix(), *sys.argv[1:])


def _end_at_exit(live: OwnRun) -> None:
    """A run that nobody ends is ended with the process."""
    import atexit  # noqa: PLC0415 - only for runs of our own

    @atexit.register
    def end() -> None:
        failed = getattr(sys, "last_value", None) is not None
        with suppress(GitexpError):
            live.finish(Outcome.FAILED if failed else Outcome.SUCCEEDED)
