"""Merge two states of the run branch to their union, the same on every machine.

A state maps the paths of the branch to blob ids. The result depends only on the set of versions, so
merges are commutative, associative and idempotent, need no common ancestor, and never ask a person.
Of conflicting versions the one with the smallest blob id stays at the path; each other one is
beside it under a name that contains the first digits of its blob id.

A path that `parse_path` does not accept stays only if both sides have the same file there; else it
is dropped.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain
from typing import TypeAlias

from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome
from gitexp.core.schema.layout import (
    FORMAT,
    FORMAT_PATH,
    PURGED_FOLDER,
    README_PATH,
    TOMBSTONE,
    BranchPath,
    parse_path,
    rival_path,
)
from gitexp.core.schema.toml_codec import decode_run, decode_table

Files: TypeAlias = Mapping[str, str]
"""Path to blob id."""

Read: TypeAlias = Callable[[Collection[str]], Mapping[str, bytes | None]]
"""Function that returns contents by blob id; `None` for a missing, damaged or too large blob.

`union` calls it at most once.
"""

Places: TypeAlias = Mapping[str, BranchPath | None]
"""Parsed paths; `None` for a path that gitexp does not write."""

Owner: TypeAlias = tuple[str, str]
"""A run or an environment: its directory on the branch and its name there."""

ROOT_PATHS = (README_PATH, FORMAT_PATH)


def union(left: Files, right: Files, read: Read, places: Places | None = None) -> dict[str, str]:
    """Return the union of two states.

    It has every file of either side, with two exceptions. A run with a tombstone on either side
    keeps only its tombstone. A sealed record replaces records that say `running`, and of several
    that say `running` the one with the greatest content stays. Both sides may be partial if they
    hold all files of each run and environment (see `affected_paths`). `places` has the parsed paths
    of both sides and possibly more.

    Raises `UnreadableRecord` if a side has a format newer than `FORMAT`.
    """
    if places is None:
        places = {path: parse_path(path) for path in left.keys() | right.keys()}
    graves = (p for p, place in places.items() if place is not None and place.name == TOMBSTONE)
    deleted = owners(places[path] for path in graves if path in left or path in right)
    united: dict[str, str] = {}
    contested: dict[str, set[str]] = {}
    for path, blob in chain(left.items(), right.items()):
        place = places[path]
        if place is None:
            if path not in ROOT_PATHS and not (left.get(path) == right.get(path) == blob):
                continue
        elif deleted and owner(place) in deleted and place.name != TOMBSTONE:
            continue
        plain = _plain_path(path, place)
        first = united.setdefault(plain, blob)
        if first != blob:
            contested.setdefault(plain, {first}).add(blob)
    contents = _read_unsettled(contested, read)
    for path, versions in contested.items():
        if path in ROOT_PATHS:
            united[path] = _greatest(path, versions, contents)
        else:
            united |= _lay_out(path, _winner(path, versions, contents))
    return united


def branch_format(data: bytes | None) -> int | None:
    """Return the version in a `format.toml`; `None` if gitexp did not write the file."""
    try:
        version = decode_table(data or b"").get("format")
    except UnreadableRecord:
        return None
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def too_new(version: int, where: str) -> UnreadableRecord:
    """Return the error for a branch that a newer gitexp wrote."""
    return UnreadableRecord(
        f"cannot use {where}",
        why=f"it has format {version}, this gitexp knows up to {FORMAT}",
        hints=["update gitexp: `pip install -U gitexp`"],
    )


def owners(places: Iterable[BranchPath | None]) -> set[Owner]:
    """Return the owners of files. Files that gitexp does not write have none."""
    return {owner(place) for place in places if place is not None}


def owner(place: BranchPath) -> Owner:
    """Return the owner of a file; all files of an owner must be merged together."""
    return place.folder, place.run or RunId(place.name)


def affected_paths(touched: Collection[Owner]) -> Callable[[str], bool]:
    """Return a function that decides whether a directory may hold files of some owners.

    Its argument is the path of the directory with a slash at the end. Files may be in it or below.
    """
    shelves = {folder for folder, _ in touched}
    near = {"environments/", "sweeps/", f"{PURGED_FOLDER}/", *_TOPS}
    for folder in shelves:
        month, _, _ = folder.partition("/")
        near.update(f"{top}{part}/" for top in _TOPS for part in (month, folder))

    def holds(path: str) -> bool:
        top, _, place = path.partition("/")
        folder, _, run = place.removesuffix("/").rpartition("/")
        return path in near or (top == "annotations" and (folder, run) in touched)

    return holds


_TOPS = ("runs/", "series/", "output/", "annotations/")


def _plain_path(path: str, place: BranchPath | None) -> str:
    """Return the path beside which a conflicting version is stored; other paths unchanged."""
    if place is None or place.rival is None:
        return path
    stem, _, extension = path.rpartition(".")
    return f"{stem.removesuffix('~' + place.rival)}.{extension}"


def _read_unsettled(contested: Mapping[str, set[str]], read: Read) -> Mapping[str, bytes | None]:
    """Read the contents of versions that cannot be decided by blob id alone."""
    unsettled = {
        blob
        for path, versions in contested.items()
        if path in ROOT_PATHS or _is_record(path)
        for blob in versions
    }
    return read(unsettled) if unsettled else {}


def _is_record(path: str) -> bool:
    return path.startswith("runs/")


def _winner(path: str, versions: set[str], contents: Mapping[str, bytes | None]) -> set[str]:
    """Return the versions that no other one replaces. Maxima make this associative."""
    if not _is_record(path):
        return versions
    running = {blob: contents.get(blob) or b"" for blob in versions if _runs(contents.get(blob))}
    sealed = versions - running.keys()
    return sealed or {max(running, key=lambda blob: running[blob])}


def _runs(data: bytes | None) -> bool:
    """Return whether a record says `running`. An unreadable record counts as sealed."""
    try:
        return data is not None and decode_run(data).outcome is Outcome.RUNNING
    except UnreadableRecord:
        return False


def _lay_out(path: str, versions: set[str]) -> dict[str, str]:
    first, *rivals = sorted(versions)
    laid = {path: first}
    for blob in rivals:
        laid.setdefault(rival_path(path, blob), blob)
    return laid


def _greatest(path: str, versions: set[str], contents: Mapping[str, bytes | None]) -> str:
    for version in versions if path == FORMAT_PATH else ():
        written = branch_format(contents.get(version))
        if written is not None and written > FORMAT:
            raise too_new(written, "the runs of the other side")
    return max(versions, key=lambda blob: (contents.get(blob) or b"", blob))
