"""Whether something changed, by a few calls of `stat`: no process starts and no file is read."""

from pathlib import Path

from gitexp.core.schema.layout import run_ref
from gitexp.features.report.live.followed_run import Stamp, stamp_of
from gitexp.storage.workspace import Workspace

Stamps = tuple[Stamp | None, ...]


class Watched:
    """The files that change when the run branch or the project's settings do.

    A ref is a file of its own, or a line of `packed-refs`, or in the tables of `reftable`. Git
    replaces these files, so that their inodes change too.
    """

    def __init__(self, workspace: Workspace) -> None:
        """Starts no process."""
        common = workspace.repo.common_dir
        top = workspace.repo.top
        names = (run_ref(workspace.settings.branch), "packed-refs", "reftable/tables.list")
        self._branch = [common / name for name in names]
        self._settings = [common / "config"]
        if top is not None:
            self._settings += [top / "gitexp.toml", top / "pyproject.toml"]

    def stamps(self) -> Stamps:
        """Return what differs after a change."""
        return _stamps([*self._branch, *self._settings])

    def settings(self) -> Stamps:
        """Return what differs after a change of the settings."""
        return _stamps(self._settings)


def _stamps(paths: list[Path]) -> Stamps:
    return tuple(map(stamp_of, paths))
