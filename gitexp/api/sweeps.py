"""`gitexp.sweep`: run a function or a command with many values of its parameters, from Python."""

import json
import os
import pickle
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from gitexp.api.calls import Command
from gitexp.api.executor_loop import ExecutorLoop, InThisThread, size_of
from gitexp.api.function_name import function_name
from gitexp.api.tracker import verdict_on
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.python_values import as_table, as_tags, own_argv
from gitexp.core.inputs.redaction import redact_argv, redact_text
from gitexp.core.model.run import Direction, Outcome, Run
from gitexp.core.render.text import counted, format_number
from gitexp.features.sweeps.definition import Definition
from gitexp.features.sweeps.files import save_sweep
from gitexp.features.sweeps.known import place_marker
from gitexp.features.sweeps.plan import (
    Choices,
    Plan,
    Planned,
    State,
    directory_of,
    refuse_secrets,
    with_code,
)
from gitexp.features.sweeps.progress import Limits, Listener, Result
from gitexp.features.sweeps.proposed_plan import plan_of
from gitexp.features.sweeps.running import How, default_jobs, held_sweep, run_planned, source_of
from gitexp.features.sweeps.space import Point
from gitexp.features.sweeps.study import PRUNERS
from gitexp.features.sweeps.summary import choose, short_point, summarize
from gitexp.storage.workspace import Workspace

MAX_FAILURES: Final = 5
"""Trials that fail one after the other before a sweep stops."""

FUNCTION: Final = "gitexp.sweep:"
"""How the word begins that stands for the function in the command of its runs."""


@dataclass(frozen=True, slots=True)
class SweepTrial:
    """One trial of a sweep that has a result."""

    params: Point
    """The parameters that the sweep varies, by dotted name."""
    run: Run
    is_reused: bool
    """True when the result was there before the sweep started."""


@dataclass(frozen=True)
class SweepResult:
    """What came out of `gitexp.sweep`."""

    id: str
    trials: tuple[SweepTrial, ...]
    """Those with a result: the reused ones, then the others as they ended."""
    metric: str | None
    direction: Direction | None
    best: SweepTrial | None
    """The best trial by the metric; `None` when none has it, or its direction is not known.

    With several seeds, the first trial of the point that is best on average.
    """
    best_value: float | None
    """The metric of the best trial; with several seeds the mean of its point."""
    left: int
    """Trials that did not start."""
    stopped_by: str | None
    """Why the sweep stopped before its last trial."""
    directory: Path

    @property
    def runs(self) -> list[Run]:
        """The runs of all trials."""
        return [trial.run for trial in self.trials]

    @property
    def reused(self) -> list[SweepTrial]:
        """The trials whose result was there before."""
        return [trial for trial in self.trials if trial.is_reused]

    @property
    def failed(self) -> list[SweepTrial]:
        """The trials that failed or timed out. An interrupted one has not: it runs again."""
        ways = (Outcome.FAILED, Outcome.TIMED_OUT)
        return [trial for trial in self.trials if trial.run.outcome in ways]

    @cached_property
    def verdict(self) -> str:
        """How the best trial compares with earlier results; empty when there is no best trial."""
        if self.best is None:
            return ""
        return verdict_on(Workspace.open(self.directory), self.best.run)

    def __str__(self) -> str:
        ended = [run for run in self.runs if run.outcome is not Outcome.INTERRUPTED]
        parts = [counted(ended, "result")]
        parts += [f"{len(self.reused):,} reused"] if self.reused else []
        parts += [f"{len(self.failed):,} failed"] if self.failed else []
        missing = len(self.trials) - len(ended) + self.left
        parts += [f"{missing:,} without a result"] if missing else []
        text = f"sweep {self.id[:7]}: {', '.join(parts)}"
        if self.best is not None and self.best_value is not None:
            value = format_number(self.best_value)
            point = short_point(self.best.params)
            text += f"; best {self.metric} {value} ({self.best.run.id[:7]}: {point})"
        return text


