"""Derive the rows of many runs with packed values, as a fill writes them.

Records with the same layout are parsed together, all others one by one. Both ways give the same
rows.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from gitexp.core.analysis.grouping import TrialKeys, keys_from, keys_of
from gitexp.core.errors import Unreadable
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Command, FileState
from gitexp.core.query.values import KEYED, keyed_values
from gitexp.core.schema.fields import Recorded
from gitexp.core.schema.layout import PathKind
from gitexp.core.schema.uniform_records import Layout, Place, read_together, take_apart
from gitexp.storage.cache.packing import Part, pack
from gitexp.storage.cache.rows import (
    Content,
    Derived,
    File,
    Group,
    Rows,
    add_entry,
    derive,
    rows_of_files,
)
from gitexp.storage.cache.sql import RECORDED, program, row_of

_RUN: Final = PathKind.RUN.value

_COMMAND: Final = {name: ("command", name) for name in ("argv", "template", "directory")}

_FEW: Final = 4
"""Fewer records than this are parsed one by one, which is as fast."""

_LARGE_BYTES: Final = 1 << 16
"""A larger record is parsed alone: keeping many of them until their batch ends fills the memory."""


def packed_rows_of(batch: Iterable[Group], seed_params: Sequence[str] = ()) -> Rows:
    """Return the rows of some runs, with packed values and without documents."""
    alike: defaultdict[Layout, list[_Plain]] = defaultdict(list)
    others: list[Derived] = []
    groups = iter(batch)
    first = next(groups)
    part = row_of(first[0])
    for run, contents in chain([first], groups):
        try:
            plain = _plain(run, contents)
            alike[plain.layout].append(plain)
        except Unreadable:
            others.append(derive(run, contents))
    found: list[tuple[Rows, list[_Valued]]] = []
    for runs in alike.values():
        try:
            found.append(_rows_together(runs, part, seed_params))
        except Unreadable:
            others += [derive(plain.run, [(plain.file, plain.content)]) for plain in runs]
    found.append(_rows_one_by_one(others, part, seed_params))
    rows = {table: list(chain.from_iterable(r[table] for r, _ in found)) for table in found[-1][0]}
    valued = list(chain.from_iterable(v for _, v in found))
    rows["packed"] = [_packed(valued, part)] if valued else []
    return rows


class _Plain(NamedTuple):
    """Run whose only file is one record."""

    run: RunId
    file: File
    content: bytes
    layout: Layout
    written: list[str]
    """Values as the record writes them."""


def _plain(run: RunId, contents: Sequence[Content]) -> _Plain:
    (file, content), *more = contents
    if more or file.kind is not PathKind.RUN or "~" in file.path:
        raise Unreadable("there is more than a record")
    if content is None or len(content) > _LARGE_BYTES:
        raise Unreadable("it would fill the memory")
    return _Plain(run, file, content, *take_apart(content))


class _Valued(NamedTuple):
    """Runs with values of the same key names."""

    rids: list[int]
    clocks: list[int]
    values: Mapping[str, list[Any]]


def _packed(valued: Sequence[_Valued], part: int) -> Part:
    names = dict.fromkeys(chain.from_iterable(runs.values for runs in valued))
    columns = {
        name: [v for runs in valued for v in runs.values.get(name) or [None] * len(runs.rids)]
        for name in names
    }
    rids = [rid for runs in valued for rid in runs.rids]
    return pack(part, rids, [clock for runs in valued for clock in runs.clocks], columns)


def _rows_together(
    runs: Sequence[_Plain], part: int, seed_params: Sequence[str]
) -> tuple[Rows, list[_Valued]]:
    """Return the rows of runs of one layout. Raises `Unreadable` if one may be unreadable."""
    if len(runs) < _FEW:
        raise Unreadable("there are too few of them")
    columns = read_together(runs[0].content, runs[0].layout, [plain.written for plain in runs])
    count, rids = len(runs), [row_of(plain.run) for plain in runs]

    def column(*place: str, absent: object = None) -> list[Any]:
        return columns.get(place) or [absent] * count

    if column("id") != [plain.run for plain in runs]:
        raise Unreadable("their content is not what their names say")
    made_by = [program(Command(argv=argv)) for argv in column("command", "argv", absent=())]
    members = list(zip(rids, runs, column("clock"), made_by, strict=True))
    told = zip(
        *(_attribute(read, column) for _, read in RECORDED.values()),
        strict=True,
    )
    tags, produced = column("tags", absent=()), column("produced", absent=())
    rows: Rows = {
        "files": [
            (rid, run.file.path, _RUN, run.file.oid, clock) for rid, run, clock, _ in members
        ],
        "runs": [
            (rid, *facts, run.file.path, 0, 0, by, part, *keys)
            for (rid, run, _, by), facts, keys in zip(
                members, told, _trial_keys(runs, columns, seed_params), strict=True
            )
        ],
        "tags": [(tag, rid) for rid, found in zip(rids, tags, strict=True) for tag in set(found)],
        "produced": [
            (by, path, rid)
            for (rid, _, _, by), found in zip(members, produced, strict=True)
            for path in set(found)
        ],
        "broken": [],
    }
    return rows, [_Valued(rids, column("clock"), _values(columns))]


def _trial_keys(
    runs: Sequence[_Plain], columns: Mapping[Place, list[Any]], seed_params: Sequence[str]
) -> Iterator[TrialKeys]:
    """Yield the keys of each run's group and family."""
    params = {".".join(place[1:]): c for place, c in columns.items() if place[0] == "params"}
    tables = {t: _file_columns(columns, t) for t in (("inputs",), ("code", "hashed"), _CHANGED)}
    known = {place: columns[place] for place in _COMMAND.values() if place in columns}
    for n, plain in enumerate(runs):
        command = None
        if ("command", "argv") in known:
            parts = {name: known[p][n] for name, p in _COMMAND.items() if p in known}
            command = Command(**parts)
        yield keys_from(
            plain.run,
            columns.get(("fingerprint",), [""] * len(runs))[n],
            columns.get(("code", "digest"), [""] * len(runs))[n],
            command,
            {name: column[n] for name, column in params.items()},
            _files_of(n, tables["inputs",]),
            seed_params=seed_params,
            outside=_files_of(n, tables["code", "hashed"]) | _files_of(n, tables[_CHANGED]),
        )


