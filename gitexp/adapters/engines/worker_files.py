"""The files of trials on a worker: what a work tree holds, inputs found by hash, what goes back.

Part of the kit that a worker gets, see `worker.py`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import shutil
import stat
from typing import Any

MAX_BROUGHT_BYTES = 8 << 20
MAX_FILE_BYTES = 1 << 20
"""Of the files that a trial wrote, as much goes back with the result."""

_HARVESTED = re.compile(r"tfevents|\.(json|jsonl|csv|tsv|toml|ya?ml|xml)\Z")
_SCRAP = re.compile(r"(\A|/)__pycache__/|\.pyc\Z|\A\.git/")
_HASHES: dict[tuple[Any, ...], str] = {}


def scan(top: str) -> dict[str, tuple[int, ...]]:
    """Return every path below a directory with a mark that changes when it is written anew."""
    found: dict[str, tuple[int, ...]] = {}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(os.path.join(top, folder)) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if path == ".git":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found[path] = ()
                    waiting.append(path)
                else:
                    found[path] = _mark(entry.stat(follow_symlinks=False))
    with contextlib.suppress(OSError, IndexError):
        with open(os.path.join(top, ".git"), encoding="utf-8") as file:
            private = file.read().split("gitdir: ")[1].strip()
        for name in ("HEAD", "index"):
            found[f".git/{name}"] = _mark(os.lstat(os.path.join(private, name)))
    return found


def _mark(state: os.stat_result) -> tuple[int, ...]:
    return (state.st_mode, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def restore(
    top: str, before: dict[str, tuple[int, ...]], now: dict[str, tuple[int, ...]] | None = None
) -> bool:
    """Remove what a trial added; false when it changed or removed what was there.

    `now` is what `scan` found after the trial.
    """
    now = scan(top) if now is None else now
    if any(now.get(path) != mark for path, mark in before.items()):
        return False
    for path in sorted((p for p in now if p not in before), key=len):
        full = os.path.join(top, path)
        try:
            if os.path.isdir(full) and not os.path.islink(full):
                shutil.rmtree(full)
            elif os.path.lexists(full):
                os.unlink(full)
        except OSError:
            return False
    return True


def _hash_file(path: str) -> tuple[str, int]:
    state = os.lstat(path)
    if stat.S_ISLNK(state.st_mode):
        return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest(), state.st_size
    key = (path, *_mark(state))
    if key not in _HASHES:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while True:
                block = file.read(1 << 20)
                if not block:
                    break
                digest.update(block)
        _HASHES[key] = digest.hexdigest()
    return _HASHES[key], state.st_size


def hash_path(path: str) -> tuple[str, int]:
    """Return SHA-256 and size of a file or directory, as `gitexp.adapters.system.probe` does."""
    path = os.path.realpath(path)
    if not os.path.isdir(path):
        return _hash_file(path)
    listing, total = hashlib.sha256(), 0
    files: list[str] = []
    for place, names, leaves in os.walk(path):
        links = [name for name in names if os.path.islink(os.path.join(place, name))]
        names[:] = [name for name in names if name != ".git" and name not in links]
        files += [os.path.join(place, name) for name in (*leaves, *links)]
    for full in sorted(files, key=lambda each: os.fsencode(os.path.relpath(each, path))):
        mode = os.lstat(full).st_mode
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            digest, size = _hash_file(full)
            kind = b"link" if stat.S_ISLNK(mode) else b"file"
            name = os.fsencode(os.path.relpath(full, path))
            listing.update(b"%b %b %b\0" % (kind, digest.encode(), name))
            total += size
    return listing.hexdigest(), total


def _find(name: str, digest: str, own: str) -> tuple[str | None, bool]:
    """Return where data is, and whether there is some; its content has the digest, if any."""
    places = [own]
    if os.environ.get("GITEXP_DATA") and not os.path.isabs(name):
        places.append(os.path.join(os.environ["GITEXP_DATA"], name))
    present = [place for place in places if os.path.exists(place)]
    source = next((p for p in present if not digest or hash_path(p)[0] == digest), None)
    return source, bool(present)


def find_faults(inputs: dict[str, str]) -> list[str]:
    """Return which data is not on this machine, or has other content."""
    faults = []
    for name, digest in inputs.items():
        source, is_there = _find(name, digest, name if os.path.isabs(name) else os.devnull + "/")
        if source is None:
            faults.append(f"{name} {'has other content' if is_there else 'is not there'}")
    return faults


def link_inputs(inputs: dict[str, str], top: str) -> tuple[list[str], list[str]]:
    """Link the declared data into a work tree. Returns the links, and what is not here."""
    links: list[str] = []
    faults: list[str] = []
    for name, digest in inputs.items():
        own = os.path.join(top, name)
        source, is_there = _find(name, digest, own)
        if source is None:
            faults.append(f"{name} {'has other content' if is_there else 'is not there'}")
        elif source != own:
            if os.path.isdir(own) and not os.path.islink(own):
                shutil.rmtree(own)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(own)
            os.makedirs(os.path.dirname(own), exist_ok=True)
            os.symlink(os.path.abspath(source), own)
            links.append(name)
    return links, faults


# --- back -----------------------------------------------------------------------------------------


def _read(path: str, limit: int) -> str | None:
    """Return the content of a file as base64; `None` when it is missing, too large or no file."""
    with contextlib.suppress(OSError):
        state = os.stat(path)
        if stat.S_ISREG(state.st_mode) and state.st_size <= limit:
            with open(path, "rb") as file:
                return base64.b64encode(file.read(limit)).decode()
    return None


def brought(task: dict[str, Any], top: str, private: str, changed: list[str]) -> dict[str, Any]:
    """Return what the coordinator needs of a trial that has ended: files, report, journal lines."""
    changed = [name for name in changed if not _SCRAP.search(name)]
    named = [name for name in task["metrics"] if name in changed]
    others = sorted(
        (name for name in changed if name not in named and _HARVESTED.search(name)),
        key=lambda name: os.lstat(os.path.join(top, name)).st_size,
    )
    files, left_out, room = {}, 0, MAX_BROUGHT_BYTES
    for name in (*named, *others):
        limit = room if name in named else min(room, MAX_FILE_BYTES)
        content = _read(os.path.join(top, name), limit)
        left_out += content is None
        if content is not None:
            files[name] = content
            room -= len(content) * 3 // 4
    outputs = {}
    for name in task["outputs"]:
        with contextlib.suppress(OSError):
            outputs[name] = hash_path(os.path.join(top, name))
    return {
        "files": files,
        "files_left_out": left_out,
        "changed": changed[:1000],
        "outputs": outputs,
        "journal": _lines_after_first(os.path.join(private, "journal")),
        "report": _read(os.path.join(private, task["run"] + ".report"), MAX_FILE_BYTES),
    }


def _lines_after_first(path: str) -> str:
    """Return what the program logged itself: the journal without its first line, as base64."""
    with open(path, "rb") as file:
        file.readline()
        return base64.b64encode(file.read(MAX_BROUGHT_BYTES)).decode()
