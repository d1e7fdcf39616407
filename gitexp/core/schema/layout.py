"""Refs and paths in git: only this module forms and parses them.

`docs/data-model.md` describes the layout; a change of it needs a new `FORMAT`.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from gitexp.core.model.ids import RunId

FORMAT = 2
"""Version of the branch layout, in `format.toml`.

1: the keep branch holds the user's own commits. 2: it holds only code commits.
"""

READ_FORMATS = (1, 2)
"""Formats that this gitexp reads, and to which it can add records."""

DEFAULT_BRANCH = "gitexp"
README_PATH = "README.md"
PURGED_FOLDER = "purged"
FORMAT_PATH = "format.toml"


def run_ref(branch: str) -> str:
    """Return the full name of the orphan branch that holds the records."""
    return f"refs/heads/{branch}"


def code_ref(branch: str) -> str:
    """Return the full name of the keep branch, whose parents are the code commits of runs."""
    return f"refs/heads/{branch}-code"


def pending_ref(run: RunId) -> str:
    """Return the ref that pins a snapshot from before its run starts until the run is sealed."""
    return f"refs/gitexp/pending/{run}"


def remote_ref(key: str, ref: str) -> str:
    """Return the ref to which gitexp fetches a remote's branch, beside the remote-tracking refs.

    The key represents the remote's URL (`Remote.key`).
    """
    return f"refs/gitexp/remotes/{key}/{ref.removeprefix('refs/heads/')}"


def _folder(run: RunId, started: datetime) -> str:
    return f"{started.year:04}-{started.month:02}/{run[:2]}"  # `%Y` is not padded on every platform


def run_path(run: RunId, started: datetime) -> str:
    """Return the path of the record on the branch."""
    return f"runs/{_folder(run, started)}/{run}.toml"


def series_path(run: RunId, started: datetime) -> str:
    """Return the path of the metric series on the branch."""
    return f"series/{_folder(run, started)}/{run}.csv"


def output_path(run: RunId, started: datetime) -> str:
    """Return the path of the command's whole output on the branch, if it is published."""
    return f"output/{_folder(run, started)}/{run}.txt"


def annotation_path(run: RunId, started: datetime, annotation: str) -> str:
    """Return the path of an annotation on the branch; the id of a tombstone is `delete`."""
    return f"annotations/{_folder(run, started)}/{run}/{annotation}.toml"


def environment_path(digest: str) -> str:
    """Return the path of a package list on the branch; each distinct list has one file."""
    return f"environments/{digest}.toml"


def is_review(ref: str) -> bool:
    """Return whether a server such as Gerrit turns a push to the ref into a review."""
    return ref.startswith(("refs/for/", "refs/drafts/"))


def purge_path(name: str) -> str:
    """Return the path of a purge, by its digest, or of a purged code state, by its tree."""
    return f"{PURGED_FOLDER}/{name}.toml"


def sweep_path(sweep: str) -> str:
    """Return the path of the definition of a sweep on the branch."""
    return f"sweeps/{sweep}.toml"


class PathKind(StrEnum):
    """Kind of a file on the branch."""

    RUN = "run"
    SERIES = "series"
    OUTPUT = "output"
    ANNOTATION = "annotation"
    ENVIRONMENT = "environment"
    PURGE = "purge"
    SWEEP = "sweep"


TOMBSTONE = "delete"
"""Annotation id of a tombstone: the run is deleted in all clones and stays deleted."""

_RIVAL = "(?:~([0-9a-f]{12}))?"
_OF_RUN = r"([0-9]{4}-[0-9]{2}/([0-9a-f]{2}))/(\2[0-9a-f]{14})"
_SHAPES = {
    "runs": (PathKind.RUN, rf"{_OF_RUN}(){_RIVAL}\.toml\Z"),
    "series": (PathKind.SERIES, rf"{_OF_RUN}(){_RIVAL}\.csv\Z"),
    "output": (PathKind.OUTPUT, rf"{_OF_RUN}(){_RIVAL}\.txt\Z"),
    "annotations": (
        PathKind.ANNOTATION,
        rf"{_OF_RUN}/([0-9a-f]{{16}}|{TOMBSTONE}){_RIVAL}\.toml\Z",
    ),
    "environments": (PathKind.ENVIRONMENT, rf"()()()([0-9a-f]{{8,64}}){_RIVAL}\.toml\Z"),
    PURGED_FOLDER: (
        PathKind.PURGE,
        rf"()()()([0-9a-f]{{16}}|[0-9a-f]{{40}}|[0-9a-f]{{64}}){_RIVAL}\.toml\Z",
    ),
    "sweeps": (PathKind.SWEEP, rf"()()()([0-9a-f]{{16}}){_RIVAL}\.toml\Z"),
}
"""Patterns of the paths below each top directory; their groups are the fields of `BranchPath`."""


@cache
def _shape(folder: str) -> tuple[PathKind, re.Pattern[str]]:
    """Compile a pattern at first use: most commands save a millisecond."""
    kind, pattern = _SHAPES[folder]
    return kind, re.compile(pattern)


class BranchPath(NamedTuple):
    """Parsed path on the run branch."""

    kind: PathKind
    run: RunId | None
    """Run of the file; `None` for an environment, a sweep and a purge."""
    folder: str
    """`yyyy-mm/xx`; empty for an environment, a sweep and a purge."""
    name: str
    """Annotation id, environment digest, sweep id, digest of a purge, tree, or the run id again."""
    rival: str | None = None
    """First 12 digits of the blob id, for a conflicting version; else `None`."""


def parse_path(path: str) -> BranchPath | None:
    """Parse a path on the branch. Return `None` for a path that gitexp does not write."""
    top, _, rest = path.partition("/")
    if top not in _SHAPES:
        return None
    kind, pattern = _shape(top)
    found = pattern.match(rest)
    if found is None:
        return None
    folder, _, run, name, rival = found.groups()
    return BranchPath(kind, RunId(run) if run else None, folder, name or run, rival)


class MonthShard(NamedTuple):
    """Directory on the run branch with a file, or a directory, for each of many runs."""

    kind: PathKind
    folder: str
    """`yyyy-mm/xx`, where `xx` are the first two digits of the run ids."""

    def first_names(self, names: Iterable[bytes]) -> set[bytes]:
        """Select the names of records, series or outputs, without conflicting versions."""
        match = _first_name(self.kind).fullmatch
        start = self.folder[-2:].encode()
        return {name for name in names if name.startswith(start) and match(name)}


@cache
def _first_name(kind: PathKind) -> re.Pattern[bytes]:
    endings = {PathKind.RUN: r"\.toml", PathKind.SERIES: r"\.csv", PathKind.OUTPUT: r"\.txt"}
    return re.compile(rf"[0-9a-f]{{16}}{endings.get(kind, '(?!)')}".encode())


def parse_shard(path: str) -> MonthShard | None:
    """Parse the path of a directory, which ends with a slash. Return `None` if it is no shelf."""
    found = _shelf_path().fullmatch(path)
    return None if found is None else MonthShard(_SHAPES[found[1]][0], found[2])


@cache
def _shelf_path() -> re.Pattern[str]:
    return re.compile(r"(runs|series|output|annotations)/([0-9]{4}-[0-9]{2}/[0-9a-f]{2})/")


def rival_path(path: str, blob: str) -> str:
    """Return the path of a conflicting version of `path`."""
    stem, _, ext = path.rpartition(".")
    return f"{stem}~{blob[:12]}.{ext}"
