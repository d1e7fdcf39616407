"""Files that count for a trial although its snapshot does not hold them: hashed, within bounds.

Model and data files, files over the size limits, and what changed in submodules and nested
repositories. A file whose content is not known is named: such a run proves nothing about repeats.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.git.nested_repositories import list_nested_files
from gitexp.adapters.git.worktree import LeftOut
from gitexp.adapters.system.file_digests import FileDigests
from gitexp.core.analysis.fingerprint import path_matcher
from gitexp.core.model.run import FileState
from gitexp.storage.workspace import Workspace

DATA_FILES: Final = (
    *("*.pt", "*.pth", "*.ckpt", "*.safetensors", "*.gguf", "*.onnx", "*.tflite", "*.keras"),
    *("*.pkl", "*.pickle", "*.joblib", "*.npy", "*.npz", "*.h5", "*.hdf5"),
    *("*.parquet", "*.arrow", "*.feather", "*.tfrecord", "*.tfrecords"),
    "events.out.tfevents.*",
)
"""Untracked files with such names stay out of snapshots, unless `snapshot-include` names them."""

HASH_SECONDS: Final = 20.0
"""A start spends at most so many seconds on such files; what it hashed it remembers."""

DIGESTS: Final = "file-digests"
"""File in our local state: hashes by path, size and times."""

MAX_LISTED: Final = 200
"""A record lists at most so many of these files one by one; more are hashed by directory."""


class Outside(NamedTuple):
    """What is known of the files that count and are not in the snapshot."""

    hashed: dict[str, FileState]
    """Content by path; a path that ends in `/` stands for all such files below it."""
    unhashed: tuple[str, ...]
    """Paths whose content is not known."""


def model_file_rule(include: Sequence[str]) -> Callable[[str], bool]:
    """A test for paths that stay out as model or data files.

    `include` are the user's patterns: `*.npy` takes such files in, `!*.csv` keeps others out.
    """

    @cache
    def compiled() -> Callable[[str], bool]:
        mine = (p.removeprefix("!") if p.startswith("!") else f"!{p}" for p in include)
        return path_matcher((*DATA_FILES, *mine))

    def is_model_file(path: str) -> bool:
        return compiled()(path)

    return is_model_file


def hash_outside(
    workspace: Workspace, left_out: Iterable[LeftOut], counts: Callable[[str], bool]
) -> Outside:
    """Hash what was left out and counts. Never raises for a file that cannot be read."""
    found = [item for item in left_out if counts(item.path.rstrip("/"))]
    if not found or workspace.repo.top is None:
        return Outside({}, ())
    top = workspace.repo.top
    digests = start_digests(workspace)
    hashed: dict[str, FileState] = {}
    unhashed: list[str] = []
    for path, is_secret in sorted((item.path, item.is_secret) for item in found):
        state: FileState | None = None
        if path.endswith("/"):
            nested = hash_nested(digests, top / path)
            state = None if nested is None else nested.state
        elif not is_secret:
            state = digests.digest(top / path, follow=True)
        if state is None:
            unhashed.append(path)
        else:
            hashed[path] = state
    digests.save()
    return Outside(_folded(hashed), _few(unhashed))


def start_digests(workspace: Workspace) -> FileDigests:
    """Hashes of files, remembered in our local state and bounded by the settings."""
    return FileDigests(
        workspace.repo.state_dir / DIGESTS,
        max_bytes=workspace.settings.max_hash_size,
        max_seconds=HASH_SECONDS,
    )


class Nested(NamedTuple):
    """A nested repository as it is on disk."""

    state: FileState
    """One hash for all files that it tracks or does not ignore."""
    files: tuple[str, ...]


def hash_nested(digests: FileDigests, directory: Path) -> Nested | None:
    """Hash a nested repository; `None` when not all of it can be read."""
    files = list_nested_files(directory)
    if files is None:
        return None
    state = _combined({file: digests.digest(directory / file) for file in files})
    return None if state is None else Nested(state, tuple(files))


def _combined(states: dict[str, FileState | None]) -> FileState | None:
    """One state for many files; `None` when one of them is not known."""
    listing, total_bytes = hashlib.sha256(), 0
    for path in sorted(states):
        state = states[path]
        if state is None:
            return None
        name = path.encode(errors="surrogateescape")
        listing.update(b"%b %b\0" % (state.sha256.encode(), name))
        total_bytes += state.bytes
    return FileState(sha256=listing.hexdigest(), bytes=total_bytes)


def _folded(hashed: dict[str, FileState]) -> dict[str, FileState]:
    """At most `MAX_LISTED` entries: by file, else by the directory at the top, else one for all."""
    for key in (lambda path: path, lambda path: path.split("/")[0] + "/", lambda _path: "./"):
        groups: dict[str, dict[str, FileState | None]] = {}
        for path, state in hashed.items():
            groups.setdefault(key(path), {})[path] = state
        if len(groups) <= MAX_LISTED:
            break
    folded = {}
    for name, states in groups.items():
        whole = states[name] if list(states) == [name] else _combined(states)
        if whole is not None:
            folded[name] = whole
    return folded


def _few(paths: Sequence[str]) -> tuple[str, ...]:
    more = len(paths) - MAX_LISTED
    return (*paths[:MAX_LISTED], f"and {more:,} more") if more > 0 else tuple(paths)


def named_few(items: Sequence[LeftOut]) -> tuple[str, ...]:
    """The left-out files as a record lists them, with their reasons, at most `MAX_LISTED`."""
    return _few([str(item) for item in items])
