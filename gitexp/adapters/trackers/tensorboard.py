"""TensorBoard's event files: the scalars of every directory with such files, a run a directory.

Reads the files without TensorBoard. Scalars are metrics, the values of `add_hparams` are
parameters. Skips other kinds of summary.
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.trackers.protobuf import fields, first, real, signed, text
from gitexp.adapters.trackers.source_run import (
    ImportedRun,
    Point,
    ScanResult,
    Tick,
    fold_points,
    parse_moment,
    read_each,
    refuse_many,
)
from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import Outcome, Value, nest

PATTERN = "*tfevents*"
_HPARAMS: Final = "_hparams_/session_start_info"
"""Tag of the summary with the hyperparameters of its directory."""


def find_folders(path: Path) -> list[Path]:
    """Return the directories at or below a path that have event files."""
    if path.is_file():
        return [path.parent]
    return sorted({file.parent for file in path.rglob(PATTERN) if file.is_file()})


def read_folders(path: Path) -> ScanResult:
    """Read a run from each directory of event files. Raises `InvalidInput` when there are none."""
    folders = find_folders(path)
    if not folders:
        raise InvalidInput(f"there are no TensorBoard event files in '{path.name}'")
    runs, left_out = read_each(folders, lambda folder: _read_folder(folder, path), lambda f: f.name)
    return ScanResult(runs, left_out=left_out)


def _read_folder(folder: Path, top: Path) -> ImportedRun:
    files = sorted(folder.glob(PATTERN))
    logged = read_events(file.read_bytes() for file in files)
    moments = logged.moments
    start = min(moments, default=0.0)
    metrics, series = fold_points(logged.points)
    first_file = min(file.name for file in files)
    return ImportedRun(
        source=f"tensorboard:{folder.name}/{first_file}",
        outcome=Outcome.UNKNOWN,
        is_outcome_said=False,
        name=folder.relative_to(top).as_posix() if folder != top and top.is_dir() else folder.name,
        started=parse_moment(start) if moments else None,
        duration_s=round(max(moments) - start, 3) if moments else None,
        params=nest(logged.params),
        metrics=metrics,
        series=series,
        environment={"tracker": "tensorboard"},
    )


class Events(NamedTuple):
    """Contents of event files."""

    points: dict[str, list[Point]]
    """Scalars by tag; times count from the first event."""
    moments: list[float]
    """The time of every event, in seconds since the epoch."""
    params: dict[str, Value]
    """Hyperparameters by name."""


def read_events(
    contents: Iterable[bytes], *, since: float = 0.0, tick: Tick = refuse_many
) -> Events:
    """Read event files. Skip events before `since`, in seconds since the epoch."""
    logged: dict[str, list[tuple[int, float, float]]] = {}
    moments: list[float] = []
    params: dict[str, Value] = {}
    count = 0
    for content in contents:
        for record in _records(content):
            with suppress(InvalidInput):
                moment, step, values, hparams = _event(record)
                if moment < since:
                    continue
                moments.append(moment)
                params.update(hparams)
                for tag, value in values:
                    logged.setdefault(tag, []).append((step, moment, value))
                count += len(values)
            tick(count)
    start = min(moments, default=0.0)
    points: dict[str, list[Point]] = {
        tag: [(step, moment - start, value) for step, moment, value in values]
        for tag, values in logged.items()
    }
    return Events(points, moments, params)


def _records(content: bytes) -> Iterator[bytes]:
    """Yield records of a TFRecord file (length, checksum, content, checksum); skip a torn end."""
    position = 0
    while position + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        end = position + 12 + length
        if end + 4 > len(content):
            return
        yield content[position + 12 : end]
        position = end + 4


def _event(record: bytes) -> tuple[float, int, list[tuple[str, float]], dict[str, Value]]:
    moment, step = 0.0, 0
    values: list[tuple[str, float]] = []
    hparams: dict[str, Value] = {}
    for number, value in fields(record):
        if number == 1:
            moment = real(value)
        elif number == 2:
            step = signed(value)
        elif number == 5 and isinstance(value, bytes):
            for inner, summary in fields(value):
                if inner == 1 and isinstance(summary, bytes):
                    values += _scalar(summary)
                    hparams |= _hparams(summary)
    return moment, step, values, hparams


def _hparams(summary: bytes) -> dict[str, Value]:
    """Return the hyperparameters in the plugin data of a summary: the start of its session."""
    if text(first(summary, 1)) != _HPARAMS:
        return {}
    content = first(first(first(summary, 9), 1), 2)
    found: dict[str, Value] = {}
    for number, entry in fields(first(content, 3)):
        if number == 1 and isinstance(entry, bytes):
            for kind, value in fields(first(entry, 2)):
                name = text(first(entry, 1))
                if kind == 2:  # whole numbers are written as reals too
                    as_real = real(value)
                    found[name] = int(as_real) if as_real.is_integer() else as_real
                elif kind in (3, 4):
                    found[name] = text(value) if kind == 3 else bool(value)
    return found


def _scalar(summary: bytes) -> list[tuple[str, float]]:
    """Return the value of a summary with one number: plain, or a tensor without dimensions."""
    tag = text(first(summary, 1))
    for number, value in fields(summary):
        if number == 2:
            return [(tag, real(value))]
        if number == 8 and isinstance(value, bytes):
            return _tensor(tag, value)
    return []


def _tensor(tag: str, tensor: bytes) -> list[tuple[str, float]]:
    if first(tensor, 2):  # it has dimensions
        return []
    kind = next((signed(value) for number, value in fields(tensor) if number == 1), 0)
    size = {1: 4, 2: 8}.get(kind)
    for number in (4, 5, 6):  # content, floats, reals
        value = first(tensor, number)
        if size and len(value) == size:
            return [(tag, real(value))]
    return []