_CHANGED: Place = ("changed_reads",)


def _file_columns(
    columns: Mapping[Place, list[Any]], table: Place
) -> dict[str, tuple[list[Any], list[Any]]]:
    """Return the digests and the sizes of each file of a table."""
    at = len(table)
    return {
        place[at]: (column, columns[*place[:-1], "bytes"])
        for place, column in columns.items()
        if place[:at] == table and place[at + 1 :] == ("sha256",)
    }


def _files_of(n: int, files: Mapping[str, tuple[list[Any], list[Any]]]) -> dict[str, FileState]:
    return {p: FileState(sha256=h[n], bytes=sizes[n]) for p, (h, sizes) in files.items()}


def _attribute(read: object, column: Callable[..., list[Any]]) -> list[Any]:
    """Return one query attribute of all runs; `None` for an attribute that annotations set."""
    if not isinstance(read, Recorded):
        return column()
    return list(map(read.shown, column(*read.place)))


def _values(columns: dict[Place, list[Any]]) -> dict[str, list[Any]]:
    """Return the columns of values by the names that `keyed_values` gives them."""
    found: dict[str, list[Any]] = {}
    parsed: dict[str, list[Any]] = {}
    renamed: set[str] = set()
    for (table, *names), column in columns.items():
        values = parsed if table == "parsed" else found
        if table in KEYED or table == "parsed":
            name = KEYED["params" if table == "parsed" else table] + ".".join(names)
            if name in values:
                raise Unreadable(f"there are two values of {name}")
            values[name] = column
        elif (table, *names[:1]) == ("parser", "renamed"):
            renamed.add(KEYED["params"] + ".".join(names[1:]))
    return {name: v for name, v in found.items() if name not in renamed} | parsed


def _rows_one_by_one(
    batch: Iterable[Derived], part: int, seed_params: Sequence[str]
) -> tuple[Rows, list[_Valued]]:
    rows, standing = rows_of_files(batch)
    for rid, entry, derived in standing:
        add_entry(rows, rid, entry, derived, part=part, keys=keys_of(entry.run, seed_params))
    return rows, [
        _Valued([rid], [entry.run.clock], {name: [v] for name, v in keyed_values(entry)})
        for rid, entry, _ in standing
    ]
