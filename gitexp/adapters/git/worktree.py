"""Work trees: state of the user's files, snapshots of them, temporary trees for reproduction.

The user's index, HEAD, branches, stash and files are only read. Snapshots are written through a
private copy of the index, as objects that no branch of the user holds.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.git.code_commit import write_code_commit
from gitexp.adapters.git.gc import is_gc_running, wait_for_gc
from gitexp.adapters.git.index_flags import find_unwatched
from gitexp.adapters.git.process import FSYNC, UNTRUSTED
from gitexp.adapters.git.repository import Repo
from gitexp.core.errors import CommandFailed, GitexpError, NoCommit
from gitexp.core.model.ids import ObjectId

_SNAPSHOT_AUTHOR = {
    "GIT_AUTHOR_NAME": "gitexp",
    "GIT_AUTHOR_EMAIL": "gitexp@localhost",
    "GIT_COMMITTER_NAME": "gitexp",
    "GIT_COMMITTER_EMAIL": "gitexp@localhost",
}


class Status(NamedTuple):
    """HEAD, and the files that differ from it."""

    commit: ObjectId
    branch: str | None
    tracked: tuple[str, ...]
    """Tracked files that are changed, added, deleted or in conflict."""
    untracked: tuple[str, ...]
    """Files that git neither tracks nor ignores; a nested repository ends in `/`."""
    submodules: tuple[str, ...]
    """Submodules with uncommitted changes, which a snapshot cannot hold."""


class SkippedFile(NamedTuple):
    """A path in the work tree that a snapshot does not hold."""

    path: str
    """Ends in `/` for a submodule or a nested repository."""
    reason: str
    is_secret: bool = False
    """True for a likely credential: not even its hash goes into a record."""

    def __str__(self) -> str:
        """Return the text for a record."""
        return f"{self.path} ({self.reason})"


class Snapshot(NamedTuple):
    """The state of the user's files at one moment, stored as git objects."""

    commit: ObjectId
    tree: ObjectId
    snapshot: ObjectId | None
    """The code commit of `tree`; absent when `commit` has the same tree."""
    branch: str | None
    left_out: tuple[SkippedFile, ...] = ()
    taken: tuple[tuple[str, int], ...] = ()
    """Untracked files in the snapshot, each with its size in bytes."""
    tracked: tuple[str, ...] = ()
    """Tracked files that differ from `commit`."""
    untracked: tuple[str, ...] = ()
    """Files of the tree that git does not track."""


class SnapshotRules(NamedTuple):
    """Limits for untracked files in a snapshot."""

    max_file_bytes: int
    max_total_bytes: int
    refuse: Callable[[Path, str], str | None] = lambda _file, _path: None
    """Returns why a file must stay out (a secret), or `None`."""
    is_model_file: Callable[[str], bool] = lambda _path: False
    """True for the path of a model or data file, which stays out."""


_ASK_STATUS = (
    *("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames"),
    "--ignore-submodules=none",
)


def read_status(repo: Repo) -> Status:
    """Read which files differ from HEAD. Raises `NoCommit` on an unborn branch."""
    result = repo.git(*_ASK_STATUS)
    commit = branch = None
    tracked: list[str] = []
    untracked: list[str] = []
    submodules: list[str] = []
    for line in result.text.split("\0"):
        kind, _, rest = line.partition(" ")
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        elif line.startswith("# branch.head "):
            branch = line.removeprefix("# branch.head ")
        elif kind == "?":
            untracked.append(rest)
        elif kind in ("1", "u"):
            path = rest.split(" ", 7 if kind == "1" else 9)[-1]
            tracked.append(path)
            if rest.split(" ", 2)[1].startswith("S") and rest.split(" ", 2)[1][2:] != "..":
                submodules.append(path)
    if commit is None or commit == "(initial)":
        raise NoCommit(
            "the repository has no commit yet",
            why="a run is recorded beside the commit whose code it ran",
            hints=["commit something first: `git add -A && git commit -m start`"],
        )
    on_branch = None if branch in (None, "(detached)") else branch
    return Status(ObjectId(commit), on_branch, tuple(tracked), tuple(untracked), tuple(submodules))


def take_snapshot(repo: Repo, rules: SnapshotRules, *, identity: str, durable: bool) -> Snapshot:
    """Store the current files as git objects.

    Includes all tracked changes, and untracked files up to the limits of the rules; lists the
    files that stay out. `identity` is the author of code commits.

    No ref holds the objects yet: pin `snapshot` first. Raises `NoCommit`, and `CommandFailed` when
    git cannot store a file.
    """
    if repo.top is None:
        return _bare_snapshot(repo)
    for _ in range(_TRIES):
        try:
            return _snapshot_once(repo, repo.top, rules, identity=identity, durable=durable)
        except CommandFailed as failure:
            if not was_collected(failure):
                raise
    return _snapshot_once(repo, repo.top, rules, identity=identity, durable=durable)


