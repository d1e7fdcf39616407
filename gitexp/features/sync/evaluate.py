"""Record the results of the commit that the user pushes.

If the project names metrics files, gitexp reads them from the commit. If it names an evaluation
command, gitexp runs it on the commit in a temporary work tree: once per code tree, however often
the user pushes it.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from gitexp.adapters.git.process import LOCAL_VARIABLES
from gitexp.adapters.git.worktree import add_worktree, remove_worktree
from gitexp.adapters.system.probe import kept_facts, probe_environment
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.files import parse_metrics
from gitexp.core.inputs.patterns import parse_patterns
from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import Outcome, Run, Series, Table, nest
from gitexp.features.execution.execute import execute
from gitexp.features.execution.prepare import PreparedRun
from gitexp.features.recording.record import record_finished
from gitexp.features.sync.pushed_trial import allowed_command, new_run, read_file, recorded
from gitexp.storage.workspace import Workspace


def record_pushed(workspace: Workspace, commit: ObjectId) -> list[str]:
    """Record the results of a commit if the project says how. Return messages for the user.

    Raises `GitexpError` when the evaluation cannot start or the branch cannot be written.
    """
    settings = workspace.settings
    evaluate, told = allowed_command(settings)
    if not evaluate and not settings.metrics_files:
        return told
    tree = workspace.repo.resolve(f"{commit}^{{tree}}")
    if tree is None:
        return []
    run = new_run(workspace, commit, tree)
    if recorded(workspace, run) is not None:
        return told
    code = replace(run.code, snapshot=workspace.branch.code_commit(tree))
    run = replace(run, code=code, clock=workspace.next_clock())
    if evaluate:
        return _evaluate(workspace, run, shlex.split(evaluate))
    metrics, series = _metrics_of(workspace, commit)
    if not metrics:
        return told
    run = replace(run, outcome=Outcome.SUCCEEDED, metrics=metrics)
    run = record_finished(workspace, run, series, {})
    return [*told, f"recorded the results of {commit[:7]} as run {run.id[:7]} {run.name}"]


def _evaluate(workspace: Workspace, run: Run, argv: Sequence[str]) -> list[str]:
    if not argv:
        raise InvalidInput("setting 'exp.evaluate' holds no command")
    top = add_worktree(workspace.repo, run.id, run.code.commit)
    try:
        environ = {k: v for k, v in os.environ.items() if k not in LOCAL_VARIABLES}
        environment, packages = kept_facts(
            *probe_environment(argv, directory=top, env=environ), workspace.settings.environment
        )
        prepared = PreparedRun(
            run=replace(run, environment=environment),
            argv=tuple(argv),
            directory=top,
            top=top,
            packages=packages,
            metrics_files=tuple(top / name for name in workspace.settings.metrics_files),
            outputs=(),
            metric_patterns=parse_patterns(workspace.settings.metric_patterns),
        )
        executed = execute(workspace, prepared, environ=environ, stdout=2)
    finally:
        remove_worktree(workspace.repo, top)
    if not executed.recorded:
        raise executed.problems[-1]
    made = executed.run
    return [f"evaluated {run.code.commit[:7]} as run {made.id[:7]} {made.name}: {made.outcome}"]


def _metrics_of(workspace: Workspace, commit: ObjectId) -> tuple[Table, Series]:
    metrics: Table = {}
    series: Series = []
    for name in workspace.settings.metrics_files:
        data = read_file(workspace, commit, name)
        if data is not None:
            values, rows = parse_metrics(data, PurePosixPath(name).suffix, name=name)
            metrics = nest(metrics, values)
            series = series or rows
    return metrics, series
