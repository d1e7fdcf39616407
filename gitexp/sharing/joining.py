"""Joining our branches with what a remote has.

Floor 4. Histories of runs always join: one that contains the other is taken as it is, two that went
apart get a merge commit whose every byte follows from its parents, so that whoever merges the same
two gets the same commit and nobody has to merge merges. What a remote sends is untrusted: it can
add, but never silently take away or replace what is recorded here.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from gitexp.errors import CommandFailed, Conflict, Refused
from gitexp.ids import ObjectId
from gitexp.machine import clock
from gitexp.records.bounds import MAX_RECORD_BYTES
from gitexp.records.merge import (
    Places,
    branch_format,
    owner,
    owners,
    surroundings,
    too_new,
    unite,
)
from gitexp.refs import (
    FORMAT,
    FORMAT_PATH,
    READ_FORMATS,
    TOMBSTONE,
    BranchPath,
    PathKind,
    parse_path,
)
from gitexp.repo import Repo, transport
from gitexp.repo.code_commit import empty_tree
from gitexp.repo.steps import Blob, Commit, Identity, SetRef
from gitexp.repo.stream import write_stream
from gitexp.repo.trees import FILE, SUBMODULE, Folder, compare, look_into
from gitexp.sharing.code_states import (
    format_of,
    join_old_code,
    known_commits,
    new_root,
    read_code_states,
    replace_keep_branch,
)
from gitexp.sharing.lone import part_lone
from gitexp.store import PATIENCE_S, Store

_IDENTITY = Identity("gitexp", "gitexp@localhost")
"""Of a merge of commits that have none."""
_UNFIT = {ord(c): None for c in "<>\n\r\0"}
_RUNS_MESSAGE = "merge the runs of two clones\n\n[skip ci]\n\nMerged-By: gitexp\n"
_CODE_MESSAGE = "merge the kept code of two clones\n\n[skip ci]\n\nMerged-By: gitexp\n"
_LAST_SECOND = 253402300799
"""The end of the year 9999, where our dates end."""
_PLAIN = re.compile(r"[\w./~-]+", re.ASCII)
"""A path that `git fast-import` needs no quotes around."""

_Take: TypeAlias = Callable[[str | None, str, str | None], Commit | SetRef | ObjectId]
"""How our branch moves, from our tip, theirs, and where the two went apart; an id is one of both
tips, taken instead of a merge."""
_Edit: TypeAlias = tuple[str, Blob | None]
"""A quoted path, and what is there afterwards."""


@dataclass(frozen=True, slots=True)
class Joined:
    """How a branch of ours moved."""

    old: ObjectId | None
    new: ObjectId | None
    merged: bool = False
    """True when the two histories had to be merged."""
    repaired: bool = False
    """True when theirs went on from ours but had lost or replaced records, which are back."""


def join_code(
    store: Store, remote: str, theirs: ObjectId | None, *, runs: ObjectId | None = None
) -> Joined:
    """Bring a remote's keep branch into ours. Call only while holding the store's lock.

    `runs` is the tip of its run branch, which names the format. Raises `Refused` when it is not
    gitexp's, `Conflict` when a lock keeps us out.
    """

    if theirs is not None:
        _check_code(store, remote, theirs)
        joined = _join_old_format(store, theirs, runs)
        if joined is not None:
            return joined

    def take(ours: str | None, tip: str, base: str | None) -> Commit | SetRef:
        if ours is None or ours == base:
            return SetRef(store.code_ref, tip)
        return _merge(store.repo, store.code_ref, _CODE_MESSAGE, (ours, tip), clear=True)

    return _join(store, store.code_ref, theirs, take)


def _join_old_format(store: Store, theirs: ObjectId, runs: ObjectId | None) -> Joined | None:
    """Join keep branches when one is of format 1 and the other is not; else return `None`.

    The one of format 1 never becomes an ancestor: its code is taken out of it.
    """
    repo = store.repo
    ours = repo.read_ref(store.code_ref)
    if ours == theirs:
        return None
    our_format = format_of(store, store.tip())
    their_format = format_of(store, runs)
    if our_format == 1:
        if their_format == 1:
            return None
        is_pure = read_code_states(repo, theirs).is_pure
        new = new_root(store, [ours, theirs], onto=theirs if is_pure else None)
        replace_keep_branch(store, new, ours)
        return Joined(ours, new, merged=True)
    if our_format is None and their_format in (None, 1):
        return None
    if read_code_states(repo, theirs, known_commits(repo, ours)).is_pure:
        return None
    return Joined(ours, join_old_code(store, theirs), merged=True)


def join_runs(
    store: Store,
    remote: str,
    theirs: ObjectId | None,
    *,
    max_files: int,
    is_hub: bool = True,
) -> Joined:
    """Bring a remote's run branch into ours. Call only while holding the store's lock.

    No merge is made where one of the two has every event of the other and its files: that one is
    taken. Where both have the same events, and so differ only in how they were merged, the tip of
    a hub wins, and among peers the lesser one, so that peers agree. A hub that lacks events gets a
    merge, because it takes only what goes on from its tip.

    Raises `Refused` when it is not gitexp's or brings more than `max_files`, `Unreadable` when a
    newer gitexp wrote it, `Conflict` when a lock keeps us out.
    """

    def take(ours: str | None, tip: str, base: str | None) -> Commit | SetRef | ObjectId:
        _check_format(store, remote, tip)
        folders = transport.compare_bounded(store.repo, remote, ours, tip, max_files=max_files)
        if ours is None:
            return SetRef(store.run_ref, tip)
        if ours == base:
            edits = _unite(store.repo, folders, ours, tip, follows=True)
            if edits is None:
                return SetRef(store.run_ref, tip)
        else:
            taken = _take_one(store.repo, folders, ours, tip, is_hub=is_hub)
            if taken is not None:
                return ObjectId(taken)
            edits = _unite(store.repo, folders, ours, tip, follows=False) or []
        return _merge(store.repo, store.run_ref, _RUNS_MESSAGE, (ours, tip), edits)

    return _join(store, store.run_ref, theirs, take)


def _take_one(
    repo: Repo, folders: Sequence[Folder], ours: str, theirs: str, *, is_hub: bool
) -> str | None:
    """The one of two tips that has all of the other, if there is one that can be taken."""
    theirs_has = _has_events(repo, theirs, ours)
    ours_has = (not is_hub or theirs_has) and _has_events(repo, ours, theirs)
    if theirs_has and (is_hub or not ours_has or theirs < ours):
        has_files = _unite(repo, folders, ours, theirs, follows=True) is None
        return theirs if has_files else None
    if ours_has and not is_hub:
        turned = [folder._replace(old=folder.new, new=folder.old) for folder in folders]
        return ours if _unite(repo, turned, theirs, ours, follows=True) is None else None
    return None


def _has_events(repo: Repo, tip: str, other: str) -> bool:
    """Return whether a tip has every commit of another one that is not a merge."""
    asked = repo.git("rev-list", "--no-merges", "--max-count=1", other, f"^{tip}")
    return not asked.text.strip()


def _check_format(store: Store, remote: str, tip: str) -> None:
    where = f"branch '{store.branch}' of '{remote}'"
    form = f"{tip}:{FORMAT_PATH}"
    version = branch_format(_read(store.repo, [form])[form])
    if version is not None and version > FORMAT:
        raise too_new(version, where)
    if version not in READ_FORMATS:
        raise _foreign(where, f"it has no '{FORMAT_PATH}' that gitexp wrote")


def _check_code(store: Store, remote: str, tip: str) -> None:
    if store.repo.resolve(f"{tip}^{{tree}}") != empty_tree(store.repo):
        name = store.code_ref.removeprefix("refs/heads/")
        raise _foreign(f"branch '{name}' of '{remote}'", "it holds files")


def _foreign(where: str, why: str) -> Refused:
    return Refused(
        f"{where} is not gitexp's",
        why=why,
        hints=["choose another branch for the runs: `git config exp.branch NAME`"],
    )


def _join(store: Store, ref: str, theirs: ObjectId | None, take: _Take) -> Joined:
    """Move our branch by compare-and-swap, again on the new tip whenever it moved under us."""
    deadline = clock.monotonic_s() + PATIENCE_S
    while True:
        ours = store.repo.read_refs(ref).get(ref)
        if theirs is None or ours == theirs:
            return Joined(ours, ours)
        base = None if ours is None else _common_ancestor(store.repo, ours, theirs)
        if base == theirs:
            return Joined(ours, ours)
        with store.repo.session():
            step = take(ours, theirs, base)
        try:
            if isinstance(step, str):
                if step != ours:  # both of its branches are kept: fast-import would refuse that
                    store.repo.update_ref(ref, step, str(ours), "the same runs, merged elsewhere")
                return Joined(ours, ObjectId(step))
            written = write_stream(store.repo, [step], durable=store.durable)
        except Conflict as conflict:
            store.wait_for_others(conflict, deadline)
        else:
            merged = bool(written)
            return Joined(ours, written[0] if merged else theirs, merged, merged and base == ours)


def _common_ancestor(repo: Repo, one: str, other: str) -> ObjectId | None:
    """The older of two commits when the other contains it; else where they went apart, if known."""
    asked = repo.git("merge-base", one, other, check=False)
    if asked.status > 1:
        raise CommandFailed(("merge-base",), asked.status, asked.stderr)
    return ObjectId(asked.text.strip()) if asked.status == 0 else None


def _merge(
    repo: Repo,
    ref: str,
    message: str,
    tips: Sequence[str],
    files: Sequence[_Edit] = (),
    *,
    clear: bool = False,
) -> Commit:
    parents = sorted(tips)
    identity, moment = _newest(repo, parents)
    return Commit(ref, message, identity, moment, parents, files, clear, tip=tips[0])


def _unite(
    repo: Repo, folders: Sequence[Folder], ours: str, theirs: str, *, follows: bool
) -> list[_Edit] | None:
    """What turns the tree of the lesser of two commits into the union of both.

    `None` when theirs, which goes on from ours, has everything of ours that counts. What a gitexp
    writes always has: it adds, ends runs, and deletes by tombstone.
    """
    lone, rest = part_lone(repo, folders)
    here, there, places = _compare(repo, rest)
    lost = any(folder.old for folder in lone)
    if follows and not here.files and not lost:
        return None  # only additions
    united = unite(here.files, there.files, lambda blobs: _read(repo, blobs), places)
    if follows and not lost:
        other = {path for path, _ in united.items() ^ there.files.items()}
        if not any(path == FORMAT_PATH or parse_path(path) for path in other):
            return None
    added = (folder.files(folder.new if ours < theirs else folder.old) for folder in lone)
    edits = _edits(here if ours < theirs else there, united)
    return [*edits, *((path, Blob(oid)) for files in added for _, path, oid in files)]


def lost_since(repo: Repo, base: str, tip: str) -> list[tuple[str, Blob | None]]:
    """What gives back to a commit the records that one of its ancestors has and it has not.

    Pairs of a quoted path and its content. Records that are missing, or say `running` again, are
    given back. What somebody added to the branch, or wrote anew, stays.
    """
    with repo.session():
        folders = compare(repo, base, tip) or []
        here, there, places = _compare(repo, folders)
        united = unite(here.files, there.files, lambda blobs: _read(repo, blobs), places)
        kept = set(united.values())
        lost: list[tuple[str, Blob | None]] = []
        edits = [(path, places.get(path), blob) for path, blob in _edits(there, united)]
        graves = owners(place for _, place, blob in edits if blob and place and _is_grave(place))
        for path, place, blob in edits:
            if blob is None:
                is_lost = place is not None and owner(place) in graves
            elif path not in there.files:
                is_lost = here.files.get(path) == blob.oid
            else:
                is_lost = place is not None and there.files[path] not in kept
            if is_lost:
                lost.append((path, blob))
        return lost


def _is_grave(place: BranchPath) -> bool:
    return place.kind is PathKind.ANNOTATION and place.name == TOMBSTONE


@dataclass(frozen=True, slots=True)
class _Side:
    """A commit where it differs from another, and all else of the runs that differ."""

    files: dict[str, str] = field(default_factory=dict)
    """Blob by path."""
    odd: set[str] = field(default_factory=set)
    """Paths that differ and are no plain file here: links, submodules, executables."""


def _compare(repo: Repo, folders: Sequence[Folder]) -> tuple[_Side, _Side, Places]:
    """Ours, theirs, and what the paths of both mean."""
    ours, theirs = _Side(), _Side()
    places: dict[str, BranchPath | None] = {}
    for folder in folders:
        for side, entries in ((ours, folder.old), (theirs, folder.new)):
            for mode, path, oid in folder.files(entries):
                places[path] = parse_path(path)
                if mode != SUBMODULE:
                    side.files[path] = oid
                if mode != FILE:
                    side.odd.add(path)
    touched = owners(places.values())
    wanted = surroundings(touched)
    for folder in (*folders, *look_into(repo, folders, wanted)):
        for mode, path, oid in folder.files(folder.same) if wanted(folder.path) else ():
            place = parse_path(path)
            if place is not None and owner(place) in touched and mode != SUBMODULE:
                places[path] = place
                ours.files[path] = theirs.files[path] = oid
    return ours, theirs, places


def _edits(first: _Side, united: Mapping[str, str]) -> Iterator[_Edit]:
    """What goes comes first, so that a file makes way for a folder of the same name."""
    for path in first.files.keys() | first.odd:
        if path not in united:
            yield _quoted(path), None
    for path, blob in united.items():
        if first.files.get(path) != blob or path in first.odd:
            yield _quoted(path), Blob(blob)


def _read(repo: Repo, blobs: Collection[str]) -> dict[str, bytes | None]:
    found = repo.read_blobs(sorted(blobs), max_bytes=MAX_RECORD_BYTES)
    return {str(blob): content for blob, content in found}


def _newest(repo: Repo, commits: Collection[str]) -> tuple[Identity, datetime]:
    """The committer and date of the newest commit; of two equally new ones, of the greater id."""
    asked = repo.git(
        *("log", "--no-walk", "--no-show-signature", "--encoding=UTF-8", "--no-mailmap"),
        *("--format=%ct%x00%H%x00%cn%x00%ce", *commits),
    )
    found = [line.split("\0") for line in asked.text.splitlines() if line.count("\0") == 3]
    seconds, _, name, mail = max(found, key=lambda words: (int(words[0]), words[1]))
    moment = datetime.fromtimestamp(min(int(seconds), _LAST_SECOND), UTC)
    shown = [
        text.encode(errors="surrogateescape").decode(errors="replace").translate(_UNFIT).strip()
        for text in (name, mail)
    ]
    return Identity(shown[0] or _IDENTITY.name, shown[1] or _IDENTITY.email), moment


def _quoted(path: str) -> str:
    """A path as `git fast-import` reads it; only a foreign one has anything to quote."""
    if _PLAIN.fullmatch(path):
        return path
    raw = path.encode(errors="surrogateescape")
    return '"' + "".join(f"\\{byte:03o}" for byte in raw) + '"'
