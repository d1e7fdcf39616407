"""Merge a remote's run branch and keep branch into ours.

Run branches always merge. If one tip contains the other, the branch moves to it. If they diverged,
every byte of the merge commit follows from its parents, so that all clones that merge the same two
tips create the same commit and need no merge of merges. Data from a remote is untrusted: it can add
records, but it cannot silently remove or replace ours.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from gitexp.adapters.git import transport
from gitexp.adapters.git.code_commit import empty_tree
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Identity, MoveRef, NewCommit
from gitexp.adapters.git.transaction import apply
from gitexp.adapters.git.trees import TreeDiff
from gitexp.adapters.system import clock
from gitexp.core.errors import CommandFailed, Conflict, Refused
from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import (
    FORMAT,
    FORMAT_PATH,
    READ_FORMATS,
)
from gitexp.core.schema.union import (
    branch_format,
    too_new,
)
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.union_of_commits import Edit, read_records, unite_commits
from gitexp.storage.merge.code_states import (
    format_of,
    join_old_code,
    known_commits,
    new_root,
    read_code_states,
    replace_keep_branch,
)
from gitexp.storage.merge.purged import forget_building, graft, names_of, purge_code, read_purges

_IDENTITY = Identity("gitexp", "gitexp@localhost")
"""Committer of a merge whose parents name none."""
_UNFIT = {ord(c): None for c in "<>\n\r\0"}
_RUNS_MESSAGE = "merge the runs of two clones\n\n[skip ci]\n\nMerged-By: gitexp\n"
_CODE_MESSAGE = "merge the kept code of two clones\n\n[skip ci]\n\nMerged-By: gitexp\n"
_LAST_SECOND = 253402300799
"""Last second of the year 9999, the limit of Python's dates."""

_Take: TypeAlias = Callable[[RunBranch, str | None, str, str | None], NewCommit | MoveRef]
"""Function of our tip, their tip and their merge base that returns how our branch moves."""


@dataclass(frozen=True, slots=True)
class MergeResult:
    """Move of one of our branches."""

    old: ObjectId | None
    new: ObjectId | None
    merged: bool = False
    """True if the histories had diverged and were merged."""
    repaired: bool = False
    """True if theirs descends from ours without some of our records, which the merge restored."""


def merge_keep_branch(
    branch: RunBranch, remote: str, theirs: ObjectId | None, *, runs: ObjectId | None = None
) -> MergeResult:
    """Merge a remote's keep branch into ours. Call only while holding the store's lock.

    `runs` is the tip of the remote's run branch, which names the format. Raises `Refused` if gitexp
    did not create the branch, `Conflict` if a lock blocks the write.
    """

    if theirs is not None:
        _check_code(branch, remote, theirs)
        joined = _join_purged(branch, theirs, runs) or _join_old_format(branch, theirs, runs)
        if joined is not None:
            return joined

    def take(
        branch: RunBranch, ours: str | None, tip: str, base: str | None
    ) -> NewCommit | MoveRef:
        if ours is None or ours == base:
            return MoveRef(branch.code_ref, tip, ours)
        return _merge(branch.repo, branch.code_ref, _CODE_MESSAGE, (ours, tip), clear=True)

    return _join(branch, branch.code_ref, theirs, take)


def _join_purged(branch: RunBranch, theirs: ObjectId, runs: ObjectId | None) -> MergeResult | None:
    """Merge keep branches if one of them holds purged code; else return `None`."""
    ours = branch.repo.read_ref(branch.code_ref)
    purges = read_purges(branch.repo, branch.tip(), runs)
    if not purges or (ours == theirs and read_purges(branch.repo, branch.tip()) == purges):
        return None
    began_s = clock.monotonic_s()
    while True:
        try:
            was_there, new = purge_code(branch, theirs, purges)
        except Conflict as conflict:
            branch.wait_after(conflict, began_s)
        else:
            return MergeResult(ours, new, merged=True) if was_there else None


