"""Runs that are not sealed on the branch yet: what their journals say about them."""

from dataclasses import dataclass
from pathlib import Path

from gitexp.adapters.journal.journal import pending, read_journal
from gitexp.adapters.journal.liveness import Liveness, liveness
from gitexp.core.errors import Unreadable
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Run
from gitexp.core.schema.toml_codec import decode_run
from gitexp.storage.workspace import Workspace

DAMAGED_FOLDER = "damaged"
"""Below the journals: where recovery moves what it cannot read."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A journal and the run it is about."""

    path: Path
    run: Run
    state: Liveness

    @property
    def is_over(self) -> bool:
        """True when recovery completes it without being forced."""
        return self.state.is_over


@dataclass(frozen=True, slots=True)
class Survey:
    """All journals."""

    runs: tuple[OpenRun, ...] = ()
    unreadable: tuple[Path, ...] = ()
    """Journals that cannot be read, still in their place."""
    set_aside: tuple[Path, ...] = ()
    """Damaged journals that recovery moved aside earlier."""

    def ids(self) -> set[RunId]:
        """The runs that have a journal, readable or not."""
        found = {RunId(path.stem) for path in self.unreadable}
        return found | {open_run.run.id for open_run in self.runs}


def survey_journals(workspace: Workspace) -> Survey:
    """Read all journals; changes nothing."""
    runs: list[OpenRun] = []
    unreadable: list[Path] = []
    for path in pending(workspace.journals):
        try:
            content = read_journal(path)
            runs.append(OpenRun(path, decode_run(content.record), liveness(content)))
        except FileNotFoundError:
            continue  # another process has just completed it
        except Unreadable:
            unreadable.append(path)
    aside = workspace.journals / DAMAGED_FOLDER
    set_aside = sorted(aside.iterdir()) if aside.is_dir() else []
    return Survey(tuple(runs), tuple(unreadable), tuple(set_aside))
