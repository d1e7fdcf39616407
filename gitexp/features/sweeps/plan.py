"""The plan of a sweep: its trials, each with the earlier result that it has, if any.

A result counts whether this sweep, another one or the user by hand made it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.core.inputs.argv import with_values
from gitexp.core.inputs.redaction import REDACTED, is_secret_name, redact_table, redact_text
from gitexp.core.model.ids import parse_object_id
from gitexp.core.model.run import Code, Origin, Outcome, RecordedRun, Run, Table
from gitexp.core.schema.toml_codec import encode_table
from gitexp.features.execution.prepare import PreparedRun, RunRequest, prepare, read_params_files
from gitexp.features.execution.repeats import seed_setter
from gitexp.features.execution.variation import Variations
from gitexp.features.sweeps.definition import Definition, batch_of
from gitexp.features.sweeps.space import MAX_POINTS, Point, UnusableSpace
from gitexp.features.sweeps.start_settings import shaping_settings
from gitexp.features.trials.earlier_runs import EarlierRuns, find_earlier_runs
from gitexp.storage.workspace import Workspace


class State(StrEnum):
    """What is known of a trial before it runs."""

    NEW = "new"
    """It has no result yet."""
    REPEAT = "repeat"
    """It ended before; that result is reused."""
    DISCARDED = "discarded"
    """It was decided discard or stop, so it is left out."""
    RUNNING = "running"
    """Another process runs it at the moment."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One trial of a sweep."""

    number: int
    """From 1, in the order in which trials start."""
    point: Point
    """The parameters that the sweep varies, the seed among them."""
    prepared: PreparedRun
    state: State = State.NEW
    known: RecordedRun | None = None
    """The run that is reused, was discarded or goes on."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What to do with trials that are known."""

    again: bool = False
    """Run all of them."""
    retry_failed: bool = False
    """Run those that failed or timed out."""
    elsewhere: bool = False
    """Trials run on other machines: their Python is not known, so it is not compared."""


def first_trial(workspace: Workspace, definition: Definition) -> RunRequest:
    """The command of a sweep as a trial without the varied parameters."""
    top = workspace.repo.top
    if top is None:
        raise GitexpError(
            "cannot run a sweep here",
            why="the repository is bare: it has no work tree",
            hints=["`git worktree add PATH` makes one"],
        )
    if any(REDACTED in word for word in definition.argv):
        raise InvalidInput(
            "cannot run this sweep",
            why="its command held a secret, which was not recorded",
            hints=["pass secrets by the environment, not on the command line"],
        )
    return RunRequest(
        origin=Origin.API if definition.function else Origin.RUN,
        argv=definition.argv,
        directory=top / definition.directory,
        params_files=definition.params_files,
        file_params=definition.file_params,
        metrics_files=definition.metrics_files,
        metric_patterns=definition.metric_patterns or None,
        inputs=definition.inputs,
        outputs=definition.outputs,
        reason=definition.reason or None,
        tags=definition.tags,
        directions=definition.directions,
        timeout_s=definition.timeout_s or None,
    )


def refuse_secrets(definition: Definition) -> None:
    """Refuse a sweep whose definition, which is published, would hold a secret."""
    names = [name for name in definition.space().names if is_secret_name(name.split(".")[-1])]
    texts = (*definition.values, *definition.conditions, definition.table)
    if names or any(redact_text(text) != text for text in texts):
        what = f"parameter '{names[0]}'" if names else "a value"
        raise InvalidInput(
            "cannot define this sweep",
            why=f"{what} looks like a secret, and the definition is recorded",
            hints=["pass secrets by the environment"],
        )


def with_code(workspace: Workspace, definition: Definition) -> Definition:
    """Return the definition with the present code, settings, and content of parameter files.

    Trials in the user's own work tree read these files when they start.
    """
    trial = first_trial(workspace, definition)
    if not definition.in_place:
        params, _ = read_params_files(workspace, trial)
        if redact_table(params) == params:
            text = encode_table({"params": params}).decode()
            definition = replace(definition, params=text)
        definition = replace(definition, settings=shaping_settings(workspace))
    first = trials_of(workspace, definition, trial)[0][2]
    code = prepare(workspace, first, observe=False).run.code
    return replace(definition, commit=code.commit, tree=code.tree, digest=code.digest)