def _join_old_format(
    branch: RunBranch, theirs: ObjectId, runs: ObjectId | None
) -> MergeResult | None:
    """Merge keep branches if exactly one is of format 1; else return `None`.

    The branch of format 1 never becomes an ancestor: only its code trees are copied.
    """
    repo = branch.repo
    ours = repo.read_ref(branch.code_ref)
    if ours == theirs:
        return None
    our_format = format_of(branch, branch.tip())
    their_format = format_of(branch, runs)
    if our_format == 1:
        if their_format == 1:
            return None
        is_pure = read_code_states(repo, theirs).is_pure
        new = new_root(branch, [ours, theirs], onto=theirs if is_pure else None)
        replace_keep_branch(branch, new, ours)
        return MergeResult(ours, new, merged=True)
    if our_format is None and their_format in (None, 1):
        return None
    if read_code_states(repo, theirs, known_commits(repo, ours)).is_pure:
        return None
    return MergeResult(ours, join_old_code(branch, theirs), merged=True)


def merge_run_branch(
    branch: RunBranch,
    remote: str,
    theirs: ObjectId | None,
    *,
    max_files: int,
    is_hub: bool = True,
) -> MergeResult:
    """Merge a remote's run branch into ours. Call only while holding the store's lock.

    If one tip has all events and files of the other, the branch moves to it without a merge. If
    both have the same events, and so differ only in their merge commits, the tip of a hub wins;
    between peers the lesser id wins, so that peers agree. A hub that lacks events gets a merge,
    because it accepts only descendants of its tip.

    Raises `Refused` if gitexp did not create the branch or it brings more than `max_files`,
    `UnreadableRecord` if a newer gitexp wrote it, `Conflict` if a lock blocks the write.
    """

    def take(
        branch: RunBranch, ours: str | None, tip: str, base: str | None
    ) -> NewCommit | MoveRef:
        _check_format(branch, remote, tip)
        folders = transport.compare_bounded(branch.repo, remote, ours, tip, max_files=max_files)
        if ours is None:
            return MoveRef(branch.run_ref, tip, ours)
        if ours == base:
            edits = unite_commits(branch.repo, folders, ours, tip, follows=True)
            if edits is None:
                return MoveRef(branch.run_ref, tip, ours)
        elif names_of(branch.repo, ours) != names_of(branch.repo, tip):
            return _take_out(branch, folders, ours, tip)
        else:
            taken = _take_one(branch.repo, folders, ours, tip, is_hub=is_hub)
            if taken is not None:
                return MoveRef(branch.run_ref, taken, ours)
            edits = unite_commits(branch.repo, folders, ours, tip, follows=False) or []
        return _merge(branch.repo, branch.run_ref, _RUNS_MESSAGE, (ours, tip), edits)

    return _join(branch, branch.run_ref, theirs, take)


def _take_out(
    branch: RunBranch, folders: Sequence[TreeDiff], ours: str, theirs: str
) -> NewCommit | MoveRef:
    """Merge two run branches with different purges, without the history from before a purge.

    The records of the branch that lacks a purge go onto the other branch. If each lacks a purge of
    the other, the result gets a new root.
    """
    repo = branch.repo
    here, there = names_of(repo, ours), names_of(repo, theirs)
    onto = ours if here > there else theirs if here < there else None
    first = onto or min(ours, theirs)
    edits = unite_commits(repo, folders, ours, theirs, follows=False, onto=first) or []
    if not edits and onto is not None:
        return MoveRef(branch.run_ref, onto, ours)
    identity, moment = _newest(repo, (ours, theirs))
    commit = NewCommit(branch.run_ref, _RUNS_MESSAGE, identity, moment, [first], edits, tip=ours)
    if onto == ours:
        return commit
    return MoveRef(branch.run_ref, graft(branch, commit, onto), ours)


def _take_one(
    repo: Repo, folders: Sequence[TreeDiff], ours: str, theirs: str, *, is_hub: bool
) -> str | None:
    """Return the tip that has all events and files of the other, if our branch can move to it."""
    theirs_has = _has_events(repo, theirs, ours)
    ours_has = (not is_hub or theirs_has) and _has_events(repo, ours, theirs)
    if theirs_has and (is_hub or not ours_has or theirs < ours):
        has_files = unite_commits(repo, folders, ours, theirs, follows=True) is None
        return theirs if has_files else None
    if ours_has and not is_hub:
        turned = [folder._replace(old=folder.new, new=folder.old) for folder in folders]
        return ours if unite_commits(repo, turned, theirs, ours, follows=True) is None else None
    return None


