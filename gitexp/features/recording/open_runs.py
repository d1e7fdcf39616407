"""Read the journals of runs that are not sealed on the branch yet."""

from dataclasses import dataclass
from pathlib import Path

from gitexp.adapters.journal.journal import list_journals, read_journal
from gitexp.adapters.journal.liveness import Liveness, liveness
from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Run
from gitexp.core.schema.toml_codec import decode_run
from gitexp.storage.workspace import Workspace

DAMAGED_FOLDER = "damaged"
"""Directory below the journals to which recovery moves unreadable ones."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A journal with its run."""

    path: Path
    run: Run
    state: Liveness

    @property
    def is_over(self) -> bool:
        """True when recovery completes the run without `force`."""
        return self.state.is_over


@dataclass(frozen=True, slots=True)
class OpenRuns:
    """All journals of this clone."""

    runs: tuple[OpenRun, ...] = ()
    unreadable: tuple[Path, ...] = ()
    """Unreadable journals that were not moved yet."""
    set_aside: tuple[Path, ...] = ()
    """Unreadable journals that recovery moved aside."""

    def ids(self) -> set[RunId]:
        """Return the runs with a journal, readable or not."""
        found = {RunId(path.stem) for path in self.unreadable}
        return found | {open_run.run.id for open_run in self.runs}


def list_open_runs(workspace: Workspace) -> OpenRuns:
    """Read all journals without changing anything."""
    runs: list[OpenRun] = []
    unreadable: list[Path] = []
    for path in list_journals(workspace.journals):
        try:
            content = read_journal(path)
            runs.append(OpenRun(path, decode_run(content.record), liveness(content)))
        except FileNotFoundError:
            continue  # another process has just completed it
        except UnreadableRecord:
            unreadable.append(path)
    aside = workspace.journals / DAMAGED_FOLDER
    set_aside = sorted(aside.iterdir()) if aside.is_dir() else []
    return OpenRuns(tuple(runs), tuple(unreadable), tuple(set_aside))
