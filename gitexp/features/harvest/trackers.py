"""Read the files of trackers and trainers, one group at a time. None of them need be installed.

Values from before the run are left out: older events, older rows, runs of a store that started
earlier.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gitexp.adapters.trackers.source_run import ImportedRun
from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import flatten
from gitexp.features.harvest import benchmarks, tables
from gitexp.features.harvest.budget import Budget
from gitexp.features.harvest.changes import Written
from gitexp.features.harvest.findings import SourceValues, numbers_in, step_of
from gitexp.features.harvest.kinds import Group

MAX_YAML_BYTES: Final = 256 << 10
"""PyYAML takes seconds for a megabyte."""
_SLACK_S: Final = 2.0
"""Largest difference between the clocks of the file system and of the program."""
_HP_METRIC: Final = "hp_metric"
"""Lightning writes it as -1 into every TensorBoard log with hyperparameters."""
_TRAINER_PARAMS: Final = ("num_train_epochs", "max_steps", "train_batch_size")


@dataclass(frozen=True, slots=True)
class Reading:
    """Facts about the run that readers need."""

    budget: Budget
    since_s: float
    """Start of the run, in seconds since the epoch."""
    is_ended: bool
    """True when the program ended well, so that it wrote whole lines."""

    def rows(self, file: Written) -> list[tables.Row]:
        """Return the rows that the run added to a CSV log."""
        return tables.read_csv(
            self.budget.read(file.path),
            file.path.suffix.lower(),
            self.budget,
            kept_bytes=file.kept_bytes,
            is_ended=self.is_ended,
        )

    def yaml(self, path: Path) -> dict[str, Any]:
        """Read a YAML table by dotted name."""
        from gitexp.core.inputs.files import parse_table

        content = self.budget.read(path, max_bytes=MAX_YAML_BYTES)
        return dict(flatten(parse_table(content, ".yaml", name=path.name)))


def read_group(group: Group, reading: Reading) -> list[SourceValues]:
    """Read the files of a group, usually into one `SourceValues`.

    Raises `InvalidInput` or `OutOfBudget` when no file of it can be read.
    """
    return list(READERS[group.kind](group, reading))


def _empty_values(group: Group, files: Iterable[Written] = ()) -> SourceValues:
    return SourceValues(kind=group.kind, path=group.path, files=[file.path for file in files])


def _tensorboard(group: Group, reading: Reading) -> Iterable[SourceValues]:
    from gitexp.adapters.trackers.tensorboard import read_events

    source = _empty_values(group, group.files)
    contents = (reading.budget.read(file.path) for file in group.files)
    is_new = all(file.is_new for file in group.files)
    since = 0.0 if is_new else reading.since_s - _SLACK_S
    points, _, params = read_events(contents, since=since, tick=reading.budget.tick)
    source.params.update(params)
    if {value for _, _, value in points.get(_HP_METRIC, ())} == {-1.0}:
        del points[_HP_METRIC]
    source.take_points(points)
    yield source


def _wandb(group: Group, reading: Reading) -> Iterable[SourceValues]:
    from gitexp.adapters.trackers.wandb import imported_run, parse_log

    source = _empty_values(group, group.files)
    log = parse_log(reading.budget.read(group.path), tick=reading.budget.tick)
    _take_run(source, imported_run(log))
    yield source


def _mlflow(group: Group, reading: Reading) -> Iterable[SourceValues]:
    runs = list(_mlflow_runs(group, reading))
    if any("parent_run" not in run.environment for run in runs):
        runs = [run for run in runs if "parent_run" not in run.environment]
    for run in runs:
        source = _empty_values(group, group.files)
        _take_run(source, run)
        yield source


def _mlflow_runs(group: Group, reading: Reading) -> Iterable[ImportedRun]:
    from gitexp.adapters.trackers import mlflow

    budget = reading.budget
    if group.path.suffix:
        is_new = all(file.is_new for file in group.files)
        since_ms = 0 if is_new else int((reading.since_s - _SLACK_S) * 1000)
        yield from mlflow.read_database(group.path, since_ms=since_ms, tick=budget.tick).runs
        return
    if not group.files[0].is_new:
        return  # a run that existed before
    meta = mlflow.read_flat_yaml(budget.read(group.path / "meta.yaml").decode(errors="replace"))
    if "run_id" in meta or "run_uuid" in meta:
        stored = mlflow.read_stored(group.path, meta, {}, read=budget.read, tick=budget.tick)
        yield mlflow.imported_run(stored)


def _take_run(source: SourceValues, run: ImportedRun) -> None:
    source.metrics.update(numbers_in(run.metrics))
    source.series += run.series
    source.params.update(flatten(run.params))
    source.faults += run.warnings


def _rows_and_params(group: Group, reading: Reading) -> Iterable[SourceValues]:
    """Yield CSV logs, and parameters from YAML files beside them, each file as its own source."""
    for file in group.files:
        source = SourceValues(kind=group.kind, path=file.path, files=[file.path])
        if file.path.suffix == ".csv":
            source.take_rows(tables.with_time(reading.rows(file)))
        else:
            _take_params(source, file.path, reading)
        yield source


def _take_params(source: SourceValues, path: Path, reading: Reading) -> None:
    try:
        source.params.update(reading.yaml(path))
    except InvalidInput as fault:
        source.faults.append(f"{path.name}: {fault.why or fault.what}")


def _dvclive(group: Group, reading: Reading) -> Iterable[SourceValues]:
    source = _empty_values(group, group.files)
    last: dict[str, float | int] = {}
    by_name: dict[str, list[tables.Row]] = {}
    for file in group.files:
        if file.path.name == "metrics.json":
            document = benchmarks.load_json(reading.budget.read(file.path))
            if isinstance(document, dict):
                last = numbers_in(document)
        elif file.path.name == "params.yaml":
            _take_params(source, file.path, reading)
        else:
            below = file.path.relative_to(group.path / "plots" / "metrics").with_suffix("")
            name = ".".join(below.parts)
            by_name[name] = [
                {"step": row["step"], name: row[column]}
                for row in reading.rows(file)
                for column in row
                if column not in ("step", "time", "timestamp")
            ]
    for rows in by_name.values():
        source.take_rows(rows)
    last.pop("step", None)
    source.metrics.update(last)
    yield source


def _huggingface(group: Group, reading: Reading) -> Iterable[SourceValues]:
    source = _empty_values(group)
    best: Mapping[str, Any] = {}
    for file in group.files:
        state = benchmarks.load_json(reading.budget.read(file.path))
        if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
            raise InvalidInput("it has no log_history")
        if not best or _progress(state) >= _progress(best):
            best = state
            source.path, source.files = file.path, [file.path]
    rows: list[tables.Row] = []
    for entry in best.get("log_history", ()):
        reading.budget.tick(len(rows))
        row = tables.json_row(entry)
        if row is not None and step_of(row["step"]) is not None:
            rows.append(row)
    source.take_rows(rows)
    source.params.update(
        {name: best[name] for name in _TRAINER_PARAMS if isinstance(best.get(name), int | float)}
    )
    yield source


def _progress(state: Mapping[str, Any]) -> tuple[float, int]:
    """Return a sort key for states of a training: at one step the last saved has more lines."""
    return float(step_of(state.get("global_step")) or 0), len(state["log_history"])


def _csv(group: Group, reading: Reading) -> Iterable[SourceValues]:
    for file in group.files:
        rows = reading.rows(file)
        if tables.is_log(rows):
            source = SourceValues(kind=group.kind, path=file.path, files=[file.path])
            source.take_rows(tables.with_time(rows))
            yield source


def _jsonl(group: Group, reading: Reading) -> Iterable[SourceValues]:
    for file in group.files:
        content = reading.budget.read(file.path)
        rows = tables.read_json_lines(content, reading.budget, kept_bytes=file.kept_bytes)
        if tables.is_log(rows):
            source = SourceValues(kind=group.kind, path=file.path, files=[file.path])
            source.take_rows(tables.with_time(rows))
            yield source


def _benchmark(group: Group, reading: Reading) -> Iterable[SourceValues]:
    document = benchmarks.load_json(reading.budget.read(group.path))
    kind = benchmarks.kind_of(document)
    if kind is None:
        return  # a JSON file of another program
    source = SourceValues(kind=kind, path=group.path, files=[group.path])
    source.metrics.update(benchmarks.read_benchmarks(document, kind))
    source.directions.update(benchmarks.directions_of(source.metrics))
    yield source


def _criterion(group: Group, reading: Reading) -> Iterable[SourceValues]:
    estimates = benchmarks.load_json(reading.budget.read(group.path))
    described = group.path.with_name("benchmark.json")
    try:
        benchmark = benchmarks.load_json(reading.budget.read(described))
    except InvalidInput:
        benchmark = None
    parts = group.path.parent.parent.parts
    place = parts.index("criterion") + 1 if "criterion" in parts else -1
    source = _empty_values(group, group.files)
    source.metrics.update(benchmarks.read_criterion(estimates, benchmark, "/".join(parts[place:])))
    source.directions.update(benchmarks.directions_of(source.metrics))
    yield source


READERS: Final[Mapping[str, Callable[[Group, Reading], Iterable[SourceValues]]]] = {
    "lightning": _rows_and_params,
    "huggingface": _huggingface,
    "dvclive": _dvclive,
    "ultralytics": _rows_and_params,
    "mlflow": _mlflow,
    "wandb": _wandb,
    "pytest-benchmark": _benchmark,
    "criterion": _criterion,
    "hyperfine": _benchmark,
    "google-benchmark": _benchmark,
    "csv": _csv,
    "jsonl": _jsonl,
    "tensorboard": _tensorboard,
}
"""By kind, the most exact first: if two kinds report a metric, the first one wins."""
