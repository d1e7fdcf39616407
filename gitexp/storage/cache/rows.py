"""Derive the rows of the cache's tables from the files of runs.

All rows of a run come from the files whose path names the run. A file that cannot be read is
listed as broken; the other files are still read.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from gitexp.adapters.git.repository import Repo
from gitexp.core.analysis.grouping import TrialKeys, keys_of
from gitexp.core.errors import Unreadable
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import Annotation, Entry, Run, annotation_order
from gitexp.core.query.values import keyed_values
from gitexp.core.schema.json_codec import entry_document, typed_values
from gitexp.core.schema.layout import TOMBSTONE, PathKind
from gitexp.core.schema.limits import MAX_RECORD_BYTES
from gitexp.core.schema.toml_codec import decode_annotation, decode_run
from gitexp.storage.cache.packing import form_of
from gitexp.storage.cache.sql import RECORDED, checksum, program, row_of

Rows: TypeAlias = dict[str, list[Any]]
"""Rows by table.

A row of `vals` starts with the name of its key, not the number; a row of `packed` is a `Part`.
"""

DocumentRow: TypeAlias = tuple[int, str, str | None, int]
"""Row number, JSON text, values whose type JSON changes (almost always none), checksum of both."""

Listed: TypeAlias = tuple[RunId, Sequence["File"]]
"""A run and its files, sorted by path."""

Content: TypeAlias = tuple["File", bytes | None]
"""A file with its content; `None` for a series, an output and an unreadable object."""

Group: TypeAlias = tuple[RunId, Sequence[Content]]
"""A run and its files with their content."""


_UNREAD: Final = frozenset({PathKind.SERIES, PathKind.OUTPUT})
"""Kinds of files whose content is not in the tables."""


class File(NamedTuple):
    """One file on the branch that belongs to a run."""

    path: str
    kind: PathKind
    oid: ObjectId


class Derived:
    """All data of one run, from all of its files."""

    def __init__(self, run: RunId, record: Run | None = None) -> None:
        self.run = run
        self.record = record
        self.files: dict[File, int | None] = {}
        """Logical clock of each file; `None` for a series, an output and an unreadable file."""
        self.broken: list[tuple[str, str]] = []
        self.path = ""
        self.annotations: list[Annotation] = []
        self.deleted = False
        self.series = False
        self.rivals = 0

    @property
    def entry(self) -> Entry | None:
        """Run with its annotations; `None` if it is deleted or has no readable record."""
        if self.record is None or self.deleted:
            return None
        return Entry(self.record, tuple(sorted(self.annotations, key=annotation_order)))


def read_files(repo: Repo, listed: Sequence[Listed]) -> Iterator[Group]:
    """Read the files of each run, in the given order."""
    wanted = [f.oid for _, files in listed for f in files if f.kind not in _UNREAD]
    blobs = repo.read_blobs(wanted, max_bytes=MAX_RECORD_BYTES)
    for run, files in listed:
        yield run, [(f, None if f.kind in _UNREAD else next(blobs)[1]) for f in files]


def derive(run: RunId, contents: Iterable[Content]) -> Derived:
    """Derive the data of a run from all of its files, which are sorted by path."""
    derived = Derived(run)
    for file, content in contents:
        derived.files[file] = None
        if file.kind in _UNREAD:
            derived.series |= file.kind is PathKind.SERIES and "~" not in file.path
            continue
        try:
            _take(derived, file, content)
        except Unreadable as fault:
            derived.broken.append((file.path, fault.why or fault.what))
    return derived


def _take(derived: Derived, file: File, content: bytes | None) -> None:
    name = file.path[file.path.rindex("/") + 1 :].removesuffix(".toml")
    rival = "~" in name
    if file.kind is PathKind.ANNOTATION:
        name = name.partition("~")[0]
        derived.deleted |= name == TOMBSTONE
    if content is None:
        raise Unreadable("cannot read a record", why="its object is missing, damaged or too large")
    if file.kind is PathKind.ANNOTATION:
        annotation = decode_annotation(content)
        if annotation.run != derived.run or annotation.id != name:
            raise Unreadable("cannot read a record", why="its content is not what its name says")
        derived.files[file] = annotation.clock
        derived.annotations.append(annotation)
        return
    run = decode_run(content)
    if run.id != derived.run:
        raise Unreadable("cannot read a record", why="its content is not what its name says")
    derived.files[file] = run.clock
    if rival:
        derived.rivals += 1
    elif derived.record is None:
        derived.record, derived.path = run, file.path
    else:
        raise Unreadable("cannot read a record", why="the run has another record already")


# --- rows -----------------------------------------------------------------------------------------

_to_json: Final = json.JSONEncoder(check_circular=False).encode
"""`json.dumps` without the check for cycles, which a document cannot have: a fifth faster."""


def rows_of(batch: Iterable[Derived], seed_params: Sequence[str] = ()) -> Rows:
    """Return the rows of runs."""
    rows, standing = rows_of_files(batch)
    rows |= {"docs": [], "vals": []}
    for rid, entry, derived in standing:
        keys = keys_of(entry.run, seed_params)
        add_entry(rows, rid, entry, derived, part=None, keys=keys)
        rows["docs"].append(_document_row(rid, entry, keys))
        for name, value in keyed_values(entry):
            form = form_of(value)
            number, text = form if type(form) is tuple else (form, None)
            rows["vals"].append((name, rid, number, text, entry.run.clock))
    return rows


def document_rows_of(batch: Iterable[Group], seed_params: Sequence[str] = ()) -> Rows:
    """Return only the `docs` rows of runs."""
    entries = ((run, derive(run, contents).entry) for run, contents in batch)
    docs = [
        _document_row(row_of(run), entry, keys_of(entry.run, seed_params))
        for run, entry in entries
        if entry
    ]
    return {"docs": docs}


def _document_row(rid: int, entry: Entry, keys: TrialKeys) -> DocumentRow:
    doc = _to_json(entry_document(entry, keys.group))
    found = typed_values(entry)
    typed = _to_json(found) if found else None
    return rid, doc, typed, checksum(doc + (typed or ""))


def rows_of_files(batch: Iterable[Derived]) -> tuple[Rows, list[tuple[int, Entry, Derived]]]:
    """Return the rows of all files, and the runs that are not deleted, with their row numbers."""
    rows: Rows = {table: [] for table in ("runs", "tags", "produced", "files", "broken")}
    standing = []
    for derived in batch:
        rid = row_of(derived.run)
        rows["files"] += [
            (rid, file.path, file.kind.value, file.oid, clock)
            for file, clock in derived.files.items()
        ]
        rows["broken"] += [(rid, path, why) for path, why in derived.broken]
        entry = derived.entry
        if entry is not None:
            standing.append((rid, entry, derived))
    return rows, standing


def add_entry(
    rows: Rows,
    rid: int,
    entry: Entry,
    derived: Derived,
    *,
    part: int | None,
    keys: TrialKeys,
) -> None:
    """Add the rows of a run that is not deleted, except its values and its document."""
    run = entry.run
    made_by = "" if run.command is None else program(run.command)
    rows["runs"].append(
        (
            rid,
            *(read(entry) for _, read in RECORDED.values()),
            *(derived.path, int(derived.series), derived.rivals, made_by, part),
            *keys,
        )
    )
    rows["tags"] += [(tag, rid) for tag in entry.tags]
    rows["produced"] += [(made_by, path, rid) for path in set(run.produced)]