def trials_of(
    workspace: Workspace, definition: Definition, trial: RunRequest
) -> list[tuple[Point, int, RunRequest]]:
    """The trials in order: point, the number of the point from 1, trial. Raises `InvalidInput`."""
    points = definition.points()
    if len(points) * max(definition.seeds, 1) > MAX_POINTS:
        raise UnusableSpace(
            f"{len(points):,} points with {definition.seeds} seeds are too many trials",
            why=f"a sweep has at most {MAX_POINTS:,}",
        )
    return [
        (varied, number, each)
        for number, point in enumerate(points, start=1)
        for varied, each in trials_at(workspace, definition, trial, point)
    ]


def trials_at(
    workspace: Workspace, definition: Definition, trial: RunRequest, point: Point
) -> list[tuple[Point, RunRequest]]:
    """The trials of one point, one for each seed. Raises `InvalidInput`."""
    pairs = ((name.split("."), value) for name, value in point.items())
    varied = replace(trial, params=with_values(trial.params, pairs))
    if not definition.seeds:
        return [(point, varied)]
    seeds = range(definition.seeds)
    if definition.function:
        given = varied.params
        return [
            ({**point, "seed": n}, replace(varied, params=with_values(given, [(["seed"], n)])))
            for n in seeds
        ]
    with_seed = seed_setter(varied, workspace.settings.seed_params)
    return [({**point, "seed": seed}, with_seed(seed)) for seed in seeds]


class Plan:
    """The trials of one sweep, each prepared and looked up in the past."""

    def __init__(self, workspace: Workspace, definition: Definition, choices: Choices) -> None:
        """Raises `InvalidInput` for a space that cannot be used, `GitexpError` as `prepare`."""
        self.workspace = workspace
        self.definition = definition
        self.choices = choices
        trial = first_trial(workspace, definition)
        self._trials = trials_of(workspace, definition, trial)
        first = prepare(workspace, self._trials[0][2])
        self.notes = first.notes
        self.warnings = first.run.warnings
        code = code_of(workspace, definition, first)
        self._variations = Variations(workspace, first, code)
        self.code = code
        self.first = first
        self.trial = trial
        """The command without the varied parameters."""
        self._around = _Once(first.observe_environment)

    def __len__(self) -> int:
        """How many trials there are."""
        return len(self._trials)

    def prepare_again(self, planned: Planned) -> PreparedRun:
        """Prepare a trial with the present code, for the user's own work tree."""
        _, place, trial = self._trial(planned.number)
        prepared = prepare(self.workspace, trial)
        return self._marked(prepared, place)

    def _trial(self, number: int) -> tuple[Point, int, RunRequest]:
        return self._trials[number - 1]

    def sample(self) -> PreparedRun:
        """One of the trials, prepared; it stands for all of them."""
        return self._variations.prepare(self._trials[0][2])

    def _marked(self, prepared: PreparedRun, point: int) -> PreparedRun:
        if not self.definition.seeds:
            return prepared
        batch = batch_of(self.definition.id, point)
        return prepared._replace(run=replace(prepared.run, batch=batch))

    def look_up(self, progress: Callable[[int, int], None] | None = None) -> list[Planned]:
        """Prepare every trial and say what is known of it."""
        return list(self._look_up(progress))

    def _look_up(self, progress: Callable[[int, int], None] | None) -> Iterator[Planned]:
        for number, (point, place, trial) in enumerate(self._trials, start=1):
            yield self.look_at(number, point, place, trial)
            if progress is not None:
                progress(number, len(self._trials))

    def look_at(self, number: int, point: Point, place: int, trial: RunRequest) -> Planned:
        """Prepare one trial and say what is known of it; `place` is the number of its point."""
        prepared = self._marked(self._variations.prepare(trial), place)
        state, known = State.NEW, None
        if not self.choices.again:
            tried = find_earlier_runs(
                self.workspace,
                prepared.run,
                kin=0,
                look=self._around,
                uncompared=prepared.uncompared,
                changed=prepared.changed,
            )
            state, known = self._judge(prepared.run, tried)
            if state is State.NEW and (self.choices.elsewhere or self._has_workers):
                state, known = self._judge_elsewhere(prepared)
        return Planned(number, point, prepared, state, known)

    def _judge(self, run: Run, tried: EarlierRuns) -> tuple[State, RecordedRun | None]:
        if tried.is_rejected and not tried.doubts:
            return State.DISCARDED, tried.decided
        ended = [entry for entry in tried.identical if self._is_result(run, entry.run)]
        if ended:
            best = next((e for e in ended if e.run.outcome is Outcome.SUCCEEDED), ended[0])
            return State.REPEAT, best
        if tried.running:
            return State.RUNNING, tried.running[0].entry
        return State.NEW, None

    @cached_property
    def _has_workers(self) -> bool:
        """Return whether other machines ran trials of this sweep."""
        index = self.workspace.index
        query = self.workspace.query(f'sweep == "{self.definition.id}"')
        entries = index.entries(index.ids(query))
        return any(entry.run.sweep and entry.run.sweep.worker for entry in entries)

    def _judge_elsewhere(self, prepared: PreparedRun) -> tuple[State, RecordedRun | None]:
        """Judge a trial by runs with any Python: a result of this sweep from another machine
        counts, and any result when trials run on other machines.
        """
        run = replace(prepared.run, environment={})
        tried = find_earlier_runs(
            self.workspace,
            run,
            kin=0,
            uncompared=prepared.uncompared,
            changed=prepared.changed,
        )
        if not self.choices.elsewhere:
            ours = tuple(e for e in tried.identical if self._is_of_worker(e.run))
            running = tuple(found for found in tried.running if self._is_of_worker(found.entry.run))
            tried = tried._replace(identical=ours, running=running)
        return self._judge(run, tried)

    def _is_of_worker(self, run: Run) -> bool:
        place = run.sweep
        return place is not None and place.id == self.definition.id and bool(place.worker)

    def _is_result(self, run: Run, other: Run) -> bool:
        """Return whether an identical trial that ended spares us this one."""
        if other.outcome is Outcome.SUCCEEDED:
            return True
        if self.choices.retry_failed or other.outcome is Outcome.INTERRUPTED:
            return False
        if other.outcome is Outcome.TIMED_OUT:
            limits = [r.command.timeout_s if r.command else None for r in (run, other)]
            return limits[0] is not None and limits[0] <= (limits[1] or 0.0)
        return True


