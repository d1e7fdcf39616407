"""Git configuration, as git itself resolves it."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from gitexp.adapters.git.process import Completed

ASK_CONFIG: Final = ("config", "--list", "--show-scope", "--show-origin", "-z")
"""The git command that tells all of it."""


class Setting(NamedTuple):
    """One value of git configuration and the scope it comes from."""

    key: str
    value: str
    origin: str
    file: str
    """As git names it, relative to its own folder; empty when it is from elsewhere."""


class GitConfig:
    """Git configuration as git itself resolves it: includes, worktree scope, `-c` and all."""

    def __init__(self, settings: Iterable[Setting]) -> None:
        self._settings = tuple(settings)

    def get(self, key: str) -> str | None:
        """The value in force, or `None`."""
        values = self.get_all(key)
        return values[-1] if values else None

    def get_all(self, key: str) -> list[str]:
        """All values, weakest first."""
        return [s.value for s in self._settings if s.key == key]

    @property
    def local_file(self) -> str:
        """Where git found the repository's own configuration; empty outside of any."""
        return next((s.file for s in self._settings if s.origin == "local"), "")

    def items(self, prefix: str) -> list[Setting]:
        """All settings whose key starts with the prefix, weakest first."""
        return [s for s in self._settings if s.key.startswith(prefix)]


def parse_config(asked: Completed) -> GitConfig:
    """What git answered to `ASK_CONFIG`."""
    parts = asked.text.split("\0")[:-1]
    return GitConfig(
        Setting(key, value, scope, place.removeprefix("file:") if place[:5] == "file:" else "")
        for scope, place, pair in zip(parts[::3], parts[1::3], parts[2::3], strict=False)
        for key, _, value in [pair.partition("\n")]
    )