def was_collected(failure: CommandFailed) -> bool:
    """Return whether a command failed as it does when a gc removes its unreferenced objects."""
    return any(word in failure.stderr for word in _VANISHED)


_TRIES = 4

_VANISHED = (
    *("No such file or directory", "invalid object", "not a valid object", "nonexistent object"),
    *("not a tree", "bad object", "bad tree", "unable to read", "missing", "could not be parsed"),
)
"""git's messages when a gc removes an object, or the directory for it, during a command."""


def _snapshot_once(
    repo: Repo, top: Path, rules: SnapshotRules, *, identity: str, durable: bool
) -> Snapshot:
    status = read_status(repo)
    head_tree = _tree_of_head(repo, status.commit)
    if head_tree is None:
        raise GitexpError("cannot read the tree of HEAD", hints=["`git fsck` names the damage"])
    sizes, left_out = _choose(top, status, rules)
    taken = tuple(sizes.items())
    unwatched = find_unwatched(repo)
    if not status.tracked and not taken and not unwatched:
        return Snapshot(status.commit, head_tree, None, status.branch, tuple(left_out))
    changed = [*status.tracked, *sizes, *unwatched]
    tree = _write_tree(repo, changed, unwatched, durable=durable)
    snapshot = None
    if tree != head_tree:
        snapshot = write_code_commit(repo, tree, identity, durable=durable)
        if is_gc_running(repo):
            _pack(repo, "early", snapshot, f"^{status.commit}^{{tree}}")
    return Snapshot(
        *(status.commit, tree, snapshot, status.branch, tuple(left_out), taken),
        tracked=(*status.tracked, *unwatched),
        untracked=tuple(sizes),
    )


HEAD: Final = ("HEAD^{commit}", "HEAD^{tree}")
"""The names that a snapshot reads; a caller may look them up in advance."""


def _read_head(repo: Repo) -> tuple[ObjectId | None, ObjectId | None]:
    """Return the commit and tree of HEAD, `None` for each that is unreadable."""
    try:
        commit, tree = repo.read_objects(HEAD)
    except CommandFailed:
        return None, None
    return commit and commit.oid, tree and tree.oid


def _tree_of_head(repo: Repo, commit: ObjectId) -> ObjectId | None:
    """Return the tree of HEAD's commit; `None` when it is unreadable."""
    head, tree = _read_head(repo)
    return tree if tree and head == commit else repo.peel(commit, "tree")


def _bare_snapshot(repo: Repo) -> Snapshot:
    commit, tree = _read_head(repo)
    if commit is None or tree is None:
        raise NoCommit("the repository has no commit yet", hints=["push a commit to it first"])
    branch = repo.git("symbolic-ref", "--quiet", "--short", "HEAD", check=False).text.strip()
    return Snapshot(commit, tree, None, branch or None)


def _choose(
    top: Path, status: Status, rules: SnapshotRules
) -> tuple[dict[str, int], list[SkippedFile]]:
    """Select untracked files for the snapshot, with sizes; return the skipped ones with reasons."""
    taken: dict[str, int] = {}
    left_out = [
        SkippedFile(f"{path}/", "submodule with uncommitted changes") for path in status.submodules
    ]
    total = 0
    for path in status.untracked:
        file = top / path
        secret = None if path.endswith("/") else rules.refuse(file, path)
        reason = "nested repository" if path.endswith("/") else secret
        if reason is None and rules.is_model_file(path):
            reason = "a model or data file"
        size = 0
        if reason is None:
            try:
                size = file.lstat().st_size
            except OSError:
                continue  # deleted since git listed it
            if size > rules.max_file_bytes:
                reason = f"{size:,} bytes, over the limit of {rules.max_file_bytes:,} a file"
            elif total + size > rules.max_total_bytes:
                reason = f"over the limit of {rules.max_total_bytes:,} bytes a run"
        if reason is None:
            taken[path] = size
            total += size
        else:
            left_out.append(SkippedFile(path, reason, is_secret=secret is not None))
    return taken, left_out


def _write_tree(
    repo: Repo, paths: Sequence[str], unwatched: Sequence[str], *, durable: bool
) -> ObjectId:
    """Write the tree of the index with the disk state of these paths; remove missing ones.

    In the private copy of the index, clear the flags of the `unwatched` paths that hide them.
    """
    sync = FSYNC if durable else ()
    with repo.temporary_index() as folder:
        private = Path(folder) / "index"
        env = {"GIT_INDEX_FILE": str(private)}
        index = repo.git_dir / "index"
        if index.exists():
            written = index.stat()
            shutil.copyfile(index, private)
            # As old as the index: git reads a file again that changed in the second of the index.
            os.utime(private, ns=(written.st_mtime_ns, written.st_mtime_ns))
        else:
            repo.git("read-tree", "HEAD", env=env)
        for flag in ("--no-assume-unchanged", "--no-skip-worktree") if unwatched else ():
            repo.git("update-index", flag, "-z", "--stdin", stdin=_listed(unwatched), env=env)
        repo.git(
            *(*sync, "update-index", "--add", "--remove", "-z", "--stdin"),
            stdin=_listed(paths),
            env=env,
        )
        return ObjectId(repo.git(*sync, "write-tree", env=env).text.strip())


