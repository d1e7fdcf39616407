"""Git transactions: commits and ref moves, staged as values and applied once.

`apply` is the only function that writes commits of gitexp's branches. It has two ways, which give
the same commits:

- A few objects are written as loose objects, and one `git update-ref --stdin` moves the refs.
- Many objects, all objects of a shared repository, and all objects beside a gc go through
  `git fast-import` (`fast_import`).

Each move of a ref names the commit that the ref must have before. That is the compare-and-swap: a
writer that started from a stale tip gets a `Conflict`, and none of its changes become visible.
"""

from collections.abc import Sequence

from gitexp.adapters.git.code_commit import code_commit_id, require_tree
from gitexp.adapters.git.fast_import import import_steps, remove_orphans
from gitexp.adapters.git.fsync import directory_mtimes, fsync_directories, fsync_refs
from gitexp.adapters.git.gc import gc_fingerprint, is_gc_running, wait_for_gc
from gitexp.adapters.git.loose_objects import LooseObjects, TreeEdit
from gitexp.adapters.git.process import FSYNC
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.steps import (
    Barrier,
    Blob,
    CodeCommit,
    DropRef,
    MoveRef,
    NewCommit,
    Step,
    VerifyRef,
    read_refusal,
)
from gitexp.adapters.git.verify import read_headers
from gitexp.adapters.system import clock
from gitexp.core.errors import CommandFailed, Conflict
from gitexp.core.model.ids import ObjectId

_MAX_LOOSE = 32
"""Up to this number, a file for each object costs less than a `git fast-import` process."""

_TRIES = 8
"""Packs written beside a gc before the last one is taken without another look."""

_TAKEN = (
    *("nonexistent object", "No such file or directory"),
    *("cannot store pack", "cannot store index", "cannot create keep file", "cannot reopen"),
    *("is missing commits", "Not a valid commit", "Not a valid object"),
    *("unable to read", "unable to get type of object"),
)
"""git's messages when a gc removes what is written, or what is read for a pack."""


