"""One trial of a sweep, from its start to its record.

The journal holds the trial from before its command starts until its record is on the branch.
Recovery completes a trial whose process died, as for `git exp run`.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from gitexp.adapters.engines.protocol import Ended, Order
from gitexp.adapters.git.process import LOCAL_VARIABLES
from gitexp.adapters.journal.journal import CommandEnding, Journal, read_journal
from gitexp.adapters.journal.liveness import APART, ENGINE, RUN_VARIABLE
from gitexp.adapters.journal.output_archive import KeptOutput, discard_output
from gitexp.adapters.journal.output_tail import OutputTail
from gitexp.adapters.system import clock
from gitexp.adapters.system.output_pump import Lines
from gitexp.adapters.system.probe import hash_path
from gitexp.core.analysis.fingerprint import path_matcher
from gitexp.core.errors import GitexpError
from gitexp.core.inputs.redaction import redact_text
from gitexp.core.model.run import Checks, FileState, Run, Series, Table
from gitexp.core.schema.toml_codec import encode_run, encode_table
from gitexp.features.execution.checks import run_checks
from gitexp.features.execution.execute import (
    JOURNAL_VARIABLE,
    MAX_PRODUCED,
    PARAMS_VARIABLE,
    SOURCE_ENDINGS,
    STARTED_VARIABLE,
)
from gitexp.features.execution.given_params import contradictions
from gitexp.features.execution.place_inputs import inside
from gitexp.features.execution.prepare import PreparedRun, recorded_path
from gitexp.features.execution.run_files import (
    RunFiles,
    contradictions_of,
    with_files,
    with_harvest,
)
from gitexp.features.harvest.metrics_files import file_marks, gather_metrics
from gitexp.features.harvest.parsed_params import (
    discard_report,
    injected,
    read_report,
    report_path,
    with_report,
)
from gitexp.features.harvest.printed_metrics import PrintedMetrics
from gitexp.features.recording.made_here import mark_recorded_here
from gitexp.features.recording.record import (
    PRUNED,
    TAIL_LINES,
    TIMEOUT,
    apply_ending,
    apply_totals,
    fit_to_limits,
    fold_events,
    kept_path,
)
from gitexp.features.sweeps.ending import faults_of, outcome_of
from gitexp.features.sweeps.trees import TrialTree, is_link
from gitexp.features.trials.reads import opened_files, untracked_reads
from gitexp.storage.branch.events import RunEvent, sealed, started
from gitexp.storage.workspace import Workspace


def placed_in(prepared: PreparedRun, tree: TrialTree) -> PreparedRun:
    """The trial with its directory and files in another work tree."""
    command = prepared.run.command
    name = "." if command is None else command.directory
    files = (name, prepared.metrics_files, prepared.outputs)
    if files not in tree.places:
        tree.places[files] = (
            inside(tree.path, name),
            *(_moved(paths, prepared.top, tree.path) for paths in files[1:]),
        )
    directory, metrics_files, outputs = tree.places[files]
    directory.mkdir(parents=True, exist_ok=True)
    return prepared._replace(
        argv=_placed_argv(prepared, directory),
        directory=directory,
        top=tree.path,
        metrics_files=metrics_files,
        outputs=outputs,
    )


def _moved(paths: Iterable[Path], top: Path, to: Path) -> tuple[Path, ...]:
    """Return the paths, those below `top` as they are below `to`."""
    return tuple(to / p.relative_to(top) if p.is_relative_to(top) else p for p in paths)


def _placed_argv(prepared: PreparedRun, directory: Path) -> tuple[str, ...]:
    """The command; a program that only the user's work tree has is named by its whole path."""
    name, *rest = prepared.argv
    here = prepared.directory / name
    if "/" in name and not (directory / name).exists() and here.exists():
        return (str(here), *rest)
    return prepared.argv


