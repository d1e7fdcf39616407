"""Run a prepared trial: execute the command, observe it, gather its results, seal the record.

The command's output passes through unchanged and its exit code is kept, even if recording fails.
gitexp reports what it could not record.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gitexp.adapters.git.worktree import read_status
from gitexp.adapters.journal.journal import CommandEnding, Journal, read_journal
from gitexp.adapters.journal.liveness import RUN_VARIABLE
from gitexp.adapters.journal.output_archive import KeptOutput
from gitexp.adapters.journal.output_tail import OutputTail
from gitexp.adapters.system import clock
from gitexp.adapters.system.command import CommandResult, run_command
from gitexp.adapters.system.deadline import Limit
from gitexp.adapters.system.probe import hash_path
from gitexp.core.errors import GitexpError, NotRunnable
from gitexp.core.inputs.mentioned_files import mentioned
from gitexp.core.inputs.redaction import redact_text
from gitexp.core.model.run import FileState, Origin, Outcome, Run
from gitexp.core.schema.toml_codec import encode_table
from gitexp.features.execution.checks import run_checks
from gitexp.features.execution.code_snapshot import pin
from gitexp.features.execution.prepare import PreparedRun, recorded_path
from gitexp.features.execution.run_files import (
    RunFiles,
    contradictions_of,
    with_files,
    with_harvest,
)
from gitexp.features.execution.unfinished import Start, beat, note_start
from gitexp.features.harvest.metrics_files import file_marks, gather_metrics
from gitexp.features.harvest.parsed_params import (
    Report,
    discard_report,
    injected,
    read_report,
    report_path,
    with_report,
)
from gitexp.features.harvest.printed_metrics import PrintedMetrics
from gitexp.features.recording.record import (
    TAIL_LINES,
    TIMEOUT,
    apply_ending,
    apply_totals,
    fold_events,
    kept_path,
    record_start,
    seal,
)
from gitexp.features.trials.reads import opened_files, untracked_reads
from gitexp.storage.workspace import Workspace

JOURNAL_VARIABLE = "GITEXP_JOURNAL"
STARTED_VARIABLE = "GITEXP_STARTED_S"
"""Environment variable: start of the run in seconds, on the machine's monotonic clock."""
PARAMS_VARIABLE = "GITEXP_PARAMS"
"""Environment variable: path of a TOML file with the parameters."""

MAX_PRODUCED = 200
GENERATED = frozenset(["multirun.yaml"])
"""Names of files that a framework writes, although their ending is one of source files."""
SOURCE_ENDINGS = frozenset(
    [
        ".py",
        ".pyx",
        ".pxd",
        ".ipynb",
        ".c",
        ".h",
        ".cc",
        ".cpp",
        ".hpp",
        ".cu",
        ".cuh",
        ".rs",
        ".go",
        ".java",
        ".kt",
        ".scala",
        ".js",
        ".ts",
        ".jl",
        ".r",
        ".m",
        ".sh",
        ".bash",
        ".sql",
        ".toml",
        ".yaml",
        ".yml",
        ".cfg",
        ".ini",
        ".lua",
        ".rb",
        ".pl",
        ".f90",
    ]
)
"""Endings of source files. The user may have edited such a file during the run, so it always counts
as code, unless it is a declared output or metrics file."""


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """A run that has ended."""

    run: Run
    exit_code: int
    """Exit code of the command; minus the signal number if a signal ended it."""
    recorded: bool
    problems: tuple[GitexpError, ...] = ()
    """Failures to record; never failures of the command."""
    told: int = 0
    """Number of the run's warnings that existed before its start."""
    jobs: int = 0
    """Number of jobs of a sweep that were recorded as runs."""


@dataclass(slots=True)
class _RunningCommand:
    """State of an open run, used at its end."""

    workspace: Workspace
    prepared: PreparedRun
    run: Run
    journal: Journal
    tail: OutputTail
    kept: KeptOutput
    params_file: Path
    report: Path
    """File in which the program reports its parameters."""
    before: dict[Path, tuple[int, int, int]]
    """Time and size marks of the metrics files before the start."""
    files: RunFiles
    started_s: float
    printed: PrintedMetrics
    jobs: int = 0
    """Number of jobs of a sweep that were recorded as runs."""
    fault: str | None = None
    """Why the command could not start."""

    def on_output(self, chunk: bytes, stream: str) -> None:
        """Keep a chunk of the command's output."""
        self.tail.feed(chunk, stream)
        self.kept.feed(chunk, stream)

    def on_timeout(self) -> None:
        """Append the timeout to the journal; if gitexp dies now, recovery reports a timeout."""
        with suppress(GitexpError):
            self.journal.append(TIMEOUT, time=round(clock.monotonic_s() - self.started_s, 3))

    @property
    def limit(self) -> Limit | None:
        """Return the command's time limit, if it has one."""
        seconds = None if self.run.command is None else self.run.command.timeout_s
        if seconds is None:
            return None
        return Limit(seconds, f"{RUN_VARIABLE}={self.run.id}", self.on_timeout)

    def remove_files(self) -> None:
        """Delete the files that only the running command needs."""
        with suppress(OSError):
            self.params_file.unlink()
        discard_report(self.report)

    def environment(self, environ: Mapping[str, str], *, inject: bool) -> dict[str, str]:
        """Return the user's environment plus the variables for the command."""
        return {
            **environ,
            **(injected(environ, self.report) if inject else {}),
            RUN_VARIABLE: self.run.id,
            JOURNAL_VARIABLE: str(self.journal.path),
            STARTED_VARIABLE: repr(self.started_s),
            PARAMS_VARIABLE: str(self.params_file),
        }


