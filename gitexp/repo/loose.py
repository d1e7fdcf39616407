"""Writing a few objects as git does, a file each, and a folder of them edited in place.

Floor 2. Starting git costs more than all that a record needs. The format is git's own and public
(gitrepository-layout(5), "objects"); what is large, or beside a gc, goes through `stream`.
"""

import hashlib
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from gitexp.errors import CommandFailed
from gitexp.ids import ObjectId
from gitexp.machine import clock
from gitexp.repo.durability import sync_all
from gitexp.repo.repository import Repo
from gitexp.repo.trees import FOLDER, parse_tree

_FILE = "100644"

Entries: TypeAlias = dict[str, tuple[str, str]]
"""Mode and object id by name."""


class LooseObjects:
    """Objects that are gathered first and written together."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._waiting: dict[ObjectId, bytes] = {}

    def name(self, kind: str, content: bytes) -> ObjectId:
        """The id of an object, which is not kept by that."""
        return self._name(_whole(kind, content))

    def add(self, kind: str, content: bytes) -> ObjectId:
        """Keep an object for writing."""
        whole = _whole(kind, content)
        oid = self._name(whole)
        self._waiting[oid] = whole
        return oid

    def _name(self, whole: bytes) -> ObjectId:
        return ObjectId(
            hashlib.new(self._repo.object_format, whole, usedforsecurity=False).hexdigest()
        )

    def read_tree(self, name: str) -> tuple[str, Entries]:
        """Id and entries of a stored tree or one that waits. Raises `CommandFailed` without it."""
        whole = self._waiting.get(ObjectId(name))
        if whole is not None:
            oid, content = name, whole.partition(b"\0")[2]
        else:
            [found] = self._repo.read_objects([name])
            if found is None or found.kind != "tree":
                raise CommandFailed(("cat-file", "--batch"), 1, f"unable to read tree {name}")
            oid, content = found.oid, found.content
        entries = parse_tree(content, len(oid) // 2)
        return oid, {name: (mode, inner) for mode, name, inner in entries}

    def write(self, *, durable: bool) -> None:
        """Write what was added; nothing is visible under its name before it is whole.

        Raises `CommandFailed` when the disk is full or read-only.
        """
        places = {self._place(oid): whole for oid, whole in self._waiting.items()}
        fresh: dict[Path, Path] = {}
        try:
            for place, whole in places.items():
                if not _freshen(place):
                    fresh[place] = place.with_name(f"tmp_obj_{clock.new_id()}")
                    _write_new(fresh[place], zlib.compress(whole, 1))
            if durable:
                sync_all([fresh.get(place, place) for place in places])
            for place, written in fresh.items():
                written.replace(place)
            if durable:
                folders = {place.parent for place in places}
                sync_all([*folders, *{folder.parent for folder in folders}])
        except OSError as error:
            for written in fresh.values():
                with suppress(OSError):
                    written.unlink()
            raise CommandFailed(("hash-object", "-w"), -1, str(error.strerror)) from error
        self._waiting.clear()

    def _place(self, oid: ObjectId) -> Path:
        return self._repo.common_dir / "objects" / oid[:2] / oid[2:]


def _whole(kind: str, content: bytes) -> bytes:
    return b"%b %d\0%b" % (kind.encode(), len(content), content)


def _freshen(place: Path) -> bool:
    """Tell whether an object is there, and make it look new to a gc."""
    try:
        os.utime(place)
    except FileNotFoundError:
        return False
    except OSError:
        return place.exists()  # another user's
    return True


def _write_new(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags, 0o444)
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, flags, 0o444)
    with open(handle, "wb", buffering=0) as file:  # noqa: PTH123 - a handle
        while content:
            content = content[file.write(content) :]


class Tree:
    """A folder of a commit that is being edited; what lies below is read when it is needed."""

    def __init__(self, objects: LooseObjects, name: str | None) -> None:
        self._objects = objects
        self._oid: str | None = None
        self._entries: Entries = {}
        if name is not None:
            self._oid, self._entries = objects.read_tree(name)
        self._below: dict[str, Tree] = {}

    def put(self, path: str, oid: str | None) -> bool:
        """Place a stored file, or with `None` remove one. Tells whether that changes anything."""
        name, _, rest = path.partition("/")
        if rest:
            below = self._open(name, anew=oid is not None)
            return below is not None and below.put(rest, oid)
        before = self._entries.get(name)
        self._below.pop(name, None)
        if oid is None:
            self._entries.pop(name, None)
            return before is not None
        self._entries[name] = (_FILE, oid)
        return before != (_FILE, oid)

    def _open(self, name: str, *, anew: bool) -> "Tree | None":
        """A folder in this one; when there is none, a new one, which takes the place of a file."""
        mode, oid = self._entries.get(name, ("", ""))
        if name not in self._below and (anew or mode == FOLDER):
            self._below[name] = Tree(self._objects, oid if mode == FOLDER else None)
        return self._below.get(name)

    def save(self) -> str | None:
        """Add what changed to the objects. Returns the folder's id, `None` when it is empty."""
        for name, below in self._below.items():
            oid = below.save()
            if oid is None:
                self._entries.pop(name, None)
            else:
                self._entries[name] = (FOLDER, oid)
        return self.store() if self._entries else None

    def store(self) -> str:
        """As `save` of one that is never left out: the top."""
        content = _format(self._entries)
        oid = self._objects.name("tree", content)
        return oid if oid == self._oid else self._objects.add("tree", content)


def _format(entries: Entries) -> bytes:
    """A tree as git writes it: sorted by bytes, a folder as if its name ended in a slash."""
    lines = []
    for name, (mode, oid) in entries.items():
        raw = name.encode(errors="surrogateescape")
        key = raw + b"/" if mode == FOLDER else raw
        lines.append((key, b"%b %b\0%b" % (mode.encode(), raw, bytes.fromhex(oid))))
    return b"".join(line for _, line in sorted(lines))
