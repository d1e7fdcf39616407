"""Sending the runs along with a push of the user's, in the background, after it has succeeded.

Floor 4. The hook starts a process that waits until the pushing git has ended, and asks the remote
whether it has what was pushed: so a dry run, and a push that a gate or the remote refused, send
nothing. A note in our local state says what each such process is to do; it is removed when the
runs have arrived. A note whose process has ended is a push that failed or was killed.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gitexp.errors import GitexpError
from gitexp.ids import is_null
from gitexp.machine import clock
from gitexp.machine.liveness import ProcessMark, is_alive, this_process
from gitexp.refs import code_ref, run_ref
from gitexp.repo import Repo
from gitexp.repo.remotes import Remote, push_remote, remote_names
from gitexp.repo.transport import has_refs
from gitexp.settings import Settings
from gitexp.sharing.hooks import shim
from gitexp.sharing.sync import push_runs
from gitexp.store import Store

UNATTENDED = {
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "PRE_COMMIT_RUNNING_LEGACY": "",
}
"""A background process can ask no one; pre-commit, if it called us, must start afresh."""

_PUSHES = "pushes"
"""Folder of the notes in our local state."""
_FAILED = "push.failed"
"""The last failure, kept until runs arrive."""
_TOLD = "told"
"""URLs of which the user was told what goes there, one in a line; the shim reads it."""
_FOREIGN_S = 3600.0
"""A note of another boot, or another machine, may be of a process that still runs for so long."""
_ASK_EVERY_S = 2.0


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


def start(repo: Repo, remote: str, url: str, lines: Sequence[str]) -> None:
    """Start a process that sends the runs when the git around us has pushed."""
    repo.launcher.run_shell(
        shim().decode(),
        *("pre-push", remote, url),
        stdin="".join(f"{line}\n" for line in lines).encode(),
        env={"GITEXP_ONLY_SEND": "1"},
    )


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


# --- in the background --------------------------------------------------------------------------


def send(store: Store, settings: Settings, note: Note) -> None:
    """Send the runs if what the user pushed has arrived; a failure goes into the note.

    What did not arrive was refused or was a dry run: then nothing is sent, and git has told why.
    """
    try:
        if settings.hooks and settings.auto_push and note.remote in remote_names(store.repo):
            os.environ.update(UNATTENDED)
            _send(store, settings, note)
    except GitexpError as error:
        why = f": {error.why}" if error.why else ""
        with suppress(OSError), note.path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in (*error.said, f"{error.what}{why}")))
        return
    _drop(note.path)


def _send(store: Store, settings: Settings, note: Note) -> None:
    remote = push_remote(store.repo, note.remote)
    tips = _tips(store.repo, settings.branch)
    if not tips:
        return
    pushed = _pushed_refs(note, settings.branch)
    known = remote.known(store.repo, list(tips))
    # A remote that was deleted or emptied gets new branches first.
    is_new = any(is_null(line.split()[3]) for line in note.lines if len(line.split()) == 4)
    if known == tips and not is_new:
        return
    if pushed:
        found = _await_refs(store.repo, remote, {**pushed, **tips}, note, settings)
        if not found.issuperset(pushed) or (known == tips and found.issuperset(tips)):
            return
    push_runs(store, note.remote, settings)
    mark_told(store.repo, note.url)
    (store.repo.state_dir / _FAILED).unlink(missing_ok=True)


def _await_refs(
    repo: Repo, remote: Remote, refs: dict[str, str], note: Note, settings: Settings
) -> set[str]:
    """Ask what the remote has: once, or for a while where the end of the push is not known."""
    deadline = clock.monotonic_s() + settings.push_timeout
    while True:
        left_s = max(deadline - clock.monotonic_s(), 1.0)
        found = has_refs(repo, remote, refs, timeout_s=left_s)
        wanted = refs.keys() - _tips(repo, settings.branch).keys()
        if note.waits_for or wanted <= found or clock.monotonic_s() > deadline:
            return found
        clock.sleep(_ASK_EVERY_S)


def _tips(repo: Repo, branch: str) -> dict[str, str]:
    """Our branches; empty without a run branch."""
    ours = run_ref(branch), code_ref(branch)
    found = repo.read_refs(*ours)
    return {ref: found[ref] for ref in ours if ref in found} if ours[0] in found else {}


def _pushed_refs(note: Note, branch: str) -> dict[str, str]:
    """What must have arrived, by the remote's ref name; what is deleted counts as nothing."""
    parts = (line.split() for line in note.lines)
    pushed = {words[2]: words[1] for words in parts if len(words) == 4 and not is_null(words[1])}
    return {
        ref: oid for ref, oid in pushed.items() if ref not in (run_ref(branch), code_ref(branch))
    }


# --- what became of it --------------------------------------------------------------------------


def take_news(repo: Repo) -> list[str]:
    """What ended without the runs arriving since the last time, one sentence each."""
    told = []
    for path in sorted(_folder(repo).glob("*")):
        note = read_note(path)
        if note is not None and note.is_over:
            told.append(_failure(note))
            with suppress(OSError):
                (repo.state_dir / _FAILED).write_text(told[-1] + "\n", encoding="utf-8")
            _drop(path)
    return told


def last_failure(repo: Repo) -> str | None:
    """The last push of the runs in the background that failed, if none arrived since."""
    try:
        return (repo.state_dir / _FAILED).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def running(repo: Repo) -> list[Note]:
    """Pushes in the background that go on."""
    notes = (read_note(path) for path in sorted(_folder(repo).glob("*")))
    return [note for note in notes if note is not None and not note.is_over]


def forget_failures(repo: Repo) -> None:
    """Stop telling about failures, because the runs arrived."""
    (repo.state_dir / _FAILED).unlink(missing_ok=True)
    for path in _folder(repo).glob("*"):
        note = read_note(path)
        if note is not None and note.is_over:
            _drop(path)


def has_news(repo: Repo) -> bool:
    """True when there may be news: one look at the disk, because every command asks."""
    return _folder(repo).is_dir()


def _failure(note: Note) -> str:
    why = note.said[-1] if note.said else "the process that was to send them was ended"
    return f"the runs did not reach '{note.remote}' after your push: {why}"


def _folder(repo: Repo) -> Path:
    return repo.state_dir / _PUSHES


def _drop(path: Path) -> None:
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
