"""Run branches written with plain git, the expected contents of the cache, and damages to it."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gitexp.adapters.git.repository import Repo
from gitexp.core.analysis.grouping import keys_of
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    Code,
    Command,
    Decision,
    Direction,
    Origin,
    Outcome,
    RecordedRun,
    Run,
    annotation_order,
    run_order,
)
from gitexp.core.query.matching import Query, parse_query, resolve
from gitexp.core.schema import layout
from gitexp.core.schema.json_codec import entry_document
from gitexp.core.schema.toml_codec import encode_annotation, encode_run
from gitexp.storage.cache.cache import Cache
from gitexp.storage.cache.runs import CachedRuns
from gitexp.storage.cache.sql import COLUMNS

REF = "refs/heads/gitexp"
STARTED = datetime(2026, 11, 23, 10, 15, 2, tzinfo=UTC)


def make_run(number: int, **changes: Any) -> Run:
    """Return a run whose id, clock and start follow from its number."""
    run = Run(
        id=RunId(f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"),
        name=f"brave-otter-{number % 5}",
        outcome=Outcome.SUCCEEDED,
        clock=number,
        started=STARTED + timedelta(days=number),
        author="Ada <ada@example.org>",
        origin=Origin.RUN,
        code=Code(commit=ObjectId(f"{number % 3:040x}"), tree=ObjectId("7e" * 20)),
        fingerprint=f"f{number % 4}",
        command=Command(argv=("/usr/bin/python3", "-u", "train.py", "--lr", "0.1")),
        params={"lr": number / 10, "opt": {"name": "adam" if number % 2 else "sgd"}},
        metrics={"accuracy": number % 7 / 7},
        tags=("sweep",) if number % 3 == 0 else (),
    )
    return replace(run, **changes)


def make_annotation(run: Run, clock: int, **changes: Any) -> Annotation:
    """Return a decision about a run."""
    annotation = Annotation(
        id=f"{clock:016x}",
        run=run.id,
        kind=AnnotationKind.DECISION,
        clock=clock,
        time=STARTED,
        author="Ada <ada@example.org>",
        decision=Decision.KEEP,
    )
    return replace(annotation, **changes)


class Branch:
    """The run branch of a real repository, written with plain git."""

    def __init__(self, folder: Path) -> None:
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        self.folder = folder
        self.repo = Repo.discover(folder)
        self.runs: dict[RunId, Run] = {}
        self.annotations: dict[RunId, list[Annotation]] = {}
        self._changes: dict[str, bytes | None] = {}

    def put(self, *runs: Run) -> "Branch":
        for run in runs:
            self.runs[run.id] = run
            self.write(layout.run_path(run.id, run.started), encode_run(run))
        return self

    def annotate(self, run: Run, *annotations: Annotation) -> "Branch":
        for annotation in annotations:
            self.annotations.setdefault(run.id, []).append(annotation)
            path = layout.annotation_path(run.id, run.started, annotation.id)
            self.write(path, encode_annotation(annotation))
        return self

    def delete(self, run: Run) -> "Branch":
        del self.runs[run.id]
        tombstone = make_annotation(
            run, 900, id=layout.TOMBSTONE, kind=AnnotationKind.DELETE, decision=None
        )
        path = layout.annotation_path(run.id, run.started, layout.TOMBSTONE)
        return self.write(path, encode_annotation(tombstone))

    def write(self, path: str, content: bytes | None) -> "Branch":
        self._changes[path] = content
        return self

    def commit(self, *, orphan: bool = False) -> ObjectId:
        tip = None if orphan else self.repo.read_ref(REF)
        lines = [b"commit %s\ncommitter g <g@x> 1700000000 +0000\ndata 1\nx\n" % REF.encode()]
        lines += [f"from {tip}\n".encode()] if tip else []
        for path, content in self._changes.items():
            if content is None:
                lines.append(f"D {path}\n".encode())
            else:
                lines.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content)
                lines.append(b"\n")
        self._changes = {}
        subprocess.run(
            ["git", "-C", str(self.folder), "fast-import", "--quiet", "--force"],
            input=b"".join(lines),
            check=True,
        )
        new = self.repo.read_ref(REF)
        assert new is not None
        return new

    def entries(self) -> list[RecordedRun]:
        """Return the entries the cache must hold, newest first."""
        runs = sorted(self.runs.values(), key=run_order, reverse=True)
        kept = {run: sorted(a, key=annotation_order) for run, a in self.annotations.items()}
        return [RecordedRun(run, tuple(kept.get(run.id, ()))) for run in runs]

    @property
    def file(self) -> Path:
        return self.repo.state_dir / "index.sqlite"

    def cache(self, path: Path | None = None) -> Cache:
        return Cache(self.repo, REF, path=path)

    def open(self, path: Path | None = None) -> CachedRuns:
        return self.cache(path).newest()


def answers(index: CachedRuns) -> dict[str, Any]:
    """Return all answers of a cache as one comparable value."""
    ids = index.ids()
    return {
        "tip": index.tip,
        "count": index.count(),
        "ids": ids,
        "documents": list(index.documents()),
        "broken": index.broken,
        "clock": index.max_clock(),
        "keys": {key: index.column(key) for key in sorted(index.keys())},
        "attributes": {name: index.column(name) for name in COLUMNS},
        "sorted": {key: index.ids(sort_by=key, descending=True) for key in sorted(index.keys())},
        "best": index.groups.top("accuracy", Direction.MAXIMIZE, 5),
        "tags": {tag: index.ids(query(f"tag == {tag!r}")) for tag in index.tags()},
        "names": {name: index.by_name(name) for name in index.names()},
        "fingerprints": {f: index.by_fingerprint(f) for f in ("f0", "f1")},
        "commits": index.by_commit(f"{1:040x}"),
        "short": index.short(ids),
        "conflicting": {run: index.rivals(run) for run in index.conflicting()},
        "series": [index.has_series(run) for run in ids],
        "paths": [index.paths(run) for run in ids],
        "produced": index.produced_by("python train.py"),
    }


def query(text: str, *keys: str) -> Query:
    return resolve(parse_query(text), keys)


def documents(branch: Branch) -> list[str]:
    return [
        json.dumps(entry_document(entry, keys_of(entry.run).group)) for entry in branch.entries()
    ]


def assert_true(index: CachedRuns, branch: Branch, tmp_path: Path) -> None:
    """Verify that the cache equals the written runs and a cache built from nothing."""
    assert list(index.documents()) == documents(branch)
    fresh = branch.open(tmp_path / "fresh" / "index.sqlite")
    assert answers(index) == answers(fresh)
    assert not index.differences(fresh)
    fresh.release()
    shutil.rmtree(tmp_path / "fresh")


def flip(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    content[int((len(content) - 1) * share)] ^= 0x10
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "emptied": lambda p: p.write_bytes(b""),
    "truncated": lambda p: os.truncate(p, p.stat().st_size // 2),
    "zeroed": lambda p: p.write_bytes(bytes(p.stat().st_size)),
    "text": lambda p: p.write_text("not a database"),
    "a folder": lambda p: p.rename(p.with_name("aside")).parent.joinpath(p.name).mkdir(),
    "log lost": lambda p: p.with_name(p.name + "-wal").unlink(missing_ok=True),
    "log of nonsense": lambda p: p.with_name(p.name + "-wal").write_bytes(b"\0\xff" * 5000),
    "sidecar of nonsense": lambda p: p.with_name(p.name + "-shm").write_bytes(b"\0\xff" * 40000),
    "lock lost": lambda p: p.with_name(p.name + ".lock").unlink(),
}
