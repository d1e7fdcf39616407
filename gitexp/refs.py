"""Names on git: every ref and every path on the run branch is formed and read here only.

Floor 1, pure. The layout is `docs/data-model.md`; changing it means a new `FORMAT`.
"""

import re
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from gitexp.ids import RunId

FORMAT = 1
"""Version of the branch layout, kept in `format.toml`."""

DEFAULT_BRANCH = "gitexp"
README_PATH = "README.md"
FORMAT_PATH = "format.toml"


def run_ref(branch: str) -> str:
    """Full name of the orphan branch that holds the records."""
    return f"refs/heads/{branch}"


def code_ref(branch: str) -> str:
    """Full name of the keep branch whose parents are the code of the runs."""
    return f"refs/heads/{branch}-code"


def pending_ref(run: RunId) -> str:
    """Pins a snapshot from before its run starts until the run is sealed."""
    return f"refs/gitexp/pending/{run}"


def remote_ref(remote: str, ref: str) -> str:
    """Where we fetch a remote's branch to, apart from the user's own remote-tracking refs."""
    return f"refs/gitexp/remotes/{remote}/{ref.removeprefix('refs/heads/')}"


def _folder(run: RunId, started: datetime) -> str:
    return f"{started:%Y-%m}/{run[:2]}"


def run_path(run: RunId, started: datetime) -> str:
    """Where the record lies on the branch."""
    return f"runs/{_folder(run, started)}/{run}.toml"


def series_path(run: RunId, started: datetime) -> str:
    """Where the metric series lies on the branch."""
    return f"series/{_folder(run, started)}/{run}.csv"


def annotation_path(run: RunId, started: datetime, annotation: str) -> str:
    """Where an annotation of the run lies on the branch; a tombstone's id is `delete`."""
    return f"annotations/{_folder(run, started)}/{run}/{annotation}.toml"


def environment_path(digest: str) -> str:
    """Where a package list lies on the branch, once for each distinct environment."""
    return f"environments/{digest}.toml"


class PathKind(StrEnum):
    """What a file on the branch is."""

    RUN = "run"
    SERIES = "series"
    ANNOTATION = "annotation"
    ENVIRONMENT = "environment"


TOMBSTONE = "delete"
"""The annotation id that says: this run is deleted, for good and on every machine."""

_PATH = r"""(?:
      (?P<kind>runs|series)/(?P<month>\d{4}-\d\d)/(?P<fan>[0-9a-f]{2})/(?P<run>[0-9a-f]{16})
          (?:~(?P<rival>[0-9a-f]{12}))?\.(?P<ext>toml|csv)
    | annotations/(?P<amonth>\d{4}-\d\d)/(?P<afan>[0-9a-f]{2})/(?P<arun>[0-9a-f]{16})/
          (?P<annotation>[0-9a-f]{16}|delete)(?:~(?P<arival>[0-9a-f]{12}))?\.toml
    | environments/(?P<environment>[0-9a-f]{8,64})(?:~(?P<erival>[0-9a-f]{12}))?\.toml
    )\Z"""


@cache
def _pattern() -> re.Pattern[str]:
    """Compiled when first needed: 2 ms that most commands need not pay."""
    return re.compile(_PATH, re.VERBOSE)


class BranchPath(NamedTuple):
    """A path on the run branch, understood."""

    kind: PathKind
    run: RunId | None
    """The run it belongs to; absent for an environment."""
    folder: str
    """`yyyy-mm/xx`; empty for an environment."""
    name: str
    """Annotation id, environment digest, or the run id again."""
    rival: str | None = None
    """Set on the second of two conflicting versions: the first 12 digits of its blob id."""


def parse_path(path: str) -> BranchPath | None:
    """Understand a path on the branch; `None` for anything that is not ours."""
    found = _pattern().match(path)
    if found is None:
        return None
    kind, month, fan, run, rival, ext, *rest = found.groups()
    amonth, afan, arun, annotation, arival, environment, erival = rest
    if environment:
        return BranchPath(PathKind.ENVIRONMENT, None, "", environment, erival)
    if arun:
        if afan != arun[:2]:
            return None
        folder = f"{amonth}/{afan}"
        return BranchPath(PathKind.ANNOTATION, RunId(arun), folder, annotation, arival)
    what = PathKind.RUN if kind == "runs" else PathKind.SERIES
    if ext != ("toml" if what is PathKind.RUN else "csv") or fan != run[:2]:
        return None
    return BranchPath(what, RunId(run), f"{month}/{fan}", run, rival)


def rival_path(path: str, blob: str) -> str:
    """Where the second of two conflicting versions of `path` is kept."""
    stem, _, ext = path.rpartition(".")
    return f"{stem}~{blob[:12]}.{ext}"
