"""Keep purged code out of both branches, even if other clones still have it.

A purge gives both branches a new root. The run branch names the purge in a file below `purged/`. A
branch without that file is older than the purge, so its history must not become an ancestor of
ours: gitexp copies only its records.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from gitexp.adapters.git.process import FSYNC
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import Identity, NewCommit
from gitexp.adapters.git.transaction import apply
from gitexp.adapters.git.tree_edits import TreeEditor
from gitexp.core.errors import Refused
from gitexp.core.model.ids import ObjectId
from gitexp.core.schema.layout import PURGED_FOLDER, parse_path, purge_path
from gitexp.core.schema.limits import MAX_RECORD_BYTES
from gitexp.core.schema.purges import PurgedState, Purges, decode_purges, encode_state
from gitexp.storage.branch.branch import RunBranch
from gitexp.storage.branch.keep import KEEP_MESSAGE
from gitexp.storage.merge.code_states import add_states, read_code_states, replace_keep_branch

_IDENTITY: Final = Identity("gitexp", "gitexp@localhost")
_MESSAGE: Final = "say what was purged from the code\n\n[skip ci]\n"
_BUILDING: Final = "refs/gitexp/building/runs"
"""Ref that holds a commit until our branch moves to it."""


def read_purges(repo: Repo, *tips: str | None) -> Purges:
    """Return the union of the purges that some run branches name."""
    found: list[tuple[str, str]] = []
    for tip in tips:
        folder = None if tip is None else repo.resolve(f"{tip}:{PURGED_FOLDER}")
        if folder is None:
            continue
        for entry in repo.list_tree(folder):
            place = parse_path(f"{PURGED_FOLDER}/{entry.path}")
            if place is not None:
                found.append((place.name, entry.oid))
    contents = repo.read_blobs([oid for _, oid in found], max_bytes=MAX_RECORD_BYTES)
    return decode_purges(
        (name, content) for (name, _), (_, content) in zip(found, contents, strict=True)
    )


# --- code ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sifted:
    """Code states without purged files."""

    trees: set[str] = field(default_factory=set)
    """States that may stay, and the remainders of the others."""
    changed: dict[str, PurgedState] = field(default_factory=dict)
    """States that must go, by tree."""


def sift(repo: Repo, trees: Iterable[str], purges: Purges) -> Sifted:
    """Separate code states that may stay from those that hold purged files.

    Stores the remainder of the latter as trees. Raises `CommandFailed` if a tree is missing.
    """
    sifted = Sifted()
    with repo.reading() as reading:
        editor = TreeEditor(reading)
        for tree in sorted(trees):
            state = _purged_state(editor, tree, purges)
            if state is None:
                sifted.trees.add(tree)
                continue
            sifted.changed[tree] = state
            if state.became is not None:
                sifted.trees.add(state.became)
    return sifted


def _purged_state(editor: TreeEditor, tree: str, purges: Purges) -> PurgedState | None:
    if tree in purges.trees:
        return PurgedState(None)
    paths = editor.holds(tree, purges.files)
    if not paths:
        return None
    return PurgedState(editor.without(tree, paths), tuple(sorted(paths)))


def keep_only(branch: RunBranch, trees: Collection[str], onto: str | None = None) -> ObjectId:
    """Create a keep commit, after `onto` or without it, that holds these code states."""
    made = add_states(branch, onto, trees)
    if made is not None:
        return made
    date = datetime.fromtimestamp(0, UTC)
    none = NewCommit(_BUILDING, KEEP_MESSAGE, _IDENTITY, date, [], clear=True, tip=None)
    return _build(branch, none)


def purge_code(
    branch: RunBranch, theirs: str | None, purges: Purges
) -> tuple[bool, ObjectId | None]:
    """Merge a remote's keep branch into ours without purged files.

    Returns whether either branch held any, and our new tip. If neither did, no branch moves. Call
    only while holding the store's lock.
    """
    repo, ours = branch.repo, branch.repo.read_ref(branch.code_ref)
    sifted_ours = sift(repo, _trees(repo, ours), purges)
    states = None if theirs is None else read_code_states(repo, theirs)
    sifted_theirs = sift(repo, states.trees if states else (), purges)
    is_tainted = bool(sifted_theirs.changed) or (states is not None and not states.is_pure)
    if not sifted_ours.changed and not is_tainted:
        return False, ours
    onto = theirs if sifted_ours.changed else ours
    if sifted_ours.changed and is_tainted:
        onto = None
    new = keep_only(branch, sifted_ours.trees | sifted_theirs.trees, onto)
    write_states(branch, sifted_ours.changed | sifted_theirs.changed)
    replace_keep_branch(branch, new, ours)
    return True, new


def _trees(repo: Repo, tip: str | None) -> set[str]:
    return set() if tip is None else read_code_states(repo, tip).trees


def write_states(branch: RunBranch, changed: dict[str, PurgedState]) -> None:
    """Record on the run branch what replaced purged code states, unless it is recorded already."""
    repo, tip = branch.repo, branch.tip()
    if tip is None:
        return
    files = []
    for tree, state in sorted(changed.items()):
        if repo.resolve(f"{tip}:{purge_path(tree)}") is None:
            files.append((purge_path(tree), encode_state(state)))
    if not files:
        return
    result = repo.git("log", "-1", "--no-show-signature", "--format=%ct", tip)
    moment = datetime.fromtimestamp(int(result.text), UTC)
    step = NewCommit(branch.run_ref, _MESSAGE, _IDENTITY, moment, [tip], files, tip=tip)
    apply(repo, [step], durable=branch.durable)


# --- runs ---------------------------------------------------------------------------------------


def graft(branch: RunBranch, commit: NewCommit, onto: str | None) -> ObjectId:
    """Store a commit after `onto`, or without parents if `onto` is `None`. Return its id.

    No branch moves. The commit's files are edits of the tree of its first parent.
    """
    made = _build(branch, commit)
    if onto is not None:
        return made
    repo = branch.repo
    date = f"@{commit.signature.rpartition('> ')[2]}"
    who = commit.identity
    named = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", who.name), ("EMAIL", who.email), ("DATE", date))
    }
    sync = FSYNC if branch.durable else ()
    done = repo.git(
        *(*sync, "-c", "commit.gpgSign=false", "commit-tree", f"{made}^{{tree}}"),
        stdin=commit.message.encode(),
        env=named,
    )
    return ObjectId(done.text.strip())


def _build(branch: RunBranch, commit: NewCommit) -> ObjectId:
    repo = branch.repo
    before = repo.read_ref(_BUILDING)
    if before is not None:  # a killed process left it
        repo.update_ref(_BUILDING, repo.null, before, "gitexp: begin again")
    first = commit.parents[0] if commit.parents else None
    if first is not None:
        repo.update_ref(_BUILDING, first, repo.null, "gitexp: begin")
    step = replace(commit, ref=_BUILDING, tip=first)
    return apply(repo, [step], durable=branch.durable)[0]


def forget_building(repo: Repo) -> None:
    """Delete the ref of a new commit that a branch holds now."""
    found = repo.read_ref(_BUILDING)
    if found is not None:
        repo.update_ref(_BUILDING, repo.null, found, "gitexp: done")


def names_of(repo: Repo, tip: str) -> set[str]:
    """Return the names of the purges on a run branch."""
    return read_purges(repo, tip).names


# --- remotes ------------------------------------------------------------------------------------


def refs_before_purge(
    repo: Repo, ours: Mapping[str, str], theirs: Mapping[str, str]
) -> dict[str, ObjectId]:
    """Return the branches of a remote that are no ancestors of ours, with their tips."""
    return {
        ref: ObjectId(theirs[ref])
        for ref, tip in ours.items()
        if ref in theirs and not repo.is_ancestor(theirs[ref], tip)
    }


def refuse_before_purge(remote: str, refs: Sequence[str]) -> Refused:
    """Return the error for a push to a remote that still has purged data."""
    shown = " and ".join(f"'{ref.removeprefix('refs/heads/')}'" for ref in sorted(refs))
    return Refused(
        f"the runs are not pushed to '{remote}'",
        why=f"its branch {shown} still has what was purged here"
        if len(refs) == 1
        else f"its branches {shown} still have what was purged here",
        hints=[f"`git exp purge --push {remote}` replaces what it has"],
    )
