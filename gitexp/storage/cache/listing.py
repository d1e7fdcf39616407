"""Divide the listing of the run branch into shares, one for each reading process.

A line of the listing describes a file as `adapters.git.streamed_listing` does: object id, tab,
path. Text before the id, separated by a space, is ignored.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import compress, pairwise
from typing import Final

from gitexp.core.model.ids import RUN_ID_LENGTH, ObjectId, RunId
from gitexp.core.schema.layout import PLACE_LENGTH, RUN_FOLDERS, parse_path
from gitexp.storage.cache.rows import File, Listed

_LAST: Final = "\U0010ffff"
"""Sorts after every path of a directory."""


def line_of(path: str, oid: str) -> str:
    """Return the line of a file."""
    return f"{oid}\t{path}"


def group(lines: Iterable[str]) -> list[Listed]:
    """Return the runs in a listing, each with its files sorted by path."""
    grouped: dict[RunId, list[File]] = {}
    for line in lines:
        head, _, path = line.partition("\t")
        place = parse_path(path)
        if place is not None and place.run is not None:
            oid = ObjectId(head.rpartition(" ")[2])
            grouped.setdefault(place.run, []).append(File(path, place.kind, oid))
    for files in grouped.values():
        files.sort()
    return list(grouped.items())


def cut(lines: Iterable[str], count: int) -> list[list[str]]:
    """Divide lines into at most `count` shares of about the same size.

    All lines of a run are in one share. Each share is sorted by path, because git unpacks
    neighbouring objects fastest. Lines of files that belong to no run are left out.
    """
    ordered = sorted(lines, key=_path_of)
    folders = [_inside(ordered, folder) for folder in RUN_FOLDERS]
    places = [list(map(_place_of, folder)) for folder in folders]
    largest = max(places, key=len)
    step = -(-len(largest) // count) or 1
    bounds = largest[step::step]
    shares: list[list[str]] = [[] for _ in range(len(bounds) + 1)]
    runs: list[set[str]] = [set() for _ in shares]
    for folder, at in zip(folders, places, strict=True):
        ends = [*(bisect_left(at, bound) for bound in bounds), len(at)]
        for n, (start, end) in enumerate(pairwise([0, *ends])):
            shares[n] += folder[start:end]
            runs[n].update(map(_run_at, at[start:end]))
    return _unite(shares, runs)


def _unite(shares: list[list[str]], runs: Sequence[set[str]]) -> list[list[str]]:
    """Move all lines of a run that appears in several shares to the first share.

    Such a run has files in several months. `runs` holds the runs of each share.
    """
    seen: set[str] = set()
    scattered: set[str] = set()
    for some in runs:
        scattered |= seen & some
        seen |= some
    for n, share in enumerate(shares[1:] if scattered else (), 1):
        moved = [_run_at(_place_of(line)) in scattered for line in share]
        shares[0] += compress(share, moved)
        shares[n] = [line for line, moves in zip(share, moved, strict=True) if not moves]
    return shares


def _path_of(line: str) -> str:
    return line[line.index("\t") + 1 :]


def _place_of(line: str) -> str:
    """Return the part of a path that names the run: month, first digits, run id."""
    start = line.index("/", line.index("\t")) + 1
    return line[start : start + PLACE_LENGTH]


def _run_at(place: str) -> str:
    return place[-RUN_ID_LENGTH:]


def _inside(ordered: Sequence[str], folder: str) -> Sequence[str]:
    first = bisect_left(ordered, folder, key=_path_of)
    return ordered[first : bisect_left(ordered, folder + _LAST, first, key=_path_of)]
