"""A sweep from its plan to its end, on this machine or with an engine."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from gitexp.adapters.engines import guardian
from gitexp.adapters.engines.local import LocalEngine
from gitexp.adapters.git.code_commit import write_code_commit
from gitexp.adapters.system import clock
from gitexp.adapters.system.command import find_command
from gitexp.core.errors import GitexpError, InvalidInput
from gitexp.core.model.run import Outcome, Run
from gitexp.features.execution.execute import execute
from gitexp.features.execution.recover import recover
from gitexp.features.sweeps.cluster import LOCAL, Cluster
from gitexp.features.sweeps.coordinator import Coordinator
from gitexp.features.sweeps.definition import Definition
from gitexp.features.sweeps.files import (
    branch_file,
    running_here,
    save_sweep,
    save_where,
    was_asked_to_end,
)
from gitexp.features.sweeps.marks import OWNER_VARIABLE, SWEEP_VARIABLE, marks_of
from gitexp.features.sweeps.places import WorkTrees
from gitexp.features.sweeps.plan import Plan, Planned, State
from gitexp.features.sweeps.progress import Limits, Listener, Progress, Result
from gitexp.features.sweeps.proposed_plan import ProposedPlan
from gitexp.features.sweeps.source import ListedTrials, Source, take_new
from gitexp.features.sweeps.trees import Trees, paths_to_link, remove_forgotten
from gitexp.features.sweeps.trial import placed_in
from gitexp.storage.branch.events import RunEvent
from gitexp.storage.cache.sql import program
from gitexp.storage.workspace import Workspace

THREADS_VARIABLE: Final = "OMP_NUM_THREADS"

_EARLIER: Final = 50
"""Newest runs that are searched for untracked files that the program reads."""


@dataclass(slots=True, kw_only=True)
class How:
    """How the trials of a sweep run here."""

    jobs: int | None
    """Trials at once; `None` for as many as there are processors, here or on the workers."""
    executor: str = LOCAL
    """The address of an engine, or `local`."""
    names: tuple[str, ...] = ()
    """Variables that trials on other machines get too."""
    limits: Limits = field(default_factory=Limits)
    listener: Listener = field(default_factory=Listener)


def default_jobs() -> int:
    """One trial for each processor that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


@contextmanager
def held_sweep(workspace: Workspace, definition: Definition) -> Iterator[None]:
    """Hold a sweep, after ending and recording what a killed coordinator left.

    Raises `Conflict` when another process runs it.
    """
    with running_here(workspace, definition):
        owner = marks_of(workspace, definition.id)[OWNER_VARIABLE]
        marker = f"{OWNER_VARIABLE}={owner}".encode()
        if guardian.marked_processes(marker):
            guardian.end_processes(set(), marker)
        if workspace.has_journals():
            recover(workspace)
            workspace.refreshed()
        remove_forgotten(workspace.repo, definition.id[:7])
        yield


def run_planned(
    workspace: Workspace,
    plan: Plan,
    queue: Source,
    how: How,
    mark: Callable[[Planned, Run], Run],
    cluster: Cluster | None = None,
) -> Result:
    """Run the new trials of a plan. Call only while holding the sweep. Raises `GitexpError`.

    `cluster` is what `connected` gave, `None` for trials on this machine.
    """
    if not len(queue) and not (cluster and cluster.left):
        return Result()
    if plan.definition.function:
        raise InvalidInput(
            f"cannot go on with sweep {plan.definition.id[:7]} here",
            why="its trials call a Python function",
            hints=["start the program that calls `gitexp.sweep` again; nothing runs twice"],
        )
    if cluster is not None:
        return _run_on(cluster, workspace, plan, queue, how, mark)
    if plan.definition.in_place:
        return _run_in_place(workspace, plan, queue, how, mark)
    return _run_apart(workspace, plan, queue, how, mark)


def source_of(plan: Plan, planned: Sequence[Planned]) -> Source:
    """The trials of a plan that have no result, after `look_up`. Raises `GitexpError`."""
    if isinstance(plan, ProposedPlan):
        from gitexp.features.sweeps.proposed_trials import ProposedTrials

        return ProposedTrials(plan, planned)
    return ListedTrials(each for each in planned if each.state is State.NEW)


def _run_on(
    cluster: Cluster,
    workspace: Workspace,
    plan: Plan,
    queue: Source,
    how: How,
    mark: Callable[[Planned, Run], Run],
) -> Result:
    """Run trials on other machines; those that workers have already are heard to their end."""
    save_sweep(workspace, plan.definition)
    save_where(workspace, plan.definition, how.executor, how.names)
    adopted = []
    for left in cluster.left:
        cluster.engine.adopt(left.run.id)
        adopted.append((left.planned(plan), left.run))
    return Coordinator(
        workspace,
        # Without an owner: `held_sweep` ends what has it, and workers may be on this machine.
        {SWEEP_VARIABLE: plan.definition.id},
        cluster.engine,
        cluster.place,
        mark=mark,
        extra=(branch_file(plan.definition),),
        variables={},
        limits=how.limits,
        listener=how.listener,
        forget=cluster.engine.forget,
        is_asked=partial(was_asked_to_end, workspace, plan.definition),
    ).run(queue, adopted)


