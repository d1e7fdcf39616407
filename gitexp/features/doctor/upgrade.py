"""Change the branches of a repository and of a remote to the newest format.

Deterministic: two clones with the same branches make the same commits.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from gitexp.adapters.git.steps import Identity, NewCommit
from gitexp.adapters.git.transaction import apply
from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import FORMAT, FORMAT_PATH, README_PATH
from gitexp.core.schema.root_files import CODE_IDENTITY, README_FILE, format_file
from gitexp.features.sync.replace_remote import replace_remote
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.merge.code_states import (
    format_of,
    new_root,
    read_code_states,
    replace_keep_branch,
)
from gitexp.storage.settings.options import Settings

_IDENTITY = Identity("gitexp", "gitexp@localhost")
_MESSAGE = f"use branch format {FORMAT}\n\n[skip ci]\n"


class Upgraded(NamedTuple):
    """Result of an upgrade."""

    before: int | None
    """The former format; `None` without a branch."""
    states: int
    """Number of code states on the keep branch now."""
    changed: bool


def upgrade(branch: RunBranch, identity: str | None = None) -> Upgraded:
    """Change both branches to the newest format. Safe to repeat, also after an interruption.

    `identity` is the author of code commits, `Name <email>`; the run branch stores it. Raises
    `InvalidInput` when git rejects the identity, `UnreadableRecord` when this clone lacks code of
    the old branch, `Conflict` when another process moved a branch.
    """
    form = format_file(identity or CODE_IDENTITY)
    branch.check()
    with branch.lock():
        tip = branch.tip()
        before = format_of(branch, tip)
        if tip is None or before is None:
            return Upgraded(None, 0, changed=False)
        keep = branch.repo.read_ref(branch.code_ref)
        is_pure = keep is None or read_code_states(branch.repo, keep).is_pure
        if before == FORMAT and is_pure:
            return Upgraded(before, _count(branch, keep), changed=False)
        if before != FORMAT:
            branch.use_code_identity(identity or CODE_IDENTITY)
        if keep is not None:
            new = new_root(branch, [keep])
            replace_keep_branch(branch, new, keep)
            keep = new
        if before != FORMAT:
            _write_format(branch, tip, form)
        return Upgraded(before, _count(branch, keep), changed=True)


def _count(branch: RunBranch, keep: ObjectId | None) -> int:
    return 0 if keep is None else len(read_code_states(branch.repo, keep).trees)


def _write_format(branch: RunBranch, tip: ObjectId, form: bytes) -> None:
    """Write the format file with the date of the tip, so that every clone makes the same commit."""
    result = branch.repo.git("log", "-1", "--no-show-signature", "--format=%ct", tip)
    moment = datetime.fromtimestamp(int(result.text), UTC)
    files = ((README_PATH, README_FILE), (FORMAT_PATH, form))
    step = NewCommit(branch.run_ref, _MESSAGE, _IDENTITY, moment, [tip], files, tip=tip)
    apply(branch.repo, [step], durable=branch.durable)


def upgrade_remote(branch: RunBranch, remote: str | None, settings: Settings) -> tuple[str, bool]:
    """Replace the keep branch of a remote by ours, after merging the remote's into ours.

    Returns the remote's name and whether gitexp pushed. Raises `GitexpError` when the remote
    rejects the push or another push won.
    """
    return replace_remote(branch, remote, settings, [branch.code_ref], "upgrade")
