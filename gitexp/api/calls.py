"""The worker's side of `gitexp.sweep`: call a function, or run a command, for one trial.

This part runs in threads, processes or on other machines, where gitexp is installed. Where the
journal of the run is within reach it is written as things happen, else at the end.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gitexp.adapters.journal.journal import Journal
from gitexp.adapters.system import clock
from gitexp.api.runs import ActiveRun, current
from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.core.model.ids import RunId

TAIL_CHARACTERS: Final = 4000


@dataclass(slots=True)
class Answer:
    """How a trial ended, on its way back from the worker."""

    has_succeeded: bool
    duration_s: float
    tail: str = ""
    """The end of the output, or of the traceback."""
    exit_code: int | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    """What the trial logged, when the journal was out of reach."""


class FarJournal:
    """Takes the place of a journal on another machine: it keeps the events for the answer."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def append(self, event: str, **fields: Any) -> None:
        """Keep one event."""
        self.events.append({"event": event, **fields})

    def metrics(self, values: Mapping[str, Any], **fields: Any) -> None:
        """Keep one row of metrics."""
        self.events.append({"event": "metrics", "values": dict(values), **fields})

    def sync(self) -> None:
        """Do nothing: the events travel with the answer."""

    def close(self) -> None:
        """Do nothing."""


def call(
    work: "Callable[..., Any] | Command",
    params: Mapping[str, Any],
    run: str,
    journal: str,
    metric: str,
) -> Answer:
    """Run one trial. A number that it returns is the value of `metric`."""
    far = FarJournal()
    started_s = clock.monotonic_s()

    def open_run() -> ActiveRun:
        try:
            near: Any = Journal.attach(Path(journal))
        except GitexpError:
            near = far
        return ActiveRun(near, RunId(run), started_s)

    own = open_run()
    token = current.set(open_run)
    tail, exit_code, has_succeeded = "", None, True
    try:
        if isinstance(work, Command):
            exit_code, tail = work.run(params, own)
            has_succeeded = exit_code == 0
        else:
            _log(own, work(**params), metric)
    except SystemExit as end:
        has_succeeded = not end.code
        tail = "" if has_succeeded else f"SystemExit: {end.code}"
    except Exception as error:  # noqa: BLE001 - whatever the function raises is how it failed
        has_succeeded = False
        tail = "".join(traceback.format_exception(error))
    finally:
        current.reset(token)
    duration_s = clock.monotonic_s() - started_s
    own.finish()
    return Answer(has_succeeded, duration_s, tail[-TAIL_CHARACTERS:], exit_code, far.events)


def _log(run: ActiveRun, found: Any, metric: str) -> None:
    """Log what a function returned. Raises `InvalidInput` for what is no metric."""
    if found is None:
        return
    if isinstance(found, Mapping):
        run.log(found)
        return
    if isinstance(found, str) or not hasattr(found, "__float__"):
        raise InvalidInput(f"the function returned {type(found).__name__}, and no metrics")
    run.log({metric: found})


@dataclass(frozen=True, slots=True)
class Command:
    """A command that an executor runs, in the directory where the sweep was started."""

    argv: tuple[str, ...]
    directory: str

    def run(self, params: Mapping[str, Any], live: ActiveRun) -> tuple[int, str]:
        """Run the command and log the metrics that it prints. Returns exit code and output."""
        import os

        from gitexp.adapters.git.process import LOCAL_VARIABLES
        from gitexp.adapters.journal.liveness import RUN_VARIABLE
        from gitexp.adapters.system.command import start_apart
        from gitexp.core.inputs.argv import fill_template
        from gitexp.core.inputs.metric_lines import parse_metric_line, plain_line

        env = {k: v for k, v in os.environ.items() if k not in LOCAL_VARIABLES}
        argv = fill_template(self.argv, dict(params))
        process = start_apart(argv, Path(self.directory), {**env, RUN_VARIABLE: str(live.id)})
        printed, complaints = process.communicate()
        for line in (*printed.splitlines(), *complaints.splitlines()):
            reading = parse_metric_line(plain_line(line))
            if reading is not None and reading.values:
                live.log(reading.values, step=reading.step)
        return process.returncode, (printed + complaints).decode(errors="replace")
