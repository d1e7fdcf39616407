"""Notes about processes that push runs in the background, and the URLs announced to the user.

A note describes the push. The process deletes it when the runs have arrived. If the process has
ended and its note still exists, the push failed or the process was killed.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system import clock
from gitexp.adapters.system.processes import ProcessMark, is_alive, this_process

_PUSHES = "pushes"
"""Directory of the notes in gitexp's state directory."""
FAILED = "push.failed"
"""File with the last failure, kept until a push succeeds."""
_TOLD = "told"
"""File of the URLs for which gitexp announced what it pushes, one per line; the shim reads it."""
_FOREIGN_S = 3600.0
"""Age in seconds up to which a note of another boot or machine may have a living process."""


@dataclass(frozen=True, slots=True)
class Note:
    """The task of a background process, and the output it left."""

    path: Path
    sender: ProcessMark | None
    waits_for: int
    """Process id of the pushing git; 0 when it is unknown."""
    remote: str
    url: str
    lines: tuple[str, ...]
    """Lines from git: local ref and object, remote ref and object."""
    said: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """True when the process has ended without deleting the note."""
        if self.sender is None or self.sender.boot_id != this_process().boot_id:
            with suppress(OSError):
                return clock.now().timestamp() - self.path.stat().st_mtime > _FOREIGN_S
            return False
        return is_alive(self.sender) is False


def read_note(path: Path) -> Note | None:
    """Read a note; `None` if it does not exist."""
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
    """Build the mark of a note's process from its id, its boot and the kernel's process state."""
    pid, _, boot = text.partition(" ")
    fields = stat.split()
    if not pid.isdecimal():
        return None
    start = int(fields[19]) if len(fields) > 19 else 0
    process = this_process()
    return replace(process, pid=int(pid), start_time=start, boot_id="" if boot in "-" else boot)


# --- results of background pushes ---------------------------------------------------------------


def take_news(repo: Repo) -> list[str]:
    """Return one sentence for each background push that failed since the last call."""
    lines = []
    for path in sorted(_folder(repo).glob("*")):
        note = read_note(path)
        if note is not None and note.is_over:
            lines.append(_failure(note))
            with suppress(OSError):
                (repo.state_dir / FAILED).write_text(lines[-1] + "\n", encoding="utf-8")
            drop(path)
    return lines


def last_failure(repo: Repo) -> str | None:
    """Return the last failure of a background push, if no push has succeeded since."""
    try:
        return (repo.state_dir / FAILED).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def running(repo: Repo) -> list[Note]:
    """Return the notes of background pushes that still run."""
    notes = (read_note(path) for path in sorted(_folder(repo).glob("*")))
    return [note for note in notes if note is not None and not note.is_over]


def forget_failures(repo: Repo) -> None:
    """Delete the stored failures after a push has succeeded."""
    (repo.state_dir / FAILED).unlink(missing_ok=True)
    for path in _folder(repo).glob("*"):
        note = read_note(path)
        if note is not None and note.is_over:
            drop(path)


def has_news(repo: Repo) -> bool:
    """True when notes may exist. One file system call, because every command asks."""
    return _folder(repo).is_dir()


def _failure(note: Note) -> str:
    why = note.said[-1] if note.said else "the process that was to send them was ended"
    return f"the runs did not reach '{note.remote}' after your push: {why}"


def _folder(repo: Repo) -> Path:
    return repo.state_dir / _PUSHES


def drop(path: Path) -> None:
    """Delete a note, and its directory if it becomes empty."""
    with suppress(OSError):
        path.unlink()
        path.parent.rmdir()


# --- announced URLs -----------------------------------------------------------------------------


def is_told(repo: Repo, url: str) -> bool:
    """Return whether gitexp announced what it pushes to a URL, and has pushed there."""
    try:
        return url in (repo.state_dir / _TOLD).read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False


def mark_told(repo: Repo, url: str) -> None:
    """Remember that runs were pushed to a URL."""
    if url and not is_told(repo, url):
        with (
            suppress(OSError),
            (repo.state_dir / _TOLD).open("a", errors="surrogateescape") as file,
        ):
            file.write(f"{url}\n")