def apply(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    """Apply all steps, in order. Return the id of each new commit, in order.

    A gc may remove loose objects that no ref held when it began to look, but it removes no pack
    that was written later. So during a gc, and when one began during the write, the objects are
    written as a pack.

    Raises `Conflict` when a ref does not point where a step expects, or another process locks it;
    the refs of all steps since the last barrier are then unchanged. Raises `CommandFailed` when git
    cannot write (disk full, read-only, …). A durable transaction is on the disk when it returns.
    """
    if not any(isinstance(step, NewCommit | CodeCommit) for step in steps):
        _move_only(repo, steps, durable=durable)
        return []
    before = gc_fingerprint(repo)
    collecting, is_small = is_gc_running(repo), _fits_loose(repo, steps)
    if collecting or not is_small:
        _verify(repo, steps)
    if not collecting:
        try:
            ours = set[str]()
            if is_small:
                commits = _write_loose(repo, steps, durable=durable)
            else:
                commits, ours = import_steps(repo, steps, durable=durable, packed=False)
        except CommandFailed as failure:
            if not _was_taken(failure):
                raise
        else:
            if not is_gc_running(repo) and before == gc_fingerprint(repo, without=ours):
                return commits  # else a gc began, or ran from start to end, during the write
    return _write_packed(repo, steps, durable=durable)


# --- loose objects --------------------------------------------------------------------------------


def _fits_loose(repo: Repo, steps: Sequence[Step]) -> bool:
    """Return whether the steps may be written as loose objects.

    In a shared repository git must set the files' permissions.
    """
    commits = [step for step in steps if isinstance(step, NewCommit)]
    codes = sum(isinstance(step, CodeCommit) for step in steps)
    return (
        len(commits) + codes + sum(len(step.files) for step in commits) <= _MAX_LOOSE
        and not any(path.startswith('"') for step in commits for path, _ in step.files)
        and repo.config().get("core.sharedrepository") in (None, "0", "false", "umask")
    )


def _write_loose(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    with repo.reading() as reading:
        _require(reading, steps)
        commits = _Commits(reading)
        for step in steps:
            if isinstance(step, NewCommit):
                commits.add(step)
            elif isinstance(step, CodeCommit):
                commits.objects.add(commits.objects.make("commit", step.content))
        commits.objects.write(durable=durable)
        moved = _move_refs(reading, steps, commits.made, durable=durable)
    if durable:
        fsync_refs(repo, moved)
    return commits.made


def _move_only(repo: Repo, steps: Sequence[Step], *, durable: bool) -> None:
    """Move refs to commits that git has written; flush the directories of those as well."""
    before = directory_mtimes(repo) if durable else {}
    moved = _move_refs(repo, steps, (), durable=durable)
    if durable:
        fsync_directories(repo, before)
        fsync_refs(repo, moved)


def _move_refs(
    repo: Repo, steps: Sequence[Step], commits: Sequence[ObjectId], *, durable: bool
) -> list[str]:
    """Move the refs with one `git update-ref`, in one transaction up to each barrier.

    `commits` are the new commits of the steps. Returns the refs that moved.
    """
    made = iter(commits)
    tips: dict[str, str] = {}
    orders: list[list[str]] = []
    for part in _split_at_barriers(steps):
        old: dict[str, str | None] = {}
        new: dict[str, str] = {}
        for step in part:
            if isinstance(step, NewCommit):
                old.setdefault(step.ref, tips.get(step.ref, step.tip))
                new[step.ref] = next(made)
            elif isinstance(step, MoveRef):
                old.setdefault(step.ref, step.old)
                new[step.ref] = step.new
        verified = [step for step in part if isinstance(step, VerifyRef)]
        orders.append(
            [f"update {ref} {oid} {old[ref] or repo.null}" for ref, oid in new.items()]
            + [f"verify {step.ref} {step.oid}" for step in verified]
        )
        tips |= new
    drops = [[f"delete {step.ref}"] for step in steps if isinstance(step, DropRef)]
    sent = [line for order in (*orders, *drops) for line in ("start", *order, "commit")]
    sync = FSYNC if durable else ()
    done = repo.git(
        *(*sync, "update-ref", "-m", "gitexp: record", "--stdin"),
        stdin="".join(f"{line}\n" for line in sent).encode(),
        check=False,
    )
    # Refs are dropped after the moves; one that git cannot delete does no harm.
    if done.stdout.count(b"commit: ok\n") < len(orders):
        raise read_refusal(done.status, done.stderr, by="update-ref")
    return list(tips)


def _split_at_barriers(steps: Sequence[Step]) -> list[list[Step]]:
    parts: list[list[Step]] = [[]]
    for step in steps:
        if isinstance(step, Barrier):
            parts.append([])
        else:
            parts[-1].append(step)
    return parts


def _require(repo: Repo, steps: Sequence[Step]) -> None:
    """Check that the blobs and trees that the steps name exist, as fast-import does."""
    commits = (step for step in steps if isinstance(step, NewCommit))
    contents = (content for step in commits for _, content in step.files)
    named = [content.oid for content in contents if isinstance(content, Blob)]
    for oid, header in read_headers(repo, named).items():
        if header is None or header.kind != "blob":
            raise CommandFailed(("update-ref",), 1, f"fatal: {oid} is no blob here")
    for step in steps:
        if isinstance(step, CodeCommit):
            require_tree(repo, step.tree)


class _Commits:
    """Commits of a transaction, in order."""

    def __init__(self, repo: Repo) -> None:
        self.objects = LooseObjects(repo)
        self.made: list[ObjectId] = []

    def add(self, step: NewCommit) -> None:
        """Build a commit. Raises `CommandFailed` on a damaged tree."""
        parents = [self.made[int(p[1:]) - 1] if p[0] == ":" else p for p in step.parents]
        top = TreeEdit(self.objects, None if step.clear or not parents else parents[0])
        for path, content in step.files:
            if isinstance(content, bytes):
                blob = self.objects.make("blob", content)
                if top.put(path, blob.oid) or not self.objects.has(blob):
                    self.objects.add(blob)
            else:
                top.put(path, None if content is None else content.oid)
        tree = top.save() or top.store()
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        who = [f"author {step.signature}", f"committer {step.signature}"]
        head = "\n".join([*lines, *who, "", step.message])
        self.made.append(
            self.objects.add(self.objects.make("commit", head.encode(errors="replace")))
        )


# --- packs beside a gc ----------------------------------------------------------------------------


def _write_packed(repo: Repo, steps: Sequence[Step], *, durable: bool) -> list[ObjectId]:
    """Write the steps as a pack, again until the gc has removed nothing of it."""
    for _ in range(_TRIES):
        try:
            commits, _ = import_steps(repo, steps, durable=durable, packed=True)
        except CommandFailed as failure:
            if not _was_taken(failure):
                raise
            remove_orphans(repo)
            clock.sleep(clock.jitter(0.05))
        else:
            wait_for_gc(repo)
            if _is_whole(repo, steps, commits):
                return commits
    return import_steps(repo, steps, durable=durable, packed=True)[0]


def _is_whole(repo: Repo, steps: Sequence[Step], commits: Sequence[ObjectId]) -> bool:
    """Return whether every object of the transaction exists."""
    codes = [step for step in steps if isinstance(step, CodeCommit)]
    made = {code_commit_id(repo, code.tree, code.identity) for code in codes}
    if None in read_headers(repo, made).values():
        return False
    written = [step for step in steps if isinstance(step, NewCommit)]
    for step, commit in zip(written, commits, strict=True):
        known = [f"^{step.parents[0]}"] if step.parents and not step.clear else []
        known = [f"^{commits[int(old[2:]) - 1]}" if old[1] == ":" else old for old in known]
        walk = ("--no-walk",) if step.clear else ()
        asked = ("rev-list", "--objects", "--quiet", *walk, commit, *known)
        if repo.git(*asked, check=False).status != 0:
            return False
    return True


def _was_taken(failure: CommandFailed) -> bool:
    """Return whether a gc removed the file being written or the pack being read."""
    return any(word in failure.stderr for word in _TAKEN)


def _verify(repo: Repo, steps: Sequence[Step]) -> None:
    """Check that no ref was set back, right before `git fast-import`, which does not check it."""
    expected: dict[str, str | None] = {}
    for step in steps:
        if isinstance(step, NewCommit):
            expected.setdefault(step.ref, step.tip)
        elif isinstance(step, VerifyRef):
            expected.setdefault(step.ref, step.oid)
        elif isinstance(step, MoveRef):
            expected.setdefault(step.ref, step.old)
    for ref, oid in expected.items():
        if repo.read_ref(ref) != oid:
            raise Conflict(f"'{ref}' has moved", why="another process moved it first")
