"""What the pre-push hook records: the results of the commit that is being pushed.

Floor 4. Where the project names metrics files, their values are taken from the commit itself;
where it names an evaluation command, that is run on the commit in a temporary work tree. Once for
each code tree, however often it is pushed.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from gitexp.errors import InvalidInput
from gitexp.fingerprint import fingerprint
from gitexp.formats import parse_metrics, parse_params, redact_argv
from gitexp.formats.patterns import parse_patterns
from gitexp.ids import ObjectId
from gitexp.machine import clock
from gitexp.machine.probe import kept_facts, probe_environment
from gitexp.model import Code, Command, Entry, Origin, Outcome, Run, Series, Table, nest
from gitexp.names import memorable_name
from gitexp.repo.launch import LOCAL_VARIABLES
from gitexp.repo.worktree import add_worktree, remove_worktree
from gitexp.running.code import digest_of
from gitexp.running.execution import execute
from gitexp.running.lifecycle import record_whole
from gitexp.running.preparation import Prepared
from gitexp.settings import Settings
from gitexp.sharing.gates import is_result
from gitexp.workspace import Workspace

MAX_FILE_BYTES = 16 << 20


def record_pushed(workspace: Workspace, commit: ObjectId) -> list[str]:
    """Record the results of a commit where the project says how. Returns what was done, in words.

    Raises `GitexpError` when the evaluation cannot be started or the branch cannot be written.
    """
    settings = workspace.settings
    evaluate, told = _allowed_command(settings)
    if not evaluate and not settings.metrics_files:
        return told
    tree = workspace.repo.resolve(f"{commit}^{{tree}}")
    if tree is None:
        return []
    run = _new_run(workspace, commit, tree)
    if _recorded(workspace, run) is not None:
        return told
    if evaluate:
        return _evaluate(workspace, run, shlex.split(evaluate))
    metrics, series = _metrics_of(workspace, commit)
    if not metrics:
        return told
    run = replace(run, outcome=Outcome.SUCCEEDED, metrics=metrics)
    run = record_whole(workspace, run, series, {})
    return [*told, f"recorded the results of {commit[:7]} as run {run.id[:7]} {run.name}"]


def _allowed_command(settings: Settings) -> tuple[str | None, list[str]]:
    """The evaluation command, if the user chose it; one that came with the code is only named.

    Otherwise a pulled file could make the next push run whatever it says.
    """
    origin = settings.origins.get("evaluate", "default")
    if not settings.evaluate or origin.startswith(("git config", "environment")):
        return settings.evaluate, []
    allow = f"git config exp.evaluate {shlex.quote(settings.evaluate)}"
    return None, [f"{origin} names a command to evaluate with; `{allow}` lets it run here"]


def find_recorded(workspace: Workspace, commit: ObjectId, tree: ObjectId) -> Entry | None:
    """The newest finished run of a commit, or of the trial that it is, with exactly its tree."""
    return _recorded(workspace, _new_run(workspace, commit, tree))


def _recorded(workspace: Workspace, run: Run) -> Entry | None:
    index = workspace.refreshed()
    known = [
        *index.entries(index.by_commit(run.code.commit)),
        *index.by_fingerprint(run.fingerprint),
    ]
    return next((entry for entry in known if is_result(entry, run.code.tree)), None)


def _new_run(workspace: Workspace, commit: ObjectId, tree: ObjectId) -> Run:
    settings = workspace.settings
    run_id = clock.new_run_id()
    params: Table = {}
    for name in settings.params_files:
        data = _read(workspace, commit, name)
        if data is not None:
            params = nest(params, parse_params(data, PurePosixPath(name).suffix, name=name))
    digest = digest_of(workspace, tree, settings.metrics_files)
    evaluate, _ = _allowed_command(settings)
    argv = tuple(redact_argv(shlex.split(evaluate))) if evaluate else ()
    return Run(
        id=run_id,
        name=memorable_name(run_id),
        outcome=Outcome.RUNNING,
        clock=workspace.next_clock(),
        started=clock.now(),
        author=settings.author,
        origin=Origin.PUSH,
        code=Code(
            commit=commit, tree=tree, snapshot=workspace.store.code_commit(tree), digest=digest
        ),
        command=Command(argv=argv) if argv else None,
        params=params,
        fingerprint=fingerprint(digest, argv, directory=".", params=params, inputs={}),
    )


def _evaluate(workspace: Workspace, run: Run, argv: Sequence[str]) -> list[str]:
    if not argv:
        raise InvalidInput("setting 'exp.evaluate' holds no command")
    top = add_worktree(workspace.repo, run.id, run.code.commit)
    try:
        environ = {k: v for k, v in os.environ.items() if k not in LOCAL_VARIABLES}
        environment, packages = kept_facts(
            *probe_environment(argv, directory=top, env=environ), workspace.settings.environment
        )
        prepared = Prepared(
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
        data = _read(workspace, commit, name)
        if data is not None:
            values, rows = parse_metrics(data, PurePosixPath(name).suffix, name=name)
            metrics = nest(metrics, values)
            series = series or rows
    return metrics, series


def _read(workspace: Workspace, commit: ObjectId, name: str) -> bytes | None:
    oid = workspace.repo.resolve(f"{commit}:{Path(name).as_posix()}")
    if oid is None:
        return None
    return next(iter(workspace.repo.read_blobs([oid], max_bytes=MAX_FILE_BYTES)))[1]
