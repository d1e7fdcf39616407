"""Joining our branches with what a remote has.

Floor 4. Histories of runs always join: one that contains the other is taken as it is, two that went
apart get a merge commit whose every byte follows from its parents, so that whoever merges the same
two gets the same commit and nobody has to merge merges. What a remote sends is untrusted: it can
add, but never silently take away or replace what is recorded here.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gitexp.errors import CommandFailed, Conflict, Refused
from gitexp.ids import ObjectId
from gitexp.machine import clock
from gitexp.records.bounds import MAX_RECORD_BYTES
from gitexp.records.merge import branch_format, owner, surroundings, too_new, unite
from gitexp.refs import FORMAT, FORMAT_PATH, parse_path
from gitexp.repo import Repo, transport
from gitexp.repo.stream import Blob, Commit, Identity, SetRef, write_stream
from gitexp.store import PATIENCE_S, Store

_IDENTITY = Identity("gitexp", "gitexp@localhost")
_RUNS_MESSAGE = "merge the runs of two clones\n\n[skip ci]\n\nMerged-By: gitexp\n"
_CODE_MESSAGE = "merge the kept code of two clones\n\n[skip ci]\n\nMerged-By: gitexp\n"
_LAST_SECOND = 253402300799
"""The end of the year 9999, where our dates end."""
_FEW_FOLDERS = 64
"""Up to here git looks folders up faster than it lists the whole branch."""


@dataclass(frozen=True, slots=True)
class Joined:
    """How a branch of ours moved."""

    old: ObjectId | None
    new: ObjectId | None
    merged: bool = False
    """True when the two histories had to be merged."""
    repaired: bool = False
    """True when theirs went on from ours but had lost or replaced records, which are back."""


def join_code(store: Store, remote: str, theirs: ObjectId | None) -> Joined:
    """Bring a remote's keep branch into ours. Call only while holding the store's lock.

    Raises `Refused` when it is not gitexp's, `Conflict` when a lock keeps us out.
    """
    return _join(
        store,
        store.code_ref,
        theirs,
        check=lambda _ours, tip: _check_code(store, remote, tip),
        may_follow=lambda _ours, _theirs: True,
        merge=_merge_code,
    )


def join_runs(store: Store, remote: str, theirs: ObjectId | None, *, max_files: int) -> Joined:
    """Bring a remote's run branch into ours. Call only while holding the store's lock.

    Raises `Refused` when it is not gitexp's or brings more than `max_files`, `Unreadable` when a
    newer gitexp wrote it, `Conflict` when a lock keeps us out.
    """
    return _join(
        store,
        store.run_ref,
        theirs,
        check=lambda ours, tip: _check_runs(store, remote, ours, tip, max_files),
        may_follow=lambda ours, theirs: _keeps_all(store.repo, ours, theirs),
        merge=_merge_runs,
    )


def _check_runs(store: Store, remote: str, ours: str | None, tip: str, max_files: int) -> None:
    where = f"branch '{store.branch}' of '{remote}'"
    form = store.repo.resolve(f"{tip}:{FORMAT_PATH}")
    version = branch_format(None if form is None else _read(store.repo, [form])[form])
    if version is not None and version > FORMAT:
        raise too_new(version, where)
    if version != FORMAT:
        raise _foreign(where, f"it has no '{FORMAT_PATH}' that gitexp wrote")
    transport.check_size(store.repo, remote, ours, tip, max_files=max_files)


def _check_code(store: Store, remote: str, tip: str) -> None:
    empty = store.repo.git("hash-object", "-t", "tree", "--stdin").text.strip()
    if store.repo.resolve(f"{tip}^{{tree}}") != empty:
        name = store.code_ref.removeprefix("refs/heads/")
        raise _foreign(f"branch '{name}' of '{remote}'", "it holds files")


def _foreign(where: str, why: str) -> Refused:
    return Refused(
        f"{where} is not gitexp's",
        why=why,
        hints=["choose another branch for the runs: `git config exp.branch NAME`"],
    )


def _join(
    store: Store,
    ref: str,
    theirs: ObjectId | None,
    *,
    check: Callable[[str | None, str], None],
    may_follow: Callable[[str, str], bool],
    merge: Callable[[Store, Sequence[str]], Commit],
) -> Joined:
    """Move our branch by compare-and-swap, again on the new tip whenever it moved under us."""
    deadline = clock.monotonic_s() + PATIENCE_S
    while True:
        ours = store.repo.read_refs(ref).get(ref)
        if theirs is None or ours == theirs:
            return Joined(ours, ours)
        base = None if ours is None else _common_ancestor(store.repo, ours, theirs)
        if base == theirs:
            return Joined(ours, ours)
        check(ours, theirs)
        step: Commit | SetRef = SetRef(ref, theirs)
        if ours is not None and not (base == ours and may_follow(ours, theirs)):
            step = merge(store, sorted((ours, theirs)))
        try:
            written = write_stream(store.repo, [step], durable=store.durable)
        except Conflict:
            if clock.monotonic_s() > deadline:
                raise
            store.clear_dead_locks()
            clock.sleep(clock.jitter(0.05))
        else:
            merged = bool(written)
            return Joined(ours, written[0] if merged else theirs, merged, merged and base == ours)


def _common_ancestor(repo: Repo, one: str, other: str) -> ObjectId | None:
    """The older of two commits when the other contains it; else where they went apart, if known."""
    asked = repo.git("merge-base", one, other, check=False)
    if asked.status > 1:
        raise CommandFailed(("merge-base",), asked.status, asked.stderr)
    return ObjectId(asked.text.strip()) if asked.status == 0 else None


def _merge_code(store: Store, parents: Sequence[str]) -> Commit:
    moment = _newest(store.repo, parents)
    return Commit(store.code_ref, _CODE_MESSAGE, _IDENTITY, moment, parents, clear=True)


def _merge_runs(store: Store, parents: Sequence[str]) -> Commit:
    sides = _compare(store.repo, *parents)
    united = unite(sides.left, sides.right, lambda blobs: _read(store.repo, blobs))
    moment = _newest(store.repo, parents)
    files = list(_edits(sides, united))
    return Commit(store.run_ref, _RUNS_MESSAGE, _IDENTITY, moment, parents, files)


def _keeps_all(repo: Repo, ours: str, theirs: str) -> bool:
    """Tell whether theirs, which goes on from ours, has everything of ours that counts.

    What a gitexp writes always has: it adds, ends runs, and deletes by tombstone.
    """
    sides = _compare(repo, ours, theirs)
    if not sides.left:
        return True  # only additions
    united = unite(sides.left, sides.right, lambda blobs: _read(repo, blobs))
    return _understood(united) == _understood(sides.right)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Two commits where they differ, and all else of the runs that differ."""

    left: dict[str, str]
    right: dict[str, str]
    differing: set[str]
    """Paths that differ; what is a submodule there is on neither side a file."""
    odd: set[str]
    """Paths that differ and are no plain file on the left: links, submodules, executables."""


