"""The local diary of runs that are not on the branch yet.

One file a run, in `<common dir>/gitexp/journal/`. Its first line holds the record the run started
with; every further line (`format`) is one event, written by a single `write` at the end of the
file, so that several processes may write to one journal and a crash can damage only what it cut
off. Behind the first line is room for how the run ended (`reserved_space`): no disk is too full for
that.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from gitexp.adapters.journal.format import encode_line, parse_lines
from gitexp.adapters.journal.output_tail import OutputTail
from gitexp.adapters.journal.reserved_space import fill_room, make_room
from gitexp.adapters.system import clock
from gitexp.adapters.system.processes import ProcessMark, is_alive, this_process
from gitexp.core.errors import GitexpError, InvalidInput, NotFound, Unreadable
from gitexp.core.model.ids import RunId, parse_run_id
from gitexp.core.model.run import Outcome, Series

__all__ = [
    "Ending",
    "Journal",
    "JournalContent",
    "OutputTail",
    "ProcessMark",
    "claimed",
    "is_alive",
    "pending",
    "read_journal",
    "this_process",
]

SYNC_EVERY_S = 3.0
"""A durable journal loses at most about this much of its metrics to a power cut."""

_SUFFIX = ".journal"
_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC


# --- writing --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended."""

    outcome: Outcome
    exit_code: int
    duration_s: float


