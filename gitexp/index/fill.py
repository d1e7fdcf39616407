# ruff: noqa: S608 - table names are the ones written here
"""From the run branch into the tables of the run index.

Floor 3. Everything about a run is derived from the files that name it, always all of them, so that
an update gives the same rows as reading the branch from nothing. What cannot be read is listed in
`broken` and stops nothing.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from gitexp.bounds import MAX_RECORD_BYTES
from gitexp.codec import decode_annotation, decode_run
from gitexp.documents import entry_document
from gitexp.errors import Unreadable
from gitexp.ids import ObjectId, RunId, is_null
from gitexp.index.sql import (
    INDEXES,
    TABLES,
    Progress,
    TooManyChanges,
    checksum,
    program,
    row_of,
    run_of,
)
from gitexp.model import Annotation, Entry, Run, annotation_order
from gitexp.query import forms_of, keyed_values
from gitexp.query_names import ATTRIBUTES
from gitexp.refs import TOMBSTONE, PathKind, parse_path
from gitexp.repo import Change, Repo

BATCH: Final = 500
"""Runs written at once."""

REBUILD_SHARE: Final = 0.5
"""When more of the runs changed, reading all from nothing is quicker."""


class File(NamedTuple):
    """One file on the branch that belongs to a run."""

    path: str
    kind: PathKind
    oid: ObjectId


@dataclass(slots=True)
class Derived:
    """All that the files of one run say."""

    run: RunId
    clocks: dict[str, int] = field(default_factory=dict)
    """Logical clock of each readable file."""
    broken: list[tuple[str, str]] = field(default_factory=list)
    record: Run | None = None
    path: str = ""
    annotations: list[Annotation] = field(default_factory=list)
    deleted: bool = False
    series: bool = False
    rivals: int = 0

    @property
    def entry(self) -> Entry | None:
        """The run as it stands; `None` when it is deleted or has no readable record."""
        if self.record is None or self.deleted:
            return None
        return Entry(self.record, tuple(sorted(self.annotations, key=annotation_order)))


# --- reading --------------------------------------------------------------------------------------


def read_runs(repo: Repo, groups: Sequence[tuple[RunId, Sequence[File]]]) -> Iterator[Derived]:
    """Derive each run from its files, in the order given; the files sorted by path."""
    wanted = [f.oid for _, files in groups for f in files if f.kind is not PathKind.SERIES]
    blobs = repo.read_blobs(wanted, max_bytes=MAX_RECORD_BYTES)
    for run, files in groups:
        derived = Derived(run)
        for file in files:
            if file.kind is PathKind.SERIES:
                derived.series |= "~" not in file.path
                continue
            _, content = next(blobs)
            try:
                _take(derived, file, content)
            except Unreadable as fault:
                derived.broken.append((file.path, fault.why or fault.what))
        yield derived


def _take(derived: Derived, file: File, content: bytes | None) -> None:
    place = parse_path(file.path)
    assert place is not None  # noqa: S101 - only paths that were understood become files
    tombstone = file.kind is PathKind.ANNOTATION and place.name == TOMBSTONE
    derived.deleted |= tombstone
    if content is None:
        raise Unreadable("cannot read a record", why="its object is missing, damaged or too large")
    if file.kind is PathKind.ANNOTATION:
        annotation = _decode_annotation(content)
        if annotation.run != derived.run or annotation.id != place.name:
            raise Unreadable("cannot read a record", why="its content is not what its name says")
        derived.clocks[file.path] = annotation.clock
        derived.annotations.append(annotation)
        return
    run = decode_run(content)
    if run.id != derived.run:
        raise Unreadable("cannot read a record", why="its content is not what its name says")
    derived.clocks[file.path] = run.clock
    if place.rival is not None:
        derived.rivals += 1
    elif derived.record is None:
        derived.record, derived.path = run, file.path
    else:
        raise Unreadable("cannot read a record", why="the run has another record already")


def _decode_annotation(content: bytes) -> Annotation:
    try:
        return decode_annotation(content)
    except OverflowError as error:
        raise Unreadable("cannot read a record", why=str(error)) from error


# --- writing --------------------------------------------------------------------------------------


_to_json: Final = json.JSONEncoder(check_circular=False).encode
"""As `json.dumps`, a fifth quicker: a document never holds itself."""


class Writer:
    """Puts derived runs into the tables."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._keys: dict[str, int] = dict(conn.execute("SELECT name, key FROM keys"))

    def add(self, batch: Iterable[Derived], *, has_clocks: bool = False) -> None:
        """Add runs the tables do not know; `has_clocks` when their files are complete already."""
        rows: dict[str, list[Sequence[object]]] = {
            name: [] for name in ("runs", "docs", "vals", "tags", "produced", "broken")
        }
        clocks: list[tuple[int, int, str]] = []
        for derived in batch:
            rid = row_of(derived.run)
            clocks += [(clock, rid, path) for path, clock in derived.clocks.items()]
            rows["broken"] += [(rid, path, why) for path, why in derived.broken]
            entry = derived.entry
            if entry is not None:
                self._add_entry(rows, rid, entry, derived)
        for table, lines in rows.items():
            if lines:
                marks = ",".join("?" * len(lines[0]))
                self._conn.executemany(f"INSERT INTO {table} VALUES ({marks})", lines)
        if not has_clocks:
            self._conn.executemany("UPDATE files SET clock = ? WHERE rid = ? AND path = ?", clocks)

    def _add_entry(
        self, rows: dict[str, list[Sequence[object]]], rid: int, entry: Entry, derived: Derived
    ) -> None:
        run = entry.run
        made_by = "" if run.command is None else program(run.command)
        attributes = [read(entry) for read in ATTRIBUTES.values()]
        rows["runs"].append(
            (
                *(rid, run.clock, *attributes),
                *(run.code.snapshot, derived.path, int(derived.series), derived.rivals, made_by),
            )
        )
        doc = _to_json(entry_document(entry))
        rows["docs"].append((rid, doc, checksum(doc)))
        keys, vals = self._keys, rows["vals"]
        for name, value in keyed_values(entry):
            key = keys.get(name) or self._add_key(name)
            if type(value) is float and value - value == 0:  # most are; the rest takes longer
                vals.append((key, rid, value, None, run.clock))
            else:
                forms = forms_of(value)
                vals.append((key, rid, forms.number, forms.text, run.clock))
        rows["tags"] += [(tag, rid) for tag in entry.tags]
        rows["produced"] += [(made_by, path, rid) for path in set(run.produced)]

    def _add_key(self, name: str) -> int:
        key = self._keys[name] = len(self._keys) + 1
        self._conn.execute("INSERT INTO keys VALUES (?, ?)", (key, name))
        return key

    def remove(self, rids: Sequence[int]) -> None:
        """Take runs out, all but their files."""
        ones = [(rid,) for rid in rids]
        self._conn.executemany(
            "DELETE FROM produced WHERE program = (SELECT program FROM runs WHERE rid = ?1)"
            " AND rid = ?1",
            ones,
        )
        self._conn.executemany(
            "DELETE FROM vals WHERE key IN (SELECT key FROM keys) AND rid = ?", ones
        )
        for table in ("runs", "docs", "tags", "broken"):
            self._conn.executemany(f"DELETE FROM {table} WHERE rid = ?", ones)


