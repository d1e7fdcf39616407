"""Run a recorded run again in a temporary work tree, and compare the results.

Only the record's command is executed, as an argument list. Hooks and other programs that the
checked-out revision could bring are off.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitexp.adapters.git.code_commit import write_code_commit
from gitexp.adapters.git.process import LOCAL_VARIABLES
from gitexp.adapters.git.worktree import add_worktree, remove_worktree, worktrees_folder
from gitexp.adapters.system import clock
from gitexp.adapters.system.command import find_command
from gitexp.adapters.system.probe import (
    MACHINE_FACTS,
    kept_facts,
    lock_files,
    probe_environment,
)
from gitexp.core.analysis.kinship import diff_tables
from gitexp.core.analysis.reproduction import MetricMatch, compare_reproduction, name_faults
from gitexp.core.errors import GitexpError, Undetermined
from gitexp.core.inputs.patterns import parse_patterns
from gitexp.core.inputs.redaction import REDACTED
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    AnnotationKind,
    Command,
    Origin,
    Outcome,
    RecordedRun,
    ReproductionVerdict,
    Run,
    Table,
    Tolerance,
    Value,
)
from gitexp.core.model.run_names import memorable_name
from gitexp.features.execution.execute import execute
from gitexp.features.execution.place_inputs import (
    Missing,
    Placement,
    fill,
    find_missing,
    inside,
    not_placed,
    place_files,
)
from gitexp.features.execution.prepare import METRICS_CANDIDATES, PreparedRun
from gitexp.features.recording.record import annotate
from gitexp.features.runs.purged_code import refuse_purged
from gitexp.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproductionResult:
    """A reproduction with its verdict."""

    recorded: Run
    again: Run
    verdict: ReproductionVerdict
    matches: tuple[MetricMatch, ...]
    environment: tuple[tuple[str, Value | None, Value | None], ...]
    """Differences to the recorded environment, packages as `package NAME`; empty if none was
    recorded."""
    missing: tuple[Missing, ...] = ()
    """Files that the run may have needed and its code lacks."""
    placement: Placement = field(default_factory=Placement)


def command_of(workspace: Workspace, recorded: Run) -> Command:
    """Return the command to reproduce. Raises `Undetermined` when the run cannot be reproduced."""
    short = recorded.id[:7]
    command = recorded.command
    if command is None or not command.argv:
        raise Undetermined(
            f"cannot reproduce run {short}",
            why="it has no command: it was recorded, not run",
            hints=[f"`git exp apply {short}` puts its code into the work tree"],
        )
    if any(REDACTED in argument for argument in command.argv):
        raise Undetermined(
            f"cannot reproduce run {short}",
            why="its command held a secret, which was not recorded",
            hints=["pass secrets by the environment, not on the command line"],
        )
    refuse_purged(workspace.branch, recorded.code, f"cannot reproduce run {short}")
    if workspace.repo.resolve(f"{recorded.code.tree}^{{tree}}") is None:
        raise Undetermined(
            f"cannot reproduce run {short}",
            why=f"its code {recorded.code.revision[:10]} is not in this repository",
            hints=["`git exp fetch` brings the code of all runs"],
        )
    return command


def reproduce(
    workspace: Workspace,
    entry: RecordedRun,
    *,
    tolerances: Mapping[str, Tolerance],
    default: Tolerance,
    links: Sequence[str] = (),
    on_missing: Callable[[list[Missing], Placement], None] = lambda _missing, _placement: None,
    on_start: Callable[[Run, GitexpError | None], None] = lambda _run, _problem: None,
    stdout: int = 1,
    mark: Callable[[Run], Run] = lambda run: run,
    is_verdict: bool = True,
) -> ReproductionResult:
    """Reproduce a recorded run and record the verdict as an annotation of it.

    `mark` may change the new run before it starts, to add it to a batch. Without `is_verdict` the
    new run is one more repeat and gets no annotation.

    The new run is linked to the recorded one. `stdout` is the file descriptor for its output.
    `links` are paths of the user's work tree, relative to its top, to link for the run.
    `on_missing` gets the files that the code lacks, before the command starts. Raises
    `Undetermined` when the run cannot be reproduced here, or its result could not be recorded.
    """
    recorded = workspace.branch.load_run(entry.run.id, entry.run.started)
    command = command_of(workspace, recorded)
    missing = find_missing(workspace, recorded)
    new_id = clock.new_run_id()
    worktrees_folder(workspace.repo)  # its error on a read-only disk is clearer than git's
    revision = _write_code(workspace, recorded)
    top = add_worktree(workspace.repo, new_id, revision)
    try:
        missing += fill(workspace, recorded, top)
        placement = place_files(workspace, recorded, top, links)
        missing = not_placed(missing, placement)
        on_missing(missing, placement)
        found = _look_around(command, top)
        kept, packages = kept_facts(*found, workspace.settings.environment)
        run = _running(workspace, recorded, new_id, revision)
        run = replace(run, warnings=_warnings(placement), environment=kept)
        prepared = _prepare(workspace, recorded, command, run, top, packages)
        prepared = prepared._replace(run=mark(prepared.run))
        environ = {k: v for k, v in os.environ.items() if k not in LOCAL_VARIABLES}
        find_command(prepared.argv[0], prepared.directory, environ)
        executed = execute(workspace, prepared, on_start=on_start, environ=environ, stdout=stdout)
    finally:
        remove_worktree(workspace.repo, top)
    if not executed.recorded:
        raise executed.problems[-1]
    again = executed.run
    verdict, matches = compare_reproduction(recorded, again, tolerances=tolerances, default=default)
    if is_verdict:
        _annotate(workspace, entry, again, verdict, matches)
    return ReproductionResult(
        recorded=recorded,
        again=again,
        verdict=verdict,
        matches=tuple(matches),
        environment=tuple(_environment_changes(workspace, recorded, *found)),
        missing=tuple(missing),
        placement=placement,
    )


def _annotate(
    workspace: Workspace,
    entry: RecordedRun,
    again: Run,
    verdict: ReproductionVerdict,
    matches: Sequence[MetricMatch],
) -> None:
    annotate(
        workspace,
        entry,
        AnnotationKind.REPRODUCTION,
        verdict=verdict,
        by=again.id,
        text=name_faults(matches),
    )


def _write_code(workspace: Workspace, recorded: Run) -> ObjectId:
    """Ensure that the code commit of the recorded tree exists."""
    return write_code_commit(
        workspace.repo,
        recorded.code.tree,
        workspace.branch.code_identity(),
        durable=workspace.settings.durable,
    )


def _warnings(placement: Placement) -> tuple[str, ...]:
    if not placement.unchecked:
        return ()
    named = ", ".join(placement.unchecked)
    return (f"linked from the work tree, its recorded content not known: {named}",)


def _look_around(command: Command, top: Path) -> tuple[Table, Table]:
    """Return the command's environment and its packages."""
    directory = inside(top, command.directory)
    directory.mkdir(parents=True, exist_ok=True)
    facts, packages = probe_environment(command.argv, directory=directory, env=dict(os.environ))
    locks: Table = {**lock_files(top)}
    return ({**facts, "lock_files": locks} if locks else facts), {**packages}


