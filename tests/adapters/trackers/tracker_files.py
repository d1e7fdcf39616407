"""Write small files in the formats of other trackers, without their libraries."""

import json
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COMMIT = "c0" * 20
START_MS = 1_795_440_536_372


# --- MLflow ---------------------------------------------------------------------------------------


def write_mlruns(
    top: Path,
    run: str,
    *,
    name: str = "brave one",
    status: int = 3,
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    stage: str = "active",
) -> Path:
    """Write a run of MLflow's file store below `top`."""
    experiment = top / "0"
    experiment.mkdir(parents=True, exist_ok=True)
    (experiment / "meta.yaml").write_text(
        "artifact_location: file:///x\nexperiment_id: '0'\nlifecycle_stage: active\n"
        "name: 'first: try'\n"
    )
    folder = experiment / run
    folder.mkdir()
    end = START_MS + 1500 if status != 1 else "null"
    (folder / "meta.yaml").write_text(
        f"artifact_uri: file:///x\nend_time: {end}\nentry_point_name: ''\n"
        f"lifecycle_stage: {stage}\nrun_id: {run}\nrun_name: {name}\nsource_type: 4\n"
        f"start_time: {START_MS}\nstatus: {status}\ntags: []\nuser_id: ada\n"
    )
    for kind, values in (("params", params), ("metrics", metrics), ("tags", tags)):
        for key, text in (values or {}).items():
            file = folder / kind / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return folder


def write_mlflow_base(path: Path, *, with_names: bool = True) -> None:
    """Write a SQLite store with a finished run, a running one and a deleted one."""
    base = sqlite3.connect(path)
    named = ", name TEXT" if with_names else ""
    base.executescript(f"""
        CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT);
        CREATE TABLE runs (run_uuid TEXT{named}, status TEXT, start_time INTEGER,
            end_time INTEGER, user_id TEXT, lifecycle_stage TEXT, experiment_id INTEGER);
        CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
        CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
        CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT,
            step INTEGER, is_nan INTEGER);
        INSERT INTO experiments VALUES (1, 'first: try', 'active');
    """)
    name = ("brave",) if with_names else ()
    rows = [
        ("aaa", *name, "FINISHED", START_MS, START_MS + 1500, "ada", "active", 1),
        ("bbb", *name, "RUNNING", START_MS, None, "ada", "active", 1),
        ("ccc", *name, "FINISHED", START_MS, None, "ada", "deleted", 1),
    ]
    base.executemany(f"INSERT INTO runs VALUES ({','.join('?' * len(rows[0]))})", rows)
    base.executemany(
        "INSERT INTO params VALUES (?, ?, ?)", [("lr", "0.1", "aaa"), ("lr", "9", "ccc")]
    )
    base.execute("INSERT INTO tags VALUES ('mlflow.source.git.commit', ?, 'aaa')", (COMMIT,))
    base.executemany(
        "INSERT INTO metrics VALUES (?, ?, ?, 'aaa', ?, ?)",
        [
            ("loss", 1.0, START_MS + 10, 0, 0),
            ("loss", 0.5, START_MS + 20, 1, 0),
            ("odd", 0.0, START_MS + 10, 0, 1),
            ("big", 1.7976931348623157e308, START_MS + 10, 0, 0),
        ],
    )
    base.commit()
    base.close()


# --- messages -------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """Encode a whole number as a protobuf varint."""
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def message(*fields: tuple[int, int | float | str | bytes]) -> bytes:
    """Encode a protobuf message: integers as varints, floats in 8 bytes, the rest with length."""
    found = b""
    for number, value in fields:
        if isinstance(value, float):
            found += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, int):
            found += varint(number << 3) + varint(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            found += varint(number << 3 | 2) + varint(len(content)) + content
    return found


def items(values: Mapping[str, Any], key: int = 1) -> list[tuple[int, bytes]]:
    """Encode items of a W&B config, history or summary."""
    return [(1, message((key, name), (16, json.dumps(v)))) for name, v in values.items()]


def wandb_log(
    run: str = "p54gy7qm",
    *,
    config: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    summary: Mapping[str, Any] | None = None,
    exit_code: int | None = 0,
) -> bytes:
    """Return a `.wandb` file. Long records are split, as LevelDB does."""
    records = [
        message((17, message(
            (1, run), (3, "p"), (4, message(*items(config or {}))), (8, "brave"), (9, "why"),
            (10, "a"), (17, message((1, 1_795_440_554), (2, 461_367_000))),
            (21, message((1, "https://u:p@example.org/x.git"), (2, COMMIT))),
        ))),
        message((26, message((2, "CPython 3.11.7"), (6, "/x/t.py"), (7, "t.py"), (12, "vm")))),
    ]  # fmt: skip
    records += [message((2, message(*items(row, key=2)))) for row in history]
    records += [message((3, message(*items(summary or {}))))]
    if exit_code is not None:
        records.append(message((18, message((1, exit_code)))))
    return leveldb(records)


def leveldb(records: Sequence[bytes]) -> bytes:
    """Return records in blocks of 32 KiB after W&B's header."""
    found = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        rest, is_first = record, True
        while True:
            left = 32768 - len(found) % 32768
            if left < 7:
                found += b"\0" * left
                continue
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if not rest else 2) if is_first else (4 if not rest else 3)
            found += struct.pack("<IHB", 0, len(piece), kind) + piece
            is_first = False
            if not rest:
                break
    return bytes(found)


def event_file(
    points: Sequence[tuple[float, int, str, float]], *, as_tensor: bool = False
) -> bytes:
    """Return a TensorBoard event file: time, step, tag and value of each scalar."""
    events = [message((1, 1_795_440_000.0), (3, "brain.Event:2"))]
    for moment, step, tag, value in points:
        single = struct.pack("<f", value)
        said = (
            message((1, tag), (8, message((1, 1), (2, b""), (4, single))))
            if as_tensor
            else message((1, tag)) + varint(2 << 3 | 5) + single
        )
        events.append(message((1, moment), (2, step), (5, message((1, said)))))
    return b"".join(
        struct.pack("<Q", len(event)) + b"\0" * 4 + event + b"\0" * 4 for event in events
    )