@dataclass(slots=True)
class OpenTrial:
    """A trial whose command runs, or is about to."""

    workspace: Workspace
    prepared: PreparedRun
    run: Run
    tree: TrialTree
    journal: Journal
    tail: OutputTail
    kept: KeptOutput
    printed: PrintedMetrics
    files: RunFiles
    started_s: float
    before: dict[Path, tuple[int, int, int]]
    """How the metrics files were before."""
    lines: dict[str, Lines] = field(default_factory=dict)
    is_announced: bool = False
    """True when the branch says that it runs."""
    pruned_at: int | None = None
    """The step at which the sweep stops it."""

    @property
    def may_wait(self) -> bool:
        """True when it may not have started: then its start gets onto the branch later."""
        return False

    @classmethod
    def begin(
        cls,
        workspace: Workspace,
        prepared: PreparedRun,
        run: Run,
        tree: TrialTree,
        engine: str | None = None,
    ) -> Self:
        """Begin a trial; it exists when this returns. Raises `GitexpError` when it cannot be.

        `engine` is the address of the one that runs it on other machines.
        """
        mark_recorded_here(workspace, run.id)
        journal = Journal.create(
            workspace.journals,
            run.id,
            encode_run(run),
            durable=False,  # a power cut costs a trial that runs again
            extra={
                "packages": prepared.packages,
                "top": str(prepared.top),
                **({ENGINE: engine} if engine else {APART: True}),
            },
        )
        started_s = clock.monotonic_s()
        trial = cls(
            workspace=workspace,
            prepared=prepared,
            run=run,
            tree=tree,
            journal=journal,
            tail=OutputTail(journal.path),
            kept=KeptOutput(kept_path(workspace, run.id)),
            printed=PrintedMetrics(journal, started_s, prepared.metric_patterns),
            files=RunFiles.begin(
                workspace, prepared, run, None, lambda: tree.look(prepared.directory)
            ),
            started_s=started_s,
            before=file_marks(prepared.metrics_files),
        )
        with suppress(OSError):
            trial.params_file.write_bytes(encode_table(run.params))
        return trial

    @property
    def params_file(self) -> Path:
        """A file with the parameters, for the command to read."""
        return self.journal.path.with_suffix(".params.toml")

    @property
    def report(self) -> Path:
        """Where the program reports its parameters."""
        return report_path(self.journal.path.parent, self.run.id)

    def order(self, marks: Mapping[str, str], more: Mapping[str, str]) -> Order:
        """What an engine needs to run the command; `more` are variables that are set if unset."""
        environ = {k: v for k, v in os.environ.items() if k not in LOCAL_VARIABLES}
        env = {
            **more,
            **environ,
            **(injected(environ, self.report) if self.workspace.settings.inject else {}),
            "PWD": str(self.prepared.directory),
            RUN_VARIABLE: self.run.id,
            JOURNAL_VARIABLE: str(self.journal.path),
            STARTED_VARIABLE: repr(self.started_s),
            PARAMS_VARIABLE: str(self.params_file),
            **marks,
        }
        command = self.run.command
        limit_s = None if command is None else command.timeout_s
        return Order(self.run.id, self.prepared.argv, self.prepared.directory, env, limit_s)

    def hear(self, chunk: bytes, stream: str, time_s: float | None = None) -> list[bytes]:
        """Take in what the command printed; returns the lines that are whole now.

        `time_s` are the seconds from the start of the command; by default, until now.
        """
        self.tail.feed(chunk, stream)
        self.kept.feed(chunk, stream)
        lines = self.lines.setdefault(stream, Lines()).cut(chunk)
        for line in lines:
            self.printed.on_line(stream, line, time_s)
        return lines

    def note_timeout(self) -> None:
        """Write down that the limit was reached: a trial that dies from here on timed out."""
        with suppress(GitexpError):
            self.journal.append(TIMEOUT, time=round(clock.monotonic_s() - self.started_s, 3))

    def note_pruning(self, step: int) -> None:
        """Write down that the sweep stops it: a trial that dies from here on was pruned."""
        self.pruned_at = step
        with suppress(GitexpError):
            self.journal.append(PRUNED, step=step)

    def withdraw(self) -> None:
        """Remove all traces of a trial that did not start."""
        self.printed.close()
        self.journal.remove()
        with suppress(OSError):
            self.params_file.unlink()

    def abandon(self) -> None:
        """Drop what it printed: it begins again, and the new trial takes over its journal."""
        self.printed.close()
        self.kept.finish(redact_text)
        discard_output(self.kept.path)
        self.tail.remove()
        self.journal.close()

    def announce(self) -> RunEvent:
        """The event that puts the start onto the branch."""
        self.is_announced = True
        return started(self.run, self.prepared.packages)

    def end(self, ended: Ended) -> "SealedTrial":
        """Gather the results and seal the record in the journal; the branch comes later."""
        self.take_in(ended)
        for stream, lines in self.lines.items():
            for line in lines.cut(b""):
                self.printed.on_line(stream, line)
        self.printed.close()
        outcome = outcome_of(ended)
        run = apply_ending(
            self.run, CommandEnding(outcome, ended.exit_code, round(ended.duration_s, 3))
        )
        if ended.stopped and run.sweep is not None:
            run = replace(run, sweep=replace(run.sweep, pruned_at=self.pruned_at))
        run, series, notes = self._gather(run, faults_of(ended))
        run, record = fit_to_limits(run)
        with suppress(GitexpError):  # a full disk: the branch may have room, or it runs again
            self.journal.seal(record, series=series)
        with suppress(OSError):
            self.params_file.unlink()
        discard_report(self.report)
        return SealedTrial(self, run, series, record, notes)

    def take_in(self, ended: Ended) -> None:
        """Place what came back from another machine; here, everything is in place."""

    def gives_outputs(self, warnings: list[str]) -> dict[str, FileState]:
        """Return the states of the declared outputs; `warnings` gets one for each problem."""
        return _hash_outputs(self.prepared, warnings)

    def checks(self, run: Run) -> tuple[Checks | None, list[str]]:
        """Run the project's checks in the trial's work tree; returns their result and warnings."""
        if self.workspace.settings.checks is not None:
            self.tree.now = None  # they may write
        return run_checks(self.workspace.settings, run, self.prepared.top)

    def _gather(self, run: Run, warnings: list[str]) -> tuple[Run, Series, tuple[str, ...]]:
        """The run with everything that is known at its end, its series, and notes logged."""
        workspace, prepared = self.workspace, self.prepared
        self.kept.finish(redact_text)
        found = fold_events(read_journal(self.journal.path))
        read_from, metrics, series, faults = gather_metrics(
            prepared.metrics_files, self.before, are_named=prepared.are_metrics_named
        )
        since_ns = _modified_ns(self.params_file)
        harvest = self.files.harvest(since_ns, run)
        run = with_report(apply_totals(run, found), read_report(self.report))
        if prepared.given and run.parsed:
            warnings += contradictions(run, prepared.given)
        is_named = prepared.are_metrics_named
        values, series = with_files(found, run.metrics, metrics, series, are_named=is_named)
        warnings += contradictions_of(run.metrics, metrics, values)
        is_kept = workspace.settings.keep_output != "none"
        named = tuple(recorded_path(path, prepared.top) for path in read_from)
        run = replace(
            run,
            command=run.command and replace(run.command, metrics_files=named),
            metrics=values,
            outputs=self.gives_outputs(warnings),
            reads=self._reads(since_ns),
            produced=tuple(sorted({*run.produced, *self._written(harvest.files)})),
            output_tail=self.tail.text(lines=TAIL_LINES) if is_kept else "",
            warnings=(*run.warnings, *warnings, *self.printed.warnings, *faults),
        )
        known = workspace.settings.directions
        run, series = with_harvest(run, series, harvest, prepared.top, known)
        checks, unchecked = self.checks(run)
        return (
            replace(run, checks=checks, warnings=(*run.warnings, *unchecked)),
            series,
            found.notes,
        )

    def _written(self, harvested: Iterable[Path]) -> list[str]:
        """The files that the trial wrote into its tree, without caches and what may be source."""
        prepared = self.prepared
        paths = (*prepared.metrics_files, *prepared.outputs, *harvested)
        named = {recorded_path(path, prepared.top) for path in paths}
        return [
            path
            for path in self.tree.changed()
            if path in named or not (_is_cache(path) or Path(path).suffix.lower() in SOURCE_ENDINGS)
        ][:MAX_PRODUCED]

    def _reads(self, since_ns: int | None) -> dict[str, FileState]:
        """The files that the program was seen to read and that git does not track."""
        opened = opened_files(self.report) if since_ns is not None else []
        if not opened or since_ns is None:
            return {}
        top, before = self.prepared.top, self.tree.before
        held = {str(top / path) for path, mark in before.items() if mark and not is_link(mark)}
        paths = [path for path in opened if path not in held]
        return untracked_reads(self.workspace, self.run, paths, top=top, since_ns=since_ns)


