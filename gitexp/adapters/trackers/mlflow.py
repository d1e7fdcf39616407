"""MLflow's stores on disk: the directory `mlruns`, and the SQLite file `mlflow.db`.

Reads the files without MLflow. Skips runs that are deleted in MLflow.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gitexp.adapters.trackers.source_run import (
    ImportedRun,
    Point,
    ScanResult,
    SkippedRun,
    Tick,
    fold_points,
    parse_moment,
    read_each,
    refuse_many,
    typed,
)
from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import Outcome, Table, nest

if TYPE_CHECKING:
    from sqlite3 import Connection, Cursor

_STATUS: Mapping[str, Outcome | None] = {
    "FINISHED": Outcome.SUCCEEDED,
    "FAILED": Outcome.FAILED,
    "KILLED": Outcome.INTERRUPTED,
    "RUNNING": None,
    "SCHEDULED": None,
}
_STATUS_NUMBERS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_LARGEST = 1.7976931348623157e308
"""The database's value for infinity."""

_PARENT = "mlflow.parentRunId"
_ORIGINAL = "gitexp.run"
_NOT_TAGS = re.compile(r"(?:mlflow|gitexp)\.")


@dataclass(slots=True, kw_only=True)
class StoredRun:
    """A run of either store: texts, and times in milliseconds since the epoch."""

    id: str
    name: str
    status: str
    start_ms: int | None
    end_ms: int | None
    user: str
    experiment: str
    params: dict[str, str] = field(default_factory=dict)
    points: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)
    """By metric: step, time in ms, value."""
    tags: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def imported_run(stored: StoredRun) -> ImportedRun:
    """Convert a stored run."""
    tags = stored.tags
    start_ms = stored.start_ms
    points: dict[str, list[Point]] = {
        name: [
            (step, None if start_ms is None else (time_ms - start_ms) / 1000, value)
            for step, time_ms, value in logged
        ]
        for name, logged in stored.points.items()
    }
    metrics, series = fold_points(points)
    environment: Table = {"tracker": "mlflow", "experiment": stored.experiment}
    for name, text in (
        ("user", tags.get("mlflow.user") or stored.user),
        ("program", tags.get("mlflow.source.name", "")),
        ("parent_run", tags.get(_PARENT, "")),
    ):
        if text:
            environment[name] = text
    ended = None not in (start_ms, stored.end_ms)
    return ImportedRun(
        source=f"mlflow:{stored.id}",
        outcome=_STATUS.get(stored.status, Outcome.UNKNOWN),
        is_outcome_said=stored.status in _STATUS,
        original=tags.get(_ORIGINAL),
        name=tags.get("mlflow.runName") or stored.name or None,
        started=None if start_ms is None else parse_moment(start_ms / 1000),
        duration_s=max(0, (stored.end_ms or 0) - (start_ms or 0)) / 1000 if ended else None,
        commit=tags.get("mlflow.source.git.commit"),
        branch=tags.get("mlflow.source.git.branch"),
        remote=tags.get("mlflow.source.git.repoURL"),
        params=nest({name: typed(text) for name, text in stored.params.items()}),
        metrics=metrics,
        series=series,
        tags=tuple(
            f"{name}={text}" if text else name
            for name, text in sorted(tags.items())
            if not _NOT_TAGS.match(name) and len(name) + len(text) < 100 and "\n" not in text
        ),
        environment=environment,
        notes=tuple(text for text in [tags.get("mlflow.note.content", "")] if text.strip()),
        warnings=tuple(stored.faults),
    )


# --- the directory --------------------------------------------------------------------------------


def is_folder_store(path: Path) -> bool:
    """Return whether a directory is a file store: experiments, each with its `meta.yaml`."""
    return path.is_dir() and any(path.glob("*/meta.yaml"))


def read_folder(path: Path) -> ScanResult:
    """Read all runs of a file store. Raises `InvalidInput` when the directory is none."""
    if not is_folder_store(path):
        raise InvalidInput(
            f"'{path.name}' is not an MLflow store", why="no folder in it has a `meta.yaml`"
        )
    stores: list[tuple[Path, dict[str, str], dict[str, str]]] = []
    deleted = 0
    for meta_file in sorted(path.glob("*/meta.yaml")):
        experiment = _read_meta(meta_file)
        for run_file in sorted(meta_file.parent.glob("*/meta.yaml")):
            meta = _read_meta(run_file)
            if "run_id" not in meta and "run_uuid" not in meta:
                continue  # a registered or logged model
            if "deleted" in (meta.get("lifecycle_stage"), experiment.get("lifecycle_stage")):
                deleted += 1
                continue
            stores.append((run_file.parent, meta, experiment))
    runs, left_out = read_each(
        stores,
        lambda run_branch: imported_run(read_stored(*run_branch)),
        lambda run_branch: run_branch[0].name,
    )
    return ScanResult(runs, _passed_over(deleted), left_out)


def _read_meta(file: Path) -> dict[str, str]:
    """Read a `meta.yaml`; bytes that are not UTF-8 do not keep the other runs from being read."""
    return read_flat_yaml(file.read_text(encoding="utf-8", errors="replace"))


