"""Find undeclared inputs: the program and the files in its arguments that git does not track.

The code already contains tracked and snapshotted files. gitexp hashes the others (ignored by git,
or outside the repository), so that other content makes another trial.
"""

import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.system.command import which
from gitexp.adapters.system.probe import hash_path
from gitexp.core.analysis.fingerprint import DEFAULT_EXCLUDE, WRITTEN_BY_TOOLS, path_matcher
from gitexp.core.errors import CommandFailed
from gitexp.core.inputs.credentials import secret_name
from gitexp.core.inputs.mentioned_files import mentioned
from gitexp.core.model.run import Code, Command, FileState
from gitexp.storage.cache.sql import program
from gitexp.storage.workspace import Workspace

MAX_BYTES = 1 << 30
"""Bytes hashed per run: 1 to 4 s. A limit on size, not time, gives the same result every time."""

MAX_FILES = 1000
"""Most files to hash in one directory."""

_MAX_WORDS = 5000
"""Most words of a command to check; each costs a file system call."""

_MANY = 20
"""Most ignored files of a partly tracked directory that are recorded one by one."""

_SYSTEM = (
    "/usr/",
    "/bin/",
    "/sbin/",
    "/lib",
    "/opt/",
    "/nix/",
    "/snap/",
    "/proc/",
    "/sys/",
    "/dev/",
)
_PYTHON = re.compile(r"(?:python|pypy)(?:\d+(?:\.\d+)?t?)?(?:\.exe)?\Z")


class Named(NamedTuple):
    """Undeclared inputs of a command."""

    inputs: dict[str, FileState]
    uncompared: tuple[str, ...]
    """Files that could not be hashed, or may be outputs, with the reason."""


class Held(NamedTuple):
    """The files in git's tree, and which of them count as code."""

    repo: Repo
    tree: str
    left_out: Collection[str]
    """Paths left out of the snapshot although git does not ignore them."""
    is_code: Callable[[str], bool]
    """Whether a path in the tree counts as code; named paths that do not are hashed."""
    produced: Collection[str]
    """Paths that runs of this program were seen to write."""
    folders: dict[str, frozenset[bytes]]
    """Names in each directory of the tree that was read."""


def held_of(workspace: Workspace, code: Code, command: Command) -> Held:
    """Return the files that git holds for a run with this code."""
    settings = workspace.settings
    excluded = path_matcher((*WRITTEN_BY_TOOLS, *DEFAULT_EXCLUDE, *settings.code_exclude))
    included = path_matcher(settings.code_include) if settings.code_include else None
    return Held(
        repo=workspace.repo,
        tree=code.tree,
        left_out=[item.rpartition(" (")[0] for item in code.left_out],
        is_code=lambda path: not excluded(path) and (included is None or included(path)),
        produced=workspace.index.produced_by(program(command)),
        folders={},
    )


def named_inputs(
    argv: Sequence[str], directory: Path, held: Held, known: Collection[str], stdin: int | None
) -> Named:
    """Hash the program, the files named by its arguments, and the file on standard input.

    `known` are the paths of declared inputs and of files that the command writes.
    """
    top = held.repo.top
    if top is None:
        return Named({}, ())
    inputs: dict[str, FileState] = {}
    uncompared = ["some arguments (too many)"] if len(argv) > _MAX_WORDS else []
    budget = MAX_BYTES
    for path in _candidates(argv, directory, top, stdin):
        name = _recorded(path, top)
        if name in known or name in inputs:
            continue
        if name in held.produced:
            uncompared.append(f"{name} (earlier runs wrote it)")
            continue
        for file in _uncovered(path, top, held):
            name = _recorded(file, top)
            size = _size(file)
            reason = secret_name(name)
            if reason is None and (size is None or size > budget):
                reason = "too large to hash"
            state = FileState(sha256="", bytes=size or 0, named=True)
            if reason is None:
                budget -= size or 0
                with suppress(OSError):
                    found = hash_path(file)
                    state = FileState(sha256=found.sha256, bytes=found.bytes, named=True)
            if not state.sha256:
                uncompared.append(f"{name} ({reason or 'it cannot be read'})")
            inputs[name] = state
    return Named(inputs, tuple(uncompared))


