"""Records which files a Python program opens for reading.

Loaded into the user's program by `sitecustomize`. An audit hook sees what Python opens, not what
compiled code or other programs open. Paths of Python, of the system and of installed packages are
skipped, except for files of a work tree. Each path is appended to a file at once, so that none is
lost when the program is killed. No file stays open, because the program may close descriptors that
it does not know.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # an import of typing would take longer than this whole module
    from typing import Any

MAX_PATHS = 1000
"""Paths of one process: a data set of a million files is not listed."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SYSTEM = ("/usr/", "/lib", "/bin/", "/sbin/", "/etc/", "/proc/", "/sys/", "/dev/", "/run/")
_PACKAGES = ("/site-packages/", "/dist-packages/")


def start(report_path: str) -> None:
    """Record the paths from now on, in a file beside the report."""
    target = report_path + ".reads"
    ours = os.path.dirname(os.path.abspath(__file__))
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__), ours}
    pythons = tuple(os.path.join(prefix, "") for prefix in prefixes)
    left_out = (*_SYSTEM, *pythons)
    tree = _work_tree(left_out)
    in_tree = tuple(prefix for prefix in pythons if tree and prefix.startswith(tree))
    seen: set[str] = set()
    left = [MAX_PATHS]

    def note(path: Any) -> None:
        path = os.fsdecode(path)
        if path == target:
            return
        if path[:1] != "/":
            path = os.path.join(os.getcwd(), path)
        if path in seen or any(part in path for part in _PACKAGES):
            return
        if path.startswith(in_tree if tree and path.startswith(tree) else left_out):
            return
        seen.add(path)
        left[0] -= 1
        line = ascii(path) if left[0] else "..."
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, (line + "\n").encode())
        finally:
            os.close(fd)

    def hook(event: str, args: Any) -> None:
        if event != "open" or not left[0]:
            return
        try:
            path, _, flags = args
            if type(path) is not int and not flags & _WRITING:
                note(path)
        except Exception:
            pass

    if hasattr(sys, "addaudithook"):
        sys.addaudithook(hook)


def _work_tree(left_out: tuple[str, ...]) -> str:
    """Return the work tree of the program, with a slash, if it is below a skipped directory."""
    path = os.getcwd()
    if not (path + "/").startswith(left_out):
        return ""
    while path != "/":
        if os.path.exists(os.path.join(path, ".git")):
            return path + "/"
        path = os.path.dirname(path)
    return ""
