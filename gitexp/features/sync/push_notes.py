"""Notes about processes that send runs in the background, and what the user was told of them.

A note says what such a process is to do; it is removed when the runs have arrived. A note whose
process has ended is a push that failed or was killed.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.adapters.system.processes import ProcessMark, is_alive, this_process

_PUSHES = "pushes"
"""Folder of the notes in our local state."""
FAILED = "push.failed"
"""The last failure, kept until runs arrive."""
_TOLD = "told"
"""URLs of which the user was told what goes there, one in a line; the shim reads it."""
_FOREIGN_S = 3600.0
"""A note of another boot, or another machine, may be of a process that still runs for so long."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a background process is to send, and what it said."""

    path: Path
    sender: ProcessMark | None
    waits_for: int
    """Process id of the git that pushes; 0 when it was not found."""
    remote: str
    url: str
    lines: tuple[str, ...]
    """What git told the hook: local ref and object, remote ref and object."""
    said: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """True when its process has ended, and so has not removed it."""
        if self.sender is None or self.sender.boot_id != this_process().boot_id:
            with suppress(OSError):
                return clock.now().timestamp() - self.path.stat().st_mtime > _FOREIGN_S
            return False
        return is_alive(self.sender) is False


def read_note(path: Path) -> Note | None:
    """A note; `None` when it is gone."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    end = lines.index("end") if "end" in lines else len(lines)
    refs = lines.index("refs") if "refs" in lines else end
    words = {line.partition(" ")[0]: line.partition(" ")[2] for line in lines[:refs]}
    waits = words.get("waits", "")
    return Note(
        path=path,
        sender=_sender(words.get("sender", ""), words.get("started", "")),
        waits_for=int(waits) if waits.isdecimal() else 0,
        remote=words.get("remote", ""),
        url=words.get("url", ""),
        lines=tuple(filter(None, lines[refs + 1 : end])),
        said=tuple(filter(None, lines[end + 1 :])),
    )


def _sender(text: str, stat: str) -> ProcessMark | None:
    """The process of a note, from its id and boot, and from what the kernel tells of it."""
    pid, _, boot = text.partition(" ")
    fields = stat.split()
    if not pid.isdecimal():
        return None
    start = int(fields[19]) if len(fields) > 19 else 0
    here = this_process()
    return replace(here, pid=int(pid), start_time=start, boot_id="" if boot in "-" else boot)


# --- what became of it --------------------------------------------------------------------------


def take_news(repo: Repo) -> list[str]:
    """What ended without the runs arriving since the last time, one sentence each."""
    told = []
    for path in sorted(_folder(repo).glob("*")):
        note = read_note(path)
        if note is not None and note.is_over:
            told.append(_failure(note))
            with suppress(OSError):
                (repo.state_dir / FAILED).write_text(told[-1] + "\n", encoding="utf-8")
            drop(path)
    return told


def last_failure(repo: Repo) -> str | None:
    """The last push of the runs in the background that failed, if none arrived since."""
    try:
        return (repo.state_dir / FAILED).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def running(repo: Repo) -> list[Note]:
    """Pushes in the background that go on."""
    notes = (read_note(path) for path in sorted(_folder(repo).glob("*")))
    return [note for note in notes if note is not None and not note.is_over]


def forget_failures(repo: Repo) -> None:
    """Stop telling about failures, because the runs arrived."""
    (repo.state_dir / FAILED).unlink(missing_ok=True)
    for path in _folder(repo).glob("*"):
        note = read_note(path)
        if note is not None and note.is_over:
            drop(path)


def has_news(repo: Repo) -> bool:
    """True when there may be news: one look at the disk, because every command asks."""
    return _folder(repo).is_dir()


def _failure(note: Note) -> str:
    why = note.said[-1] if note.said else "the process that was to send them was ended"
    return f"the runs did not reach '{note.remote}' after your push: {why}"


def _folder(repo: Repo) -> Path:
    return repo.state_dir / _PUSHES


def drop(path: Path) -> None:
    """Delete a note, and its directory when that was the last one."""
    with suppress(OSError):
        path.unlink()
        path.parent.rmdir()


# --- what the user was told ---------------------------------------------------------------------


def is_told(repo: Repo, url: str) -> bool:
    """True when the user was told what goes to a URL, and runs went there."""
    try:
        return url in (repo.state_dir / _TOLD).read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False


def mark_told(repo: Repo, url: str) -> None:
    """Remember that runs went to a URL."""
    if url and not is_told(repo, url):
        with (
            suppress(OSError),
            (repo.state_dir / _TOLD).open("a", errors="surrogateescape") as file,
        ):
            file.write(f"{url}\n")