def _compare(repo: Repo, first: str, second: str) -> _Sides:
    sides = _Sides({}, {}, set(), set())
    raw = repo.git("diff-tree", "-r", "-z", "--no-renames", "--no-abbrev", "--raw", first, second)
    parts = raw.stdout.split(b"\0")[:-1]
    for head, name in zip(parts[::2], parts[1::2], strict=True):
        old_mode, new_mode, old_oid, new_oid, _ = head.decode().lstrip(":").split()
        path = name.decode(errors="surrogateescape")
        sides.differing.add(path)
        if _is_file(old_mode):
            sides.left[path] = old_oid
        if _is_file(new_mode):
            sides.right[path] = new_oid
        if old_mode not in _SETTLED:
            sides.odd.add(path)
    folders, touched = surroundings(sides.differing)
    asked = sorted(folders) if len(folders) <= _FEW_FOLDERS else []
    for entry in repo.list_tree(first, *asked) if touched else ():
        if entry.path not in sides.differing and owner(entry.path) in touched:
            sides.left[entry.path] = sides.right[entry.path] = entry.oid
    return sides


_SETTLED = ("100644", "000000")
"""Modes of what a merge leaves as it is: a plain file, and nothing."""


def _is_file(mode: str) -> bool:
    return mode.startswith(("100", "120"))


def _edits(sides: _Sides, united: Mapping[str, str]) -> Iterator[tuple[str, Blob | None]]:
    """What turns the left commit's tree into the union.

    In sorted order a file goes before a folder of the same name comes.
    """
    for path in sorted(sides.differing | sides.left.keys() | united.keys()):
        if path in sides.odd or united.get(path) != sides.left.get(path):
            yield _quoted(path), Blob(united[path]) if path in united else None


def _understood(files: Mapping[str, str]) -> dict[str, str]:
    return {p: blob for p, blob in files.items() if p == FORMAT_PATH or parse_path(p) is not None}


def _read(repo: Repo, blobs: Collection[str]) -> dict[str, bytes | None]:
    found = repo.read_blobs(sorted(blobs), max_bytes=MAX_RECORD_BYTES)
    return {str(blob): content for blob, content in found}


def _newest(repo: Repo, commits: Collection[str]) -> datetime:
    asked = repo.git("log", "--no-walk", "--no-show-signature", "--format=%ct", *commits)
    newest = max(int(line) for line in asked.text.split())
    return datetime.fromtimestamp(min(newest, _LAST_SECOND), UTC)


_PLAIN = str.maketrans("", "", "._-~/")


def _quoted(path: str) -> str:
    """A path as `git fast-import` reads it; only a foreign one has anything to quote."""
    if path.isascii() and path.translate(_PLAIN).isalnum():
        return path
    raw = path.encode(errors="surrogateescape")
    return '"' + "".join(f"\\{byte:03o}" for byte in raw) + '"'
