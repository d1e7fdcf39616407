"""Unite the files of two commits of the run branch; return the edits of one of them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Blob
from gitexp.adapters.git.trees import (
    FILE_MODE,
    SUBMODULE_MODE,
    TreeDiff,
    diff_trees_bounded,
    expand_equal_trees,
)
from gitexp.core.schema.layout import FORMAT_PATH, TOMBSTONE, BranchPath, PathKind, parse_path
from gitexp.core.schema.limits import MAX_RECORD_BYTES
from gitexp.core.schema.union import Places, affected_paths, owner, owners, union
from gitexp.storage.branch.one_sided import split_one_sided

_PLAIN = re.compile(r"[\w./~-]+", re.ASCII)
"""A path that `git fast-import` reads without quotes."""

Edit: TypeAlias = tuple[str, Blob | None]
"""A quoted path and its new content; `None` deletes it."""


def unite_commits(
    repo: Repo,
    folders: Sequence[TreeDiff],
    ours: str,
    theirs: str,
    *,
    follows: bool,
    onto: str | None = None,
) -> list[Edit] | None:
    """Return the edits that turn the tree of one commit into the union of both.

    That commit is `onto`, by default the one with the lesser id. With `follows`, theirs descends
    from ours, and the result is `None` if theirs has every file of ours that counts. That is true
    of every commit of gitexp, which only adds files, seals runs, and deletes with tombstones.
    """
    lone, rest = split_one_sided(repo, folders)
    here, there, places = _compare(repo, rest)
    lost = any(folder.old for folder in lone)
    if follows and not here.files and not lost:
        return None  # only additions
    united = union(here.files, there.files, lambda blobs: read_records(repo, blobs), places)
    if follows and not lost:
        other = {path for path, _ in united.items() ^ there.files.items()}
        if not any(path == FORMAT_PATH or parse_path(path) for path in other):
            return None
    is_ours = (onto or min(ours, theirs)) == ours
    added = (folder.files(folder.new if is_ours else folder.old) for folder in lone)
    edits = _edits(here if is_ours else there, united)
    return [*edits, *((path, Blob(oid)) for files in added for _, path, oid in files)]


def lost_since(repo: Repo, base: str, tip: str) -> list[tuple[str, Blob | None]]:
    """Return the edits that restore records of an ancestor which a commit lacks.

    The edits restore records that are missing or say `running` again. Files that users added to the
    branch, or replaced, stay.
    """
    with repo.reading() as reading:
        folders = diff_trees_bounded(reading, base, tip) or []
        here, there, places = _compare(reading, folders)
        united = union(here.files, there.files, lambda blobs: read_records(reading, blobs), places)
        kept = set(united.values())
        lost: list[tuple[str, Blob | None]] = []
        edits = [(path, places.get(path), blob) for path, blob in _edits(there, united)]
        graves = owners(place for _, place, blob in edits if blob and place and _is_grave(place))
        for path, place, blob in edits:
            if blob is None:
                is_lost = place is not None and owner(place) in graves
            elif path not in there.files:
                is_lost = here.files.get(path) == blob.oid
            else:
                is_lost = place is not None and there.files[path] not in kept
            if is_lost:
                lost.append((path, blob))
        return lost


def _is_grave(place: BranchPath) -> bool:
    return place.kind is PathKind.ANNOTATION and place.name == TOMBSTONE


@dataclass(frozen=True, slots=True)
class _Side:
    """Files of a commit: those that differ from another commit, and all files of the same runs."""

    files: dict[str, str] = field(default_factory=dict)
    """Blob by path."""
    odd: set[str] = field(default_factory=set)
    """Differing paths that are no plain file in this commit: links, submodules, executables."""


def _compare(repo: Repo, folders: Sequence[TreeDiff]) -> tuple[_Side, _Side, Places]:
    """Return our side, their side, and the parsed paths of both."""
    ours, theirs = _Side(), _Side()
    places: dict[str, BranchPath | None] = {}
    for folder in folders:
        for side, entries in ((ours, folder.old), (theirs, folder.new)):
            for mode, path, oid in folder.files(entries):
                places[path] = parse_path(path)
                if mode != SUBMODULE_MODE:
                    side.files[path] = oid
                if mode != FILE_MODE:
                    side.odd.add(path)
    touched = owners(places.values())
    wanted = affected_paths(touched)
    for folder in (*folders, *expand_equal_trees(repo, folders, wanted)):
        for mode, path, oid in folder.files(folder.same) if wanted(folder.path) else ():
            place = parse_path(path)
            if place is not None and owner(place) in touched and mode != SUBMODULE_MODE:
                places[path] = place
                ours.files[path] = theirs.files[path] = oid
    return ours, theirs, places


def _edits(first: _Side, united: Mapping[str, str]) -> Iterator[Edit]:
    """Yield deletions first, so that a directory can replace a file of the same name."""
    for path in first.files.keys() | first.odd:
        if path not in united:
            yield _quoted(path), None
    for path, blob in united.items():
        if first.files.get(path) != blob or path in first.odd:
            yield _quoted(path), Blob(blob)


def read_records(repo: Repo, blobs: Collection[str]) -> dict[str, bytes | None]:
    """Return contents by blob; `None` for a blob that is missing, damaged or too large."""
    found = repo.read_blobs(sorted(blobs), max_bytes=MAX_RECORD_BYTES)
    return {str(blob): content for blob, content in found}


def _quoted(path: str) -> str:
    """Quote a path for `git fast-import`. Only paths that gitexp did not write need quotes."""
    if _PLAIN.fullmatch(path):
        return path
    raw = path.encode(errors="surrogateescape")
    return '"' + "".join(f"\\{byte:03o}" for byte in raw) + '"'
