"""Files that the program read and git does not track, and their hashes.

The list comes from an audit hook in the program and is never complete (`adapters.inject.reads`). So
it can show that a trial is new (`changed_reads`), but never that it is a repeat.
"""

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gitexp.adapters.system import clock
from gitexp.adapters.system.probe import hash_file
from gitexp.core.errors import GitexpError
from gitexp.core.inputs.credentials import secret_name
from gitexp.core.model.run import FileState, Run
from gitexp.storage.workspace import Workspace

MAX_FILES = 200
MAX_HASHED_BYTES = 512 << 20
MAX_HASHING_S = 5.0
"""Limits for one run, and for one search for changes."""

_MAX_LIST_BYTES = 2 << 20
_HOME = "~/"
_LEFT_OUT = ("~/.config/", "~/.cache/matplotlib/", "~/.cache/fontconfig/", "~/.cache/pip/")


def opened_files(report: Path) -> list[str]:
    """Return the paths that the program opened, made absolute, each once."""
    try:
        with report.with_name(report.name + ".reads").open("rb") as file:
            lines = file.read(_MAX_LIST_BYTES).splitlines()
    except OSError:
        return []
    found: dict[str, None] = {}
    for line in lines:
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            path = ast.literal_eval(line.decode())
            if isinstance(path, str) and path.startswith("/"):
                found[os.path.normpath(_source_of(path))] = None
    return list(found)


def _source_of(path: str) -> str:
    """Return the source of a compiled module: `x/a.py` for `x/__pycache__/a.cpython-311.pyc`."""
    folder, name = os.path.split(path)
    if name.endswith(".pyc") and os.path.basename(folder) == "__pycache__":  # noqa: PTH119
        return os.path.join(os.path.dirname(folder), name.partition(".")[0] + ".py")  # noqa: PTH118, PTH120
    return path


def untracked_reads(
    workspace: Workspace, run: Run, paths: Sequence[str], *, top: Path, since_ns: int
) -> dict[str, FileState]:
    """Return the untracked files among the paths, each with its state at the start.

    A file that changed since the start is left out, because the content that the program read is
    unknown. So are inputs, which the record has, secrets, and files beyond the limits. Paths are as
    in records: relative to the top, absolute outside it, with `~` below the home directory.
    """
    named = {}
    for path in paths:
        name = _recorded(path, top)
        if name is not None and not _is_left_out(workspace, name, path):
            named[name] = path
    with suppress(GitexpError):
        inside = [name for name in named if name[0] not in "/~"]
        for entry in workspace.repo.list_tree(run.code.tree, *inside) if inside else ():
            named.pop(entry.path, None)
    inputs = [os.path.normpath(top / given) for given in run.inputs]
    unnamed = {
        name: path
        for name, path in named.items()
        if not any(path == given or path.startswith(given + "/") for given in inputs)
    }
    return dict(_hashed(unnamed, since_ns))


def _recorded(path: str, top: Path) -> str | None:
    """Return the path as in records; `None` if a record cannot hold it."""
    if not path.isprintable() or len(path.encode()) > 1000:
        return None
    for folder, prefix in ((str(top), ""), (os.path.expanduser("~"), _HOME)):  # noqa: PTH111
        inside = path.removeprefix(folder.rstrip("/") + "/")
        if inside != path:
            return prefix + inside
    return path


def _is_left_out(workspace: Workspace, name: str, path: str) -> bool:
    outside = name[0] in "/~"
    return (
        (outside and workspace.settings.environment == "none")
        or name.startswith(_LEFT_OUT)
        or (name == ".git" or name.startswith(".git/"))
        or secret_name(name) is not None
        or path.startswith(f"{workspace.repo.common_dir}/")
    )


def _hashed(named: Mapping[str, str], since_ns: int) -> Iterator[tuple[str, FileState]]:
    """Yield the state of each file that has not changed since, within the limits."""
    left_bytes, end_s = MAX_HASHED_BYTES, clock.monotonic_s() + MAX_HASHING_S
    count = 0
    for name, path in sorted(named.items()):
        with suppress(OSError):
            real = Path(path).resolve(strict=True)
            found = real.stat()
            if not real.is_file() or max(found.st_mtime_ns, found.st_ctime_ns) >= since_ns:
                continue
            if found.st_size > left_bytes or clock.monotonic_s() > end_s or count == MAX_FILES:
                continue
            yield name, hash_file(real)
            left_bytes -= found.st_size
            count += 1
