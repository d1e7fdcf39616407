"""Derive the rows of the cache's tables from the files of runs.

All rows of a run come from the files whose path names the run. A file that cannot be read is
listed as broken; the other files are still read. A run has one JSON document, and its columns,
tags and values are read from it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from gitexp.adapters.git.repository import Repo
from gitexp.core.analysis.grouping import TrialKeys, keys_from, keys_of
from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.model.run import (
    Annotation,
    FileState,
    RecordedRun,
    Run,
    Table,
    annotation_order,
)
from gitexp.core.schema.json_codec import (
    entry_document,
    plain_document,
    typed_in_record,
    typed_values,
)
from gitexp.core.schema.kinds import Typed
from gitexp.core.schema.layout import TOMBSTONE, PathKind
from gitexp.core.schema.limits import MAX_RECORD_BYTES
from gitexp.core.schema.toml_codec import decode_annotation, decode_run, recode_run
from gitexp.storage.cache.sql import DERIVED_READERS, PLACES, checksum, program_of, row_of
from gitexp.storage.cache.values import paths_of, value_at

Rows: TypeAlias = dict[str, list[Any]]
"""Rows by table."""

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


class Stored(NamedTuple):
    """A run that exists, as the tables hold it."""

    document: dict[str, Any]
    typed: Typed
    """Values whose type JSON changes; almost always empty."""
    keys: TrialKeys


class RunFiles:
    """All data of one run, from all of its files."""

    def __init__(self, run: RunId) -> None:
        self.run = run
        self.stored: Stored | None = None
        """`None` if the run is deleted or has no readable record."""
        self.files: dict[File, int | None] = {}
        """Logical clock of each file; `None` for a series, an output and an unreadable file."""
        self.broken: list[tuple[str, str]] = []
        """Path and reason of each unreadable file."""
        self.path = ""
        """Path of the record."""
        self.series = False
        self.rivals = 0


def read_files(repo: Repo, listed: Sequence[tuple[RunId, Sequence[File]]]) -> Iterator[Group]:
    """Read the files of each run, in the given order."""
    wanted = [f.oid for _, files in listed for f in files if f.kind not in _UNREAD]
    blobs = repo.read_blobs(wanted, max_bytes=MAX_RECORD_BYTES)
    for run, files in listed:
        yield run, [(f, None if f.kind in _UNREAD else next(blobs)[1]) for f in files]


def read_run_files(
    run: RunId, contents: Iterable[Content], seed_params: Sequence[str] = ()
) -> RunFiles:
    """Derive the data of a run from all of its files, which are sorted by path."""
    derived = RunFiles(run)
    read: list[Content] = []
    for file, content in contents:
        derived.files[file] = None
        if file.kind in _UNREAD:
            derived.series |= file.kind is PathKind.SERIES and "~" not in file.path
        else:
            read.append((file, content))
    if len(read) != 1 or not _take_plain(derived, *read[0], seed_params):
        _take_all(derived, read, seed_params)
    return derived


def _take_plain(
    derived: RunFiles, file: File, content: bytes | None, seed_params: Sequence[str]
) -> bool:
    """Take a record that is alone, as most are. Return False for one that needs more than this."""
    if file.kind is not PathKind.RUN or "~" in file.path or content is None:
        return False
    try:
        table, document = recode_run(content)
    except UnreadableRecord:
        return False
    if document["id"] != derived.run or "parsed" in document:
        return False
    keys = _keys_of_table(table, seed_params)
    derived.files[file], derived.path = document["clock"], file.path
    typed = typed_in_record(table, document)
    derived.stored = Stored(plain_document(document, keys.group), typed, keys)
    return True


def _keys_of_table(table: Table, seed_params: Sequence[str]) -> TrialKeys:
    """Return what `keys_of` returns for the run of a valid TOML table."""
    found: Mapping[str, Any] = table
    command = found.get("command", {})
    return keys_from(
        found["id"],
        found.get("fingerprint", ""),
        found["code"].get("digest", ""),
        tuple(command.get("template") or command.get("argv", ())),
        found.get("params", {}),
        _files(found.get("inputs", {})),
        directory=command.get("directory", "."),
        seed_params=seed_params,
        outside=_files(found["code"].get("hashed", {})) | _files(found.get("changed_reads", {})),
    )


def _files(table: Mapping[str, Any]) -> dict[str, FileState]:
    return {p: FileState(sha256=file["sha256"], bytes=file["bytes"]) for p, file in table.items()}


def _take_all(derived: RunFiles, read: Sequence[Content], seed_params: Sequence[str]) -> None:
    record: Run | None = None
    annotations: list[Annotation] = []
    deleted = False
    for file, content in read:
        name = file.path[file.path.rindex("/") + 1 :].removesuffix(".toml")
        deleted |= file.kind is PathKind.ANNOTATION and name.partition("~")[0] == TOMBSTONE
        try:
            found = _decode(derived.run, file, name, content)
            derived.files[file] = found.clock
            if isinstance(found, Annotation):
                annotations.append(found)
            elif "~" in name:
                derived.rivals += 1
            elif record is None:
                record, derived.path = found, file.path
            else:
                raise UnreadableRecord(
                    "cannot read a record", why="the run has another record already"
                )
        except UnreadableRecord as fault:
            derived.broken.append((file.path, fault.why or fault.what))
    if record is not None and not deleted:
        entry = RecordedRun(record, tuple(sorted(annotations, key=annotation_order)))
        derived.stored = stored(entry, seed_params)


def stored(entry: RecordedRun, seed_params: Sequence[str] = ()) -> Stored:
    """Return a run with its annotations as the tables hold it."""
    keys = keys_of(entry.run, seed_params)
    return Stored(entry_document(entry, keys.group), typed_values(entry), keys)


def _decode(run: RunId, file: File, name: str, content: bytes | None) -> Run | Annotation:
    if content is None:
        raise UnreadableRecord(
            "cannot read a record", why="its object is missing, damaged or too large"
        )
    if file.kind is PathKind.ANNOTATION:
        annotation = decode_annotation(content)
        if annotation.run == run and annotation.id == name.partition("~")[0]:
            return annotation
    else:
        record = decode_run(content)
        if record.id == run:
            return record
    raise UnreadableRecord("cannot read a record", why="its content is not what its name says")


# --- rows -----------------------------------------------------------------------------------------

_to_json: Final = json.JSONEncoder(check_circular=False).encode
"""`json.dumps` without the check for cycles, which a document cannot have: a fifth faster."""


def rows_of(batch: Iterable[RunFiles]) -> Rows:
    """Return the rows of runs. A row of `runs` ends with the shape of the document, as paths."""
    tables = ("files", "runs", "documents", "tags", "produced", "broken")
    rows: Rows = {table: [] for table in tables}
    for derived in batch:
        rid = row_of(derived.run)
        rows["files"] += [
            (rid, file.path, file.kind.value, file.oid, clock)
            for file, clock in derived.files.items()
        ]
        rows["broken"] += [(rid, path, why) for path, why in derived.broken]
        if derived.stored is not None:
            _add_stored(rows, rid, derived, derived.stored)
    return rows


_TABLES: Final = {place[:-1] for place in PLACES}
"""Places of the tables that hold the fields: the document itself, `code`, `command`, …"""

_FIELDS: Final = [(place[:-1], place[-1]) for place in PLACES]


def _columns_of(document: dict[str, Any]) -> list[Any]:
    """Return the values of the columns of `RECORDED`."""
    tables = {place: value_at(document, place) or {} for place in _TABLES}
    fields = [tables[place].get(key) for place, key in _FIELDS]
    return fields + [read(document) for read in DERIVED_READERS]


def _add_stored(rows: Rows, rid: int, derived: RunFiles, run: Stored) -> None:
    document = run.document
    argv = document.get("command", {}).get("argv")
    made_by = "" if argv is None else program_of(argv)
    rows["runs"].append(
        (
            rid,
            *_columns_of(document),
            *(derived.path, int(derived.series), derived.rivals, made_by),
            *run.keys,
            paths_of(document),
        )
    )
    text = _to_json(document)
    typed = _to_json(run.typed) if run.typed else None
    rows["documents"].append((rid, text, typed, checksum(text + (typed or ""))))
    rows["tags"] += [(tag, rid) for tag in document.get("tags", ())]
    rows["produced"] += [(made_by, path, rid) for path in set(document.get("produced", ()))]