def _has_events(repo: Repo, tip: str, other: str) -> bool:
    """Return whether a tip contains every commit of another tip that is not a merge."""
    result = repo.git("rev-list", "--no-merges", "--max-count=1", other, f"^{tip}")
    return not result.text.strip()


def _check_format(branch: RunBranch, remote: str, tip: str) -> None:
    where = f"branch '{branch.name}' of '{remote}'"
    form = f"{tip}:{FORMAT_PATH}"
    version = branch_format(read_records(branch.repo, [form])[form])
    if version is not None and version > FORMAT:
        raise too_new(version, where)
    if version not in READ_FORMATS:
        raise _foreign(where, f"it has no '{FORMAT_PATH}' that gitexp wrote")


def _check_code(branch: RunBranch, remote: str, tip: str) -> None:
    if branch.repo.resolve(f"{tip}^{{tree}}") != empty_tree(branch.repo):
        name = branch.code_ref.removeprefix("refs/heads/")
        raise _foreign(f"branch '{name}' of '{remote}'", "it holds files")


def _foreign(where: str, why: str) -> Refused:
    return Refused(
        f"{where} is not gitexp's",
        why=why,
        hints=["choose another branch for the runs: `git config exp.branch NAME`"],
    )


def _join(branch: RunBranch, ref: str, theirs: ObjectId | None, take: _Take) -> MergeResult:
    """Move our branch by compare-and-swap; retry on the new tip if another process moved it."""
    began_s = clock.monotonic_s()
    while True:
        ours = branch.repo.read_refs(ref).get(ref)
        if theirs is None or ours == theirs:
            return MergeResult(ours, ours)
        base = None if ours is None else _common_ancestor(branch.repo, ours, theirs)
        if base == theirs:
            return MergeResult(ours, ours)
        with branch.reading() as reading:
            step = take(reading, ours, theirs, base)
        try:
            if isinstance(step, NewCommit):
                [new] = apply(branch.repo, [step], durable=branch.durable)
                return MergeResult(ours, new, merged=True, repaired=base == ours)
            if step.new != ours:
                apply(branch.repo, [step], durable=branch.durable)
            if step.new != theirs:
                forget_building(branch.repo)
            return MergeResult(ours, ObjectId(step.new))
        except Conflict as conflict:
            branch.wait_after(conflict, began_s)


def _common_ancestor(repo: Repo, one: str, other: str) -> ObjectId | None:
    """Return the merge base of two commits; `None` if they have none."""
    result = repo.git("merge-base", one, other, check=False)
    if result.status > 1:
        raise CommandFailed(("merge-base",), result.status, result.stderr)
    return ObjectId(result.text.strip()) if result.status == 0 else None


def _merge(
    repo: Repo,
    ref: str,
    message: str,
    tips: Sequence[str],
    files: Sequence[Edit] = (),
    *,
    clear: bool = False,
) -> NewCommit:
    parents = sorted(tips)
    identity, moment = _newest(repo, parents)
    return NewCommit(ref, message, identity, moment, parents, files, clear, tip=tips[0])


def _newest(repo: Repo, commits: Collection[str]) -> tuple[Identity, datetime]:
    """Return committer and date of the newest commit; of equally new ones, the greater id wins."""
    result = repo.git(
        *("log", "--no-walk", "--no-show-signature", "--encoding=UTF-8", "--no-mailmap"),
        *("--format=%ct%x00%H%x00%cn%x00%ce", *commits),
    )
    found = [line.split("\0") for line in result.text.splitlines() if line.count("\0") == 3]
    seconds, _, name, mail = max(found, key=lambda words: (int(words[0]), words[1]))
    moment = datetime.fromtimestamp(min(int(seconds), _LAST_SECOND), UTC)
    shown = [
        text.encode(errors="surrogateescape").decode(errors="replace").translate(_UNFIT).strip()
        for text in (name, mail)
    ]
    return Identity(shown[0] or _IDENTITY.name, shown[1] or _IDENTITY.email), moment
