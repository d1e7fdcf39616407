"""Place files that a run needs and its code lacks into the temporary work tree.

A file with a recorded hash is used only with that content. gitexp copies small files and those that
the run writes. It links large files, and turns a directory into a directory of links, so that what
the command adds or removes stays in the temporary work tree.
"""

import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.git.submodules import fill_submodules
from gitexp.adapters.system.probe import hash_path
from gitexp.core.analysis.fingerprint import path_matcher
from gitexp.core.errors import InvalidInput, Undetermined
from gitexp.core.model.run import FileState, Run
from gitexp.features.execution.outside_files import hash_nested, start_digests
from gitexp.storage.workspace import Workspace

_CACHES: Final = path_matcher(
    (
        *("__pycache__/", "*.pyc", ".*_cache/", ".ipynb_checkpoints/", "*.egg-info/", ".eggs/"),
        *("/.venv*/", "/venv*/", "/env/", "node_modules/", ".tox/", ".nox/", ".idea/", ".vscode/"),
        *(".DS_Store", ".coverage", "*.swp", "*~"),
    )
)
"""Ignored files that a run does not need, or that contain no data of their own."""

_NAMED: Final = 8

_SMALL_BYTES: Final = 16 << 20
"""Largest size of a file to copy."""


class Missing(NamedTuple):
    """A file or directory that the run may have used and its code lacks."""

    path: str
    """A directory ends in `/`."""
    reason: str
    is_here: bool
    """True when it exists in the user's work tree."""


@dataclass(slots=True)
class Placement:
    """Files placed into the temporary work tree."""

    placed: list[str] = field(default_factory=list)
    """From the user's work tree, with the recorded content."""
    linked: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Links to large files of the user, with time and size when gitexp made the link."""
    unchecked: list[str] = field(default_factory=list)
    """Linked on the user's request; the recorded content is unknown."""


# --- missing files --------------------------------------------------------------------------------


def find_missing(workspace: Workspace, recorded: Run) -> list[Missing]:
    """Find what the code lacks: files the snapshot left out, and files that git ignores now.

    Leaves out the run's own outputs, caches and virtual environments.
    """
    top = workspace.repo.top
    written = {*recorded.produced, *recorded.outputs}
    missing = {}
    for text in recorded.code.left_out:
        path, _, reason = text.removesuffix(")").rpartition(" (")
        if path and path not in written:
            is_here = top is not None and (top / path).exists()
            missing[path] = Missing(path, reason, is_here)
    for path in _ignored(workspace):
        if path.rstrip("/") not in written and not _CACHES(path.rstrip("/")):
            missing.setdefault(path, Missing(path, "ignored by git", is_here=True))
    return list(missing.values())


def _ignored(workspace: Workspace) -> list[str]:
    if workspace.repo.top is None:
        return []
    result = workspace.repo.git(
        *("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"),
        check=False,
    )
    return result.text.split("\0")[:-1]


def not_placed(missing: Iterable[Missing], placement: Placement) -> list[Missing]:
    """Return the missing items that were not placed, neither themselves nor with a parent."""
    placed = [path.rstrip("/") for path in (*placement.placed, *placement.unchecked)]
    return [
        item
        for item in missing
        if not any(f"{item.path.rstrip('/')}/".startswith(f"{path}/") for path in placed)
    ]


def name_missing(missing: Sequence[Missing]) -> str:
    """Format a few of them with their reasons."""
    named = ", ".join(f"{item.path} ({item.reason})" for item in missing[:_NAMED])
    more = len(missing) - _NAMED
    return f"{named} and {more:,} more" if more > 0 else named


# --- placement ------------------------------------------------------------------------------------


def inside(top: Path, name: str) -> Path:
    """Return a recorded path in the temporary work tree, with symbolic links resolved.

    Raises `Undetermined` for a path outside it: a foreign record must not choose where gitexp
    writes.
    """
    path = _resolved(top / name)
    if not path.is_relative_to(top.resolve()):
        raise Undetermined(
            "cannot reproduce this run here",
            why=f"'{name}' is outside its work tree",
            hints=["record data outside it by absolute path"],
        )
    return path


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a link to itself
        raise Undetermined("cannot reproduce this run here", why=str(error)) from error


def fill(workspace: Workspace, recorded: Run, top: Path) -> list[Missing]:
    """Write the submodules of the recorded code from this clone; return those it lacks.

    Raises `Undetermined` when one is outside the temporary work tree.
    """
    _, absent = fill_submodules(workspace.repo, recorded.code.tree, lambda path: inside(top, path))
    return [
        Missing(
            f"{item.path}/", f"submodule; its commit {item.commit[:10]} is not here", is_here=False
        )
        for item in absent
    ]


def place_files(
    workspace: Workspace, recorded: Run, top: Path, links: Sequence[str] = ()
) -> Placement:
    """Place inputs, hashed files and requested links into a temporary work tree.

    `links` are paths relative to the top of the user's work tree. Raises `Undetermined` when an
    input does not exist here with its recorded content.
    """
    placement = Placement()
    for name in links:
        if workspace.repo.top is not None:
            place = inside(top, str(Path(name).parent)) / Path(name).name
            link_path(workspace.repo.top / name, place)
            placement.unchecked.append(name)
    _place_inputs(workspace, recorded, top, placement)
    for name, state in recorded.code.hashed.items():
        if name.endswith("/"):
            done = _copy_nested(workspace, name, top, state)
        else:
            done = not _has(top / name, state) and _bring(
                workspace, recorded, name, top, state, placement
            )
        if done:
            placement.placed.append(name)
    placement.unchecked = [n for n in placement.unchecked if n not in placement.placed]
    return placement


