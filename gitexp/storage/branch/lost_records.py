"""Find and restore records that a user's commit removed from the run branch.

If a work tree has the run branch checked out, gitexp moves the branch but not git's index of that
work tree. The next `git commit` there removes all records written after the checkout.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Blob, Identity, NewCommit
from gitexp.adapters.git.transaction import apply
from gitexp.core.model.ids import ObjectId, RunId
from gitexp.core.schema.layout import parse_path
from gitexp.storage.branch.events import is_ours
from gitexp.storage.branch.union_of_commits import lost_since

if TYPE_CHECKING:
    from gitexp.storage.branch.branch import RunBranch

_IDENTITY: Final = Identity("gitexp", "gitexp@localhost")
_MESSAGE: Final = "restore records that a commit took away\n\n[skip ci]\n"

_MOST: Final = 1000
"""Maximum number of commits read that gitexp did not make."""


class Lost(NamedTuple):
    """Records that commits of other programs removed from the run branch."""

    edits: dict[str, Blob | None]
    """Edits that restore them: content by quoted path, `None` to delete."""
    runs: tuple[RunId, ...]
    commits: tuple[ObjectId, ...]
    """Commits that gitexp did not make, newest first."""


def find_lost(repo: Repo, tip: str, *, whole: bool = False) -> Lost:
    """Compare a tip with the newest commit of gitexp below it, or with `whole` all of them.

    `whole` compares with each commit of gitexp that is the parent of another program's commit.
    Raises `CommandFailed` if part of the branch is missing.
    """
    bases, foreign = _split(repo, tip, whole=whole)
    edits: dict[str, Blob | None] = {}
    for base in bases:
        edits.update(lost_since(repo, base, tip))
    places = (parse_path(path) for path, blob in edits.items() if blob is not None)
    runs = {place.run for place in places if place is not None and place.run is not None}
    return Lost(edits, tuple(sorted(runs)), tuple(foreign))


def _split(repo: Repo, tip: str, *, whole: bool) -> tuple[list[str], list[ObjectId]]:
    """Return the newest commits of gitexp below foreign commits, and the foreign commits."""
    if whole:
        listed = repo.git(
            *("log", "--format=%H %P", "--no-show-signature", f"--max-count={_MOST}"),
            *("--invert-grep", r"--grep=^\[skip ci\]$", tip),
        ).text
        found = {line.split()[0]: line.split()[1:] for line in listed.splitlines()}
        parents = dict.fromkeys(parent for p in found.values() for parent in p)
        return [p for p in parents if p not in found], [ObjectId(commit) for commit in found]
    bases: dict[str, None] = {}
    foreign: dict[str, None] = {}
    waiting = [tip]
    with repo.reading() as reading:
        while waiting and len(foreign) < _MOST:
            read = [commit for commit in reading.read_objects(waiting) if commit is not None]
            waiting = []
            for commit in read:
                if is_ours(commit.content):
                    bases[commit.oid] = None
                else:
                    foreign[commit.oid] = None
                    waiting += [p for p in commit.parents if p not in foreign and p not in bases]
    return [*bases], [ObjectId(commit) for commit in foreign]


def restore_lost(branch: "RunBranch", tip: ObjectId, lost: Lost) -> bool:
    """Commit the lost records onto the tip. Call only while holding the store's lock.

    Returns whether the branch moved. Raises `Conflict` if another process moved it.
    """
    if not lost.edits:
        return False
    result = branch.repo.git("log", "-1", "--no-show-signature", "--format=%ct", tip)
    moment = datetime.fromtimestamp(int(result.text), UTC)
    files = sorted(lost.edits.items(), key=lambda edit: edit[1] is not None)
    step = NewCommit(branch.run_ref, _MESSAGE, _IDENTITY, moment, [tip], files, tip=tip)
    apply(branch.repo, [step], durable=branch.durable)
    return True
