"""Merging: the union of two states of the run branch, the same on every machine.

Floor 1, pure. A state is what the branch holds: path to blob id. The result depends only on the set
of versions seen, so merging is commutative, associative and idempotent, needs no common ancestor,
and never asks a person. What cannot be united is kept twice: the version with the smaller blob id
stays at the path, every other one lies beside it under its rival name.

Two states agree on which files are ours, never on more: a path that `parse_path` does not
understand stays only when both sides have the very same file there, and is dropped otherwise.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from gitexp.errors import Unreadable
from gitexp.ids import RunId
from gitexp.model import Outcome
from gitexp.records.codec import decode_run, decode_table
from gitexp.refs import (
    FORMAT,
    FORMAT_PATH,
    README_PATH,
    TOMBSTONE,
    BranchPath,
    PathKind,
    parse_path,
    rival_path,
)

Files: TypeAlias = Mapping[str, str]
"""Path to blob id."""

Read: TypeAlias = Callable[[Collection[str]], Mapping[str, bytes | None]]
"""Contents by blob id; `None` for what is missing, damaged or too large. Asked at most once."""

Owner: TypeAlias = tuple[str, str]
"""A run or an environment: its folder on the branch and its name there."""

ROOT_PATHS = (README_PATH, FORMAT_PATH)


def unite(left: Files, right: Files, read: Read) -> dict[str, str]:
    """The union of two states.

    Every file of either side is in it, except: a run with a tombstone on either side keeps nothing
    but its tombstone; a sealed record replaces those that say `running`, and of several that say
    `running` the greatest stays. Both sides may be partial, as long as each run and each
    environment is given whole (see `surroundings`).

    Raises `Unreadable` when a side was written in a format newer than `FORMAT`.
    """
    places = {path: parse_path(path) for path in left.keys() | right.keys()}
    slots, deleted = _gather(places, left, right)
    united = {
        path: blob
        for path, blob in left.items()
        if right.get(path) == blob and path not in ROOT_PATHS and places[path] is None
    }
    contents = _read_unsettled(slots, read)
    for path, versions in slots.items():
        place = places[path] if path in places else parse_path(path)
        if place is None:
            united[path] = _greatest(path, versions, contents)
        elif _owner(place) in deleted and not _is_tombstone(place):
            continue
        else:
            kept = _prevailing(place, versions, contents)
            united |= _lay_out(path, kept)
    return united


def branch_format(data: bytes | None) -> int | None:
    """The version that a `format.toml` names; `None` when it is not one of gitexp's."""
    try:
        version = decode_table(data or b"").get("format")
    except Unreadable:
        return None
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def too_new(version: int, where: str) -> Unreadable:
    """The error for a branch that a newer gitexp wrote."""
    return Unreadable(
        f"cannot use {where}",
        why=f"it has format {version}, this gitexp knows up to {FORMAT}",
        hints=["update gitexp: `pip install -U gitexp`"],
    )


class Surroundings(NamedTuple):
    """What must be looked at to merge some paths."""

    folders: set[str]
    """They hold everything of the runs and environments that the paths belong to."""
    owners: set[Owner]
    """Those runs and environments."""


def surroundings(paths: Iterable[str]) -> Surroundings:
    """Where everything lies that must be merged together with these paths."""
    found = Surroundings(set(), set())
    for path in paths:
        place = parse_path(path)
        if place is None:
            continue
        found.owners.add(_owner(place))
        if place.run is None:
            found.folders.add("environments")
        else:
            found.folders.update((f"runs/{place.folder}", f"series/{place.folder}"))
            found.folders.add(f"annotations/{place.folder}/{place.run}")
    return found


def owner(path: str) -> Owner | None:
    """What the file at a path must be merged together with; `None` for a path that is not ours."""
    place = parse_path(path)
    return None if place is None else _owner(place)


def plain_path(path: str) -> str:
    """The path a rival stands beside; other paths are their own."""
    return _plain_path(path, parse_path(path))


def _plain_path(path: str, place: BranchPath | None) -> str:
    if place is None or place.rival is None:
        return path
    stem, _, extension = path.rpartition(".")
    return f"{stem.removesuffix('~' + place.rival)}.{extension}"


def _owner(place: BranchPath) -> Owner:
    return place.folder, place.run or RunId(place.name)


def _is_tombstone(place: BranchPath) -> bool:
    return place.kind is PathKind.ANNOTATION and place.name == TOMBSTONE


def _gather(
    places: Mapping[str, BranchPath | None], *sides: Files
) -> tuple[dict[str, set[str]], set[Owner]]:
    """All versions seen of each file, rivals included, and which runs have a tombstone."""
    slots: dict[str, set[str]] = {}
    deleted = set()
    for side in sides:
        for path, blob in side.items():
            place = places[path]
            if place is not None and _is_tombstone(place):
                deleted.add(_owner(place))
            if place is not None or path in ROOT_PATHS:
                slots.setdefault(_plain_path(path, place), set()).add(blob)
    return slots, deleted


def _read_unsettled(slots: Mapping[str, set[str]], read: Read) -> Mapping[str, bytes | None]:
    """Contents where the blob ids alone do not settle what stays."""
    unsettled = {
        blob
        for path, versions in slots.items()
        if len(versions) > 1 and (path in ROOT_PATHS or path.startswith("runs/"))
        for blob in versions
    }
    return read(unsettled) if unsettled else {}


def _prevailing(
    place: BranchPath, versions: set[str], contents: Mapping[str, bytes | None]
) -> set[str]:
    """The versions that none of the others replaces. Keeping maxima makes this associative."""
    if place.kind is not PathKind.RUN or len(versions) == 1:
        return versions
    running = {blob: contents.get(blob) or b"" for blob in versions if _runs(contents.get(blob))}
    sealed = versions - running.keys()
    return sealed or {max(running, key=lambda blob: running[blob])}


def _runs(data: bytes | None) -> bool:
    """Tell whether a record says `running`; one that cannot be read counts as sealed."""
    try:
        return data is not None and decode_run(data).outcome is Outcome.RUNNING
    except Unreadable:
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
