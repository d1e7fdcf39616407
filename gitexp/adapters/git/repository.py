"""A repository: its directories, refs, configuration and objects.

Asks git for everything that git can answer. No layer above sees a GitPython type.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gitexp.adapters.git.cat_file import CatFile, GitObject
from gitexp.adapters.git.config import GitConfig
from gitexp.adapters.git.discovery import RepositoryLocation, find_location, runner_for
from gitexp.adapters.git.pipes import widen
from gitexp.adapters.git.process import FSYNC, GitResult, GitRunner
from gitexp.core.errors import CommandFailed, Conflict, UnreadableRecord
from gitexp.core.model.ids import ObjectId

if TYPE_CHECKING:
    import tempfile
    from subprocess import Popen  # noqa: TID251 - the type only


_SKIPPED_BYTES = 1 << 24
"""Skipping a larger object costs more than a new process."""

_STREAMING = ("-c", "core.bigFileThreshold=16m")
"""Keeps git from loading larger files into memory."""


_LOOKS = 2

_FEW = 100
"""Blobs that the process of `reading` may read; more get a process of their own."""


class TreeEntry(NamedTuple):
    """A file in a tree."""

    mode: str
    kind: str
    oid: ObjectId
    path: str


class Change(NamedTuple):
    """A file that differs between two trees. A missing side has the null id."""

    status: str
    path: str
    old_oid: ObjectId
    new_oid: ObjectId


class Repo:
    """A git repository."""

    def __init__(
        self,
        place: RepositoryLocation,
        *,
        start: Path,
        config: GitConfig,
        objects: CatFile | None = None,
    ) -> None:
        self._place = place
        self.git_dir, self.common_dir, self.top, self.object_format = place
        self.start = start
        """The directory that the user's relative paths start from."""
        self._git = GitRunner(self.top or self.git_dir, _naming(place))
        self.null = ObjectId("0" * (64 if self.object_format == "sha256" else 40))
        """Null id, which stands for 'no object'."""
        self._config = config
        self._objects = objects
        """Process that answers questions, inside a block of `reading`."""

    @classmethod
    def discover(cls, directory: Path | None = None) -> "Repo":
        """Find the repository around a directory, as git does. Raises `NotARepository`."""
        git = runner_for(directory)
        place, config = find_location(git)
        return cls(place, start=_start(git.directory, place.top), config=config)

    @property
    def prefix(self) -> str:
        """The user's directory relative to the top, `""` or `"sub/"`."""
        if self.top is None or not self.start.is_relative_to(self.top):
            return ""
        relative = self.start.relative_to(self.top).as_posix()
        return "" if relative == "." else relative + "/"

    @property
    def state_dir(self) -> Path:
        """The directory of gitexp's local state: journals, cache, lock."""
        return self.common_dir / "gitexp"

    def git(
        self,
        *args: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> GitResult:
        """Run plumbing. Raises `CommandFailed` when `check` and it fails."""
        return self._git.run(*args, stdin=stdin, env=env, check=check)

    @property
    def launcher(self) -> GitRunner:
        """Launcher for other modules of this package: pipes, porcelain, background processes."""
        return self._git

    @contextmanager
    def reading(self) -> Iterator["Repo"]:
        """Yield this repository with one git process that answers all its object requests.

        The process starts at the first request and ends with the block. The yielded repository is
        for a single thread, and not for a forked child. Yields itself inside such a block.
        """
        if self._objects is not None:
            yield self
            return
        with CatFile(self._git) as objects:
            yield Repo(self._place, start=self.start, config=self._config, objects=objects)

    def read_objects(
        self, names: Sequence[str], *, max_bytes: int = sys.maxsize
    ) -> list[GitObject | None]:
        """Return the object of each name, `None` where it is missing.

        The list is shorter than `names` when the objects exceed `max_bytes` in total. Raises
        `CommandFailed` when git dies of a damaged object.
        """
        if self._objects is not None:
            return self._objects.read(names, max_bytes=max_bytes)
        with CatFile(self._git) as objects:
            return objects.read(names, max_bytes=max_bytes)

    # --- refs -------------------------------------------------------------------------------

    def resolve(self, revision: str) -> ObjectId | None:
        """Return the id of a revision's object, or `None`. Accepts names with a leading dash."""
        found = self.git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", revision, check=False
        )
        return ObjectId(found.text.strip()) if found.status == 0 else None

    def peel(self, revision: str, kind: str) -> ObjectId | None:
        """Return the id of a revision's commit or tree, or `None` if it is not readable."""
        name = _peeled(revision, kind)
        if self._objects is None:
            return self.resolve(name)
        try:
            [found] = self.read_objects([name])
        except CommandFailed:
            return None
        return None if found is None else found.oid

    def read_ref(self, ref: str) -> ObjectId | None:
        """Return the id of the commit at a full ref name, or `None` when there is no such ref.

        Raises `UnreadableRecord` when the ref exists and its commit does not: broken is not absent.
        """
        for _ in range(_LOOKS):
            commit = self.peel(ref, "commit")
            if commit is not None or self.resolve(ref) is None:
                return commit
            # Ask again: another process may have created the ref between the two requests.
        raise UnreadableRecord(
            f"'{ref}' is damaged",
            why="the commit it points at is missing or cannot be read",
            hints=["`git exp doctor` finds what is wrong, `git exp doctor --fix` fixes it"],
        )

    def read_refs(self, *refs: str) -> dict[str, ObjectId]:
        """Return the ids of several refs by full name, from one process; leave out absent refs."""
        result = self.git("for-each-ref", "--format=%(objectname) %(refname)", *refs)
        pairs = (line.split(" ", 1) for line in result.text.splitlines())
        return {name: ObjectId(oid) for oid, name in pairs}

    def update_ref(
        self, ref: str, new: str, old: str, reason: str, *, durable: bool = False
    ) -> None:
        """Move a ref by compare-and-swap. A null `old` creates it, a null `new` deletes it.

        Raises `Conflict` when the ref does not point at `old` or is locked, and `CommandFailed`
        when the object `new` does not exist.
        """
        sync = FSYNC if durable else ()
        argv = ("update-ref", "-m", reason, "--create-reflog", ref, new, old)
        done = self.git(*sync, *argv, check=False)
        if done.status != 0:
            failure = CommandFailed(argv, done.status, done.stderr)
            if "nonexistent object" in done.stderr:
                raise failure
            raise Conflict(f"cannot move '{ref}'", why=failure.why)

    # --- configuration ----------------------------------------------------------------------

    def config(self) -> GitConfig:
        """Return git's configuration, read once when the repository was opened."""
        return self._config

    # --- objects ----------------------------------------------------------------------------

    def list_tree(self, treeish: str, *paths: str) -> Iterator[TreeEntry]:
        """Yield all files of a tree in git's order. Raises `CommandFailed` on an unknown tree."""
        result = self.git("ls-tree", "-r", "-z", "--full-tree", treeish, "--", *paths)
        for line in result.text.split("\0")[:-1]:
            head, _, path = line.partition("\t")
            mode, kind, oid = head.split()
            yield TreeEntry(mode, kind, ObjectId(oid), path)

    def diff_trees(self, old: str, new: str) -> Iterator[Change]:
        """Yield files that differ between two trees. Raises `CommandFailed` on an unknown tree."""
        result = self.git(
            "diff-tree", "-r", "-z", "--no-renames", "--full-index", "--raw", old, new
        )
        parts = result.stdout.split(b"\0")[:-1]
        for head, path in zip(parts[::2], parts[1::2], strict=True):
            _, _, old_oid, new_oid, status = head.decode().split()
            yield Change(
                status, path.decode(errors="surrogateescape"), ObjectId(old_oid), ObjectId(new_oid)
            )

    def read_blobs(
        self, oids: Iterable[str], *, max_bytes: int
    ) -> Iterator[tuple[ObjectId, bytes | None]]:
        """Yield blobs in the given order, with `None` for missing, damaged and larger ones."""
        wanted = list(oids)
        done = 0
        if len(wanted) <= _FEW and self._objects is not None:
            with suppress(CommandFailed):  # the loop below finds the damaged object
                for found in self.read_objects(wanted, max_bytes=max_bytes):
                    blob = found is not None and found.kind == "blob"
                    yield ObjectId(wanted[done]), found.content if found and blob else None
                    done += 1
        while done < len(wanted):
            for oid, data in self._read_batch(wanted[done:], max_bytes):
                yield ObjectId(oid), data
                done += 1
            if done < len(wanted):  # git died, or the object is too large to skip
                yield ObjectId(wanted[done]), None
                done += 1

    def _read_batch(self, wanted: list[str], max_bytes: int) -> Iterator[tuple[str, bytes | None]]:
        import threading

        process = self._git.open(*_STREAMING, "cat-file", "--batch", "--buffer")
        assert process.stdout is not None  # noqa: S101 - opened with a pipe
        widen(process.stdout)
        feeder = threading.Thread(target=_feed, args=(process, wanted), daemon=True)
        feeder.start()
        try:
            for oid in wanted:
                head = process.stdout.readline().split()
                if len(head) == 2 and head[1] in (b"missing", b"ambiguous"):
                    yield oid, None
                    continue
                if len(head) != 3:
                    return
                size = int(head[2])
                if size > max(max_bytes, _SKIPPED_BYTES):
                    return  # not skipped either: the caller starts a new process after it
                data = process.stdout.read(size + 1)
                if len(data) != size + 1:
                    return
                yield oid, data[:-1] if head[1] == b"blob" and size <= max_bytes else None
        finally:
            process.stdout.close()
            process.kill()
            process.wait()
            feeder.join()

    def write_blob(self, data: bytes) -> ObjectId:
        """Store a blob without a ref."""
        return ObjectId(self.git("hash-object", "-w", "--stdin", stdin=data).text.strip())

    def read_messages(self, revisions: Iterable[str]) -> dict[ObjectId, str]:
        """Return commit messages by commit id. Raises `CommandFailed` on unknown revisions."""
        result = self.git(
            *("log", "--no-walk", "--no-show-signature", "--format=%H%x00%B%x01", "--stdin"),
            stdin="\n".join(revisions).encode(),
        )
        pairs = (part.strip("\n").split("\0", 1) for part in result.text.split("\x01")[:-1])
        return {ObjectId(oid): message for oid, message in pairs}

    def is_ancestor(self, old: str, new: str) -> bool:
        """Return whether `new` contains `old`."""
        done = self.git("merge-base", "--is-ancestor", old, new, check=False)
        if done.status > 1:
            raise CommandFailed(("merge-base", "--is-ancestor"), done.status, done.stderr)
        return done.status == 0

    def temporary_index(self) -> "tempfile.TemporaryDirectory[str]":
        """Return a temporary directory in gitexp's state for a private copy of the index."""
        import tempfile  # 3 ms, not needed by readers

        folder = self.state_dir / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=folder, prefix="index-")


def _naming(place: RepositoryLocation) -> dict[str, str]:
    """Return the variables that fix the repository for every git command."""
    variables = {"GIT_DIR": str(place.git_dir)}
    return variables if place.top is None else {**variables, "GIT_WORK_TREE": str(place.top)}


def _peeled(revision: str, kind: str) -> str:
    """Return git's name for the commit or tree that a revision leads to."""
    return f"{revision}^{{{kind}}}"


def _feed(process: "Popen[bytes]", wanted: list[str]) -> None:
    assert process.stdin is not None  # noqa: S101 - opened with a pipe
    try:
        process.stdin.write("\n".join(wanted).encode() + b"\n")
        process.stdin.close()
    except OSError:
        return  # git died; the reader notices it


def _start(directory: Path, top: Path | None) -> Path:
    prefix = os.environ.get("GIT_PREFIX")
    return top / prefix if prefix and top is not None and directory == top else directory
