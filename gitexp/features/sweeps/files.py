"""The files of sweeps: one each on the run branch, and a copy in this clone, which comes first.

A lock in this clone keeps two processes from running one sweep at once.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gitexp.adapters.system import clock
from gitexp.adapters.system.file_lock import FileLock
from gitexp.adapters.system.lock_holder import Holder, holder_of, is_locked, signal_holder
from gitexp.core.errors import (
    Ambiguous,
    CommandFailed,
    Conflict,
    GitexpError,
    NotFound,
    UnreadableRecord,
)
from gitexp.core.schema.layout import PathKind, parse_path, sweep_path
from gitexp.core.schema.limits import MAX_RECORD_BYTES
from gitexp.core.schema.toml_codec import decode_table, encode_table
from gitexp.features.sweeps.definition import Definition, decode_definition, encode_definition
from gitexp.storage.workspace import Workspace


def sweeps_folder(workspace: Workspace) -> Path:
    """The directory with this clone's copies and locks."""
    return workspace.repo.state_dir / "sweeps"


def save_sweep(workspace: Workspace, definition: Definition) -> None:
    """Keep a definition here, so that it can be resumed whatever happens. Raises `GitexpError`."""
    path = sweeps_folder(workspace) / f"{definition.id}.toml"
    aside = path.with_suffix(f".{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(encode_definition(definition))
        aside.replace(path)
    except OSError as error:
        raise GitexpError(f"cannot write '{path}'", why=error.strerror) from error


def save_where(
    workspace: Workspace, definition: Definition, executor: str, names: tuple[str, ...]
) -> None:
    """Keep where a sweep runs, so that `resume` goes on there. Never raises."""
    path = sweeps_folder(workspace) / f"{definition.id}.where"
    with suppress(OSError):
        path.write_bytes(encode_table({"executor": executor, "env": list(names)}))


def load_where(workspace: Workspace, definition: Definition) -> tuple[str, tuple[str, ...]] | None:
    """Return where this clone ran a sweep last, if on other machines: engine and variables."""
    with suppress(OSError, UnreadableRecord, KeyError, TypeError):
        table = decode_table((sweeps_folder(workspace) / f"{definition.id}.where").read_bytes())
        names = table["env"]
        return str(table["executor"]), tuple(map(str, names if isinstance(names, list) else ()))
    return None


def forget_where(workspace: Workspace, definition: Definition) -> None:
    """Forget where a sweep ran: it goes on here."""
    (sweeps_folder(workspace) / f"{definition.id}.where").unlink(missing_ok=True)


def branch_file(definition: Definition) -> tuple[str, bytes]:
    """The definition as a file of the run branch."""
    return sweep_path(definition.id), encode_definition(definition)


def load_sweeps(workspace: Workspace) -> dict[str, Definition]:
    """Every sweep that is known here, by id. What cannot be read is left out."""
    found: dict[str, Definition] = {}
    for sweep, data in (*_on_branch(workspace), *_kept_here(workspace)):
        with suppress(UnreadableRecord):
            definition = decode_definition(data)
            if definition.id == sweep:
                found[sweep] = definition
    return found


def _on_branch(workspace: Workspace) -> Iterator[tuple[str, bytes]]:
    tip = workspace.branch.tip()
    if tip is None:
        return
    try:
        entries = list(workspace.repo.list_tree(tip, "sweeps/"))
    except CommandFailed:
        return
    places = [(parse_path(entry.path), entry.oid) for entry in entries]
    ours = [(p.name, oid) for p, oid in places if p is not None and p.kind is PathKind.SWEEP]
    blobs = workspace.repo.read_blobs([oid for _, oid in ours], max_bytes=MAX_RECORD_BYTES)
    for (name, _), (_, data) in zip(ours, blobs, strict=True):
        if data is not None:
            yield name, data


def _kept_here(workspace: Workspace) -> Iterator[tuple[str, bytes]]:
    with suppress(OSError):
        for path in sorted(sweeps_folder(workspace).glob("*.toml")):
            with suppress(OSError):
                yield path.stem, path.read_bytes()


def find_sweep(workspace: Workspace, text: str | None) -> Definition:
    """The sweep with an id or its beginning; without one, the sweep that was touched last here.

    Raises `NotFound`, `Ambiguous`.
    """
    known = load_sweeps(workspace)
    if text is None:
        newest = newest_first(workspace, known)
        if not newest:
            hints = ["`git exp sweep -S lr=0.1,0.01 -- CMD --lr {lr}` starts one"]
            raise NotFound("there is no sweep yet", hints=hints)
        return newest[0]
    found = [sweep for sweep in known if sweep.startswith(text.lower())] if text else []
    if len(found) > 1:
        raise Ambiguous(f"'{text}' is not one sweep", candidates=[sweep[:12] for sweep in found])
    if not found:
        raise NotFound(f"there is no sweep '{text}'", hints=["`git exp sweep list` shows them"])
    return known[found[0]]


def newest_first(workspace: Workspace, known: dict[str, Definition]) -> list[Definition]:
    """The sweeps, the one that was started or resumed last in this clone first."""

    def touched_s(sweep: str) -> float:
        try:
            return (sweeps_folder(workspace) / f"{sweep}.toml").stat().st_mtime
        except OSError:
            return 0.0

    return [known[sweep] for sweep in sorted(known, key=lambda s: (-touched_s(s), s))]


def forget_sweep(workspace: Workspace, definition: Definition) -> None:
    """Remove this clone's copy and lock."""
    for suffix in (".toml", ".where", ".stop", ".lock"):
        (sweeps_folder(workspace) / f"{definition.id}{suffix}").unlink(missing_ok=True)


# --- who runs it ------------------------------------------------------------------------------


@contextmanager
def running_here(workspace: Workspace, definition: Definition) -> Iterator[None]:
    """Hold the sweep for this process. Raises `Conflict` when another one runs it."""
    lock = FileLock(_lock_path(workspace, definition), timeout_s=0.0)
    while True:
        try:
            lock.acquire()
            break
        except Conflict as error:
            found = holder(workspace, definition)
            if found is not None:  # else another process has just looked who holds it
                raise _running_already(definition, found) from error
        clock.sleep(0.01)
    try:
        _request_path(workspace, definition).unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def _running_already(definition: Definition, found: Holder) -> Conflict:
    short = definition.id[:7]
    return Conflict(
        f"sweep {short} is running already",
        why=f"{found.text} runs it",
        hints=[
            f"`git exp sweep status -f {short}` follows it",
            f"`git exp sweep stop {short}` stops it",
        ],
    )


def holder(workspace: Workspace, definition: Definition) -> Holder | None:
    """The process that runs a sweep of this clone; `None` when none does."""
    return holder_of(_lock_path(workspace, definition))


def stop_sweep(workspace: Workspace, definition: Definition, *, now: bool) -> bool:
    """Ask the process that runs a sweep to end; false when none does.

    With `now` it stops the trials that run, else it waits for them. Raises `Conflict` when `now`
    needs a signal, and the process is not on this machine.
    """
    path, short = _lock_path(workspace, definition), definition.id[:7]
    if not now:
        if not is_locked(path):
            return False
        request = _request_path(workspace, definition)
        try:
            request.touch()
        except OSError as error:
            raise GitexpError(f"cannot write '{request}'", why=error.strerror) from error
        return True
    found = signal_holder(path, signal.SIGTERM)
    if found is not None and found.pid is None:
        raise Conflict(
            f"cannot stop the running trials of sweep {short} from here",
            why=f"{found.text} runs it: of another user, container or machine",
            hints=[
                f"type `git exp sweep stop --now {short}` there",
                f"`git exp sweep stop {short}` works from here: running trials end first",
            ],
        )
    return found is not None


def was_asked_to_end(workspace: Workspace, definition: Definition) -> bool:
    """Return whether `stop_sweep` asked the process that runs a sweep to start no more trials.

    A file, as a signal would be ignored: a script starts commands in the background so that Ctrl-C
    does not reach them.
    """
    return _request_path(workspace, definition).exists()


def _lock_path(workspace: Workspace, definition: Definition) -> Path:
    return sweeps_folder(workspace) / f"{definition.id}.lock"


def _request_path(workspace: Workspace, definition: Definition) -> Path:
    return sweeps_folder(workspace) / f"{definition.id}.stop"
