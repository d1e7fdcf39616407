"""A small program beside a sweep: when the sweep is killed, it ends the trials that still run.

Started as a script of its own, with nothing but the standard library. It reads `+GROUP` when a
trial starts, `-GROUP` when it has ended, and `done` at the end; the end of its input without `done`
means that the sweep is dead. Its argument is `NAME=value`, which every process of a trial has in
its environment.
"""

import os
import signal
import sys
import time

GRACE_S = 2.0
"""Seconds between TERM and KILL."""

_POLL_S = 0.05
_GIVE_UP_S = 10.0


def marked_processes(*markers: bytes) -> list[int]:
    """Return the processes with all these markers in their environment; none without `/proc`."""
    found = []
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - names are enough
    except OSError:
        return []
    for name in names:
        if name.isdecimal() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123 - starts quickly
                    variables = file.read().split(b"\0")
                if all(marker in variables for marker in markers):
                    found.append(int(name))
            except OSError:
                continue  # it has ended, or belongs to another user
    return found


def own_environment() -> dict[str, str]:
    """Return the environment for a guardian: without marks, whose guardians would end it.

    A sweep that a trial of another sweep starts inherits the marks of that trial.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("GITEXP_")}


def end_processes(groups: set[int], marker: bytes) -> None:
    """End the process groups and every process with the marker: TERM, then KILL."""
    has_proc = os.path.isdir("/proc/self")  # noqa: PTH112 - starts quickly
    started_s = time.monotonic()  # noqa: TID251 - imports nothing of ours
    number = signal.SIGTERM
    told: set[int] = set()
    while True:
        marked = set(marked_processes(marker))
        for pid in marked - told:
            _send(os.kill, pid, number)
        if not has_proc:
            for group in groups:
                _send(os.killpg, group, number)
        told |= marked
        seconds = time.monotonic() - started_s  # noqa: TID251 - see above
        if (has_proc and not marked and seconds > 10 * _POLL_S) or seconds > _GIVE_UP_S:
            return
        if seconds > GRACE_S:
            number, told = signal.SIGKILL, set()
        time.sleep(_POLL_S)  # noqa: TID251 - see above


def _send(deliver: object, target: int, number: int) -> None:
    try:
        deliver(target, number)  # type: ignore[operator]
    except OSError:
        return  # it has ended


def watch() -> None:
    """Read until the end of the input, then act on it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        word = line.strip()
        if word == "done":
            return
        if word.startswith("+"):
            groups.add(int(word[1:]))
        elif word.startswith("-"):
            groups.discard(int(word[1:]))
    end_processes(groups, sys.argv[1].encode())


if __name__ == "__main__":
    watch()
