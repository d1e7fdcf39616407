"""Git configuration, as git itself resolves it."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from gitexp.adapters.git.process import GitResult

ASK_CONFIG: Final = ("config", "--list", "--show-scope", "--show-origin", "-z")
"""Arguments of the git command that prints the whole configuration."""


class Setting(NamedTuple):
    """One value of git's configuration, with its scope and file."""

    key: str
    value: str
    origin: str
    file: str
    """The file as git names it, relative to the directory git runs in; empty for other origins."""


class GitConfig:
    """The effective git configuration: with includes, worktree scope and `-c` options."""

    def __init__(self, settings: Iterable[Setting]) -> None:
        self._settings = tuple(settings)

    def get(self, key: str) -> str | None:
        """Return the effective value, or `None`."""
        values = self.get_all(key)
        return values[-1] if values else None

    def get_all(self, key: str) -> list[str]:
        """Return all values, lowest priority first."""
        return [s.value for s in self._settings if s.key == key]

    def items(self, prefix: str) -> list[Setting]:
        """Return all settings whose key starts with the prefix, lowest priority first."""
        return [s for s in self._settings if s.key.startswith(prefix)]


def parse_config(result: GitResult) -> GitConfig:
    """Parse the output of `ASK_CONFIG`."""
    parts = result.text.split("\0")[:-1]
    return GitConfig(
        Setting(key, value, scope, place.removeprefix("file:") if place[:5] == "file:" else "")
        for scope, place, pair in zip(parts[::3], parts[1::3], parts[2::3], strict=False)
        for key, _, value in [pair.partition("\n")]
    )
