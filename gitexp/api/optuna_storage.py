"""A storage for Optuna in the repository: people's own samplers, pruners and dashboards use it."""

import os
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gitexp.core.errors import GitexpError
from gitexp.features.sweeps.study_log import StudyLog
from gitexp.storage.workspace import Workspace

try:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend
except ImportError as error:
    raise ImportError("gitexp.optuna needs Optuna: `pip install 'gitexp[optuna]'`") from error


class GitJournal(BaseJournalBackend):
    """A journal backend of Optuna in a git repository. Threads and processes may share it."""

    def __init__(self, name: str = "main", directory: str | os.PathLike[str] | None = None) -> None:
        """Open the journal `name` of the repository around a directory, the current one if `None`.

        Raises `NotARepository`, `Conflict` when the branch and the entries here went on apart, and
        `InvalidInput` for a name that cannot be one.
        """
        self._name = name
        self._directory = Path.cwd() if directory is None else Path(directory).resolve()
        self._open()

    def _open(self) -> None:
        self._log = StudyLog(Workspace.open(self._directory), self._name)
        weakref.finalize(self, _commit_at_end, self._log, os.getpid())

    @property
    def branch(self) -> str:
        """The branch that holds the journal."""
        return self._log.branch

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the entries from a number on.

        Raises `UnreadableRecord` when the file is damaged.
        """
        return self._log.read(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries; they are on this machine's disk when this returns. Raises `GitexpError`."""
        self._log.append(logs)

    def commit(self) -> None:
        """Put every entry onto the branch, as happens at the end. Raises `GitexpError`."""
        self._log.commit()

    def __getstate__(self) -> dict[str, Any]:
        return {"_name": self._name, "_directory": self._directory}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def _commit_at_end(log: StudyLog, pid: int) -> None:
    """Put every entry onto the branch, when the process that opened the journal needs it no more.

    What fails here is in the file, and the next process that opens the journal commits it.
    """
    if os.getpid() == pid:
        with suppress(GitexpError, OSError, RuntimeError):
            log.commit()


def storage(name: str = "main", directory: str | os.PathLike[str] | None = None) -> JournalStorage:
    """Return a storage for Optuna that keeps its studies in the repository.

    `name` chooses one of several journals, each on its branch `gitexp-studies/NAME`. Raises as
    `GitJournal`.
    """
    return JournalStorage(GitJournal(name, directory))
