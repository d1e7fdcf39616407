"""The journal of studies that people's own Optuna code shares: a file here, a copy on a branch.

Every entry is a line `crc32 as 8 hex digits, space, JSON`. An entry counts when it is in the file,
which is appended to under a lock. The branch gets what is new at most every `COMMIT_S` seconds and
when the process exits; it travels by git's own push and fetch. Since trials are numbered by the
order of the entries, two journals that went on apart are never merged: that is a conflict.
"""

import json
import os
import re
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from gitexp.adapters.git.steps import NewCommit
from gitexp.adapters.git.transaction import apply
from gitexp.adapters.system import clock
from gitexp.adapters.system.file_lock import FileLock
from gitexp.core.errors import CommandFailed, Conflict, GitexpError, InvalidInput, UnreadableRecord
from gitexp.storage.workspace import Workspace

COMMIT_S: Final = 5.0
"""Seconds that an entry waits to be on the branch, when others follow it."""

SEGMENT_BYTES: Final = 16 << 10
"""Entries are cut into files of about this size; a commit rewrites only the last one."""

MAX_BYTES: Final = 1 << 30

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

README: Final = b"""\
The journal of Optuna studies, written by gitexp. `logs/` holds one entry a line, in order: its
checksum and a JSON document. Do not edit it: trials are numbered by the order of the entries.

    import gitexp.optuna, optuna
    study = optuna.load_study(study_name="...", storage=gitexp.optuna.storage())
"""


