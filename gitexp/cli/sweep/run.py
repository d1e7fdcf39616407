"""Running a sweep from the command line, and what came out of one."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from gitexp.cli.output.errors import warn
from gitexp.cli.output.progress import Progress as Bar
from gitexp.cli.output.terminal import answer, say
from gitexp.cli.sweep.options import Said
from gitexp.cli.sweep.progress import Teller, plain_point, reused_trials
from gitexp.cli.sweep.text import (
    end_lines,
    plan_lines,
)
from gitexp.core.errors import ExitCode
from gitexp.core.model.run import Outcome
from gitexp.features.sweeps.coordinator import Limits
from gitexp.features.sweeps.definition import Definition
from gitexp.features.sweeps.known import Overview, place_marker
from gitexp.features.sweeps.plan import Choices, Plan, Planned, State, count_states
from gitexp.features.sweeps.running import How, default_jobs, held_sweep, run_planned
from gitexp.features.sweeps.summary import choose, summarize
from gitexp.storage.workspace import Workspace


def make_plan(workspace: Workspace, definition: Definition, choices: Choices) -> Plan:
    """Prepare a sweep, and say what was picked up or left out."""
    plan = Plan(workspace, definition, choices)
    for note in plan.notes:
        say(note)
    for warning in plan.warnings:
        warn(warning)
    return plan


def look_up(plan: Plan) -> list[Planned]:
    """What is known of every trial; a terminal sees how far it is."""
    bar = Bar("looking for earlier runs")
    return plan.look_up(bar if sys.stderr.isatty() else None)


def run_sweep(workspace: Workspace, definition: Definition, said: Said) -> int:
    """Run a sweep, or go on with it, and say what came out. Returns the exit code."""
    if said.dry_run:
        plan = make_plan(workspace, definition, said.choices)
        planned = look_up(plan)
        _show_plan(definition, planned, said)
        return ExitCode.DONE
    with held_sweep(workspace, definition):
        plan = make_plan(workspace, definition, said.choices)
        planned = look_up(plan)
        teller = Teller(workspace, definition, planned, said)
        teller.tell_plan()
        how = How(
            jobs=said.jobs or (1 if definition.in_place else default_jobs()),
            limits=Limits(max_s=said.max_s, failures=said.failures),
            listener=teller.listener,
        )
        try:
            mark = place_marker(workspace, definition.id)
            result = run_planned(workspace, plan, planned, how, mark)
        finally:
            teller.erase()
        return teller.tell_end(result)


def _show_plan(definition: Definition, planned: Sequence[Planned], said: Said) -> None:
    if said.as_json:
        for each in planned:
            answer(json.dumps(_planned_document(each)))
        return
    for line in plan_lines(definition.id, planned):
        answer(line)


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
    plan = Plan(workspace, definition, Choices())
    planned = look_up(plan)
    trials = reused_trials(definition, planned)
    directions = {**workspace.settings.directions, **definition.directions}
    wanted = definition.metric or workspace.settings.metric
    runs = [run for _, run in trials]
    summary = summarize(trials, choose(runs, wanted, directions), directions)
    failed = sum(run.outcome is not Outcome.SUCCEEDED for run in runs)
    left = count_states(planned)[State.NEW]
    return list(end_lines(summary, len(trials), failed, left, definition.id[:7]))
