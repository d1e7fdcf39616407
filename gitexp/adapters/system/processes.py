"""Identity of processes, and whether they still run.

A process id is not enough: ids are used again, containers have ids of their own, and several
machines may mount the disk of a repository.
"""

import contextlib
import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from gitexp.core.model.frozen import frozen


@frozen
class ProcessMark:
    """Identity of a process, unique across machines."""

    pid: int
    start_time: int = 0
    """Clock ticks from boot to its start; 0 where the system has no `/proc`."""
    boot_id: str = ""
    """Changes with every boot; empty where the system has no `/proc`."""
    host: str = ""
    """Host name and machine id."""
    namespace: str = ""
    """The pid namespace: each container has process ids of its own."""


def this_process() -> ProcessMark:
    """Return the mark of the current process."""
    pid = os.getpid()
    start_time, _ = _look_up(pid) or (0, "")
    return ProcessMark(pid, start_time, *_machine())


def is_alive(process: ProcessMark | None) -> bool | None:
    """Return whether the process still runs; `None` when this machine cannot know.

    The answer is also `None` without a process, as in a manual run, which is never dead.
    """
    boot_id, host, namespace = _machine()
    if process is None or process.host != host:
        return None
    if process.boot_id != boot_id:
        return False
    if process.namespace != namespace:
        return None
    if boot_id:
        found = _look_up(process.pid)
        return found is not None and found[0] == process.start_time and found[1] not in "ZX"
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def has_survivor(group: int | None, variable: str) -> bool:
    """Return whether a process of the group, or of any, has `NAME=value` in its environment.

    A command stays in the group after its starter is killed; a daemon that it started does not.
    Returns False without `/proc`.
    """
    wanted = variable.encode()
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdecimal():
                continue
            with contextlib.suppress(OSError):  # it has ended, or belongs to another user
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                if group is None or int(fields[2]) == group:
                    environment = Path(entry.path, "environ").read_bytes()
                    if wanted in environment.split(b"\0"):
                        return True
    return False


def has_open(process: Path, path: Path, found: os.stat_result) -> bool:
    """Return whether a process, by its directory in `/proc`, has a file open; `found` is its state.

    Raises `OSError` when it has ended, or belongs to another user.
    """
    for entry in os.listdir(process / "fd"):  # noqa: PTH208 - names only
        with contextlib.suppress(FileNotFoundError):
            # Compare the name first: stat of any file could hang on a dead network disk.
            opened = process / "fd" / entry
            if opened.readlink().name == path.name and os.path.samestat(opened.stat(), found):
                return True
    return False


def descendants(
    roots: Collection[int], known: Mapping[int, int], *, group: int, variable: str
) -> dict[int, int]:
    """Return pid and start time of the living processes that belong to a command.

    These are the `known` ones, by pid and start time, all descendants of those and of `roots`, and
    members of the process group with `NAME=value` in their environment. Empty without `/proc`.
    """
    wanted = variable.encode()
    children: dict[int, list[int]] = {}
    starts: dict[int, int] = {}
    marked: list[int] = []
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):  # it has ended, or belongs to another user
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                if fields[0] in (b"Z", b"X"):
                    continue
                pid = int(entry.name)
                starts[pid] = int(fields[19])
                children.setdefault(int(fields[1]), []).append(pid)
                if int(fields[2]) == group:
                    environment = Path(entry.path, "environ").read_bytes()
                    marked += [pid] if wanted in environment.split(b"\0") else []
    waiting = [pid for pid in roots if known.get(pid, starts.get(pid)) == starts.get(pid)] + marked
    found: dict[int, int] = {}
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        if pid in starts:
            found[pid] = starts[pid]
        waiting += children.get(pid, [])
    return found


@cache
def _machine() -> tuple[str, str, str]:
    host = os.uname().nodename
    boot_id = _first_line("/proc/sys/kernel/random/boot_id")
    machine_id = _first_line("/etc/machine-id")
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - a name, not a path
    return boot_id, f"{host} {machine_id}".strip(), namespace


def _look_up(pid: int) -> tuple[int, str] | None:
    """Return start time and state letter of a process from `/proc`; `None` if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()  # the process name before it may contain brackets
    return int(fields[19]), fields[0].decode()


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0].strip()
    except (OSError, ValueError):
        return ""
