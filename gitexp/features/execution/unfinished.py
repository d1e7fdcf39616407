"""Keep on disk what the end of a run needs from its start, in case the process dies.

`note_start` writes it before the command starts. `with_files_left` reads it when another process
completes the run. Files written after the last sign of life of the run do not count.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gitexp.adapters.journal.output_archive import raw_path
from gitexp.adapters.system import clock
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Run, Series
from gitexp.features.execution.concurrent_runs import Alongside
from gitexp.features.execution.prepare import recorded_path
from gitexp.features.execution.run_files import RunFiles, with_files, with_harvest
from gitexp.features.harvest.changes import Look, Mark
from gitexp.features.harvest.gather import Watch
from gitexp.features.harvest.metrics_files import gather_metrics
from gitexp.features.harvest.parsed_params import report_path
from gitexp.features.recording.record import JournalTotals, kept_path
from gitexp.features.trials.reads import opened_files, untracked_reads
from gitexp.storage.workspace import Workspace

BEAT_S: Final = 5.0
"""Seconds between two signs of life of a running command's process."""

MAX_NOTED_BYTES: Final = 4 << 20
"""Most bytes of the notes; with more, only a file's time shows whether the run wrote it."""

_MAX_READ_BYTES: Final = 2 * MAX_NOTED_BYTES

Marks = dict[Path, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Start:
    """Files that existed when a run started."""

    files: RunFiles
    metrics_before: Marks
    """Time and size marks of the metrics files before the start."""
    are_metrics_named: bool


def note_start(report: Path, start: Start) -> None:
    """Write the notes beside the report, with which they are removed. Never raises `OSError`."""
    files = start.files
    before = Look() if files.watched is None else files.watched.before
    content = {
        "directory": str(files.directory),
        "top": str(files.top),
        "kinds": None if files.watched is None else files.watched.kinds,
        "problem": "" if files.watched is None else files.watched.problem,
        "is_whole": before.is_whole,
        "files": {path: _packed(mark) for path, mark in before.files.items()},
        "metrics_files": [str(path) for path in files.metrics_files],
        "metrics_before": {str(path): mark for path, mark in start.metrics_before.items()},
        "are_metrics_named": start.are_metrics_named,
        "is_shared": files.others.is_shared,
        "others": [str(path) for path in files.others.directories],
    }
    text = json.dumps(content)
    if len(text) > MAX_NOTED_BYTES:
        text = json.dumps({**content, "is_whole": False, "files": {}})
    with suppress(OSError):
        _start_file(report).write_text(text)


def beat(report: Path) -> Callable[[], None]:
    """Return a function that notes, at most every `BEAT_S`, that the run's process is alive."""
    due_s = 0.0

    def note() -> None:
        nonlocal due_s
        now_s = clock.monotonic_s()
        if now_s >= due_s:
            due_s = now_s + BEAT_S
            with suppress(OSError):
                _beat_file(report).write_bytes(b"")

    return note


def with_files_left(
    workspace: Workspace, run: Run, found: JournalTotals, journal: Path
) -> tuple[Run, Series]:
    """Add values from the files of a run that died to the run and its series.

    Never raises an `Exception`; a failure becomes a warning.
    """
    report = report_path(journal.parent, run.id)
    try:
        start = _read_start(workspace, run, report)
        if start is None:
            return run, found.series
        until_ns = _last_seen_ns(workspace, run.id, journal)
        return _with_files(workspace, run, found, start, report, until_ns)
    except Exception as error:  # noqa: BLE001 - complete the run whatever its files contain
        warning = f"the files of the run were not read: {type(error).__name__}: {error}"[:300]
        return replace(run, warnings=(*run.warnings, warning)), found.series


def _with_files(
    workspace: Workspace, run: Run, found: JournalTotals, start: Start, report: Path, until_ns: int
) -> tuple[Run, Series]:
    files = start.files
    since_ns = _start_file(report).stat().st_mtime_ns
    in_time = tuple(path for path in files.metrics_files if _modified_ns(path) <= until_ns)
    read, metrics, series, faults = gather_metrics(
        in_time, start.metrics_before, are_named=start.are_metrics_named
    )
    values, series = with_files(
        found, run.metrics, metrics, series, are_named=start.are_metrics_named
    )
    names = tuple(recorded_path(path, files.top) for path in read)
    harvest = files.harvest(since_ns, run, until_ns)
    written = {*names, *files.paths(harvest)}
    paths = opened_files(report)
    run = replace(
        run,
        command=run.command and replace(run.command, metrics_files=names),
        metrics=values,
        reads=untracked_reads(workspace, run, paths, top=files.top, since_ns=since_ns)
        if paths
        else run.reads,
        produced=tuple(sorted({*run.produced, *(n for n in written if not os.path.isabs(n))})),  # noqa: PTH117
        warnings=(*run.warnings, *faults),
    )
    return with_harvest(run, series, harvest, files.top, workspace.settings.directions)


def _start_file(report: Path) -> Path:
    return report.with_name(f"{report.name}.start")


def _beat_file(report: Path) -> Path:
    return report.with_name(f"{report.name}.alive")


def _last_seen_ns(workspace: Workspace, run: RunId, journal: Path) -> int:
    """Return the last time in ns at which the run may have written: last life sign plus a beat."""
    report = report_path(journal.parent, run)
    signs = (
        journal,
        journal.with_suffix(".output"),
        raw_path(kept_path(workspace, run)),
        *(report, report.with_name(f"{report.name}.reads")),
        *(_start_file(report), _beat_file(report)),
    )
    return max(map(_modified_ns, signs)) + int(BEAT_S * 1e9)


def _modified_ns(path: Path) -> int:
    """Return the modification time of a file in ns; 0 if it does not exist."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _packed(mark: Mark) -> list[int | str | None]:
    return [*mark[:3], None if mark.tail is None else mark.tail.hex()]


def _unpacked(packed: Sequence[Any]) -> Mark:
    modified_ns, size, inode, tail = packed
    return Mark(modified_ns, size, inode, None if tail is None else bytes.fromhex(tail))


def _read_start(workspace: Workspace, run: Run, report: Path) -> Start | None:
    """Read the notes; `None` if there are none. Raises for a damaged file."""
    try:
        with _start_file(report).open("rb") as file:
            content = json.loads(file.read(_MAX_READ_BYTES))
    except FileNotFoundError:
        return None
    directory, top = Path(content["directory"]), Path(content["top"])
    before = Look({path: _unpacked(mark) for path, mark in content["files"].items()})
    before.is_whole = content["is_whole"]
    kinds, problem = content["kinds"], content["problem"]
    others = Alongside(workspace, run, top, content["is_shared"], set(map(Path, content["others"])))
    files = RunFiles(
        directory=directory,
        top=top,
        argv=() if run.command is None else run.command.argv,
        metrics_files=tuple(map(Path, content["metrics_files"])),
        watched=None if kinds is None else Watch(directory, top, tuple(kinds), before, problem),
        others=others,
    )
    marks: Marks = {}
    for path, (modified_ns, size, inode) in content["metrics_before"].items():
        marks[Path(path)] = (modified_ns, size, inode)
    return Start(files, marks, content["are_metrics_named"])
