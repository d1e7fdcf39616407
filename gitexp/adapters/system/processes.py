"""Which process is which, and whether it still runs.

A process id alone says little: ids are used again, containers number on their own, and a repository
may be on a disk that several machines mount.
"""

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """What tells a process from every other one, on this machine and elsewhere."""

    pid: int
    start_time: int = 0
    """Clock ticks from boot to its start; 0 where the system does not tell."""
    boot_id: str = ""
    """Changes with every boot; empty where the system does not tell."""
    host: str = ""
    """Host name and machine id."""
    namespace: str = ""
    """The pid namespace: a container numbers its processes on its own."""


def this_process() -> ProcessMark:
    """The mark of the process that asks."""
    pid = os.getpid()
    start_time, _ = _look_up(pid) or (0, "")
    return ProcessMark(pid, start_time, *_machine())


def is_alive(process: ProcessMark | None) -> bool | None:
    """Tell whether the process still runs; `None` when that cannot be known from here.

    No process at all, as in a run by hand, cannot be known either: nobody may declare it dead.
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


def has_survivor(group: int, variable: str) -> bool:
    """Tell whether the process group has a member with `NAME=value` in its environment.

    A command whose starter was killed stays in the group; a daemon that it started does not. False
    where the system does not tell.
    """
    wanted = variable.encode()
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdecimal():
                continue
            with contextlib.suppress(OSError):  # it has ended, or is someone else's
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[2]) == group:
                    environment = Path(entry.path, "environ").read_bytes()
                    if wanted in environment.split(b"\0"):
                        return True
    return False


def descendants(
    roots: Collection[int], known: Mapping[int, int], *, group: int, variable: str
) -> dict[int, int]:
    """Pid and start time of the living processes that belong to a command.

    These are the `known` ones, by pid and start time, what `roots` or they started, and members of
    the process group with `NAME=value` in their environment. Empty where the system has no `/proc`.
    """
    wanted = variable.encode()
    children: dict[int, list[int]] = {}
    starts: dict[int, int] = {}
    marked: list[int] = []
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):  # it ended, or belongs to another user
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
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - not a path, a name
    return boot_id, f"{host} {machine_id}".strip(), namespace


def _look_up(pid: int) -> tuple[int, str] | None:
    """Start time and state letter of a process, from the kernel; `None` when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()  # the name before may itself hold brackets
    return int(fields[19]), fields[0].decode()


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0].strip()
    except (OSError, ValueError):
        return ""