def _listed(paths: Sequence[str]) -> bytes:
    return "\0".join(paths).encode(errors="surrogateescape") + b"\0"


def commit_on(repo: Repo, tree: str, parent: str) -> ObjectId:
    """Commit the files of a run on top of the user's commit, for a branch of the user.

    Equal trees and parents give the same commit: author and committer are fixed, and the date is
    the parent's.
    """
    date = repo.git("log", "-1", "--no-show-signature", "--format=%ct", parent).text.strip()
    when = {"GIT_AUTHOR_DATE": f"{date} +0000", "GIT_COMMITTER_DATE": f"{date} +0000"}
    made = repo.git(
        *("commit-tree", tree, "-p", parent),
        stdin=b"uncommitted files as they were when a run started\n\nKept by gitexp.\n",
        env={**_SNAPSHOT_AUTHOR, **when},
    )
    return ObjectId(made.text.strip())


def is_complete(repo: Repo, snapshot: str, commit: str) -> bool:
    """Return whether every object of a pinned snapshot exists and no gc can remove it.

    Objects of `commit` are not checked. If this clone lacks `commit`, as it may lack a colleague's
    commit, all are checked.
    """
    if _is_whole(repo, snapshot, f"^{commit}^{{tree}}"):
        return True
    return repo.peel(commit, "tree") is None and _is_whole(repo, snapshot)


def _is_whole(repo: Repo, snapshot: str, *known: str) -> bool:
    """Return whether the objects of a snapshot exist and stay, apart from those of `known`.

    During a gc, pack them too. The gc may have listed what to keep before the pin existed, and may
    remove loose objects after this check.
    """
    try:
        if is_gc_running(repo):
            _pack(repo, "pack", snapshot, *known)
            wait_for_gc(repo)
    except CommandFailed:
        return False
    done = repo.git("rev-list", "--objects", "--quiet", snapshot, *known, check=False)
    return done.status == 0


def _pack(repo: Repo, name: str, snapshot: str, *known: str) -> None:
    """Pack a snapshot without the objects of `known`: `git prune` removes loose objects only.

    A repack may be about to remove a pack from before the pin, so the pack from after it needs
    another name.
    """
    repo.git(
        *("pack-objects", "--revs", "--quiet", "--non-empty"),
        str(repo.common_dir / "objects" / "pack" / name),
        stdin="".join(f"{revision}\n" for revision in (snapshot, *known)).encode(),
    )


# --- temporary work trees -----------------------------------------------------------------------


def worktrees_folder(repo: Repo) -> Path:
    """Return the directory of temporary work trees; create it if missing. Raises `OSError`."""
    folder = repo.state_dir / "worktrees"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def add_worktree(repo: Repo, name: str, revision: str) -> Path:
    """Check out a revision into a new work tree in gitexp's state. Executes nothing from it.

    Raises `CommandFailed`. Remove it with `remove_worktree`.
    """
    path = worktrees_folder(repo) / name
    repo.launcher.porcelain(
        *(*UNTRUSTED, "worktree", "add", "--quiet", "--detach", str(path), revision)
    )
    return path


def remove_worktree(repo: Repo, path: Path) -> None:
    """Remove a temporary work tree and git's entry for it. No-op when both are missing."""
    repo.launcher.porcelain(
        *(*UNTRUSTED, "worktree", "remove", "--force", "--force", str(path)), check=False
    )
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise GitexpError(
            f"cannot remove the temporary work tree '{path}'",
            hints=[f"remove it by hand: `rm -rf '{path}'`, then `git exp gc`"],
        )


def checkout_into(repo: Repo, revision: str, paths: Sequence[str]) -> None:
    """Write files of a revision into the user's work tree; leave the index unchanged.

    Raises `CommandFailed`, for instance when a file blocks a directory.
    """
    if repo.top is None:
        raise GitexpError("there is no work tree here", why="the repository is bare")
    with repo.temporary_index() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        repo.git(*UNTRUSTED, "read-tree", revision, env=env)
        done = repo.git(
            *(*UNTRUSTED, "checkout-index", "--force", "-z", "--stdin"),
            stdin=os.fsencode("\0".join(paths) + "\0") if paths else b"",
            env=env,
            check=False,
        )
    if done.status != 0:
        raise CommandFailed(("checkout-index",), done.status, done.stderr)
