"""Find runs that run at the same time in the same work tree, whose files belong to them."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gitexp.adapters.journal.journal import list_journals, read_journal
from gitexp.adapters.journal.liveness import RUN_VARIABLE, liveness
from gitexp.core.errors import GitexpError
from gitexp.core.model.ids import RunId, parse_run_id
from gitexp.core.model.run import Origin, Run
from gitexp.core.schema.toml_codec import decode_run
from gitexp.features.recording.made_here import RECORDED_HERE
from gitexp.storage.workspace import Workspace

_MAX_LOOKED_AT = 200
"""Most concurrent runs to read; with more, any file could belong to another run."""


@dataclass(slots=True)
class Alongside:
    """Other runs that could have written a file during a run."""

    workspace: Workspace
    run: Run
    top: Path
    is_shared: bool
    """False in a temporary work tree, which no other run uses."""
    directories: set[Path] = field(default_factory=set)
    """Directories in which the other runs ran."""

    @classmethod
    def begin(cls, workspace: Workspace, run: Run, top: Path) -> "Alongside":
        """Note the other open runs just after a run has begun."""
        found = cls(workspace, run, top, workspace.repo.top == top)
        outer = os.environ.get(RUN_VARIABLE)  # the run that started this one waits for it
        for path in list_journals(workspace.journals) if found.is_shared else ():
            if path.stem not in (run.id, outer):
                found._note_journal(path, only_alive=True)
        return found

    def _note_journal(self, path: Path, *, only_alive: bool, until_ns: int | None = None) -> None:
        with suppress(GitexpError, OSError):
            content = read_journal(path)
            is_over = content.ending is not None or liveness(content).is_over
            if not (only_alive and is_over):
                self._note(decode_run(content.record), content.extra.get("top"), until_ns)

    def _note(self, other: Run, top: object, until_ns: int | None) -> None:
        """Note a run if its command can write files of frameworks in this work tree."""
        if other.origin not in (Origin.RUN, Origin.API) or top not in (None, str(self.top)):
            return
        if until_ns is not None and other.started.timestamp() * 1e9 > until_ns:
            return
        self.directories.add(self.top / (other.command.directory if other.command else "."))

    def look_back(self, until_ns: int | None = None) -> None:
        """Note the runs that began since `begin` and before a moment, even if they have ended."""
        if not self.is_shared:
            return
        started = self._begun_since()
        if len(started) > _MAX_LOOKED_AT:
            self.directories.add(self.top)
            return
        index = self.workspace.refreshed() if started else None
        for run_id in started:
            journal = self.workspace.journals / f"{run_id}.journal"
            if journal.exists():
                self._note_journal(journal, only_alive=False, until_ns=until_ns)
            elif index is not None:
                with suppress(GitexpError):
                    self._note(index.entry(run_id).run, None, until_ns)

    def _begun_since(self) -> Sequence[RunId]:
        try:
            lines = (self.workspace.repo.state_dir / RECORDED_HERE).read_text().split()
        except OSError:
            return ()
        if self.run.id not in lines:
            return ()
        since = lines[lines.index(self.run.id) + 1 :]
        found = []
        for line in since:
            with suppress(GitexpError):
                found.append(parse_run_id(line))
        return found

    def ownership(self, directory: Path, argv: Sequence[str]) -> Callable[[Path], bool]:
        """Return a test whether a path can only belong to this run.

        True for all paths when no other run was open. Else true for paths that the command names.
        Also true for paths below the run's directory, unless another run's directory contains it or
        is inside it.
        """
        if not self.directories:
            return lambda _path: True
        named = _named_paths(directory, argv, self.top)
        is_apart = not any(
            directory.is_relative_to(other) or other.is_relative_to(directory)
            for other in self.directories
        )

        def is_ours(path: Path) -> bool:
            if is_apart and path.is_relative_to(directory):
                return True
            return any(path.is_relative_to(name) for name in named)

        return is_ours


def _named_paths(directory: Path, argv: Sequence[str], top: Path) -> list[Path]:
    """Return files and directories below `top` that arguments name, except the run's directory."""
    found = []
    for argument in argv:
        for text in {argument, argument.rpartition("=")[2]}:
            if not text or len(text) > 4096 or "\0" in text:
                continue
            path = Path(os.path.normpath(directory / text))
            if path.is_relative_to(top) and not directory.is_relative_to(path):
                found.append(path)
    return found