class _Once:
    """Calls a function when first asked, and gives its answer again."""

    def __init__(self, ask: Callable[[], Table]) -> None:
        self._ask = ask
        self._answer: Table | None = None

    def __call__(self) -> Table:
        if self._answer is None:
            self._answer = self._ask()
        return self._answer


def code_of(workspace: Workspace, definition: Definition, first: PreparedRun) -> Code:
    """The code of the trials: that of the definition, also when the work tree has another now.

    Raises `InvalidInput` when it is not in this repository.
    """
    code = first.run.code
    if definition.tree == code.tree or definition.in_place:
        return code
    repo = workspace.repo
    if repo.resolve(f"{definition.tree}^{{tree}}") is None:
        raise InvalidInput(
            f"cannot go on with sweep {definition.id[:7]}",
            why=f"its code {definition.tree[:10]} is not in this repository",
            hints=["`git exp fetch` brings the code of all runs"],
        )
    snapshot = workspace.branch.code_commit(definition.tree)
    commit = repo.resolve(f"{definition.commit}^{{commit}}")
    own = None if commit is None else repo.resolve(f"{commit}^{{tree}}")
    return replace(
        code,
        commit=parse_object_id(definition.commit),
        tree=parse_object_id(definition.tree),
        dirty=own != definition.tree,
        snapshot=snapshot,
        digest=definition.digest,
        branch=None,
    )


def count_states(planned: Iterable[Planned]) -> dict[State, int]:
    """How many trials are in each state."""
    counts = dict.fromkeys(State, 0)
    for each in planned:
        counts[each.state] += 1
    return counts


def directory_of(workspace: Workspace) -> str:
    """Where the user is, relative to the top of the work tree."""
    top = workspace.repo.top
    start = workspace.repo.start
    if top is None or not start.is_relative_to(top):
        return "."
    return Path(start).relative_to(top).as_posix()