def sweep(
    space: Mapping[str, Any],
    work: Callable[..., Any] | Sequence[str],
    *,
    executor: Executor | None = None,
    jobs: int | None = None,
    where: str | Sequence[str] = (),
    zipped: Sequence[Sequence[str]] = (),
    random: int = 0,
    optuna: int = 0,
    sampler: str = "",
    seed: int = 0,
    seeds: int = 0,
    prune: str = "",
    minimize: str = "",
    maximize: str = "",
    reason: str = "",
    tags: str | Sequence[str] = (),
    inputs: Sequence[str] = (),
    again: bool = False,
    retry_failed: bool = False,
    stop_after_failures: int = MAX_FAILURES,
    on_end: Callable[[SweepTrial], None] | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> SweepResult:
    """Run a function or a command with many values of its parameters, each as a run.

    `space` has the values of each parameter: a text as after `-S` (`"log(1e-4..1e-1)"`), or a list.
    A function gets a point as keyword arguments (a dotted name as nested dictionaries) and returns
    its metrics: a dictionary, a number, or nothing when it logs with `gitexp.start()`. One that
    raises makes a failed run. A command is a list of words with `{k}` in them.

    Without `executor` a function is called in this thread, and commands run as with `git exp
    sweep`, `jobs` at once. With one, `jobs` trials are handed out at once; a function must be one
    that the executor can take, and a command runs in the present directory. Trials that ended
    before are reused.

    `seeds=3` runs each point with the seeds 0, 1 and 2; a function gets the seed as its argument
    `seed`. `prune` stops commands that do badly, as `--prune` does; functions, and commands of an
    executor, cannot be stopped. Raises `InvalidInput` for a space or options that make no sweep.
    """
    where_is = Path.cwd() if directory is None else Path(directory).resolve()
    workspace = Workspace.open(None if directory is None else where_is)
    definition = Definition(
        **_work_fields(work, where_is, is_handed_out=executor is not None),
        directory=directory_of(workspace),
        commit="0" * 40,
        tree="0" * 40,
        values=tuple(_values(name, given) for name, given in space.items()),
        zipped=tuple(",".join(group) for group in zipped),
        conditions=(where,) if isinstance(where, str) else tuple(where),
        random=random,
        optuna=optuna,
        sampler=sampler,
        seed=seed if random or optuna else 0,
        seeds=seeds,
        prune=prune,
        metric=minimize or maximize,
        direction="minimize" if minimize else "maximize" if maximize else "",
        reason=redact_text(reason),
        tags=tuple(sorted(set(as_tags(tags)))),
        inputs=tuple(inputs),
    )
    _check(definition, minimize=minimize, maximize=maximize)
    _check_handed_out(definition, work, executor)
    refuse_secrets(definition)
    definition = with_code(workspace, definition)
    with held_sweep(workspace, definition):
        plan = plan_of(workspace, definition, Choices(again=again, retry_failed=retry_failed))
        running = _Running(workspace, plan, jobs, stop_after_failures, on_end)
        running.run(work, executor, where_is)
        return running.result(where_is)


def _check(definition: Definition, *, minimize: str, maximize: str) -> None:
    if minimize and maximize:
        raise InvalidInput("cannot minimize one metric and maximize another")
    if definition.random and definition.optuna:
        raise InvalidInput("cannot draw points and let Optuna propose them")
    if min(definition.random, definition.optuna, definition.seed, definition.seeds) < 0:
        raise InvalidInput("a number of points or seeds is not below zero")
    if definition.seeds and "seed" in definition.space().names:
        raise InvalidInput("cannot use seeds=… here", why="the space has a parameter 'seed'")
    if definition.prune and (definition.prune not in PRUNERS or not definition.optuna):
        ways = " or ".join(PRUNERS)
        raise InvalidInput(
            f"cannot prune with '{definition.prune}'", why=f"it is {ways}, with optuna=N"
        )
    if definition.prune and definition.seeds:
        raise InvalidInput("cannot prune trials of several seeds")


def _check_handed_out(definition: Definition, work: Any, executor: Executor | None) -> None:
    """Refuse what an executor, or a call of a function, cannot do. Raises `InvalidInput`."""
    if definition.prune and (callable(work) or executor is not None):
        raise InvalidInput(
            "cannot prune these trials",
            why="a function, or a command of an executor, cannot be stopped",
            hints=["give a command, and no executor"],
        )
    if callable(work) and isinstance(executor, ProcessPoolExecutor):
        _check_travels(work)


def _check_travels(work: Callable[..., Any]) -> None:
    """Refuse a function that other processes cannot find. Raises `InvalidInput`."""
    try:
        pickle.dumps(work)
    except Exception as error:
        raise InvalidInput(
            "cannot hand this function to other processes",
            why=str(error),
            hints=["define it at the top of a module, or use threads"],
        ) from error


def _values(name: str, given: Any) -> str:
    """The text of a parameter's values, as after `-S`. Raises `InvalidInput`."""
    if isinstance(given, str):
        return f"{name}={given}"
    listed = given if isinstance(given, Sequence | range) else [given]
    plain = as_table({name: list(listed)})[name]
    try:
        return f"{name}={json.dumps(plain, allow_nan=False)}"
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"cannot use the values of '{name}'", why=str(error)) from error


