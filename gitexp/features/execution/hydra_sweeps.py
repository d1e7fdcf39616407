"""Read what Hydra wrote: the configuration of a run, and one run for each job of a sweep.

A job equals a run of `program overrides` alone. So its run has that command, its own parameters and
fingerprint, and the sweep as its parent.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from gitexp.adapters.system import clock
from gitexp.core.analysis.fingerprint import fingerprint_of
from gitexp.core.errors import GitexpError
from gitexp.core.inputs.files import parse_params
from gitexp.core.inputs.guessed_params import is_override, params_from_argv, program_position
from gitexp.core.inputs.metric_lines import parse_metric_line, plain_line
from gitexp.core.inputs.redaction import redact_argv, redact_table
from gitexp.core.model.run import Outcome, Parser, Run, Series, Table, nest
from gitexp.core.schema import limits
from gitexp.features.execution.prepare import METRICS_CANDIDATES
from gitexp.features.harvest.parsed_params import Job, Report, configured, configured_jobs
from gitexp.features.recording.batch import record_many
from gitexp.features.recording.made_here import mark_recorded_here
from gitexp.features.recording.record import fit_to_limits
from gitexp.storage.workspace import Workspace

MAX_CONFIG_BYTES = 1 << 20
MAX_FOLDERS = 200
"""Most directories to search for `.hydra`."""

_JOB = re.compile(r"\[HYDRA\]\s+#(\d+) : ")
"""Line in Hydra's log that announces the next job of a sweep."""

_SWEEP_IN = re.compile(r"\[HYDRA\].* sweep output dir : (.+)")
"""Log line with the directory of launchers that run jobs in other processes (joblib, submitit)."""

_APART = (
    "the jobs of the sweep ran in other processes: what they printed cannot be told apart and what "
    "they returned is not known, so their runs have only the metrics of their files and logs"
)


# --- programs that did not report -----------------------------------------------------------------


def hydra_report(directory: Path, marker: Path, output: str) -> Report | None:
    """Return the configuration that Hydra wrote after the marker file; `None` unless there is one.

    For programs that do not report themselves (`python -I`, `--no-inject`), searches `outputs`. For
    sweep jobs that a launcher ran in other processes, searches the directory named in Hydra's log.
    """
    with suppress(OSError, GitexpError):
        since_ns = marker.stat().st_mtime_ns
        places = {directory / found[1].strip() for found in _SWEEP_IN.finditer(output)}
        if places:
            return _jobs_apart(sorted(places), since_ns)
        found = list(_configurations(directory, since_ns))
        return configured(*_written_down(found[0])) if len(found) == 1 else None
    return None


def _written_down(folder: Path) -> tuple[Table, list[str]]:
    """Read the configuration and the overrides from a `.hydra` directory."""
    overrides = (folder / "overrides.yaml").read_text(errors="replace").splitlines()
    with (folder / "config.yaml").open("rb") as file:
        values = parse_params(file.read(MAX_CONFIG_BYTES), ".yaml", name="config.yaml")
    return values, [word.removeprefix("- ").strip("'\"") for word in overrides if word != "[]"]


def _jobs_apart(places: Sequence[Path], since_ns: int) -> Report:
    """Return the jobs of a sweep from the configurations in its directories."""
    found: list[tuple[Table, Sequence[str], Path]] = []
    lost = 0
    for place in places:
        jobs = [job for job in _newer([place], since_ns) if job.name.isdecimal()]
        for job in sorted(jobs, key=lambda job: int(job.name)):
            try:
                found.append((*_written_down(job / ".hydra"), job))
            except (OSError, GitexpError):
                lost += 1
    warnings = [_APART] if found else []
    if lost or not found:
        which = f"{lost} jobs of the sweep are" if lost else "the jobs of the sweep are"
        where = ", ".join(map(str, places))
        warnings.append(f"{which} not recorded as runs: no configuration of theirs in {where}")
    report = configured_jobs(found) if found else Report(Parser(by=""), {})
    return replace(report, warnings=tuple(warnings))


def _configurations(directory: Path, since_ns: int) -> Iterator[Path]:
    """Yield `.hydra` directories written since, in Hydra's default places."""
    folders = [directory]
    for _ in range(3):
        for folder in folders:
            if (folder / ".hydra" / "config.yaml").is_file():
                with suppress(OSError):
                    if (folder / ".hydra" / "config.yaml").stat().st_mtime_ns >= since_ns:
                        yield folder / ".hydra"
        below = [directory / "outputs"] if folders == [directory] else _newer(folders, since_ns)
        folders = [folder for folder in below if folder.is_dir()][:MAX_FOLDERS]
        if folders == [directory / "outputs"]:
            folders = _newer(folders, since_ns)


def _newer(folders: Sequence[Path], since_ns: int) -> list[Path]:
    found = []
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            found += [
                Path(e.path) for e in entries if e.is_dir() and e.stat().st_mtime_ns >= since_ns
            ]
    return sorted(found)[:MAX_FOLDERS]


