"""Names on git: every ref and every path on the run branch is formed and read here only.

The layout is `docs/data-model.md`; changing it means a new `FORMAT`.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from gitexp.core.model.ids import RUN_ID_LENGTH, RunId

FORMAT = 2
"""Version of the branch layout, kept in `format.toml`. In 1 the keep branch held the user's own
commits, in 2 it holds code commits only."""

READ_FORMATS = (1, 2)
"""What this gitexp reads and goes on to write to."""

DEFAULT_BRANCH = "gitexp"
README_PATH = "README.md"
PURGED_FOLDER = "purged"
FORMAT_PATH = "format.toml"


def run_ref(branch: str) -> str:
    """Full name of the orphan branch that holds the records."""
    return f"refs/heads/{branch}"


def code_ref(branch: str) -> str:
    """Full name of the keep branch whose parents are the code commits of the runs."""
    return f"refs/heads/{branch}-code"


def pending_ref(run: RunId) -> str:
    """Pins a snapshot from before its run starts until the run is sealed."""
    return f"refs/gitexp/pending/{run}"


def remote_ref(key: str, ref: str) -> str:
    """Where we fetch a remote's branch to, apart from the user's own remote-tracking refs.

    The key stands for the remote's URL (`Remote.key`).
    """
    return f"refs/gitexp/remotes/{key}/{ref.removeprefix('refs/heads/')}"


def _folder(run: RunId, started: datetime) -> str:
    return f"{started.year:04}-{started.month:02}/{run[:2]}"  # `%Y` is not padded everywhere


def run_path(run: RunId, started: datetime) -> str:
    """Where the record lies on the branch."""
    return f"runs/{_folder(run, started)}/{run}.toml"


def series_path(run: RunId, started: datetime) -> str:
    """Where the metric series lies on the branch."""
    return f"series/{_folder(run, started)}/{run}.csv"


def output_path(run: RunId, started: datetime) -> str:
    """Where the whole output of the command lies on the branch, if it is published at all."""
    return f"output/{_folder(run, started)}/{run}.txt"


def annotation_path(run: RunId, started: datetime, annotation: str) -> str:
    """Where an annotation of the run lies on the branch; a tombstone's id is `delete`."""
    return f"annotations/{_folder(run, started)}/{run}/{annotation}.toml"


def environment_path(digest: str) -> str:
    """Where a package list lies on the branch, once for each distinct environment."""
    return f"environments/{digest}.toml"


def is_review(ref: str) -> bool:
    """Return whether a server keeps no ref of that name but makes a review of it, as Gerrit."""
    return ref.startswith(("refs/for/", "refs/drafts/"))


def purge_path(name: str) -> str:
    """Where the branch says what was purged: a purge by its digest, a code state by its tree."""
    return f"{PURGED_FOLDER}/{name}.toml"


def sweep_path(sweep: str) -> str:
    """Where the definition of a sweep lies on the branch."""
    return f"sweeps/{sweep}.toml"


class PathKind(StrEnum):
    """What a file on the branch is."""

    RUN = "run"
    SERIES = "series"
    OUTPUT = "output"
    ANNOTATION = "annotation"
    ENVIRONMENT = "environment"
    PURGE = "purge"
    SWEEP = "sweep"


TOMBSTONE = "delete"
"""The annotation id that says: this run is deleted, for good and on every machine."""

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
"""What the files in each folder of the branch are called: the groups are the fields of a place."""


RUN_FOLDERS = ("annotations/", "output/", "runs/", "series/")
"""The folders at the top of the branch with files of runs."""

PLACE_LENGTH = len("yyyy-mm/xx/") + RUN_ID_LENGTH
"""So far all files of a run have the same path below those folders: month, first digits, run."""


@cache
def _shape(folder: str) -> tuple[PathKind, re.Pattern[str]]:
    """Compiled when first needed: a millisecond that most commands need not pay."""
    kind, pattern = _SHAPES[folder]
    return kind, re.compile(pattern)


class BranchPath(NamedTuple):
    """A path on the run branch, understood."""

    kind: PathKind
    run: RunId | None
    """The run it belongs to; absent for an environment, a sweep and a purge."""
    folder: str
    """`yyyy-mm/xx`; empty for an environment, a sweep and a purge."""
    name: str
    """Annotation id, environment digest, sweep id, digest of a purge, tree, or the run id again."""
    rival: str | None = None
    """Set on the second of two conflicting versions: the first 12 digits of its blob id."""


def parse_path(path: str) -> BranchPath | None:
    """Understand a path on the branch; `None` for anything that is not ours."""
    top, _, rest = path.partition("/")
    if top not in _SHAPES:
        return None
    kind, pattern = _shape(top)
    found = pattern.match(rest)
    if found is None:
        return None
    folder, _, run, name, rival = found.groups()
    return BranchPath(kind, RunId(run) if run else None, folder, name or run, rival)


class Shelf(NamedTuple):
    """A folder on the run branch that holds a file, or a folder, for each of many runs."""

    kind: PathKind
    folder: str
    """`yyyy-mm/xx`, where `xx` is how the ids of its runs start."""

    def first_names(self, names: Iterable[bytes]) -> set[bytes]:
        """Those that are names of records, series or output, rivals left out."""
        match = _first_name(self.kind).fullmatch
        start = self.folder[-2:].encode()
        return {name for name in names if name.startswith(start) and match(name)}


@cache
def _first_name(kind: PathKind) -> re.Pattern[bytes]:
    endings = {PathKind.RUN: r"\.toml", PathKind.SERIES: r"\.csv", PathKind.OUTPUT: r"\.txt"}
    return re.compile(rf"[0-9a-f]{{16}}{endings.get(kind, '(?!)')}".encode())


def parse_shelf(path: str) -> Shelf | None:
    """Understand a folder on the branch, with a slash at its end; `None` when it is no shelf."""
    found = _shelf_path().fullmatch(path)
    return None if found is None else Shelf(_SHAPES[found[1]][0], found[2])


@cache
def _shelf_path() -> re.Pattern[str]:
    return re.compile(r"(runs|series|output|annotations)/([0-9]{4}-[0-9]{2}/[0-9a-f]{2})/")


def rival_path(path: str, blob: str) -> str:
    """Where the second of two conflicting versions of `path` is kept."""
    stem, _, ext = path.rpartition(".")
    return f"{stem}~{blob[:12]}.{ext}"
