"""Where trials have their files: work trees here, or on other machines."""

from typing import Protocol

from gitexp.core.model.run import Run
from gitexp.features.execution.prepare import PreparedRun
from gitexp.features.sweeps.trees import Trees
from gitexp.features.sweeps.trial import OpenTrial, placed_in
from gitexp.storage.workspace import Workspace


class Place(Protocol):
    """Has room for the files of trials."""

    def begin(self, prepared: PreparedRun, run: Run) -> OpenTrial:
        """Begin a trial. Raises `GitexpError` when it cannot be."""

    def end(self, trial: OpenTrial) -> None:
        """Make the room of a trial as new."""

    def touch(self) -> None:
        """Mark the room as in use: `git exp gc` removes what looks abandoned."""

    def close(self) -> None:
        """Remove everything."""


class WorkTrees:
    """Work trees on this machine."""

    def __init__(self, workspace: Workspace, trees: Trees) -> None:
        self._workspace = workspace
        self._trees = trees

    def begin(self, prepared: PreparedRun, run: Run) -> OpenTrial:
        """Begin a trial in a work tree of its own. Raises `GitexpError` when it cannot be."""
        tree = self._trees.take()
        prepared = placed_in(prepared, tree)
        return OpenTrial.begin(self._workspace, prepared, run, tree)

    def end(self, trial: OpenTrial) -> None:
        """Make the work tree of a trial as new."""
        self._trees.give_back(trial.tree)

    def touch(self) -> None:
        """Mark the work trees as in use."""
        self._trees.touch()

    def close(self) -> None:
        """Remove the work trees."""
        self._trees.close()
