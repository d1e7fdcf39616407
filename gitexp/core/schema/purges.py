"""Purges as files of the run branch, so that no merge restores purged data.

Each purge has a file named by a digest of its content; each code state that a purge changed has a
file named by its tree.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gitexp.core.errors import UnreadableRecord
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Value
from gitexp.core.schema.toml_codec import decode_table, encode_table

_NAME_LENGTH: Final = 16
"""Digits in the name of a purge; the names of code states have 40 or 64."""


@frozen
class PurgedState:
    """Code state that a purge changed or removed."""

    became: str | None
    """Tree with the remaining files; `None` if the whole state was removed."""
    files: tuple[str, ...] = ()
    """Removed files, if some remain."""


@dataclass(slots=True)
class Purges:
    """All purges of a run branch."""

    names: set[str] = field(default_factory=set)
    """Names of the purges. History from before any of them must not return."""
    runs: set[str] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)
    """Code states that must not return at all."""
    files: dict[str, set[str]] = field(default_factory=dict)
    """Blobs that must not return, by path."""
    states: dict[str, PurgedState] = field(default_factory=dict)
    """Code states that were changed or removed, by tree."""

    def __bool__(self) -> bool:
        return bool(self.names)

    def add(self, name: str, content: bytes | None) -> None:
        """Add the content of a file, by its name on the branch. Raises `UnreadableRecord`."""
        table = decode_table(content or b"")
        if len(name) == _NAME_LENGTH:
            self.names.add(name)
            self.runs.update(_texts(table.get("runs")))
            self.trees.update(_texts(table.get("trees")))
            files = table.get("files")
            for path, blobs in files.items() if isinstance(files, Mapping) else ():
                self.files.setdefault(path, set()).update(_texts(blobs))
            return
        before = self.states.get(name)
        paths = {*(before.files if before else ()), *_texts(table.get("files"))}
        became = table.get("became")
        tree = became if isinstance(became, str) and became else None
        if before is not None and before.became != tree:
            tree = min(filter(None, (before.became, tree)), default=None)
        self.states[name] = PurgedState(tree, tuple(sorted(paths)))


def encode_purge(
    runs: Iterable[str], trees: Iterable[str], files: Mapping[str, Collection[str]]
) -> tuple[str, bytes]:
    """Return name and content of the file of a purge."""
    table: dict[str, Value] = {
        "runs": [*sorted(runs)],
        "trees": [*sorted(trees)],
        "files": {path: [*sorted(blobs)] for path, blobs in files.items()},
    }
    content = encode_table(table)
    return hashlib.sha256(content).hexdigest()[:_NAME_LENGTH], content


def encode_state(state: PurgedState) -> bytes:
    """Return the content of the file of a purged code state."""
    return encode_table({"became": state.became or "", "files": list(state.files)})


def decode_purges(contents: Iterable[tuple[str, bytes | None]]) -> Purges:
    """Read the purge files of a branch, given by name and content.

    An unreadable file of a purge still adds the purge's name.
    """
    purges = Purges()
    for name, content in contents:
        try:
            purges.add(name, content)
        except UnreadableRecord:
            if len(name) == _NAME_LENGTH:
                purges.names.add(name)
    return purges


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
