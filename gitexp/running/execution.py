"""Running a prepared trial: execute the command, watch it, gather its results, seal.

Floor 4. The command's output streams through untouched and its exit code is kept, whatever happens
to the record; what could not be recorded is told.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gitexp.errors import GitexpError
from gitexp.formats import parse_metrics, redact_text
from gitexp.formats.mentions import mentioned
from gitexp.journal import Ending, Journal, read_journal
from gitexp.machine import clock
from gitexp.machine.deadline import Limit
from gitexp.machine.kept_output import KeptOutput
from gitexp.machine.output import OutputTail
from gitexp.machine.probe import hash_path
from gitexp.machine.process import Completed, run_command
from gitexp.model import FileState, Origin, Outcome, Run, Series, Table, nest
from gitexp.records.codec import encode_table
from gitexp.records.series import merge_series
from gitexp.repo.worktree import read_status
from gitexp.running.checks import run_checks
from gitexp.running.code import pin
from gitexp.running.lifecycle import RUN_VARIABLE as RUN_VARIABLE  # noqa: PLC0414 - others have it from here
from gitexp.running.lifecycle import (
    TAIL_LINES,
    TIMEOUT,
    begin,
    collect,
    kept_path,
    note_events,
    seal,
    with_collected,
    with_ending,
)
from gitexp.running.preparation import Prepared, recorded_path
from gitexp.running.printed import PrintedMetrics
from gitexp.running.run_files import RunFiles, with_files, with_harvest
from gitexp.workspace import Workspace

JOURNAL_VARIABLE = "GITEXP_JOURNAL"
STARTED_VARIABLE = "GITEXP_STARTED_S"
"""When the run started, on the machine's monotonic clock."""
PARAMS_VARIABLE = "GITEXP_PARAMS"
"""Names a TOML file with the parameters."""

MAX_PRODUCED = 200
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
"""A file with such an ending may have been edited while the run went on; it always counts as code,
unless it was named as an output or a metrics file."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A run that has ended."""

    run: Run
    exit_code: int
    """The command's own; minus the signal number when a signal ended it."""
    recorded: bool
    problems: tuple[GitexpError, ...] = ()
    """What went wrong with the record, never with the command."""


@dataclass(slots=True)
class _Running:
    """A run that is going on: what its end needs to know."""

    workspace: Workspace
    prepared: Prepared
    run: Run
    journal: Journal
    tail: OutputTail
    kept: KeptOutput
    params_file: Path
    before: dict[Path, tuple[int, int, int]]
    """How the metrics files were before."""
    files: RunFiles
    started_s: float
    printed: PrintedMetrics

    def on_output(self, chunk: bytes, stream: str) -> None:
        """Keep what the command prints."""
        self.tail.feed(chunk, stream)
        self.kept.feed(chunk, stream)

    def on_timeout(self) -> None:
        """Write down that the limit was reached: a run that dies from here on timed out."""
        with suppress(GitexpError):
            self.journal.append(TIMEOUT, time=round(clock.monotonic_s() - self.started_s, 3))

    @property
    def limit(self) -> Limit | None:
        """The command's time limit, if it has one."""
        seconds = None if self.run.command is None else self.run.command.timeout_s
        if seconds is None:
            return None
        return Limit(seconds, f"{RUN_VARIABLE}={self.run.id}", self.on_timeout)

    @property
    def environment(self) -> dict[str, str]:
        """What the command gets beside the user's own environment."""
        return {
            RUN_VARIABLE: self.run.id,
            JOURNAL_VARIABLE: str(self.journal.path),
            STARTED_VARIABLE: repr(self.started_s),
            PARAMS_VARIABLE: str(self.params_file),
        }


def execute(
    workspace: Workspace,
    prepared: Prepared,
    *,
    on_start: Callable[[Run, GitexpError | None], None] = lambda _run, _problem: None,
    environ: Mapping[str, str] = os.environ,
    stdout: int = 1,
    harvest: tuple[str, ...] | None = None,
) -> Executed:
    """Record the start, run the command, record the end.

    `on_start` is told the run, and the problem if its start could not be put onto the branch (the
    journal has it). `stdout` is the file descriptor that the command's standard output goes to.
    `harvest` are the kinds of files that values are picked up from; the setting's by default.
    Raises `GitexpError` only before the command starts.
    """
    run = pin(workspace, prepared.run)
    before = _file_marks(prepared.metrics_files)
    journal, problem = begin(workspace, run, prepared.packages)
    started_s = clock.monotonic_s()
    running = _Running(
        workspace=workspace,
        prepared=prepared,
        run=run,
        journal=journal,
        tail=OutputTail(journal.path),
        kept=KeptOutput(kept_path(workspace, run.id)),
        params_file=workspace.journals / f"{run.id}.params.toml",
        before=before,
        files=RunFiles.begin(workspace, prepared, run, harvest),
        started_s=started_s,
        printed=PrintedMetrics(journal, started_s, prepared.metric_patterns),
    )
    on_start(run, problem)
    with suppress(OSError):
        running.params_file.write_bytes(encode_table(run.params))
    done = run_command(
        prepared.argv,
        directory=prepared.directory,
        env={**environ, **running.environment},
        on_line=running.printed.on_line,
        on_output=running.on_output,
        stdout=stdout,
        limit=running.limit,
    )
    problems = [problem] if problem else []
    ending = Ending(outcome_of(done), done.exit_code, round(done.duration_s, 3))
    with suppress(GitexpError):  # what cannot be written here fails again, and is told, below
        journal.end(ending)
    ended = with_ending(run, ending)
    try:
        ended = _record_end(running, ended)
    except (GitexpError, OSError) as error:
        problems.append(error if isinstance(error, GitexpError) else GitexpError(str(error)))
        return Executed(ended, done.exit_code, recorded=False, problems=tuple(problems))
    finally:
        with suppress(OSError):
            running.params_file.unlink()
    return Executed(ended, done.exit_code, recorded=True, problems=tuple(problems))