def _candidates(
    argv: Sequence[str], directory: Path, top: Path, stdin: int | None
) -> Iterator[Path]:
    program = which(argv[0], directory, os.environ) if argv else None
    if program is not None and not _is_environment(program, top):
        yield program
    for text in mentioned(argv[:_MAX_WORDS]):
        path = Path(os.path.normpath(directory / os.path.expanduser(text)))  # noqa: PTH111
        with suppress(OSError, ValueError):
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and not _is_tool(path, mode, top)):
                yield path
    if stdin is not None:
        # Skip a file that an enclosing loop reads: its offset is not at the start.
        with suppress(OSError, ValueError):
            if stat.S_ISREG(os.fstat(stdin).st_mode) and os.lseek(stdin, 0, os.SEEK_CUR) == 0:
                yield Path(f"/proc/self/fd/{stdin}").resolve(strict=True)


def _is_tool(path: Path, mode: int, top: Path) -> bool:
    """Return whether an argument is a system program, as in `nice /usr/bin/python3`."""
    return bool(mode & stat.S_IXUSR) and _is_environment(path, top)


def _is_environment(program: Path, top: Path) -> bool:
    """Return whether a program belongs to the system or to a Python installation.

    A file in the work tree is never a system program, wherever the work tree is.
    """
    if _PYTHON.match(program.name):
        return True
    real = os.path.realpath(program)
    is_inside = Path(real).is_relative_to(os.path.realpath(top))
    pythons = (os.path.join(sys.prefix, ""), os.path.join(sys.base_prefix, ""))  # noqa: PTH118
    prefixes = pythons if is_inside else (*_SYSTEM, *pythons)
    home = program.parent.parent
    is_installed = (home / "pyvenv.cfg").exists() or (home / "conda-meta").exists()
    return real.startswith(prefixes) or is_installed


def _uncovered(path: Path, top: Path, held: Held) -> list[Path]:
    """Return the path if git does not hold it; for a partly tracked directory, its other files."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(top)):
        return [path]
    inside = real.relative_to(os.path.realpath(top)).as_posix()
    if not path.is_dir():
        return [] if _is_held(held, inside) and held.is_code(inside) else [path]
    if inside != "." and not _is_held(held, inside):
        return [path]
    try:
        result = held.repo.git(
            *("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--full-name"),
            *("--", f":(top,literal){inside}" if inside != "." else ":/"),
        )
    except CommandFailed:
        return [path]
    below = "" if inside == "." else f"{inside}/"
    missing = [*result.text.split("\0"), *(p for p in held.left_out if p.startswith(below))]
    names = [n for n in missing if n and not _is_cache(n) and n not in held.produced]
    return [path] if len(names) > _MANY else [top / name for name in names]


def _is_cache(name: str) -> bool:
    return bool({"__pycache__", ".venv", "venv", "node_modules"} & set(name.split("/")))


def _is_held(held: Held, inside: str) -> bool:
    """Return whether the tree has that path."""
    folder, _, name = inside.rpartition("/")
    if folder not in held.folders:
        held.folders[folder] = _names_in(held, folder)
    return os.fsencode(name) in held.folders[folder]


def _names_in(held: Held, folder: str) -> frozenset[bytes]:
    try:
        asked = [f"{held.tree}:{folder}" if folder else held.tree]
        found = None if "\n" in folder else held.repo.read_objects(asked)[0]
    except CommandFailed:
        found = None
    if found is None or found.kind != "tree":
        return frozenset()
    names, rest, oid_bytes = [], found.content, len(held.tree) // 2
    while rest:
        entry, _, rest = rest.partition(b"\0")
        names.append(entry.partition(b" ")[2])
        rest = rest[oid_bytes:]
    return frozenset(names)


def _size(path: Path) -> int | None:
    """Return the bytes of a file or directory; `None` for a directory with too many files."""
    try:
        if not path.is_dir():
            return path.stat().st_size
        total = files = 0
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if name != ".git"]
            files += len(names)
            if files > MAX_FILES:
                return None
            total += sum((Path(folder) / name).lstat().st_size for name in names)
    except OSError:
        return None
    return total


def _recorded(path: Path, top: Path) -> str:
    full = os.path.normpath(path)
    return full.removeprefix(os.path.join(top, "")).replace(os.sep, "/")  # noqa: PTH118
