"""What the files of runs say, as rows for the tables of the run index.

Everything about a run is derived from the files that name it. What cannot be read is listed and
stops nothing.
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
"""Rows by table. Those of `vals` begin with the name of their key instead of its number, and those
of `packed` are each a whole `Part`."""

DocumentRow: TypeAlias = tuple[int, str, str | None, int]
"""Row number, JSON text, the values that JSON changes (hardly ever), checksum of both."""

Listed: TypeAlias = tuple[RunId, Sequence["File"]]
"""A run and its files, sorted by path."""

Content: TypeAlias = tuple["File", bytes | None]
"""A file with what is in it; in a series, and in what cannot be read, nothing."""

Group: TypeAlias = tuple[RunId, Sequence[Content]]
"""A run and its files with what is in them."""


_UNREAD: Final = frozenset({PathKind.SERIES, PathKind.OUTPUT})
"""Kinds of files whose content the tables do not hold."""


class File(NamedTuple):
    """One file on the branch that belongs to a run."""

    path: str
    kind: PathKind
    oid: ObjectId


class Derived:
    """All that the files of one run say."""

    def __init__(self, run: RunId, record: Run | None = None) -> None:
        self.run = run
        self.record = record
        self.files: dict[File, int | None] = {}
        """The logical clock of each; of what cannot be read, and of a series, none."""
        self.broken: list[tuple[str, str]] = []
        self.path = ""
        self.annotations: list[Annotation] = []
        self.deleted = False
        self.series = False
        self.rivals = 0

    @property
    def entry(self) -> Entry | None:
        """The run as it stands; `None` when it is deleted or has no readable record."""
        if self.record is None or self.deleted:
            return None
        return Entry(self.record, tuple(sorted(self.annotations, key=annotation_order)))


def read_files(repo: Repo, listed: Sequence[Listed]) -> Iterator[Group]:
    """What is in the files of each run, in the order given."""
    wanted = [f.oid for _, files in listed for f in files if f.kind not in _UNREAD]
    blobs = repo.read_blobs(wanted, max_bytes=MAX_RECORD_BYTES)
    for run, files in listed:
        yield run, [(f, None if f.kind in _UNREAD else next(blobs)[1]) for f in files]


def derive(run: RunId, contents: Iterable[Content]) -> Derived:
    """What all the files of a run say, sorted by path."""
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
"""As `json.dumps`, a fifth quicker: a document never holds itself."""


def rows_of(batch: Iterable[Derived], seed_params: Sequence[str] = ()) -> Rows:
    """The rows of some runs."""
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
    """The documents of some runs, nothing else."""
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
    """The rows about all files, and the runs that stand, with their row numbers."""
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
    """Add what the tables say of a run that stands, but its values."""
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
