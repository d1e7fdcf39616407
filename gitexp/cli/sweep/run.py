"""Running a sweep from the command line, and what came out of one."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gitexp.cli.output.errors import warn
from gitexp.cli.output.progress import Progress as Bar
from gitexp.cli.output.terminal import answer, say
from gitexp.cli.sweep.options import SweepOptions
from gitexp.cli.sweep.progress import Teller, plain_point, reused_trials
from gitexp.cli.sweep.text import (
    end_lines,
    plan_lines,
    study_lines,
)
from gitexp.core.errors import ExitCode
from gitexp.core.model.run import Run
from gitexp.features.sweeps.cluster import (
    LOCAL,
    Cluster,
    check_executor,
    connected,
    has_left,
)
from gitexp.features.sweeps.definition import Definition
from gitexp.features.sweeps.known import Overview, place_marker
from gitexp.features.sweeps.plan import Choices, Plan, Planned, State, count_states
from gitexp.features.sweeps.progress import Limits
from gitexp.features.sweeps.proposed_plan import ProposedPlan, plan_of
from gitexp.features.sweeps.running import How, held_sweep, run_planned, source_of
from gitexp.features.sweeps.space import Point
from gitexp.features.sweeps.summary import choose, has_failed, summarize
from gitexp.storage.workspace import Workspace


def make_plan(workspace: Workspace, definition: Definition, choices: Choices) -> Plan:
    """Prepare a sweep, and say what was picked up or left out."""
    plan = plan_of(workspace, definition, choices)
    for note in plan.notes:
        say(note)
    for warning in plan.warnings:
        warn(warning)
    return plan


def look_up(plan: Plan) -> list[Planned]:
    """What is known of every trial; a terminal sees how far it is."""
    bar = Bar("looking for earlier runs")
    return plan.look_up(bar if sys.stderr.isatty() else None)


def run_sweep(workspace: Workspace, definition: Definition, options: SweepOptions) -> int:
    """Run a sweep, or go on with it, and say what came out. Returns the exit code."""
    executor = options.executor or LOCAL
    warning = check_executor(executor, in_place=definition.in_place)
    if warning is not None:
        warn(warning)
    choices = replace(options.choices, elsewhere=executor != LOCAL)
    if options.dry_run:
        plan = make_plan(workspace, definition, choices)
        planned = look_up(plan)
        _show_plan(plan, planned, options)
        return ExitCode.DONE
    with held_sweep(workspace, definition):
        plan = make_plan(workspace, definition, choices)
        planned = look_up(plan)
        was_left = has_left(workspace)
        if executor == LOCAL or not (len(source_of(plan, planned)) or was_left):
            return _run_and_tell(workspace, plan, planned, options, None)
        with connected(
            workspace,
            plan,
            executor,
            jobs=options.jobs,
            names=options.names,
            streams=_streams(definition, options),
            notice=say,
        ) as cluster:
            if was_left:
                workspace.refreshed()
                planned = look_up(plan)
            return _run_and_tell(workspace, plan, planned, options, cluster)


def _streams(definition: Definition, options: SweepOptions) -> bool:
    """Return whether lines are wanted while trials run: to be shown, or to prune."""
    return options.prefix_output or bool(definition.prune)


def _run_and_tell(
    workspace: Workspace,
    plan: Plan,
    planned: Sequence[Planned],
    options: SweepOptions,
    cluster: Cluster | None,
) -> int:
    definition = plan.definition
    queue = source_of(plan, planned if cluster is None else cluster.without_left(planned))
    others = other_results(plan)
    to_run = len(queue) + (len(cluster.left) if cluster else 0)
    teller = Teller(workspace, definition, planned, options, to_run=to_run, others=others)
    teller.tell_plan()
    if isinstance(plan, ProposedPlan) and not (options.quiet or options.as_json):
        for line in study_lines(plan):
            say(line)
    how = How(
        jobs=options.jobs or (1 if definition.in_place else None),
        executor=options.executor or LOCAL,
        names=options.names,
        limits=Limits(max_s=options.max_s, failures=options.failures),
        listener=teller.listener,
    )
    try:
        mark = place_marker(workspace, definition.id)
        result = run_planned(workspace, plan, queue, how, mark, cluster)
    finally:
        teller.erase()
    return teller.tell_end(result)


def _show_plan(plan: Plan, planned: Sequence[Planned], options: SweepOptions) -> None:
    definition, more = plan.definition, 0
    if isinstance(plan, ProposedPlan):
        planned, more = _with_next(plan, planned)
    if options.as_json:
        for each in planned:
            answer(json.dumps(_planned_document(each)))
        return
    for line in plan_lines(definition.id, planned):
        answer(line)
    if isinstance(plan, ProposedPlan):
        for line in study_lines(plan):
            answer(line)
        if more:
            answer(f"{more:,} more follow from the results, so they are not known yet")


def other_results(plan: Plan) -> list[tuple[Point, Run]]:
    """Results in the space of a sweep that do not count as its trials, each with its point."""
    priors = plan.priors if isinstance(plan, ProposedPlan) else []
    return [
        (group.point, each.known.measured)
        for group in priors
        for each in group.trials
        if each.known is not None
    ]


def _with_next(plan: ProposedPlan, planned: Sequence[Planned]) -> tuple[list[Planned], int]:
    """Add the trials of the next point, and count those that depend on results to come."""
    queue = source_of(plan, planned)
    known = {each.number for each in planned}
    found, first = list(planned), None
    while queue and (first is None or len(found) < len(planned) + plan.per_point):
        each = queue.take()
        if each is None:
            break
        if each.number not in known:
            first = each
            found.append(each)
    return found, len(queue)


def _planned_document(each: Planned) -> dict[str, Any]:
    document: dict[str, Any] = {
        "schema": 1,
        "event": "trial",
        "number": each.number,
        "state": each.state.value,
        "params": plain_point(each.point),
        "argv": list(each.prepared.run.command.argv) if each.prepared.run.command else [],
    }
    if each.known is not None:
        document["run"] = each.known.run.id
    return document


def end_of(workspace: Workspace, found: Overview) -> list[str]:
    """What came out of a sweep so far, reused results included."""
    definition = found.definition
    plan = plan_of(workspace, definition, Choices())
    planned = look_up(plan)
    trials = reused_trials(definition, planned)
    others = other_results(plan)
    directions = {**workspace.settings.directions, **definition.directions}
    wanted = definition.metric or workspace.settings.metric
    runs = [run for _, run in trials]
    summary = summarize([*others, *trials], choose(runs, wanted, directions), directions)
    failed = sum(map(has_failed, runs))
    counts = count_states(planned)
    left = len(plan) - len(planned) + counts[State.NEW]
    return list(end_lines(summary, len(trials), failed, left, definition.id[:7]))
