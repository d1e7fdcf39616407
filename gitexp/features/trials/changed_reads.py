"""Files that earlier runs of a trial read, and that have other content now.

A run on other data is another trial, also if the user did not declare the data: the fingerprint
covers the present content of these files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from gitexp.adapters.system import clock
from gitexp.adapters.system.probe import hash_file
from gitexp.core.analysis.fingerprint import fingerprint_of
from gitexp.core.analysis.grouping import keys_of
from gitexp.core.model.run import FileState, RecordedRun, Run
from gitexp.features.trials.earlier_runs import Changed
from gitexp.features.trials.reads import MAX_HASHED_BYTES, MAX_HASHING_S
from gitexp.storage.workspace import Workspace

GONE: Final = FileState(sha256="", bytes=0)
"""State of a file that does not exist."""

_NEWEST = 50
"""How many runs of the trial, the newest ones, count."""


class ToldApart(NamedTuple):
    """A run whose fingerprint covers the changed files."""

    run: Run
    changed: tuple[Changed, ...]
    """Earlier runs that would be the same trial but for these files."""


class ReadFiles:
    """Present states of files that earlier runs read.

    Each file is hashed once, up to `reads.MAX_HASHED_BYTES` and `reads.MAX_HASHING_S` for all.
    """

    def __init__(self, top: Path) -> None:
        """Take the directory to which the records' paths are relative."""
        self._top = top
        self._known: dict[str, FileState] = {}
        self._left_bytes = MAX_HASHED_BYTES
        self._end_s = clock.monotonic_s() + MAX_HASHING_S

    def state(self, path: str, recorded: FileState) -> FileState:
        """Return the state of a file, `GONE` if there is none, `recorded` if it is unknown.

        A file beyond the limits counts as unchanged if it has the recorded size: this finds
        changes, and never proves that there are none.
        """
        if path not in self._known:
            try:
                real = (self._top / Path(path).expanduser()).resolve(strict=True)
                size = real.stat().st_size
                if size > self._left_bytes or clock.monotonic_s() > self._end_s:
                    return recorded if size == recorded.bytes else FileState(sha256="", bytes=size)
                self._left_bytes -= size
                self._known[path] = hash_file(real)
            except FileNotFoundError:
                self._known[path] = GONE
            except (OSError, RuntimeError, ValueError):
                return recorded
        return self._known[path]

    def first_change(self, run: Run) -> str | None:
        """Return the first path whose content changed after the run read it."""
        paths = sorted(run.reads)
        return next((p for p in paths if self.state(p, run.reads[p]) != run.reads[p]), None)


def tell_apart(workspace: Workspace, run: Run, files: ReadFiles) -> ToldApart:
    """Let the fingerprint of a run cover files that earlier runs of its trial read otherwise.

    The trials of the new fingerprint may have read more files, so this repeats until it finds no
    change.
    """
    changed: dict[str, Changed] = {}
    while True:
        group = keys_of(run, workspace.settings.seed_params).group
        index = workspace.index
        earlier = index.entries(index.groups.readers(group, _NEWEST))
        for entry in earlier:
            path = files.first_change(entry.run)
            if path is not None:
                changed[entry.run.id] = entry, path
        unseen = dict(_unseen(earlier, files))
        if unseen.items() <= run.changed_reads.items():
            return ToldApart(run, tuple(changed.values()))
        run = replace(run, changed_reads={**run.changed_reads, **unseen})
        run = replace(run, fingerprint=fingerprint_of(run))


def _unseen(earlier: Sequence[RecordedRun], files: ReadFiles) -> Iterator[tuple[str, FileState]]:
    """Yield the files that have content with which none of the runs read them."""
    recorded: dict[str, set[FileState]] = {}
    for entry in earlier:
        for path, state in entry.run.reads.items():
            recorded.setdefault(path, set()).add(state)
    for path, states in recorded.items():
        now = files.state(path, next(iter(states)))
        if now not in states:
            yield path, now
