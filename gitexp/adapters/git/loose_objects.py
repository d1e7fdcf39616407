# ruff: noqa: PTH102, PTH105, PTH108, PTH120, PTH123, S108 - `Path` is as slow as the disk
"""Writing a few objects in git's loose format, and editing trees in memory.

A git process costs more than all files of a record. The format is public
(gitrepository-layout(5), "objects"). `write` uses git for large writes and during a gc.
"""

import hashlib
import os
import zlib
from contextlib import suppress

from gitexp.adapters.git.cat_file import GitObject
from gitexp.adapters.git.fsync import fsync_all
from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.trees import FILE_MODE, TREE_MODE, split_tree
from gitexp.adapters.system import clock
from gitexp.core.errors import CommandFailed
from gitexp.core.model.ids import ObjectId


class LooseObjects:
    """A batch of objects: `add` collects them, `write` stores them."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._folder = str(repo.common_dir / "objects")
        self._waiting: dict[str, GitObject] = {}

    def make(self, kind: str, content: bytes) -> GitObject:
        """Compute the id of an object without adding it to the batch."""
        digest = hashlib.new(self._repo.object_format, usedforsecurity=False)
        digest.update(_head(kind, content))
        digest.update(content)
        return GitObject(ObjectId(digest.hexdigest()), kind, content)

    def add(self, made: GitObject) -> ObjectId:
        """Add an object to the batch."""
        self._waiting[made.oid] = made
        return made.oid

    def has(self, made: GitObject) -> bool:
        """Return whether an object is readable or in the batch.

        A branch may name an object that a crash destroyed.
        """
        if made.oid not in self._waiting:
            try:
                if self._repo.read_objects([made.oid]) == [None]:
                    return False
            except CommandFailed:
                return False
        return True

    def read_tree(self, name: str) -> GitObject:
        """Read a tree, or the tree of a commit, from the batch or the repository.

        Raises `CommandFailed` when it is missing or unreadable.
        """
        found = self._waiting.get(name)
        if found is not None and found.kind == "commit":
            return self.read_tree(found.tree)
        if found is None:
            [found] = self._repo.read_objects([f"{name}^{{tree}}"])
        if found is None:
            raise CommandFailed(("cat-file", "--batch"), 1, f"unable to read tree {name}")
        return found

    def write(self, *, durable: bool) -> None:
        """Store the batch; each object appears under its name only when it is complete.

        Raises `CommandFailed` when the disk is full or read-only.
        """
        places = {
            f"{self._folder}/{made.oid[:2]}/{made.oid[2:]}": _head(made.kind, made.content)
            + made.content
            for made in self._waiting.values()
        }
        fresh: dict[str, str] = {}
        try:
            for place, whole in places.items():
                if not _is_kept(place, whole):
                    folder = os.path.dirname(place)
                    fresh[place] = f"{folder}/tmp_obj_{clock.new_id()}"
                    _write_new(folder, fresh[place], zlib.compress(whole, 1))
            if durable:
                fsync_all([fresh.get(place, place) for place in places])
            for place, written in fresh.items():
                os.replace(written, place)
            fresh.clear()
            if durable:
                folders = {os.path.dirname(place) for place in places}
                fsync_all([*folders, self._folder])
        except OSError as error:
            raise CommandFailed(("hash-object", "-w"), -1, str(error.strerror)) from error
        finally:
            for written in fresh.values():  # only after a failure
                with suppress(OSError):
                    os.unlink(written)
        self._waiting.clear()


def _head(kind: str, content: bytes) -> bytes:
    """Return the header of an object, part of its file and of the input of its id."""
    return b"%b %d\0" % (kind.encode(), len(content))


def _is_kept(place: str, whole: bytes) -> bool:
    """Return whether an object is stored intact, and renew its file time for gc."""
    try:
        os.utime(place)
        with open(place, "rb") as file:
            return zlib.decompress(file.read()) == whole
    except (OSError, zlib.error):
        return False  # missing, damaged by a crash, or owned by another user


def _write_new(folder: str, path: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        handle = os.open(path, flags, 0o444)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(folder)
        handle = os.open(path, flags, 0o444)
    with open(handle, "wb", buffering=0) as file:
        while content:
            content = content[file.write(content) :]


class TreeEdit:
    """A tree of a commit in edit; subtrees are read on first use."""

    def __init__(self, objects: LooseObjects, name: str | None) -> None:
        self._objects = objects
        self._oid: str | None = None
        self._entries: dict[bytes, bytes] = {}
        """Raw entries by name."""
        if name is not None:
            tree = objects.read_tree(name)
            self._oid, self._entries = tree.oid, split_tree(tree.content, len(tree.oid) // 2)
        self._below: dict[bytes, TreeEdit] = {}

    def put(self, path: str, oid: str | None) -> bool:
        """Set the blob of a path, `None` to remove it. Return whether the tree changed."""
        return self._put(path.encode(errors="surrogateescape"), oid)

    def _put(self, path: bytes, oid: str | None) -> bool:
        name, _, rest = path.partition(b"/")
        if rest:
            below = self._open(name, anew=oid is not None)
            return below is not None and below._put(rest, oid)
        self._below.pop(name, None)
        before = self._entries.pop(name, None)
        if oid is not None:
            self._entries[name] = _entry(FILE_MODE, name, oid)
        return before != self._entries.get(name)

    def _open(self, name: bytes, *, anew: bool) -> "TreeEdit | None":
        """Return a subtree. With `anew`, create a missing one, in place of a file."""
        entry = self._entries.get(name, b"")
        oid = entry[entry.index(b"\0") + 1 :].hex() if entry[:2] == _FOLDER_START else None
        if name not in self._below and (anew or oid is not None):
            self._below[name] = TreeEdit(self._objects, oid)
        return self._below.get(name)

    def save(self) -> str | None:
        """Add the changed trees to the batch. Return the tree's id, `None` for an empty tree."""
        for name, below in self._below.items():
            oid = below.save()
            if oid is None:
                self._entries.pop(name, None)
            else:
                self._entries[name] = _entry(TREE_MODE, name, oid)
        return self.store() if self._entries else None

    def store(self) -> str:
        """Add the tree itself to the batch, also when it is empty, as a commit's top may be."""
        # Git sorts by bytes, a subtree as if its name ended in a slash.
        entries = sorted(
            (name + b"/" if entry[:2] == _FOLDER_START else name, entry)
            for name, entry in self._entries.items()
        )
        made = self._objects.make("tree", b"".join([entry for _, entry in entries]))
        return made.oid if made.oid == self._oid else self._objects.add(made)


_FOLDER_START = b"40"
"""Start of a subtree's entry, whatever the other bits of its mode."""


def _entry(mode: str, name: bytes, oid: str) -> bytes:
    return b"%b %b\0%b" % (mode.encode(), name, bytes.fromhex(oid))