def read_stored(
    folder: Path,
    meta: dict[str, str],
    experiment: dict[str, str],
    *,
    read: Callable[[Path], bytes] = Path.read_bytes,
    tick: Tick = refuse_many,
) -> StoredRun:
    """Read the run in a directory of a file store, its files by `read`. Raises `InvalidInput`."""
    stored = StoredRun(
        id=meta.get("run_id") or meta["run_uuid"],
        name=meta.get("run_name", ""),
        status=_STATUS_NUMBERS.get(meta.get("status", ""), meta.get("status", "")),
        start_ms=_whole(meta.get("start_time", "")),
        end_ms=_whole(meta.get("end_time", "")),
        user=meta.get("user_id", ""),
        experiment=experiment.get("name", folder.parent.name),
        params=dict(_texts(folder / "params", read)),
        tags=dict(_texts(folder / "tags", read)),
    )
    for name, text in _texts(folder / "metrics", read):
        stored.points[name] = []
        for line in text.splitlines():
            parts = line.split()
            try:
                step = int(parts[2]) if len(parts) > 2 else 0
                stored.points[name].append((step, int(parts[0]), float(parts[1])))
            except (ValueError, IndexError):
                stored.faults.append(f"metric '{name}' has a line that cannot be read")
        tick(sum(map(len, stored.points.values())))
    return stored


def _texts(folder: Path, read: Callable[[Path], bytes]) -> Iterator[tuple[str, str]]:
    """Yield the text of each file below a directory by its path, which is the value's name."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            text = read(file).decode(errors="replace")
            yield file.relative_to(folder).as_posix(), text.removesuffix("\n")


_PAIR = re.compile(r"([A-Za-z_]\w*):(?: (.*))?\Z")


def read_flat_yaml(text: str) -> dict[str, str]:
    """Return the scalars of a `meta.yaml`, which has no nesting; leave out `null`."""
    table: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        found = _PAIR.match(line)
        if found:
            key = found[1]
            table[key] = found[2] or ""
        elif key and line.startswith(" "):
            table[key] += " " + line.strip()
    return {name: _scalar(value) for name, value in table.items() if value != "null"}


def _scalar(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        import json

        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def _passed_over(deleted: int) -> tuple[str, ...]:
    were = "run that was" if deleted == 1 else "runs that were"
    return (f"left out: {deleted} {were} deleted there",) if deleted else ()


# --- the database ---------------------------------------------------------------------------------


def read_database(path: Path, *, since_ms: int = 0, tick: Tick = refuse_many) -> ScanResult:
    """Read the runs of a SQLite store that started at `since_ms` or later. Raises `InvalidInput`.

    Opens the store read-only. `tick` is called while SQLite works; its exception is passed on.
    """
    import sqlite3

    try:
        base = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise InvalidInput(f"cannot open '{path.name}'", why=str(error)) from error
    stopped: list[Exception] = []

    def on_progress() -> int:
        try:
            tick(0)
        except Exception as error:  # noqa: BLE001 - SQLite would drop it; raised again below
            stopped.append(error)
        return len(stopped)

    if tick is not refuse_many:
        base.set_progress_handler(on_progress, 10_000)
    try:
        return _read_tables(base, since_ms, tick)
    except sqlite3.Error as error:
        if stopped:
            raise stopped[0] from error
        raise InvalidInput(f"'{path.name}' is not an MLflow store", why=str(error)) from error
    finally:
        base.close()


def _read_tables(base: "Connection", since_ms: int, tick: Tick) -> ScanResult:
    columns = {row[1] for row in base.execute("PRAGMA table_info(runs)")}
    name = "r.name" if "name" in columns else "''"
    stored: dict[str, StoredRun] = {}
    deleted = 0
    for row in base.execute(
        f"SELECT r.run_uuid, {name}, r.status, r.start_time, r.end_time, r.user_id, e.name,"  # noqa: S608
        " r.lifecycle_stage = 'deleted' OR e.lifecycle_stage = 'deleted'"
        " FROM runs r JOIN experiments e USING (experiment_id)"
        " WHERE coalesce(r.start_time, 0) >= ? ORDER BY r.start_time, r.run_uuid",
        (since_ms,),
    ):
        if row[-1]:
            deleted += 1
            continue
        stored[row[0]] = StoredRun(
            id=row[0],
            name=row[1] or "",
            status=row[2] or "",
            start_ms=row[3],
            end_ms=row[4],
            user=row[5] or "",
            experiment=row[6],
        )
    for run, key, value in _of_runs(base, "key, value", "params ORDER BY key", since_ms):
        if run in stored:
            stored[run].params[key] = value
    for run, key, value in _of_runs(base, "key, value", "tags ORDER BY key", since_ms):
        if run in stored:
            stored[run].tags[key] = value or ""
    left_out = []
    for run, count in _of_runs(base, "count(*)", "metrics GROUP BY run_uuid", since_ms):
        try:
            tick(count)
        except InvalidInput as fault:
            if stored.pop(run, None) is not None:
                left_out.append(SkippedRun(run, fault.what))
    columns_read = "key, step, timestamp, value, is_nan"
    for run, key, step, time_ms, value, is_nan in _of_runs(
        base, columns_read, "metrics ORDER BY key", since_ms
    ):
        if run in stored:
            point = (step or 0, time_ms, math.nan if is_nan else _finite(value))
            stored[run].points.setdefault(key, []).append(point)
    runs = tuple(imported_run(run) for run in stored.values())
    return ScanResult(runs, _passed_over(deleted), tuple(left_out))


def _of_runs(base: "Connection", columns: str, table: str, since_ms: int) -> "Cursor":
    """Return rows of a table for the runs that started at `since_ms` or later, run id first."""
    name, _, rest = table.partition(" ")
    return base.execute(
        f"SELECT run_uuid, {columns} FROM {name} WHERE run_uuid IN"  # noqa: S608 - our own words
        f" (SELECT run_uuid FROM runs WHERE coalesce(start_time, 0) >= ?) {rest}",
        (since_ms,),
    )


def _finite(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= _LARGEST else float(value)