class Journal:
    """An open journal; made by `create` or `attach`. Safe between threads and processes."""

    def __init__(self, path: Path, fd: int, *, durable: bool) -> None:
        self.path = path
        self.durable = durable
        """True when lines are to survive a power cut, not only a crash."""
        self._fd: int | None = fd
        self._synced_s = clock.monotonic_s()

    @classmethod
    def create(
        cls,
        folder: Path,
        run: RunId,
        record: bytes,
        *,
        durable: bool,
        by_hand: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> Self:
        """Start a journal; when this returns the run exists, and no crash undoes that.

        The death of this process means that the run was interrupted, unless it is made `by_hand`:
        then nobody declares it dead. Raises `GitexpError` when it cannot be written.
        """
        process = None if by_hand else this_process()
        path = folder / f"{run}{_SUFFIX}"
        first = encode_line(
            {
                "event": "start",
                "run": run,
                "record": record.decode(),
                "process": None if process is None else asdict(process),
                "extra": dict(extra or {}),
            }
        )
        aside = path.with_suffix(".new")
        with _writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(aside, _OPEN | os.O_CREAT | os.O_EXCL, 0o666)
            journal = cls(path, fd, durable=durable)
            try:
                journal._write(first + make_room())
                if durable:
                    os.fsync(fd)
                aside.rename(path)
                if durable:
                    _sync_folder(folder)
            except BaseException:
                journal.close()
                aside.unlink(missing_ok=True)
                raise
        return journal

    @classmethod
    def attach(cls, path: Path, *, durable: bool = False) -> Self:
        """Open a journal that another process started. Raises `NotFound` when it is gone."""
        try:
            with _writing(path):
                return cls(path, os.open(path, _OPEN), durable=durable)
        except GitexpError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NotFound(f"run {path.stem[:7]} is not going on here any more") from error
            raise

    def append(self, event: str, **fields: Any) -> None:
        """Write one event.

        Raises `InvalidInput` for a value that JSON cannot hold, `GitexpError` when the disk fails.
        """
        self._append({"event": event, **fields})

    def metrics(
        self,
        values: Mapping[str, float | int | str],
        *,
        step: int | None = None,
        time_s: float | None = None,
        series: bool = False,
        printed: bool = False,
    ) -> None:
        """Write one row of metrics, `time_s` seconds after the start; raises as `append`.

        `series` asks for a place in the series also without a step. `printed` values were read from
        output; values that the program logs itself count more.
        """
        row: dict[str, object] = {"event": "metrics", "step": step, "time": time_s}
        if series:
            row["series"] = True
        if printed:
            row["printed"] = True
        row["values"] = values
        self._append(row)

    def adopt(self, process: ProcessMark | None) -> None:
        """From now on the run lives as long as this process; `None`: it goes on by hand."""
        self.append("adopt", process=None if process is None else asdict(process))

    def end(self, ending: Ending) -> None:
        """Write how the command ended, before anything else is found out about the run.

        Raises `GitexpError` when not even the room that was kept can be written.
        """
        self._append_surely({"event": "end", **asdict(ending)})

    def seal(self, record: bytes, *, series: Series | None = None) -> None:
        """Write the final record and series, so that recovery completes exactly these.

        On a full disk the series may stay out; recovery then has what was logged as events. Until
        this is closed nobody else completes the run, see `claimed`. Raises as `end`.
        """
        _claim(self._get_fd())
        sealing = {"event": "seal", "record": record.decode()}
        self._append_surely({**sealing, "series": series}, {**sealing, "series": None, "cut": True})
        self.sync()

    def sync(self) -> None:
        """When durable: wait until everything written so far is on the disk."""
        if self.durable:
            with _writing(self.path):
                os.fsync(self._get_fd())
            self._synced_s = clock.monotonic_s()

    def close(self) -> None:
        """Let go of the file; harmless when repeated."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def remove(self) -> None:
        """Delete the journal and its output: the run is on the branch. Harmless when repeated."""
        try:
            self.discard(self.path)  # while it is ours: nobody else completes the run
        finally:
            self.close()

    @staticmethod
    def discard(path: Path) -> None:
        """Delete a journal that nobody here has open, and its output. Harmless when repeated."""
        with _writing(path):
            path.unlink(missing_ok=True)
        OutputTail.discard(path)

    def _append(self, document: Mapping[str, Any]) -> None:
        with _writing(self.path):
            self._write(encode_line(document))
        if self.durable and clock.monotonic_s() - self._synced_s >= SYNC_EVERY_S:
            self.sync()

    def _append_surely(self, *documents: Mapping[str, Any]) -> None:
        """Write the first one; on a full disk, the first of them that fits the room kept for it."""
        with _writing(self.path):
            try:
                self._write(encode_line(documents[0]))
            except OSError:
                if not any(fill_room(self.path, encode_line(each)) for each in documents):
                    raise

    def _write(self, line: bytes) -> None:
        fd = self._get_fd()
        if os.write(fd, line) != len(line):
            # The disk was full for a moment. The rest alone could land behind someone else's line.
            os.write(fd, b"\n" + line)

    def _get_fd(self) -> int:
        if self._fd is None:
            raise RuntimeError("the journal is closed")
        return self._fd


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> GitexpError:
    return GitexpError(
        f"cannot write the journal '{path}'",
        why=error.strerror,
        hints=["make room on the disk, and the git directory writable for you"],
    )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Have a journal to oneself to complete its run; the kernel ends the claim of a dead process.

    False when another process is completing it, or has just done so.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _claim(fd) and _is_still(path, fd)
    finally:
        os.close(fd)


def _claim(fd: int) -> bool:
    """Lock an open journal; a file system that cannot lock says yes to everyone."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_still(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalContent:
    """What a journal tells."""

    run_id: RunId
    record: bytes
    """The record the run started with."""
    process: ProcessMark | None
    """Who has the run now; `None` for a run by hand."""
    extra: dict[str, Any]
    events: list[dict[str, Any]]
    """Everything in between, in the order written; each has an `event`."""
    ending: Ending | None
    """How the command ended, if it did."""
    sealed: bytes | None
    """The final record, if the run got that far."""
    sealed_series: Series | None
    """The final series, if the seal came with one."""
    is_cut: bool
    """The seal left its series out: the disk was full."""
    torn: bool
    """The last line was cut by a crash and is left out."""
    damaged: int
    """Bad lines in the middle; they are left out."""


def pending(folder: Path) -> list[Path]:
    """The journals of all runs that are not on the branch yet, in the order of their ids."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))  # noqa: PTH208
    except OSError:
        return []
    return [folder / name for name in names]


def read_journal(path: Path) -> JournalContent:
    """Read a journal, also one that is being written.

    Raises `Unreadable`, and `FileNotFoundError` when another process has just completed the run.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(f"cannot read the journal '{path}'", why=error.strerror) from error
    *lines, rest = content.split(b"\n")
    documents, damaged = parse_lines(lines)
    try:
        header, *events = documents
        if header["event"] != "start" or header["run"] != path.stem:
            raise ValueError("it does not start with its run")
        seals = [event for event in events if event["event"] == "seal"]
        adoptions = [event for event in events if event["event"] == "adopt"]
        endings = [event for event in events if event["event"] == "end"]
        return JournalContent(
            run_id=parse_run_id(header["run"]),
            record=header["record"].encode(),
            process=_parse_process((adoptions or [header])[-1]["process"]),
            extra=dict(header["extra"]),
            events=[event for event in events if event["event"] not in _OF_OURS],
            ending=_parse_ending(endings[-1]) if endings else None,
            sealed=seals[-1]["record"].encode() if seals else None,
            sealed_series=seals[-1]["series"] if seals else None,
            is_cut=bool(seals and seals[-1].get("cut")),
            torn=bool(rest.strip(b" ")),
            damaged=damaged,
        )
    except (LookupError, TypeError, ValueError, AttributeError, InvalidInput) as error:
        raise Unreadable(
            f"cannot read the journal '{path}'",
            why="its first line is missing or damaged",
            hints=["keep the file if the run matters: its other lines may still tell about it"],
        ) from error


def _parse_process(fields: Mapping[str, Any] | None) -> ProcessMark | None:
    return None if fields is None else ProcessMark(**fields)


def _parse_ending(fields: Mapping[str, Any]) -> Ending:
    return Ending(Outcome(fields["outcome"]), int(fields["exit_code"]), float(fields["duration_s"]))


_OF_OURS = ("adopt", "end", "seal")
"""Events that are told apart; the others are the run's."""