@dataclass(slots=True)
class SealedTrial:
    """A trial that has ended and waits to be on the branch."""

    trial: OpenTrial
    run: Run
    series: Series
    record: bytes
    notes: tuple[str, ...]

    def event(self, subject: str) -> RunEvent:
        """The event that puts the record onto the branch."""
        packages: Table = self.trial.prepared.packages
        output = None
        if self.trial.workspace.settings.keep_output == "full":
            from gitexp.adapters.journal.output_archive import read_output

            output = read_output(kept_path(self.trial.workspace, self.run.id))
        return sealed(self.run, self.series, subject, packages, record=self.record, output=output)

    def release(self) -> None:
        """Drop the journal: the record is on the branch."""
        self.trial.journal.remove()

    def leave(self) -> None:
        """Keep the journal: the next command completes the run."""
        self.trial.journal.close()


def _hash_outputs(prepared: PreparedRun, warnings: list[str]) -> dict[str, FileState]:
    states = {}
    for path in prepared.outputs:
        try:
            states[recorded_path(path, prepared.top)] = hash_path(path)
        except OSError as error:
            warnings.append(f"output {path.name} cannot be read: {error.strerror}")
    return states


_is_cache = path_matcher(("__pycache__/", "*.pyc", "/.git/"))


def _modified_ns(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None
