"""TensorBoard's event files: the scalars of every folder that has one, a run a folder.

Floor 4. Read as they lie, without TensorBoard. Other kinds of summary are passed over.
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from gitexp.errors import InvalidInput
from gitexp.importing.imported import (
    Found,
    ImportedRun,
    Point,
    Tick,
    fold_points,
    parse_moment,
    read_each,
    refuse_many,
)
from gitexp.importing.wire import fields, first, real, signed, text
from gitexp.model import Outcome

PATTERN = "*tfevents*"


def find_folders(path: Path) -> list[Path]:
    """The folders at or below a path that have event files."""
    if path.is_file():
        return [path.parent]
    return sorted({file.parent for file in path.rglob(PATTERN) if file.is_file()})


def read_folders(path: Path) -> Found:
    """A run for each folder of event files. Raises `InvalidInput` when there are none."""
    folders = find_folders(path)
    if not folders:
        raise InvalidInput(f"there are no TensorBoard event files in '{path.name}'")
    runs, left_out = read_each(folders, lambda folder: _read_folder(folder, path), lambda f: f.name)
    return Found(runs, left_out=left_out)


def _read_folder(folder: Path, top: Path) -> ImportedRun:
    files = sorted(folder.glob(PATTERN))
    points, moments = read_scalars(file.read_bytes() for file in files)
    start = min(moments, default=0.0)
    metrics, series = fold_points(points)
    first_file = min(file.name for file in files)
    return ImportedRun(
        source=f"tensorboard:{folder.name}/{first_file}",
        outcome=Outcome.UNKNOWN,
        is_outcome_said=False,
        name=folder.relative_to(top).as_posix() if folder != top and top.is_dir() else folder.name,
        started=parse_moment(start) if moments else None,
        duration_s=round(max(moments) - start, 3) if moments else None,
        metrics=metrics,
        series=series,
        environment={"tracker": "tensorboard"},
    )


def read_scalars(
    contents: Iterable[bytes], *, since: float = 0.0, tick: Tick = refuse_many
) -> tuple[dict[str, list[Point]], list[float]]:
    """The scalars of event files by tag, and the time of every event, in seconds since the epoch.

    Times of points count from the first event. Events before `since` are left out.
    """
    logged: dict[str, list[tuple[int, float, float]]] = {}
    moments: list[float] = []
    count = 0
    for content in contents:
        for record in _records(content):
            with suppress(InvalidInput):
                moment, step, values = _event(record)
                if moment < since:
                    continue
                moments.append(moment)
                for tag, value in values:
                    logged.setdefault(tag, []).append((step, moment, value))
                count += len(values)
            tick(count)
    start = min(moments, default=0.0)
    points: dict[str, list[Point]] = {
        tag: [(step, moment - start, value) for step, moment, value in values]
        for tag, values in logged.items()
    }
    return points, moments


def _records(content: bytes) -> Iterator[bytes]:
    """Records of a TFRecord file: length, its checksum, content, its checksum; a torn end goes."""
    position = 0
    while position + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        end = position + 12 + length
        if end + 4 > len(content):
            return
        yield content[position + 12 : end]
        position = end + 4


def _event(record: bytes) -> tuple[float, int, list[tuple[str, float]]]:
    moment, step, values = 0.0, 0, []
    for number, value in fields(record):
        if number == 1:
            moment = real(value)
        elif number == 2:
            step = signed(value)
        elif number == 5 and isinstance(value, bytes):
            for inner, summary in fields(value):
                if inner == 1 and isinstance(summary, bytes):
                    values += _scalar(summary)
    return moment, step, values


def _scalar(summary: bytes) -> list[tuple[str, float]]:
    """A value of a summary when it is one number: plain, or as a tensor without dimensions."""
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
