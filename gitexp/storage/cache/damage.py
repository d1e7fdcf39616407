"""List the files of a run branch with damaged directories, and the runs lost in them.

A damaged directory hides only the files below it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed, InvalidInput
from gitexp.core.model.ids import ObjectId, RunId, parse_run_id
from gitexp.core.schema.layout import TOMBSTONE, PathKind, parse_path
from gitexp.storage.cache.rows import File
from gitexp.storage.cache.sql import NO_RUN, row_of


def list_files(repo: Repo, tip: ObjectId) -> tuple[dict[RunId, list[File]], Mapping[str, str]]:
    """Return the files of each run, and the damaged directories as object id by path.

    Runs are in the order of git's listing, because git unpacks neighbouring objects fastest; the
    files of a run are sorted by path. Raises `CommandFailed` if the commit or its top tree cannot
    be read.
    """
    damaged: Mapping[str, str] = {}
    files: Iterable[tuple[str, str]]
    try:
        files = [(entry.path, entry.oid) for entry in repo.list_tree(tip)]
    except CommandFailed:
        from gitexp.adapters.git.verify import walk_commit

        walk = walk_commit(repo, tip)
        if walk.damaged.keys() & {"", "."}:
            raise
        files, damaged = walk.files.items(), walk.damaged
    grouped: dict[RunId, list[File]] = {}
    for path, oid in files:
        place = parse_path(path)
        if place is not None and place.run is not None:
            grouped.setdefault(place.run, []).append(File(path, place.kind, ObjectId(oid)))
    for found in grouped.values():
        found.sort()
    return grouped, damaged


def runs_under_damaged_trees(
    repo: Repo, tip: ObjectId, damaged: Mapping[str, str], known: Mapping[RunId, Sequence[File]]
) -> Iterator[tuple[int | str, str, str]]:
    """Yield row number, path and reason of each damaged directory and of each run lost in one.

    The runs are known from the `Run-Id` trailers of the branch's commits, which need no tree.
    """
    for path, oid in damaged.items():
        yield NO_RUN, path, f"the folder is damaged or missing (object {oid})"
    recorded = {run for run, files in known.items() if any(map(_settles, files))}
    asked = repo.git("log", "--format=%(trailers:key=Run-Id,valueonly)", tip, check=False)
    for name in sorted(set(asked.text.split())):
        try:
            run = parse_run_id(name)
        except InvalidInput:
            continue  # a user may have written any text into a commit message
        folder = next((path for path in damaged if _may_hold(path, run)), None)
        if run not in recorded and folder is not None:
            yield row_of(run), f"{folder}/…/{run}", "it was in a damaged folder"


def _settles(file: File) -> bool:
    """Return whether a file shows that its run exists or was deleted."""
    place = parse_path(file.path)
    return file.kind is PathKind.RUN or (place is not None and place.name == TOMBSTONE)


def _may_hold(folder: str, run: RunId) -> bool:
    """Return whether the record of the run would be below the directory."""
    parts = folder.split("/")
    return parts[0] == "runs" and (len(parts) < _DEPTH or parts[_DEPTH - 1] == run[:2])


_DEPTH: Final = 3
"""Depth of the directories that hold records: `runs/<year-month>/<xx>`."""