def _record_end(running: _Running, ended: Run) -> Run:
    workspace, prepared = running.workspace, running.prepared
    warnings = list(ended.warnings)
    running.printed.close()
    running.kept.finish(redact_text)
    found = collect(read_journal(running.journal.path))
    found_in, metrics, series, faults = gather_metrics(
        prepared.metrics_files, running.before, are_named=prepared.are_metrics_named
    )
    since_ns = _modified_ns(running.params_file)
    harvest = running.files.harvest(since_ns, ended)
    produced = _produced(running, since_ns, running.files.paths(harvest), warnings)
    outputs = _hash_outputs(prepared, warnings)
    ended = with_collected(ended, found)
    is_named = prepared.are_metrics_named
    values, series = with_files(found, ended.metrics, metrics, series, are_named=is_named)
    is_kept = workspace.settings.keep_output != "none"
    tail = running.tail.text(lines=TAIL_LINES) if is_kept else ""
    read_from = tuple(recorded_path(path, prepared.top) for path in found_in)
    ended = replace(
        ended,
        command=ended.command and replace(ended.command, metrics_files=read_from),
        metrics=values,
        outputs=outputs,
        produced=tuple(sorted({*ended.produced, *produced})),
        output_tail=tail,
        warnings=(*warnings, *running.printed.warnings, *faults),
    )
    known = workspace.settings.directions
    ended, series = with_harvest(ended, series, harvest, prepared.top, known)
    if ended.origin is Origin.RUN:
        checks, unchecked = run_checks(workspace.settings, ended, prepared.top)
        ended = replace(ended, checks=checks, warnings=(*ended.warnings, *unchecked))
    ended = seal(workspace, running.journal, ended, series, prepared.packages)
    if found.notes:
        events = note_events(workspace, ended, found.notes)
        workspace.store.write(events, identity=workspace.identity, moment=clock.now())
    return ended


def outcome_of(done: Completed) -> Outcome:
    """How a command's end is called."""
    if done.timed_out:
        return Outcome.TIMED_OUT
    if done.interrupted:
        return Outcome.INTERRUPTED
    return Outcome.SUCCEEDED if done.exit_code == 0 else Outcome.FAILED


# --- metrics files --------------------------------------------------------------------------------


def _file_marks(files: tuple[Path, ...]) -> dict[Path, tuple[int, int, int]]:
    """How each file is told from one that the run has written anew."""
    marks = {}
    for file in files:
        with suppress(OSError):
            found = file.stat()
            marks[file] = (found.st_mtime_ns, found.st_size, found.st_ino)
    return marks


def gather_metrics(
    files: tuple[Path, ...],
    before: Mapping[Path, tuple[int, int, int]],
    *,
    are_named: bool = True,
) -> tuple[list[Path], Table, Series, list[str]]:
    """Read the metrics files that were written since `before`; the others' values are not ours.

    Returns the files read, the last values, the series, and what went wrong.
    """
    found: list[Path] = []
    metrics: Table = {}
    several: list[Series] = []
    warnings = []
    after = _file_marks(files)
    for file in files:
        if file not in after:
            continue
        if before.get(file) == after[file]:
            if are_named:
                warnings.append(f"{file.name} was not written by this run; its values do not count")
            continue
        try:
            values, rows = parse_metrics(file.read_bytes(), file.suffix, name=file.name)
        except (GitexpError, OSError) as error:
            why = error.why if isinstance(error, GitexpError) else str(error)
            warnings.append(f"cannot read {file.name}: {why or error}")
            continue
        found.append(file)
        metrics = nest(metrics, values)
        several.append(rows)
    return found, metrics, merge_series(*reversed(several)), warnings


def _hash_outputs(prepared: Prepared, warnings: list[str]) -> dict[str, FileState]:
    states = {}
    for path in prepared.outputs:
        try:
            states[recorded_path(path, prepared.top)] = hash_path(path)
        except OSError as error:
            warnings.append(f"output {path.name} cannot be read: {error.strerror}")
    return states


def _modified_ns(file: Path) -> int | None:
    """When a file was written, by the clock of its disk; `None` when it is not there."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def _produced(
    running: _Running, since_ns: int | None, harvested: set[str], warnings: list[str]
) -> tuple[str, ...]:
    """Paths that came or changed while the run went on and cannot be its source.

    `since_ns` is the time of a file of ours written just before, so that only one clock is asked.
    `harvested` are files of frameworks, which are no source whatever their ending.
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
        if path not in named and Path(path).suffix.lower() in SOURCE_ENDINGS:
            continue
        with suppress(OSError):
            if (top / path).lstat().st_mtime_ns >= since_ns:
                written.append(path)
    found = sorted(set(written), key=lambda path: (path not in harvested, path))
    return tuple(sorted(found[:MAX_PRODUCED]))
