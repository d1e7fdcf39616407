"""The journal of a run that is not on the branch yet.

One file a run, in `<common dir>/gitexp/journal/`. Its first line holds the record of the start.
Each further line (`format`) is one event, appended by a single `write`. So several processes may
write to one journal, and a crash damages only the line in progress. Space after the first line is
reserved for the end of the run (`reserved_space`), which therefore also fits on a full disk.
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
from gitexp.core.errors import GitexpError, InvalidInput, NotFound, UnreadableRecord
from gitexp.core.model.ids import RunId, parse_run_id
from gitexp.core.model.run import Outcome, Series

__all__ = [
    "CommandEnding",
    "Journal",
    "JournalContent",
    "OutputTail",
    "ProcessMark",
    "claimed",
    "is_alive",
    "journal_path",
    "list_journals",
    "parse_journal",
    "read_journal",
    "this_process",
]

SYNC_EVERY_S = 3.0
"""Limit of the metrics that a durable journal loses to a power cut, in seconds."""

CLAIM_S = 5.0
"""Seconds that a seal waits for a process that reads the journal."""

_SUFFIX = ".journal"
_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC


# --- writing --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommandEnding:
    """How a command ended."""

    outcome: Outcome
    exit_code: int
    duration_s: float


class Journal:
    """An open journal, from `create` or `attach`. Safe between threads and processes."""

    def __init__(self, path: Path, fd: int, *, durable: bool) -> None:
        self.path = path
        self.durable = durable
        """True when lines must survive a power cut, not only a crash."""
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
        """Create a journal. After it returns the run exists, and no crash removes it.

        When this process dies the run counts as interrupted, except `by_hand`: a manual run is
        never dead. Raises `GitexpError` when the file cannot be written.
        """
        process = None if by_hand else this_process()
        path = journal_path(folder, run)
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
        """Open a journal that another process created. Raises `NotFound` when it is missing."""
        try:
            with _writing(path):
                return cls(path, os.open(path, _OPEN), durable=durable)
        except GitexpError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NotFound(f"run {path.stem[:7]} is not going on here any more") from error
            raise

    def append(self, event: str, **fields: Any) -> None:
        """Append one event.

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
        """Append one row of metrics, `time_s` seconds after the start. Raises as `append`.

        `series` adds the row to the series also without a step. `printed` marks values read from
        output; values that the program logs itself take precedence.
        """
        row: dict[str, object] = {"event": "metrics", "step": step, "time": time_s}
        if series:
            row["series"] = True
        if printed:
            row["printed"] = True
        row["values"] = values
        self._append(row)

    def adopt(self, process: ProcessMark | None) -> None:
        """Tie the run to the life of a process; `None` makes it a manual run."""
        self.append("adopt", process=None if process is None else asdict(process))

    def end(self, ending: CommandEnding) -> None:
        """Append how the command ended, before any other fact about the run is collected.

        Raises `GitexpError` when not even the reserved space can be written.
        """
        self._append_surely({"event": "end", **asdict(ending)})

    def seal(self, record: bytes, *, series: Series | None = None) -> None:
        """Append the final record and series, so that recovery completes exactly these.

        On a full disk the series may be missing; recovery then uses the metrics events. Until this
        journal is closed no other process completes the run, see `claimed`. Raises as `end`.

        A process that looks for dead runs holds the claim while it reads this journal; it would
        find the seal and complete the run as well. So this waits for it, `CLAIM_S` at most.
        """
        end_s = clock.monotonic_s() + CLAIM_S
        while not _claim(self._get_fd()) and clock.monotonic_s() < end_s:
            clock.sleep(0.002)
        sealing = {"event": "seal", "record": record.decode()}
        self._append_surely({**sealing, "series": series}, {**sealing, "series": None, "cut": True})
        self.sync()

    def sync(self) -> None:
        """Flush everything written so far to the disk, if durable."""
        if self.durable:
            with _writing(self.path):
                os.fsync(self._get_fd())
            self._synced_s = clock.monotonic_s()

    def close(self) -> None:
        """Close the file. Harmless when repeated."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def remove(self) -> None:
        """Delete the journal and its output: the run is on the branch. Harmless when repeated."""
        try:
            self.discard(self.path)  # before `close`, which ends the claim
        finally:
            self.close()

    @staticmethod
    def discard(path: Path) -> None:
        """Delete a journal that is not open here, and its output. Harmless when repeated."""
        with _writing(path):
            path.unlink(missing_ok=True)
        OutputTail.discard(path)

    def _append(self, document: Mapping[str, Any]) -> None:
        with _writing(self.path):
            self._write(encode_line(document))
        if self.durable and clock.monotonic_s() - self._synced_s >= SYNC_EVERY_S:
            self.sync()

    def _append_surely(self, *documents: Mapping[str, Any]) -> None:
        """Append the first one; on a full disk, put the first that fits into the reserved space."""
        with _writing(self.path):
            try:
                self._write(encode_line(documents[0]))
            except OSError:
                if not any(fill_room(self.path, encode_line(each)) for each in documents):
                    raise

    def _write(self, line: bytes) -> None:
        fd = self._get_fd()
        if os.write(fd, line) != len(line):
            # The disk was full for a moment. The rest alone could land after another's line.
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
    """Claim a journal in order to complete its run. The kernel releases a dead process's claim.

    Yields False when another process completes the run, or has just completed it.
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
    """Lock an open journal. Succeeds also on a file system without locks."""
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
    """Contents of a journal."""

    run_id: RunId
    record: bytes
    """Record of the start."""
    process: ProcessMark | None
    """The process that owns the run now; `None` for a manual run."""
    extra: dict[str, Any]
    events: list[dict[str, Any]]
    """All other events in the order written; each has an `event`."""
    ending: CommandEnding | None
    """How the command ended, if it did."""
    sealed: bytes | None
    """The final record, if the run was sealed."""
    sealed_series: Series | None
    """The final series, if the seal has one."""
    is_cut: bool
    """The seal has no series, because the disk was full."""
    torn: bool
    """A crash cut the last line, which is left out."""
    damaged: int
    """Number of damaged lines, which are left out."""


def journal_path(folder: Path, run: RunId) -> Path:
    """Return the journal of a run, whether it exists or not."""
    return folder / f"{run}{_SUFFIX}"


def list_journals(folder: Path) -> list[Path]:
    """Return the journals of all runs that are not on the branch yet, in the order of their ids."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))  # noqa: PTH208
    except OSError:
        return []
    return [folder / name for name in names]


def read_journal(path: Path) -> JournalContent:
    """Read a journal, also during a write to it.

    Raises `UnreadableRecord`, and `FileNotFoundError` when another process has just completed the
    run.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableRecord(f"cannot read the journal '{path}'", why=error.strerror) from error
    return parse_journal(path, content)


def parse_journal(path: Path, content: bytes) -> JournalContent:
    """Parse the bytes of a journal. Raises `UnreadableRecord`."""
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
        raise UnreadableRecord(
            f"cannot read the journal '{path}'",
            why="its first line is missing or damaged",
            hints=["keep the file if the run matters: its other lines may still tell about it"],
        ) from error


def _parse_process(fields: Mapping[str, Any] | None) -> ProcessMark | None:
    return None if fields is None else ProcessMark(**fields)


def _parse_ending(fields: Mapping[str, Any]) -> CommandEnding:
    return CommandEnding(
        Outcome(fields["outcome"]), int(fields["exit_code"]), float(fields["duration_s"])
    )


_OF_OURS = ("adopt", "end", "seal")
"""Control events; all others carry data of the run."""
