"""The files of sweeps: one each on the run branch, and a copy in this clone, which comes first.

A lock in this clone keeps two processes from running one sweep at once.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gitexp.adapters.system.file_lock import FileLock
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
    for suffix in (".toml", ".lock", ".where"):
        (sweeps_folder(workspace) / f"{definition.id}{suffix}").unlink(missing_ok=True)


# --- who runs it ------------------------------------------------------------------------------


@contextmanager
def running_here(workspace: Workspace, definition: Definition) -> Iterator[None]:
    """Hold the sweep for this process. Raises `Conflict` when another one runs it."""
    lock = FileLock(sweeps_folder(workspace) / f"{definition.id}.lock", timeout_s=0.0)
    try:
        lock.acquire()
    except Conflict as error:
        raise Conflict(
            f"sweep {definition.id[:7]} is running already",
            why=f"process {holder(workspace, definition)} runs it",
            hints=[
                f"`git exp sweep status -f {definition.id[:7]}` follows it",
                f"`git exp sweep stop {definition.id[:7]}` stops it",
            ],
        ) from error
    try:
        yield
    finally:
        lock.release()


def holder(workspace: Workspace, definition: Definition) -> int | None:
    """The process that runs a sweep on this machine; `None` when none does."""
    path = sweeps_folder(workspace) / f"{definition.id}.lock"
    lock = FileLock(path, timeout_s=0.0)
    if not path.exists():
        return None
    try:
        lock.acquire()
    except Conflict:
        with suppress(OSError, ValueError, IndexError):
            return int(path.read_text().split()[0])
        return None
    lock.release()
    return None


def stop_sweep(workspace: Workspace, definition: Definition, *, now: bool) -> bool:
    """Ask the process that runs a sweep to end; false when none does.

    With `now` it stops the trials that run, else it waits for them.
    """
    pid = holder(workspace, definition)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM if now else signal.SIGINT)
    return True