def execute(
    workspace: Workspace,
    prepared: PreparedRun,
    *,
    on_start: Callable[[Run, GitexpError | None], None] = lambda _run, _problem: None,
    environ: Mapping[str, str] = os.environ,
    stdout: int = 1,
    harvest: tuple[str, ...] | None = None,
    inject: bool = True,
) -> ExecutionResult:
    """Record the start, run the command, record the end.

    `on_start` gets the run, and the error if its start could not be written to the branch (the
    journal has it). `stdout` is the file descriptor for the command's standard output. `harvest`
    are the kinds of files from which gitexp picks up values; the setting's by default. With
    `inject`, unless the settings forbid it, a Python program reports the result of its own argument
    parser. Raises `GitexpError` only before the command starts.
    """
    run = pin(workspace, prepared.run)
    journal, problem = record_start(workspace, run, prepared.packages)
    started_s = clock.monotonic_s()
    running = _RunningCommand(
        workspace=workspace,
        prepared=prepared,
        run=run,
        journal=journal,
        tail=OutputTail(journal.path),
        kept=KeptOutput(kept_path(workspace, run.id)),
        params_file=workspace.journals / f"{run.id}.params.toml",
        report=report_path(workspace.journals, run.id),
        before=file_marks(prepared.metrics_files),
        files=RunFiles.begin(workspace, prepared, run, harvest),
        started_s=started_s,
        printed=PrintedMetrics(journal, started_s, prepared.metric_patterns),
    )
    note_start(running.report, Start(running.files, running.before, prepared.are_metrics_named))
    on_start(run, problem)
    with suppress(OSError):
        running.params_file.write_bytes(encode_table(run.params))
    env = running.environment(environ, inject=inject and workspace.settings.inject)
    workspace.release()
    done = _run_command(running, env, stdout)
    problems = [problem] if problem else []
    ending = CommandEnding(outcome_of(done), done.exit_code, round(done.duration_s, 3))
    with suppress(GitexpError):  # seal() below fails again and reports it
        journal.end(ending)
    ended = apply_ending(run, ending)
    try:
        ended = _record_end(running, ended)
    except (GitexpError, OSError) as error:
        problems.append(error if isinstance(error, GitexpError) else GitexpError(str(error)))
        return ExecutionResult(ended, done.exit_code, False, tuple(problems), len(run.warnings))
    finally:
        running.remove_files()
    return ExecutionResult(
        ended, done.exit_code, True, tuple(problems), len(run.warnings), running.jobs
    )


def _run_command(running: _RunningCommand, env: Mapping[str, str], stdout: int) -> CommandResult:
    """Run the command. If it cannot start, record the exit code that a shell would return."""
    try:
        return run_command(
            running.prepared.argv,
            directory=running.prepared.directory,
            env=env,
            on_line=running.printed.on_line,
            on_output=running.on_output,
            stdout=stdout,
            limit=running.limit,
            on_wait=beat(running.report),
        )
    except NotRunnable as error:
        running.fault = error.what if error.why is None else f"{error.what}: {error.why}"
        return CommandResult(error.status, False, 0.0)