def branch_of(workspace: Workspace, name: str) -> str:
    """Return the branch of a journal. Raises `InvalidInput` for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"cannot use '{name}' as the name of a study journal",
            why="a name has letters, digits, '-' and '_', and at most 64 of them",
        )
    return f"{workspace.settings.branch}-studies/{name}"


def encode_entry(entry: dict[str, Any]) -> bytes:
    """Return an entry as a line. Raises `TypeError` for a value that JSON does not have."""
    body = json.dumps(entry, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode_entry(line: bytes) -> dict[str, Any]:
    """Read a line. Raises `ValueError` when it is damaged."""
    checksum, _, body = line.partition(b" ")
    if int(checksum, 16) != zlib.crc32(body):
        raise ValueError("the checksum is wrong")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found


class StudyLog:
    """One journal. Threads and processes may share it."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        """Take over what the branch has more.

        Raises `Conflict`, `UnreadableRecord`, `InvalidInput`.
        """
        self._workspace = workspace
        self.branch = branch_of(workspace, name)
        folder = workspace.repo.state_dir / "studies"
        self.path = folder / f"{name}.log"
        self._state = folder / f"{name}.state"
        self._lock = folder / f"{name}.lock"
        self._mutex = threading.RLock()
        self._count = self._offset = 0
        """Entries and bytes that were read."""
        self._committed_s = clock.monotonic_s()
        with self._held():
            place = self._place()
            if place["bytes"] < self._size():
                self._commit(place)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Have the file to oneself, with no half entry at its end."""
        with self._mutex, FileLock(self._lock):
            self._cut_half_entry()
            yield

    def _size(self) -> int:
        with suppress(FileNotFoundError):
            return self.path.stat().st_size
        return 0

    def _cut_half_entry(self) -> None:
        """Remove an entry that a process was writing when it died: it was not acknowledged."""
        with suppress(FileNotFoundError), self.path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            start = max(0, end - 1)
            file.seek(start)
            if end and file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)

    # --- appending and reading ----------------------------------------------------------------

    def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Add entries; they are there when this returns, whatever happens. Raises `GitexpError`."""
        data = b"".join(map(encode_entry, entries))
        with self._held():
            if self._size() < self._offset:
                raise UnreadableRecord(f"the study journal '{self.path}' was removed")
            self._write(data)
            now_s = clock.monotonic_s()
            if now_s - self._committed_s >= COMMIT_S:
                self._committed_s = now_s
                self._commit_if_possible()

    def _write(self, data: bytes) -> None:
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                before = os.fstat(fd).st_size
                if os.write(fd, data) != len(data):
                    os.ftruncate(fd, before)
                    raise GitexpError(f"cannot write '{self.path}'", why="the disk is full")
                if self._workspace.settings.durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise GitexpError(f"cannot write '{self.path}'", why=error.strerror) from error

    def read(self, start: int) -> list[dict[str, Any]]:
        """Return the entries from a number on, the first has number 0. Raises
        `UnreadableRecord`."""
        with self._mutex:
            if start < self._count:
                self._count = self._offset = 0
            skipped = start - self._count
            found = self._read_new()
            return found[skipped:]

    def _bytes_from(self, offset: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return file.read()
        except FileNotFoundError:
            return b""

    def _read_new(self) -> list[dict[str, Any]]:
        added = self._bytes_from(self._offset)
        whole = added[: added.rfind(b"\n") + 1]
        try:
            found = [decode_entry(line) for line in whole.splitlines()]
        except ValueError as error:
            raise UnreadableRecord(
                f"cannot read the study journal '{self.path}'",
                why=str(error),
                hints=[f"move it away to go on with branch '{self.branch}', as far as that is"],
            ) from error
        self._offset += len(whole)
        self._count += len(found)
        return found

    # --- the branch ---------------------------------------------------------------------------

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def commit(self) -> None:
        """Put every entry onto the branch. Raises `GitexpError`."""
        with self._held():
            self._commit(self._place())
            self._committed_s = clock.monotonic_s()

    def _commit_if_possible(self) -> None:
        """Put entries onto the branch; when it cannot be, they are in the file."""
        try:
            self._commit(self._place())
        except GitexpError as problem:
            import warnings

            text = f"the study is not on branch '{self.branch}': {problem.what}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def _place(self) -> dict[str, Any]:
        """Return how far the branch is: `tip`, `bytes`, and `segment` with its `start`.

        What the branch has more is added to the file. Raises `Conflict`.
        """
        tip = self._workspace.repo.read_ref(self._ref)
        with suppress(OSError, ValueError, TypeError, KeyError):
            known: dict[str, Any] = json.loads(self._state.read_text())
            last = self._bytes_from(known["start"])[: known["bytes"] - known["start"]]
            if known["tip"] == tip and known["checksum"] == zlib.crc32(last):
                return known
        if tip is None:
            return {"tip": None, "bytes": 0, "segment": 0, "start": 0}
        return self._compare(tip)

    def _compare(self, tip: str) -> dict[str, Any]:
        segments = self._segments(tip)
        theirs = b"".join(segments)
        ours = self._bytes_from(0)
        if theirs.startswith(ours):
            self._write(theirs[len(ours) :])
        elif not ours.startswith(theirs):
            raise Conflict(
                f"the study journal here and branch '{self.branch}' went on apart",
                why="trials are numbered by the order of the entries, so they cannot be merged",
                hints=[
                    "another name begins another journal: `gitexp.optuna.storage('other')`",
                    f"to drop what is here, delete '{self.path}'",
                ],
            )
        last = max(len(segments) - 1, 0)
        start = len(theirs) - len(segments[-1]) if segments else 0
        return {"tip": tip, "bytes": len(theirs), "segment": last, "start": start}

    def _segments(self, tip: str) -> list[bytes]:
        """Read the entries of a commit. Raises `UnreadableRecord`."""
        repo = self._workspace.repo
        try:
            oids = [entry.oid for entry in repo.list_tree(tip, "logs/")]
            found = [data for _, data in repo.read_blobs(oids, max_bytes=MAX_BYTES)]
        except CommandFailed as error:
            raise UnreadableRecord(f"cannot read branch '{self.branch}'", why=error.why) from error
        if any(data is None for data in found):
            raise UnreadableRecord(f"cannot read branch '{self.branch}'", why="a file is missing")
        return [data for data in found if data is not None]

    def _commit(self, place: dict[str, Any]) -> None:
        data = self._bytes_from(place["start"])
        if place["start"] + len(data) <= place["bytes"]:
            return
        number, start, files = place["segment"], place["start"], []
        while data:
            cut = data.find(b"\n", SEGMENT_BYTES) + 1 or len(data)
            files.append((f"logs/{number:06}.jsonl", data[:cut]))
            data = data[cut:]
            if data:
                number, start = number + 1, start + cut
        end = start + len(files[-1][1])
        tip = place["tip"]
        step = NewCommit(
            ref=self._ref,
            message=f"study journal: {end:,} bytes\n",
            identity=self._workspace.identity,
            moment=clock.now(),
            parents=[] if tip is None else [tip],
            files=[*files, *([("README.md", README)] if tip is None else [])],
            tip=tip,
        )
        durable = self._workspace.settings.durable
        (commit,) = apply(self._workspace.repo, [step], durable=durable)
        state = {"tip": commit, "bytes": end, "segment": number, "start": start}
        state["checksum"] = zlib.crc32(files[-1][1])
        with suppress(OSError):
            self._state.write_text(json.dumps(state))
