"""Update the cache from one tip of the run branch to another."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from gitexp.adapters.git.repository import Change, Repo
from gitexp.core.model.ids import is_null
from gitexp.core.schema.layout import PathKind, parse_path
from gitexp.storage.cache.rows import derive, read_files
from gitexp.storage.cache.sql import NO_RUN, Progress, TooManyChanges, row_of, run_of
from gitexp.storage.cache.writer import BATCH, Writer, files_of

REBUILD_SHARE: Final = 0.5
"""Share of changed runs above which a fill from the whole branch is faster."""


def update(
    conn: sqlite3.Connection,
    repo: Repo,
    changes: Iterable[Change],
    progress: Progress | None,
    *,
    seed_params: Sequence[str] = (),
) -> None:
    """Apply the changes between two tips. Raises `TooManyChanges` before it writes anything."""
    files: list[tuple[int, Change, PathKind]] = []
    touched: set[int] = set()
    for change in changes:
        place = parse_path(change.path)
        if place is not None and place.run is not None:
            rid = row_of(place.run)
            touched.add(rid)
            files.append((rid, change, place.kind))
    if conn.execute("SELECT 1 FROM broken WHERE rid = ?", (NO_RUN,)).fetchone():
        raise TooManyChanges  # a directory was damaged, so the files below it are unknown
    if len(touched) > 2 * BATCH:  # the count reads a whole index, so only for large updates
        (count,) = conn.execute("SELECT count(*) FROM runs").fetchone()
        if len(touched) > REBUILD_SHARE * count:
            raise TooManyChanges
    conn.executemany(
        "DELETE FROM files WHERE rid = ? AND path = ?", ((rid, c.path) for rid, c, _ in files)
    )
    conn.executemany(
        "INSERT INTO files VALUES (?, ?, ?, ?, NULL)",
        ((rid, c.path, kind.value, c.new_oid) for rid, c, kind in files if not is_null(c.new_oid)),
    )
    again = conn.execute("SELECT DISTINCT rid FROM broken LIMIT ?", (BATCH,))
    touched.update(rid for (rid,) in again)  # a fetch may have brought the missing objects
    writer, order = Writer(conn, seed_params), sorted(touched)
    for start in range(0, len(order), BATCH):
        rids = order[start : start + BATCH]
        listed = [(run_of(rid), files_of(conn, rid)) for rid in rids]
        writer.remove(rids)
        writer.add(derive(*group) for group in read_files(repo, listed))
        if progress is not None:
            progress(min(start + BATCH, len(order)), len(order))