def _record_end(running: _RunningCommand, ended: Run) -> Run:
    workspace, prepared = running.workspace, running.prepared
    warnings = [running.fault] if running.fault else []
    running.printed.close()
    output = running.kept.finish(redact_text)
    found = fold_events(read_journal(running.journal.path))
    found_in, metrics, series, faults = gather_metrics(
        prepared.metrics_files, running.before, are_named=prepared.are_metrics_named
    )
    since_ns = _modified_ns(running.params_file)
    harvest = running.files.harvest(since_ns, ended)
    produced = _produced(running, since_ns, running.files.paths(harvest), warnings)
    outputs = _hash_outputs(prepared, warnings)
    reads = _reads(running)
    report = read_report(running.report) or _left_by_hydra(running, output)
    ended = with_report(apply_totals(ended, found), report)
    if prepared.given and ended.parsed:
        from gitexp.features.execution.given_params import contradictions

        warnings += contradictions(ended, prepared.given)
    is_named = prepared.are_metrics_named
    values, series = with_files(found, ended.metrics, metrics, series, are_named=is_named)
    warnings += contradictions_of(ended.metrics, metrics, values)
    is_kept = workspace.settings.keep_output != "none"
    tail = running.tail.text(lines=TAIL_LINES) if is_kept else ""
    read_from = tuple(recorded_path(path, prepared.top) for path in found_in)
    ended = replace(
        ended,
        command=ended.command and replace(ended.command, metrics_files=read_from),
        metrics=values,
        outputs=outputs,
        reads=reads,
        produced=tuple(sorted({*ended.produced, *produced})),
        output_tail=tail,
        warnings=(*ended.warnings, *warnings, *running.printed.warnings, *faults),
    )
    known = workspace.settings.directions
    ended, series = with_harvest(ended, series, harvest, prepared.top, known)
    if report is not None and report.jobs:
        from gitexp.features.execution.hydra_sweeps import record_jobs

        ended, running.jobs = record_jobs(workspace, ended, report, output, gather=gather_metrics)
    if ended.origin is Origin.RUN:
        checks, unchecked = run_checks(workspace.settings, ended, prepared.top)
        ended = replace(ended, checks=checks, warnings=(*ended.warnings, *unchecked))
    return seal(workspace, running.journal, ended, series, prepared.packages, notes=found.notes)


def _left_by_hydra(running: _RunningCommand, output: str) -> Report | None:
    """Return the configuration that Hydra wrote, for a program that did not report itself."""
    if running.run.command is None:
        return None
    from gitexp.features.execution.hydra_sweeps import hydra_report

    return hydra_report(running.prepared.directory, running.params_file, output)


def outcome_of(done: CommandResult) -> Outcome:
    """Return the outcome for the end of a command."""
    if done.timed_out:
        return Outcome.TIMED_OUT
    if done.interrupted:
        return Outcome.INTERRUPTED
    return Outcome.SUCCEEDED if done.exit_code == 0 else Outcome.FAILED


# --- other files ----------------------------------------------------------------------------------


def _hash_outputs(prepared: PreparedRun, warnings: list[str]) -> dict[str, FileState]:
    states = {}
    for path in prepared.outputs:
        try:
            states[recorded_path(path, prepared.top)] = hash_path(path)
        except OSError as error:
            warnings.append(f"output {path.name} cannot be read: {error.strerror}")
    return states


def _reads(running: _RunningCommand) -> dict[str, FileState]:
    """Return the untracked files that the program was seen to read."""
    paths = opened_files(running.report)
    if not paths:
        return {}
    prepared = running.prepared
    with suppress(OSError):
        since_ns = running.params_file.stat().st_mtime_ns
        workspace, run = running.workspace, running.run
        return untracked_reads(workspace, run, paths, top=prepared.top, since_ns=since_ns)
    return {}


def _modified_ns(file: Path) -> int | None:
    """Return the modification time of a file in ns; `None` if it does not exist."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def _produced(
    running: _RunningCommand, since_ns: int | None, harvested: set[str], warnings: list[str]
) -> tuple[str, ...]:
    """Return paths that were created or changed during the run and cannot be its source.

    `since_ns` is the time of a gitexp file written just before, so that both times come from the
    clock of the file system. `harvested` are files of frameworks, which are never source.
    """
    workspace, prepared = running.workspace, running.prepared
    top = prepared.top
    if workspace.repo.top != top or not prepared.directory.is_relative_to(top):
        return ()
    try:
        if since_ns is None:
            raise GitexpError("the run's own file is gone")
        status = read_status(workspace.repo)
    except (GitexpError, OSError) as error:
        warnings.append(f"cannot tell what the run wrote: {error}")
        return ()
    named = {recorded_path(path, top) for path in (*prepared.metrics_files, *prepared.outputs)}
    named |= harvested
    written = []
    mentions = {recorded_path(prepared.directory / m, top) for m in mentioned(prepared.argv)}
    mentions = {path for path in mentions if (top / path).is_file()}
    for path in (*status.untracked, *status.tracked, *mentions.difference(status.tracked)):
        may_be_source = path not in named and Path(path).name not in GENERATED
        if may_be_source and Path(path).suffix.lower() in SOURCE_ENDINGS:
            continue
        with suppress(OSError):
            if (top / path).lstat().st_mtime_ns >= since_ns:
                written.append(path)
    found = sorted(set(written), key=lambda path: (path not in harvested, path))
    return tuple(sorted(found[:MAX_PRODUCED]))