def _place_inputs(workspace: Workspace, recorded: Run, top: Path, placement: Placement) -> None:
    """Place the recorded inputs, and verify their content."""
    faults = []
    for name, state in recorded.inputs.items():
        place = Path(name) if Path(name).is_absolute() else top / name
        is_open = state.named and (not state.sha256 or name in recorded.produced)
        if is_open or _has(place, state):
            continue  # it was not hashed, or the run rewrote it
        if Path(name).is_absolute():
            faults.append(_fault(name, _state_of(place)))
        elif _bring(workspace, recorded, name, top, state, placement):
            placement.placed.append(name)
        else:
            inside(top, name)
            current = None if workspace.repo.top is None else _state_of(workspace.repo.top / name)
            faults.append(_fault(name, current or _state_of(place)))
    if faults:
        raise Undetermined(
            f"cannot reproduce run {recorded.id[:7]} on the same data",
            why="; ".join(faults[:5]),
            hints=["restore the data; `git exp show` lists the expected hashes"],
        )


def _fault(name: str, found: FileState | None) -> str:
    if found is None:
        return f"input '{name}' is not here"
    return f"input '{name}' has other content (now sha256 {found.sha256[:10]}…)"


def _bring(
    workspace: Workspace,
    recorded: Run,
    name: str,
    top: Path,
    state: FileState,
    placement: Placement,
) -> bool:
    """Link or copy a path of the user's work tree if it has the recorded content.

    Raises `Undetermined` when the path is outside the temporary work tree.
    """
    if workspace.repo.top is None or not _has(workspace.repo.top / name, state):
        return False
    place = inside(top, str(Path(name).parent)) / Path(name).name
    source = (workspace.repo.top / name).resolve()
    _clear(place)
    _shadow(source, place, name, {*recorded.produced, *recorded.outputs}, placement)
    return True


def _clear(place: Path) -> None:
    """Remove an existing file. Writing to it could follow a link out of the temporary work tree."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)


def _shadow(
    source: Path, place: Path, name: str, written: Collection[str], placement: Placement
) -> None:
    """Copy small files and files that the run writes from `source` to `place`; link the others."""
    if source.is_dir() and not source.is_symlink():
        place.mkdir()
        for inner in source.iterdir():
            if inner.name != ".git":
                _shadow(inner, place / inner.name, f"{name}/{inner.name}", written, placement)
        return
    found = source.stat()
    if name in written or found.st_size <= _SMALL_BYTES:
        shutil.copy2(source, place)
    else:
        place.symlink_to(source)
        placement.linked[source] = (found.st_mtime_ns, found.st_size)


def changed_links(placement: Placement) -> list[Path]:
    """Return the user's linked files that the command changed or removed."""
    changed = []
    for path, marks in placement.linked.items():
        try:
            found = path.stat()
        except OSError:
            changed.append(path)
        else:
            if (found.st_mtime_ns, found.st_size) != marks:
                changed.append(path)
    return changed


def _copy_nested(workspace: Workspace, name: str, top: Path, state: FileState) -> bool:
    """Copy the files of a nested repository if their combined hash is the recorded one."""
    source = None if workspace.repo.top is None else workspace.repo.top / name
    found = None if source is None else hash_nested(start_digests(workspace), source)
    if source is None or found is None or found.state.sha256 != state.sha256:
        return False
    place = inside(top, name.rstrip("/"))
    _clear(place)
    for file in found.files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / file, place / file, follow_symlinks=False)
    return True


def link_path(source: Path, place: Path) -> None:
    """Link a path that the user named. If the code has that directory, link the entries inside."""
    if not place.exists() and not place.is_symlink():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(source.resolve())
    elif source.is_dir() and place.is_dir() and not place.is_symlink():
        for inner in source.iterdir():
            link_path(inner, place / inner.name)


def check_links(workspace: Workspace, names: Iterable[str]) -> tuple[str, ...]:
    """Return the paths after `--link` relative to the top. Raises `InvalidInput`."""
    top, found = workspace.repo.top, []
    for name in names:
        path = Path(os.path.normpath(workspace.repo.start / name))
        parent = path.parent.resolve()
        if top is None or not parent.is_relative_to(top) or path == top:
            raise InvalidInput(
                f"cannot link '{name}'",
                why="it is not in the work tree",
                hints=["name a file or directory below the top of the repository"],
            )
        if not path.exists():
            raise InvalidInput(f"cannot link '{name}'", why=f"there is no '{path}'")
        found.append((parent / path.name).relative_to(top).as_posix())
    return tuple(found)


def _has(path: Path, state: FileState) -> bool:
    found = _state_of(path)
    return found is not None and found.sha256 == state.sha256


def _state_of(path: Path) -> FileState | None:
    try:
        return hash_path(path)
    except (OSError, RuntimeError):
        return None
