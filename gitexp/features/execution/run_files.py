"""Collect the files that frameworks write during a run."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitexp.adapters.system import clock
from gitexp.core.analysis.noise import are_equal
from gitexp.core.model.run import Outcome, Run, Series, Table, flatten, nest, numbers
from gitexp.core.schema.series_csv import merge_series
from gitexp.features.execution.concurrent_runs import Alongside
from gitexp.features.execution.prepare import PreparedRun, recorded_path
from gitexp.features.harvest.changes import Look
from gitexp.features.harvest.gather import Harvest, Watch, gather, watch
from gitexp.features.recording.record import JournalTotals
from gitexp.storage.workspace import Workspace

CLOSE = 0.01
"""Relative difference up to which two numbers may be one number, measured twice."""
MAX_CONTRADICTIONS = 5

_INTERRUPTED = "interrupted: values were not picked up from files"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Files around an open run."""

    directory: Path
    """Working directory of the command."""
    top: Path
    """Directory to which the record's paths are relative."""
    argv: Sequence[str]
    metrics_files: tuple[Path, ...]
    """Files that are read separately."""
    watched: Watch | None
    """`None` when nothing is to be picked up."""
    others: Alongside

    @classmethod
    def begin(
        cls,
        workspace: Workspace,
        prepared: PreparedRun,
        run: Run,
        kinds: tuple[str, ...] | None,
        scan: Callable[[], Look] | None = None,
    ) -> "RunFiles":
        """Note the existing files, after the run has begun and before its command starts.

        `kinds` defaults to the setting, `scan` to a scan of the directory.
        """
        kinds = workspace.settings.harvest if kinds is None else kinds
        watched = watch(prepared.directory, prepared.top, kinds, scan)
        return cls(
            *(prepared.directory, prepared.top, prepared.argv, prepared.metrics_files),
            watched=watched,
            others=Alongside.begin(workspace, run, prepared.top),
        )

    def harvest(self, since_ns: int | None, run: Run, until_ns: int | None = None) -> Harvest:
        """Return what the command's frameworks wrote. Never fails; Ctrl-C ends it.

        `since_ns` is the time of a file written just before the command started. `until_ns` is the
        time of the last sign of life of a command that died.
        """
        if self.watched is None:
            return Harvest()
        if since_ns is None:
            since_ns = int(clock.now().timestamp() * 1e9) - int((run.duration_s or 0) * 1e9)
        try:
            self.others.look_back(until_ns)
            return gather(
                self.watched,
                since_ns=since_ns,
                is_ended=run.outcome is Outcome.SUCCEEDED,
                until_ns=until_ns,
                skip=self.metrics_files,
                is_ours=self.others.ownership(self.directory, self.argv),
            )
        except KeyboardInterrupt:
            return Harvest(warnings=[_INTERRUPTED])

    def paths(self, harvest: Harvest) -> set[str]:
        """Return the paths of all files that were read, as a record stores them."""
        return {recorded_path(path, self.top) for path in harvest.files}


def with_files(
    found: JournalTotals, logged: Table, values: Table, series: Series, *, are_named: bool
) -> tuple[Table, Series]:
    """Merge logged or printed metrics and series with those of metrics files.

    Logged values win over files that the user named. Those win over printed values, and these over
    files with default names.
    """
    if not are_named:
        return nest(values, logged), merge_series(found.series, series)
    weaker = found.printed
    others = {name: value for name, value in flatten(logged) if name not in weaker}
    printed = {name: value for name, value in flatten(logged) if name in weaker}
    replaced = weaker & {name for row in series for name in row}
    rows: Series = [
        {name: value for name, value in row.items() if name not in replaced} for row in found.series
    ]
    return nest(printed, values, others), merge_series(rows, series)


def contradictions_of(logged: Table, values: Table, kept: Table) -> list[str]:
    """Return a warning for each metric that was logged or printed, and is another in a file."""
    ours, theirs, final = numbers(logged), numbers(values), numbers(kept)
    warnings = [
        f"{name} is {value:.6g} as printed or logged and {theirs[name]:.6g} in the metrics file; "
        f"the record has {final.get(name, value):.6g}"
        for name, value in ours.items()
        if name in theirs and not _are_close(value, theirs[name])
    ]
    return warnings[:MAX_CONTRADICTIONS]


def _are_close(one: float, other: float) -> bool:
    """Return whether two numbers may be one: nearly equal, or one is the other as printed."""
    return (
        are_equal(one, other)
        or math.isclose(one, other, rel_tol=CLOSE)
        or _rounds_to(one, other)
        or _rounds_to(other, one)
    )


def _rounds_to(number: float, short: float) -> bool:
    """Return whether a number, rounded to the decimals of a shorter one, is that one."""
    decimals = repr(float(short)).partition(".")[2]  # at least one: 1 is not 0.6 without decimals
    return math.isfinite(number) and round(float(number), len(decimals)) == short


def with_harvest(
    run: Run, series: Series, found: Harvest, top: Path, known: Collection[str]
) -> tuple[Run, Series]:
    """Add picked-up values to the run and its series; existing values win.

    Parameters are added to those that the program parsed.

    `known` are metrics whose direction the project declares.
    """
    explicit = dict(flatten(run.metrics))
    picked = {n: v for n, v in flatten(found.metrics) if n not in explicit}
    metrics: Table = nest(explicit, picked)
    directions = {n: way for n, way in found.directions.items() if n in picked and n not in known}
    given = {name for table in (run.params, run.parsed) for name, _ in flatten(table)}
    params = {n: v for n, v in flatten(found.params) if n not in given}
    sources = {
        recorded_path(path, top): replace(how, params=tuple(n for n in how.params if n in params))
        for path, how in found.sources.items()
    }
    run = replace(
        run,
        metrics=metrics,
        parsed=nest(run.parsed, params),
        directions={**directions, **run.directions},
        harvested={path: how for path, how in sources.items() if how.metrics or how.params},
        warnings=(*run.warnings, *found.warnings),
    )
    return run, merge_series(series, found.series)