# --- the jobs of a sweep --------------------------------------------------------------------------


Gather: TypeAlias = Callable[..., tuple[list[Path], Table, Series, list[str]]]


def record_jobs(
    workspace: Workspace, sweep: Run, report: Report, output: str, *, gather: Gather
) -> tuple[Run, int]:
    """Record a run for each job. Returns the sweep, with a warning on failure, and the count.

    `gather` reads metrics files (`metrics_files.gather_metrics`), here those in a job's directory.
    """
    try:
        runs = job_runs(workspace, sweep, report, output, gather=gather)
        return sweep, record_many(workspace, runs)
    except (GitexpError, OSError) as fault:
        why = (fault.why or fault.what) if isinstance(fault, GitexpError) else str(fault)
        warning = f"the jobs of the sweep are not recorded: {why}"
        return replace(sweep, warnings=(*sweep.warnings, warning)), 0


def job_runs(
    workspace: Workspace, sweep: Run, report: Report, output: str, *, gather: Gather
) -> list[Run]:
    """Build a sealed run for each job, in order. Writes only the list of this clone's runs."""
    jobs, printed = report.jobs, {}
    if not report.were_jobs_apart:
        printed = _metrics_by_job(output)
    elif sweep.outcome is Outcome.SUCCEEDED:  # Hydra fails when one of its jobs fails
        jobs = tuple(replace(job, status="COMPLETED") for job in jobs)
    runs = []
    for number, job in enumerate(jobs):
        if report.were_jobs_apart:
            printed[number] = _logged(Path(job.directory))
        run = _job_run(workspace, sweep, job, number)
        metrics = nest(_metrics_files(job, gather), run.metrics, printed.get(number, {}))
        run, _ = fit_to_limits(replace(run, metrics=metrics))
        mark_recorded_here(workspace, run.id)
        runs.append(run)
    return runs


def _job_run(workspace: Workspace, sweep: Run, job: Job, number: int) -> Run:
    command = sweep.command
    argv = () if command is None else _job_argv(command.argv, job.overrides)
    guessed = params_from_argv(argv) if workspace.settings.argv_params else {}
    given = {n: v for n, v in sweep.params.items() if n not in ("m", "multirun")}
    params = redact_table(nest(given, guessed))
    outcomes = {"COMPLETED": Outcome.SUCCEEDED, "FAILED": Outcome.FAILED}
    was_stopped = sweep.outcome in (Outcome.INTERRUPTED, Outcome.TIMED_OUT)
    run = replace(
        sweep,
        id=clock.new_run_id(),
        name=f"{sweep.name}-{number}",
        outcome=outcomes.get(job.status, sweep.outcome if was_stopped else Outcome.UNKNOWN),
        clock=max(workspace.next_clock(), sweep.clock + 1) + number,
        duration_s=job.duration_s,
        parent=sweep.id,
        parent_rule=None,
        command=command and replace(command, argv=argv, template=(), exit_code=None),
        params=params,
        parsed=job.values,
        parser=sweep.parser and replace(sweep.parser, given=job.given, renamed={}),
        metrics={} if job.result is None else {"result": job.result},
        units={},
        outputs={},
        harvested={},
        output_tail="",
        warnings=(),
    )
    return replace(run, fingerprint=fingerprint_of(run))


def _job_argv(argv: Sequence[str], overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the command of this job alone: the sweep's command with the job's overrides."""
    start = program_position(argv) + 1
    kept = [w for w in argv[start:] if w not in ("-m", "--multirun") and not is_override(w)]
    return (*argv[:start], *kept, *redact_argv(overrides))


def _metrics_files(job: Job, gather: Gather) -> Table:
    if not job.directory:
        return {}
    files = tuple(Path(job.directory) / name for name in METRICS_CANDIDATES)
    _, metrics, _, _ = gather(files, {}, are_named=False)
    return metrics


def _metrics_by_job(output: str) -> dict[int, Table]:
    """Return the last value of each `METRIC` line, by the job announced before it."""
    found: dict[int, Table] = {}
    current: Table = {}
    for line in output.splitlines():
        if announced := _JOB.search(line):
            current = found.setdefault(int(announced[1]), {})
        elif "METRIC" in line:
            current.update(_read_line(line))
    return {number: limits.fit(nest(table), "metric")[0] for number, table in found.items()}


def _logged(directory: Path) -> Table:
    """Return the last value of each `METRIC` line in Hydra's logs of a job."""
    found: Table = {}
    for path in sorted(directory.glob("*.log")):
        with suppress(OSError), path.open("rb") as file:
            for line in file.read(MAX_CONFIG_BYTES).decode(errors="replace").splitlines():
                found.update(_read_line(line) if "METRIC" in line else {})
    return limits.fit(nest(found), "metric")[0]


def _read_line(line: str) -> Table:
    reading = parse_metric_line(plain_line(line.encode()))
    return {} if reading is None else {**reading.values}
