"""W&B's run directories on disk, `wandb/offline-run-…`: the `.wandb` log, or the files beside it.

Reads the files without wandb. `table_rows` reads W&B's CSV export.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitexp.adapters.trackers.protobuf import fields, signed, text
from gitexp.adapters.trackers.source_run import (
    MAX_POINTS,
    ImportedRun,
    Point,
    ScanResult,
    Tick,
    fold_points,
    read_each,
    refuse_many,
)
from gitexp.core.errors import InvalidInput
from gitexp.core.inputs.files import parse_table
from gitexp.core.model.run import Outcome, Table, Value, nest

_BLOCK = 32768
_HEADER = 7
_HISTORY, _SUMMARY, _RUN, _EXIT, _ENVIRONMENT, _CONFIG = 2, 3, 17, 18, 26, 5
"""Numbers of the kinds of record."""


@dataclass(slots=True)
class _WandbRun:
    """Facts of one run, collected while its log is read."""

    id: str = ""
    name: str = ""
    notes: str = ""
    project: str = ""
    group: str = ""
    tags: list[str] = field(default_factory=list)
    commit: str = ""
    remote: str = ""
    program: str = ""
    python: str = ""
    host: str = ""
    argv: list[str] = field(default_factory=list)
    started: datetime | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    last_s: float | None = None
    logged: int = 0
    rows: int = 0
    """Rows of the history; the step of a row that names none."""
    exit_code: int | None = None


def find_folders(path: Path) -> list[Path]:
    """Return the run directories at or below a directory, oldest first."""
    if list(path.glob("*.wandb")) or (path / "files").is_dir():
        return [path]
    inner = path / "wandb" if (path / "wandb").is_dir() else path
    return sorted(
        folder
        for pattern in ("offline-run-*", "run-*")
        for folder in inner.glob(pattern)
        if folder.is_dir() and not folder.is_symlink()
    )


def read_folders(path: Path) -> ScanResult:
    """Read all runs below a directory. Raises `InvalidInput` when there are none."""
    folders = find_folders(path)
    if not folders:
        raise InvalidInput(
            f"there are no W&B runs in '{path.name}'",
            hints=["name the folder `wandb`, or a CSV file exported from the web page"],
        )
    runs, left_out = read_each(folders, _read_folder, lambda folder: folder.name)
    return ScanResult(runs, left_out=left_out)


def _read_folder(folder: Path) -> ImportedRun:
    logs = sorted(folder.glob("*.wandb"))
    log = parse_log(logs[0].read_bytes()) if logs else _read_files(folder / "files")
    log.id = log.id or folder.name.rpartition("-")[2]
    return imported_run(log)


# --- the log --------------------------------------------------------------------------------------


def parse_log(content: bytes, *, tick: Tick = refuse_many) -> _WandbRun:
    """Read a `.wandb` file; skip a torn end, which W&B was still writing. Raises `InvalidInput`."""
    if not content.startswith(b":W&B"):
        raise InvalidInput("cannot read a W&B log", why="it does not begin as one")
    log = _WandbRun()
    with suppress(InvalidInput):
        for record in _records(content):
            # A time, step or nesting out of range: the rest of this record is left out.
            with suppress(OSError, OverflowError, RecursionError):
                _take(log, record)
            if log.logged > MAX_POINTS:
                break
            if tick is not refuse_many:
                tick(log.logged)
    tick(log.logged)
    return log


def _records(content: bytes) -> Iterator[bytes]:
    """Yield records of a LevelDB log: blocks of 32 KiB, long records in pieces."""
    position, record = _HEADER, b""
    while position + _HEADER <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        piece = content[position + _HEADER : position + _HEADER + length]
        position += _HEADER + length
        if len(piece) < length or kind not in (1, 2, 3, 4):
            return
        record = piece if kind in (1, 2) else record + piece
        if kind in (1, 4):
            yield record


def _take(log: _WandbRun, record: bytes) -> None:
    for kind, content in fields(record):
        if not isinstance(content, bytes):
            continue
        if kind == _RUN:
            _take_run(log, content)
        elif kind == _CONFIG:
            _take_items(log.config, content)
        elif kind == _SUMMARY:
            _take_items(log.summary, content)
        elif kind == _HISTORY:
            _take_history(log, content)
        elif kind == _ENVIRONMENT:
            _take_environment(log, content)
        elif kind == _EXIT:
            log.exit_code = next((signed(v) for n, v in fields(content) if n == 1), 0)


def _take_run(log: _WandbRun, content: bytes) -> None:
    for number, value in fields(content):
        if number == 10:
            log.tags.append(text(value))
        elif number == 4 and isinstance(value, bytes):
            _take_items(log.config, value)
        elif number == 17 and isinstance(value, bytes):
            moment = dict(fields(value))
            seconds = signed(moment.get(1, 0)) + signed(moment.get(2, 0)) / 1e9
            log.started = datetime.fromtimestamp(round(seconds, 3), UTC)
        elif number == 21 and isinstance(value, bytes):
            _take_git(log, value)
        elif name := {1: "id", 3: "project", 6: "group", 8: "name", 9: "notes"}.get(number):
            setattr(log, name, text(value))


def _take_git(log: _WandbRun, content: bytes) -> None:
    for number, value in fields(content):
        if number == 1:
            log.remote = text(value)
        elif number == 2:
            log.commit = text(value)


def _take_environment(log: _WandbRun, content: bytes) -> None:
    found = list(fields(content))
    for number, value in found:
        if name := {2: "python", 7: "program", 12: "host"}.get(number):
            setattr(log, name, text(value))
        elif number == 9 and isinstance(value, bytes):
            _take_git(log, value)
    arguments = [text(value) for number, value in found if number == 5]
    log.argv = arguments or log.argv


def _items(content: bytes) -> Iterator[tuple[list[str], Any]]:
    """Yield the key path and value of each item of a config, summary or history record."""
    for number, item in fields(content):
        if number != 1 or not isinstance(item, bytes):
            continue
        path: list[str] = []
        value = b""
        for inner, part in fields(item):
            if inner in (1, 2) and isinstance(part, bytes) and part:
                path.append(text(part))
            elif inner == 16 and isinstance(part, bytes):
                value = part
        with suppress(ValueError):
            yield path, json.loads(value)


def _take_items(table: dict[str, Any], content: bytes) -> None:
    for path, value in _items(content):
        inner = table
        for key in path[:-1]:
            below = inner.setdefault(key, {})
            inner = below if isinstance(below, dict) else {}
        if path:
            inner[path[-1]] = value


def _take_history(log: _WandbRun, content: bytes) -> None:
    row: dict[str, Any] = {}
    _take_items(row, content)
    step, seconds = row.get("_step"), row.get("_runtime")
    at = int(step) if isinstance(step, int | float) else log.rows
    log.rows += 1
    log.last_s = float(seconds) if isinstance(seconds, int | float) else log.last_s
    for name, value in _numbers(row):
        log.points.setdefault(name, []).append((at, log.last_s, value))
        log.logged += 1


def _numbers(row: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in row.items():
        if prefix == "" and key.startswith("_"):
            continue
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float):
            yield prefix + key, value
        elif value in ("NaN", "Infinity", "-Infinity"):
            yield prefix + key, float(value)


# --- the files of older versions ------------------------------------------------------------------


def _read_files(folder: Path) -> _WandbRun:
    log = _WandbRun()
    config, summary, about = (
        folder / name for name in ("config.yaml", "wandb-summary.json", "wandb-metadata.json")
    )
    if not config.exists() and not summary.exists():
        raise InvalidInput("cannot read a W&B run", why="it has no log, config or summary")
    if config.exists():
        for key, value in parse_table(config.read_bytes(), ".yaml", name=config.name).items():
            log.config[key] = value.get("value") if isinstance(value, dict) else value
    if summary.exists():
        log.summary = dict(parse_table(summary.read_bytes(), ".json", name=summary.name))
    if about.exists():
        found = parse_table(about.read_bytes(), ".json", name=about.name)
        git = found.get("git")
        if isinstance(git, dict):
            log.commit, log.remote = str(git.get("commit", "")), str(git.get("remote", ""))
        log.program = str(found.get("codePath") or found.get("program") or "")
        log.python, log.host = str(found.get("python", "")), str(found.get("host", ""))
        with suppress(ValueError):
            started = datetime.fromisoformat(str(found.get("startedAt", "")))
            log.started = started if started.tzinfo else started.replace(tzinfo=UTC)
    return log


# --- conversion -----------------------------------------------------------------------------------


def imported_run(log: _WandbRun) -> ImportedRun:
    """Convert the contents of a log, or of a run's files."""
    folded, series = fold_points(log.points)
    metrics = nest(dict(_numbers(folded)), dict(_numbers(log.summary)))
    is_outcome_said = log.exit_code is not None or bool(log.points) or not log.summary
    if not is_outcome_said:
        outcome: Outcome | None = Outcome.UNKNOWN  # old directories do not record how the run ended
    elif log.exit_code is None:
        outcome = None
    else:
        outcome = Outcome.FAILED if log.exit_code else Outcome.SUCCEEDED
    runtime = log.summary.get("_runtime")
    duration_s = float(runtime) if isinstance(runtime, int | float) else None
    environment: Table = {"tracker": "wandb"}
    for name, said in (
        ("project", log.project),
        ("group", log.group),
        ("program", log.program),
        ("python", log.python.removeprefix("CPython ")),
        ("host", log.host),
    ):
        if said:
            environment[name] = said
    return ImportedRun(
        source=f"wandb:{log.id}",
        outcome=outcome,
        is_outcome_said=is_outcome_said,
        name=log.name or None,
        started=log.started,
        duration_s=log.last_s if duration_s is None else max(duration_s, log.last_s or 0.0),
        commit=log.commit or None,
        remote=log.remote or None,
        params={
            key: _plain(v) for key, v in log.config.items() if key != "_wandb" and v is not None
        },
        metrics=metrics,
        series=series,
        tags=tuple(log.tags),
        environment=environment,
        notes=(log.notes,) if log.notes.strip() else (),
    )


def _plain(value: Any) -> Value:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value if inner is not None]
    return value if isinstance(value, bool | int | float | str) else str(value)