class _Running:
    """One call of `sweep`, while it holds the sweep."""

    def __init__(
        self,
        workspace: Workspace,
        plan: Plan,
        jobs: int | None,
        failures: int,
        on_end: Callable[[SweepTrial], None] | None,
    ) -> None:
        self._workspace = workspace
        self._plan = plan
        self._definition = plan.definition
        self._jobs = jobs
        self._failures = failures
        self._call = on_end
        self._planned = plan.look_up()
        self._queue = source_of(plan, self._planned)
        self._mark = place_marker(workspace, self._definition.id)
        self._result = Result()
        self._reused = [each for each in self._planned if each.state is State.REPEAT]

    def _on_end(self, planned: Planned, run: Run) -> None:
        if self._call is not None:
            self._call(SweepTrial(planned.point, run, is_reused=False))

    def run(self, work: Any, executor: Executor | None, directory: Path) -> None:
        """Run the trials: functions and commands of an executor one way, other commands another."""
        if callable(work):
            self.hand_out(work, executor or InThisThread())
        elif executor is None:
            self.run_commands()
        else:
            self.hand_out(Command(self._definition.argv, str(directory)), executor)

    def run_commands(self) -> None:
        """Run the trials as `git exp sweep` does."""
        listener = Listener(
            on_end=lambda planned, run, _progress: self._on_end(planned, run),
            on_reuse=self._reused.append,
        )
        limits = Limits(failures=self._failures)
        how = How(jobs=self._jobs or default_jobs(), limits=limits, listener=listener)
        self._result = run_planned(self._workspace, self._plan, self._queue, how, self._mark)
        if self._result.was_interrupted:
            raise KeyboardInterrupt

    def hand_out(self, work: Any, executor: Executor) -> None:
        """Run the trials with an executor."""
        if not len(self._queue):
            return
        save_sweep(self._workspace, self._definition)
        loop = ExecutorLoop(
            self._workspace,
            self._plan,
            work,
            executor,
            jobs=self._jobs or size_of(executor, default_jobs()),
            failures=self._failures,
            metric=self._metric() or "value",
            mark=self._mark,
            on_end=self._on_end,
        )
        self._result = loop.run(self._queue)
        self._reused += loop.reused

    def _metric(self) -> str:
        return self._definition.metric or self._workspace.settings.metric or ""

    def result(self, directory: Path) -> SweepResult:
        """Return what came out."""
        trials = [
            SweepTrial(each.point, each.known.measured, is_reused=True)
            for each in self._reused
            if each.known is not None
        ]
        trials += [SweepTrial(each.point, run, is_reused=False) for each, run in self._result.runs]
        directions = {**self._workspace.settings.directions, **self._definition.directions}
        metric = choose([trial.run for trial in trials], self._metric(), directions)
        added = ("seed",) if self._definition.seeds else ()
        points = [{n: v for n, v in trial.params.items() if n not in added} for trial in trials]
        runs = [trial.run for trial in trials]
        summary = summarize(zip(points, runs, strict=True), metric, directions)
        best = None
        if summary.best and summary.direction is not None:
            best = next(trial for trial in trials if trial.run is summary.best[0].run)
        return SweepResult(
            id=self._definition.id,
            trials=tuple(trials),
            metric=metric,
            direction=summary.direction,
            best=best,
            best_value=None if best is None else summary.best[0].value,
            left=self._result.left,
            stopped_by=self._result.stopped_by,
            directory=directory,
        )


# --- which work it is ---------------------------------------------------------------------------


def _work_fields(
    work: Callable[..., Any] | Sequence[str], directory: Path, *, is_handed_out: bool
) -> dict[str, Any]:
    """The fields of a definition that say what runs. Raises `InvalidInput`."""
    if callable(work):
        word = FUNCTION + function_name(work)
        return {"argv": (*own_argv(sys.argv, directory), word), "function": word}
    words = shlex.split(work) if isinstance(work, str) else [str(word) for word in work]
    if not words:
        raise InvalidInput("there is no command to run", hints=["give a list of words"])
    return {"argv": tuple(redact_argv(words)), "in_place": is_handed_out}
