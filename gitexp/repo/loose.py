# ruff: noqa: PTH102, PTH105, PTH108, PTH120, PTH123, S108 - `Path` is as slow as the disk
"""Writing a few objects as git does, a file each, and a folder of them edited in place.

Floor 2. Starting git costs more than all that a record needs. The format is git's own and public
(gitrepository-layout(5), "objects"); what is large, or beside a gc, goes through `stream`.
"""

import hashlib
import os
import zlib
from contextlib import suppress
from typing import NamedTuple

from gitexp.errors import CommandFailed
from gitexp.ids import ObjectId
from gitexp.machine import clock
from gitexp.repo.durability import sync_all
from gitexp.repo.repository import Repo
from gitexp.repo.trees import FILE, FOLDER, name_of, split_tree


class Made(NamedTuple):
    """An object that is not kept by having a name."""

    oid: ObjectId
    whole: bytes
    """Kind, size and content: what the id is the hash of."""


class LooseObjects:
    """Objects that are gathered first and written together."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._folder = str(repo.common_dir / "objects")
        self._waiting: dict[str, bytes] = {}
        self._seen: dict[str, bytes] = {}
        """Objects that were read, whole, by id."""

    def make(self, kind: str, content: bytes) -> Made:
        """Name an object."""
        whole = _whole(kind, content)
        digest = hashlib.new(self._repo.object_format, whole, usedforsecurity=False)
        return Made(ObjectId(digest.hexdigest()), whole)

    def add(self, made: Made) -> ObjectId:
        """Keep an object for writing."""
        self._waiting[made.oid] = made.whole
        return made.oid

    def has(self, made: Made) -> bool:
        """Tell whether an object can be read: a branch may name one that a crash took."""
        oid = made.oid
        if oid not in self._waiting and oid not in self._repo.at_hand:
            try:
                if self._repo.read_objects([oid]) == [None]:
                    return False
            except CommandFailed:
                return False
        self._seen[oid] = made.whole
        return True

    def read_tree(self, name: str) -> tuple[str, bytes]:
        """Id and content of a tree, or of the tree of a commit; one that waits will do.

        Raises `CommandFailed` when there is none that can be read.
        """
        whole = self._waiting.get(name) or self._repo.at_hand.get(name)
        if whole is None:
            [found] = self._repo.read_objects([f"{name}^{{tree}}"])
            if found is None:
                raise CommandFailed(("cat-file", "--batch"), 1, f"unable to read tree {name}")
            name, whole = found.oid, _whole("tree", found.content)
        kind, _, content = whole.partition(b"\0")
        if kind.startswith(b"commit"):
            return self.read_tree(content[5 : content.index(b"\n")].decode())
        self._seen[name] = whole
        return name, content

    def write(self, *, durable: bool) -> None:
        """Write what was added; nothing is visible under its name before it is whole.

        Raises `CommandFailed` when the disk is full or read-only.
        """
        places = {self._place(oid): whole for oid, whole in self._waiting.items()}
        fresh: dict[str, str] = {}
        try:
            for place, whole in places.items():
                if not _is_kept(place, whole):
                    folder = os.path.dirname(place)
                    fresh[place] = f"{folder}/tmp_obj_{clock.new_id()}"
                    _write_new(folder, fresh[place], zlib.compress(whole, 1))
            if durable:
                sync_all([fresh.get(place, place) for place in places])
            for place, written in fresh.items():
                os.replace(written, place)
            fresh.clear()
            if durable:
                folders = {os.path.dirname(place) for place in places}
                sync_all([*folders, self._folder])
        except OSError as error:
            raise CommandFailed(("hash-object", "-w"), -1, str(error.strerror)) from error
        finally:
            for written in fresh.values():  # of a write that failed
                with suppress(OSError):
                    os.unlink(written)
        self._repo.at_hand = {**self._seen, **self._waiting}
        self._waiting.clear()

    def _place(self, oid: str) -> str:
        return f"{self._folder}/{oid[:2]}/{oid[2:]}"


def _whole(kind: str, content: bytes) -> bytes:
    return b"%b %d\0%b" % (kind.encode(), len(content), content)


def _is_kept(place: str, whole: bytes) -> bool:
    """Tell whether an object is there, as a crash may not have left it; make it new to a gc."""
    try:
        os.utime(place)
        with open(place, "rb") as file:
            return zlib.decompress(file.read()) == whole
    except (OSError, zlib.error):
        return False  # or another user's


def _write_new(folder: str, path: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags, 0o444)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(folder)
        handle = os.open(path, flags, 0o444)
    with open(handle, "wb", buffering=0) as file:
        while content:
            content = content[file.write(content) :]


class Tree:
    """A folder of a commit that is being edited; what lies below is read when it is needed."""

    def __init__(self, objects: LooseObjects, name: str | None) -> None:
        self._objects = objects
        self._oid: str | None = None
        self._entries: dict[bytes, bytes] = {}
        """As git writes them, by name."""
        if name is not None:
            self._oid, content = objects.read_tree(name)
            entries = split_tree(content, len(self._oid) // 2)
            self._entries = {name_of(entry): entry for entry in entries}
        self._below: dict[bytes, Tree] = {}

    def put(self, path: str, oid: str | None) -> bool:
        """Place a stored file, or with `None` remove one. Tells whether that changes anything."""
        return self._put(path.encode(errors="surrogateescape"), oid)

    def _put(self, path: bytes, oid: str | None) -> bool:
        name, _, rest = path.partition(b"/")
        if rest:
            below = self._open(name, anew=oid is not None)
            return below is not None and below._put(rest, oid)
        self._below.pop(name, None)
        before = self._entries.pop(name, None)
        if oid is not None:
            self._entries[name] = _entry(FILE, name, oid)
        return before != self._entries.get(name)

    def _open(self, name: bytes, *, anew: bool) -> "Tree | None":
        """A folder in this one; when there is none, a new one, which takes the place of a file."""
        entry = self._entries.get(name, b"")
        oid = entry[entry.index(b"\0") + 1 :].hex() if _is_folder(entry) else None
        if name not in self._below and (anew or oid is not None):
            self._below[name] = Tree(self._objects, oid)
        return self._below.get(name)

    def save(self) -> str | None:
        """Add what changed to the objects. Returns the folder's id, `None` when it is empty."""
        for name, below in self._below.items():
            oid = below.save()
            if oid is None:
                self._entries.pop(name, None)
            else:
                self._entries[name] = _entry(FOLDER, name, oid)
        return self.store() if self._entries else None

    def store(self) -> str:
        """As `save` of one that is never left out: the top."""
        entries = sorted(self._entries.items(), key=lambda named: _order(*named))
        made = self._objects.make("tree", b"".join(entry for _, entry in entries))
        return made.oid if made.oid == self._oid else self._objects.add(made)


def _is_folder(entry: bytes) -> bool:
    return entry.startswith(b"40")  # whatever its other bits are


def _entry(mode: str, name: bytes, oid: str) -> bytes:
    return b"%b %b\0%b" % (mode.encode(), name, bytes.fromhex(oid))


def _order(name: bytes, entry: bytes) -> bytes:
    """Git sorts by bytes, a folder as if its name ended in a slash."""
    return name + b"/" if _is_folder(entry) else name
