"""Assign the files that a run wrote to frameworks.

Names decide if they can; for CSV and JSON files the first bytes decide.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitexp.features.harvest.changes import Written
from gitexp.features.harvest.tables import header_of, json_row, step_column

HEAD_BYTES: Final = 64 << 10
_SQLITE: Final = b"SQLite format 3\0"


@dataclass(slots=True)
class Group:
    """Files that are read together."""

    kind: str
    path: Path
    """Path to show to the user: a file, or a directory of many files."""
    files: list[Written] = field(default_factory=list)

    @property
    def named(self) -> Path:
        """Path to show in an error: the file if there is only one."""
        return self.files[0].path if len(self.files) == 1 else self.path


def group_files(written: Iterable[Written]) -> list[Group]:
    """Group files by kind; files of unknown kinds are left out."""
    groups: dict[tuple[str, Path], Group] = {}
    for file in written:
        found = _place(file.path)
        if found is not None:
            groups.setdefault(found, Group(*found)).files.append(file)
    return list(groups.values())


def _place(path: Path) -> tuple[str, Path] | None:
    """Return the kind of a file and the path of its group."""
    name, parent = path.name, path.parent
    suffix = path.suffix.lower()
    found = None
    if "tfevents" in name:
        found = "tensorboard", parent
    elif suffix == ".wandb":
        found = "wandb", path
    elif suffix == ".yaml":
        found = _yaml(name, parent)
    elif name == "estimates.json":
        found = ("criterion", path) if parent.name == "new" else None
    elif name == "trainer_state.json":
        is_checkpoint = parent.name.startswith("checkpoint-")
        found = "huggingface", parent.parent if is_checkpoint else parent
    elif suffix in (".db", ".sqlite", ".sqlite3"):
        found = ("mlflow", path) if _head(path).startswith(_SQLITE) else None
    elif (live := _dvclive(path)) is not None:
        found = "dvclive", live
    elif suffix in (".json", ".jsonl", ".ndjson"):
        found = _json(path, _head(path))
    else:
        found = _rows(path, header_of(_head(path), suffix))
    return found


def _yaml(name: str, parent: Path) -> tuple[str, Path] | None:
    if name == "hparams.yaml":
        return "lightning", parent
    if name == "meta.yaml":
        return ("mlflow", parent) if (parent / "metrics").is_dir() else None
    if name == "args.yaml":
        is_yolo = b"metrics/" in _head(parent / "results.csv")
        return ("ultralytics", parent) if is_yolo else None
    return ("dvclive", parent) if _is_live(parent) else None


def _dvclive(path: Path) -> Path | None:
    """Return the DVCLive directory that a file belongs to."""
    parts = path.parts
    for depth in range(len(parts) - 1, 1, -1):
        if parts[depth - 2 : depth] == ("plots", "metrics"):
            return Path(*parts[: depth - 2]) if path.suffix == ".tsv" else None
    return path.parent if path.name == "metrics.json" and _is_live(path.parent) else None


def _is_live(directory: Path) -> bool:
    return directory.name == "dvclive" or (directory / "plots" / "metrics").is_dir()


def _rows(path: Path, columns: list[str]) -> tuple[str, Path] | None:
    if step_column(columns) is None:
        return None
    if path.name == "results.csv" and any(c.startswith("metrics/") for c in columns):
        return "ultralytics", path.parent
    if path.name == "metrics.csv" and {"step", "epoch"} <= set(columns):
        return "lightning", path.parent
    return "csv", path


def _json(path: Path, head: bytes) -> tuple[str, Path] | None:
    if _is_json_log(head):
        return "jsonl", path
    if path.suffix != ".json":
        return None
    if b'"results"' in head and b'"command"' in head:
        return "hyperfine", path
    if b'"machine_info"' in head:
        return "pytest-benchmark", path
    return ("google-benchmark", path) if b'"context"' in head else None


def _is_json_log(head: bytes) -> bool:
    """Return whether the first line is a JSON object with a step and a number."""
    import json

    line = head.lstrip().partition(b"\n")[0]
    if not line.startswith(b"{"):
        return False
    try:
        row = json_row(json.loads(line))
    except (ValueError, RecursionError):
        return False
    return row is not None


def _head(path: Path) -> bytes:
    """Read the first bytes of a regular file; empty for anything else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, HEAD_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)