def _prepare(
    workspace: Workspace,
    recorded: Run,
    command: Command,
    run: Run,
    top: Path,
    packages: Table,
) -> PreparedRun:
    directory = inside(top, command.directory)
    named = command.metrics_files or workspace.settings.metrics_files
    files = [inside(top, name) for name in named]
    files = files or [directory / name for name in METRICS_CANDIDATES]
    return PreparedRun(
        run=run,
        argv=command.argv,
        directory=directory,
        top=top,
        packages=packages,
        metrics_files=tuple(files),
        are_metrics_named=bool(named),
        outputs=tuple(
            inside(top, path) for path in recorded.outputs if not Path(path).is_absolute()
        ),
        metric_patterns=parse_patterns(command.metric_patterns),
    )


def _running(workspace: Workspace, recorded: Run, new_id: RunId, revision: ObjectId) -> Run:
    """Return the record of the new run at its start: what makes the trial, and nothing else."""
    workspace.refreshed()
    return Run(
        id=new_id,
        name=memorable_name(new_id),
        outcome=Outcome.RUNNING,
        clock=workspace.next_clock(),
        started=clock.now(),
        author=workspace.settings.author,
        origin=Origin.REPRODUCTION,
        reproduces=recorded.id,
        reason=f"reproduce {recorded.id[:7]} {recorded.name}",
        session=workspace.new_session(),
        code=replace(recorded.code, snapshot=revision),
        command=_command_again(recorded),
        params=recorded.params,
        inputs=recorded.inputs,
        changed_reads=recorded.changed_reads,
        directions=recorded.directions,
        fingerprint=recorded.fingerprint,
    )


def _command_again(recorded: Run) -> Command | None:
    """Return the command without results. Drops a time limit that the run did not reach."""
    command = recorded.command
    if command is None:
        return None
    limit_s = command.timeout_s if recorded.outcome is Outcome.TIMED_OUT else None
    return replace(command, exit_code=None, metrics_files=(), timeout_s=limit_s)


def _environment_changes(
    workspace: Workspace, recorded: Run, facts: Table, packages: Table
) -> list[tuple[str, Value | None, Value | None]]:
    """Return differences in what was recorded; facts left out of the record do not differ."""
    if not recorded.environment:
        return []
    if not MACHINE_FACTS.intersection(recorded.environment):
        facts = {name: value for name, value in facts.items() if name not in MACHINE_FACTS}
    changes = [c for c in diff_tables(recorded.environment, facts) if c[0] != "packages"]
    digest = recorded.environment.get("packages")
    if isinstance(digest, str) and digest != facts.get("packages"):
        try:
            before = workspace.branch.load_environment(digest)
        except GitexpError:
            return [*changes, ("packages", digest[:12], None)]
        changes += [
            (f"package {name}", old, new) for name, old, new in diff_tables(before, packages)
        ]
    return changes
