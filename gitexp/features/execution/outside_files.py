"""Hash files that count for a trial but are not in its snapshot, within limits.

These are model and data files, files over the size limits, and changes in submodules and nested
repositories. A record names files with unknown content: such a run proves nothing about repeats.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.git.nested_repositories import list_nested_files
from gitexp.adapters.git.worktree import SkippedFile
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
"""Patterns of untracked files to leave out of snapshots, unless `snapshot-include` has them."""

HASH_SECONDS: Final = 20.0
"""Most seconds that a start spends on hashing such files; the digests are cached."""

DIGESTS: Final = "file-digests"
"""File in gitexp's state directory: hashes by path, size and times."""

MAX_LISTED: Final = 200
"""Most files that a record lists one by one; with more, it has one hash per directory."""


class Outside(NamedTuple):
    """Files that count and are not in the snapshot."""

    hashed: dict[str, FileState]
    """Content by path; a path that ends in `/` stands for all such files below it."""
    unhashed: tuple[str, ...]
    """Paths with unknown content."""


def model_file_rule(include: Sequence[str]) -> Callable[[str], bool]:
    """Return a test for paths that snapshots leave out as model or data files.

    `include` are the user's patterns: `*.npy` includes such files, `!*.csv` excludes others.
    """

    @cache
    def compiled() -> Callable[[str], bool]:
        mine = (p.removeprefix("!") if p.startswith("!") else f"!{p}" for p in include)
        return path_matcher((*DATA_FILES, *mine))

    def is_model_file(path: str) -> bool:
        return compiled()(path)

    return is_model_file


def hash_outside(
    workspace: Workspace, left_out: Iterable[SkippedFile], counts: Callable[[str], bool]
) -> Outside:
    """Hash the left-out files that count. Never raises for an unreadable file."""
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
    """Open the cache of file hashes in gitexp's state directory, bounded by the settings."""
    return FileDigests(
        workspace.repo.state_dir / DIGESTS,
        max_bytes=workspace.settings.max_hash_size,
        max_seconds=HASH_SECONDS,
    )


class Nested(NamedTuple):
    """A nested repository on disk."""

    state: FileState
    """One hash of all files that it tracks or does not ignore."""
    files: tuple[str, ...]


def hash_nested(digests: FileDigests, directory: Path) -> Nested | None:
    """Hash a nested repository; `None` if a file cannot be read."""
    files = list_nested_files(directory)
    if files is None:
        return None
    state = _combined({file: digests.digest(directory / file) for file in files})
    return None if state is None else Nested(state, tuple(files))


def _combined(states: dict[str, FileState | None]) -> FileState | None:
    """Combine the states of many files into one; `None` if one of them is unknown."""
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
    """Group into at most `MAX_LISTED` entries: by file, else by top directory, else all in one."""
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


def named_few(items: Sequence[SkippedFile]) -> tuple[str, ...]:
    """Return at most `MAX_LISTED` left-out files with their reasons, as a record lists them."""
    return _few([str(item) for item in items])