def _run_apart(
    workspace: Workspace,
    plan: Plan,
    queue: Source,
    how: How,
    mark: Callable[[Planned, Run], Run],
) -> Result:
    definition = plan.definition
    revision = write_code_commit(
        workspace.repo,
        plan.code.tree,
        workspace.branch.code_identity(),
        durable=workspace.settings.durable,
    )
    sample = plan.sample()
    first = sample.run
    runs = [first, *_earlier_runs(workspace, first)]
    links = paths_to_link(workspace, runs, definition.links)
    trees = Trees(workspace, definition.id[:7], revision, first, links)
    try:
        tree = trees.take()
        placed = placed_in(sample, tree)
        find_command(placed.argv[0], placed.directory, os.environ)
        trees.give_back(tree)
        jobs = how.jobs or default_jobs()
        engine = LocalEngine(min(jobs, len(queue)))
    except BaseException:
        trees.close()
        raise
    save_sweep(workspace, definition)
    return Coordinator(
        workspace,
        marks_of(workspace, definition.id),
        engine,
        WorkTrees(workspace, trees),
        mark=mark,
        extra=(branch_file(definition),),
        variables=_variables(jobs),
        limits=how.limits,
        listener=how.listener,
        is_asked=partial(was_asked_to_end, workspace, definition),
    ).run(queue)


def _variables(jobs: int) -> dict[str, str]:
    """What a command gets unless it is set: threads that fit beside each other."""
    return {THREADS_VARIABLE: str(max(1, (os.cpu_count() or 1) // jobs))}


def _earlier_runs(workspace: Workspace, run: Run) -> list[Run]:
    """Earlier runs of the same program, the newest first."""
    if run.command is None:
        return []
    wanted = program(run.command)
    index = workspace.index
    entries = index.entries(islice(index.ids(limit=_EARLIER), _EARLIER))
    return [e.run for e in entries if e.run.command and program(e.run.command) == wanted]


def _run_in_place(
    workspace: Workspace,
    plan: Plan,
    queue: Source,
    how: How,
    mark: Callable[[Planned, Run], Run],
) -> Result:
    """Run the trials one after the other in the user's own work tree, as `git exp run` does."""
    if (how.jobs or 1) > 1:
        raise InvalidInput(
            "cannot run several trials at once with --in-place",
            why="they would write over each other's files",
            hints=["leave out `-j`, or leave out `--in-place`"],
        )
    save_sweep(workspace, plan.definition)
    result, progress = Result(), Progress(len(queue), clock.monotonic_s())
    failures = 0
    while queue:
        result.left = len(queue)
        seconds = clock.monotonic_s() - progress.started_s
        if how.limits.max_s is not None and seconds >= how.limits.max_s:
            result.stopped_by = "its time is over"
            return result
        if how.limits.failures and failures >= how.limits.failures:
            result.stopped_by = f"{failures} trials failed one after the other"
            return result
        if was_asked_to_end(workspace, plan.definition):
            result.was_interrupted = True
            break
        each = take_new(queue, how.listener.on_reuse)
        if each is None:
            break
        workspace.refreshed()  # what the trial before wrote is not code
        prepared = plan.prepare_again(each)
        prepared = prepared._replace(run=mark(each, prepared.run))
        how.listener.on_start(each, prepared.run)
        executed = execute(workspace, prepared)
        result.runs.append((each, executed.run))
        result.unrecorded += not executed.recorded
        queue.note_end(each, executed.run)
        failures = 0 if executed.exit_code == 0 else failures + 1
        progress.done, progress.failed = progress.done + 1, progress.failed + bool(failures)
        how.listener.on_end(each, executed.run, progress)
        if executed.run.outcome is Outcome.INTERRUPTED:
            result.was_interrupted = True
            break
    result.left = len(queue)
    if result.runs:
        _put_definition(workspace, plan.definition)
    return result


def _put_definition(workspace: Workspace, definition: Definition) -> None:
    """Put the file of a sweep onto the branch, beside the newest run."""
    with suppress(GitexpError):
        newest = workspace.refreshed().entries(workspace.index.ids(limit=1))
        for entry in newest:
            subject = f"sweep {definition.id[:7]}"
            event = RunEvent(entry.run, subject, (branch_file(definition),), keeps=False)
            workspace.record([event])