def create_tables(conn: sqlite3.Connection) -> None:
    """The empty tables, without the indexes."""
    conn.executescript(TABLES)


def fill(conn: sqlite3.Connection, repo: Repo, tip: ObjectId, progress: Progress | None) -> None:
    """Read the whole branch into empty tables, then make the indexes."""
    grouped: dict[RunId, list[File]] = {}
    for item in repo.list_tree(tip):
        place = parse_path(item.path)
        if place is not None and place.run is not None:
            grouped.setdefault(place.run, []).append(File(item.path, place.kind, item.oid))
    groups = [(run, sorted(files)) for run, files in sorted(grouped.items())]
    writer, done, derived = Writer(conn), 0, read_runs(repo, groups)
    while batch := list(islice(derived, BATCH)):
        conn.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?)",
            (
                (row_of(run), f.path, f.kind.value, f.oid, known.clocks.get(f.path))
                for (run, files), known in zip(groups[done:], batch, strict=False)
                for f in files
            ),
        )
        writer.add(batch, has_clocks=True)
        done += len(batch)
        if progress is not None:
            progress(done, len(groups))
    create_indexes(conn)


def create_indexes(conn: sqlite3.Connection) -> None:
    """What `fill` ends with; for a branch that does not exist yet."""
    for statement in INDEXES.split(";\n"):
        conn.execute(statement)


def update(
    conn: sqlite3.Connection, repo: Repo, changes: Iterable[Change], progress: Progress | None
) -> None:
    """Apply what differs between two tips. Raises `TooManyChanges` before it changed anything."""
    files: list[tuple[int, Change, PathKind]] = []
    touched: set[int] = set()
    for change in changes:
        place = parse_path(change.path)
        if place is not None and place.run is not None:
            rid = row_of(place.run)
            touched.add(rid)
            files.append((rid, change, place.kind))
    (count,) = conn.execute("SELECT count(*) FROM runs").fetchone()
    if len(touched) > max(2 * BATCH, REBUILD_SHARE * count):
        raise TooManyChanges
    conn.executemany(
        "DELETE FROM files WHERE rid = ? AND path = ?", ((rid, c.path) for rid, c, _ in files)
    )
    conn.executemany(
        "INSERT INTO files VALUES (?, ?, ?, ?, NULL)",
        ((rid, c.path, kind.value, c.new_oid) for rid, c, kind in files if not is_null(c.new_oid)),
    )
    again = conn.execute("SELECT DISTINCT rid FROM broken LIMIT ?", (BATCH,))
    touched.update(rid for (rid,) in again)  # objects that were missing may have come
    writer, order = Writer(conn), sorted(touched)
    for start in range(0, len(order), BATCH):
        rids = order[start : start + BATCH]
        writer.remove(rids)
        writer.add(read_runs(repo, [(run_of(rid), _files(conn, rid)) for rid in rids]))
        if progress is not None:
            progress(min(start + BATCH, len(order)), len(order))


def _files(conn: sqlite3.Connection, rid: int) -> list[File]:
    found = conn.execute("SELECT path, kind, oid FROM files WHERE rid = ? ORDER BY path", (rid,))
    return [File(path, PathKind(kind), ObjectId(oid)) for path, kind, oid in found.fetchall()]
