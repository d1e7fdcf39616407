"""The runs that go on: what they measured, and when they gave a sign of life.

A run is judged by `adapters.journal.liveness`. Nothing is written here: the next command of the
user completes runs whose process died.
"""

from typing import Any, Final

from gitexp.adapters.journal.journal import list_journals
from gitexp.adapters.journal.liveness import Liveness
from gitexp.adapters.system import clock
from gitexp.core.errors import GitexpError
from gitexp.core.model.ids import RunId
from gitexp.core.schema.kinds import json_value
from gitexp.features.report.live.followed_run import FollowedRun
from gitexp.storage.workspace import Workspace

MOST_RUNS: Final = 200
"""Runs that are followed at most; the others are counted."""

Document = dict[str, Any]


class Running:
    """All journals of this clone."""

    def __init__(self, workspace: Workspace) -> None:
        """Nothing is read yet."""
        self.workspace = workspace
        self._followed: dict[RunId, FollowedRun] = {}
        self._unfollowed = 0

    def look(self) -> bool:
        """Read on in all journals. Return whether runs came or went."""
        paths = list_journals(self.workspace.journals)
        self._unfollowed = max(0, len(paths) - MOST_RUNS)
        here = {RunId(path.stem): path for path in paths[-MOST_RUNS:]}
        before = set(self._followed)
        for run in before - set(here):
            del self._followed[run]
        for run, path in here.items():
            try:
                followed = self._followed.get(run) or FollowedRun(self.workspace, path)
                followed.read_on()
                self._followed[run] = followed
            except (FileNotFoundError, GitexpError):
                self._followed.pop(run, None)
        return before != set(self._followed)

    def document(self) -> Document:
        """Return all runs that go on, with their curves."""
        runs = [self._one(run, followed) for run, followed in self._followed.items()]
        for found, followed in zip(runs, self._followed.values(), strict=True):
            found["curves"] = {name: c.document() for name, c in followed.curves.items()}
        return {"now": _now_ms(), "runs": runs, "more": self._unfollowed}

    def states(self) -> dict[RunId, Document]:
        """Return the present state of each run, without curves."""
        return {run: self._one(run, followed) for run, followed in self._followed.items()}

    def fresh_points(self) -> dict[RunId, Document]:
        """Return the points that were logged since this was asked last."""
        found = {run: followed.take_fresh() for run, followed in self._followed.items()}
        return {run: points for run, points in found.items() if points}

    def _one(self, run: RunId, followed: FollowedRun) -> Document:
        state = followed.state()
        sign_ns = followed.last_sign_ns()
        silent_s = (clock.file_time_ns() - sign_ns) / 1e9
        record = followed.run
        started = None if record is None else record.started
        return {
            "run": run,
            "name": "" if record is None else record.name,
            "reason": None if record is None else record.reason,
            "author": "" if record is None else record.author,
            "started": None if started is None else int(started.timestamp() * 1000),
            "state": state.value,
            "stalled": state is Liveness.ALIVE and silent_s > followed.silence_s(),
            "sign": sign_ns // 1_000_000,
            "step": followed.step,
            "values": {name: json_value(value) for name, value in followed.values.items()},
        }


def _now_ms() -> int:
    return clock.file_time_ns() // 1_000_000
