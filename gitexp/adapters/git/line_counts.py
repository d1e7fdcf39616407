"""Added and removed lines of each file between two trees."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from gitexp.adapters.git.repository import Repo
from gitexp.adapters.git.verify import LOCAL


class LineCount(NamedTuple):
    """A file that differs between two trees."""

    path: str
    added: int | None
    """`None` for a binary file."""
    removed: int | None


_PAIR = re.compile(rb"([0-9a-f]{40,64}) ([0-9a-f]{40,64})\n")


def count_lines(
    repo: Repo, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], tuple[LineCount, ...]]:
    """Return the files that differ between the two trees of each pair, from one git process.

    A pair is absent when this clone lacks one of its trees. Raises `CommandFailed` when it lacks a
    file. Fetches nothing.
    """
    wanted = list(dict.fromkeys(pairs))
    if not wanted:
        return {}
    result = repo.git(
        *("diff-tree", "--stdin", "-r", "-z", "--no-renames", "--no-ext-diff", "--numstat"),
        stdin="".join(f"{old} {new}\n" for old, new in wanted).encode(),
        env=LOCAL,
    )
    found: dict[tuple[str, str], list[LineCount]] = {}
    now: list[LineCount] = []
    for part in result.stdout.split(b"\0"):
        rest = part
        while (heading := _PAIR.match(rest)) is not None:
            now = found.setdefault((heading[1].decode(), heading[2].decode()), [])
            rest = rest[heading.end() :]
        if rest.count(b"\t") >= 2:
            added, removed, path = rest.split(b"\t", 2)
            name = path.decode(errors="surrogateescape")
            now.append(LineCount(name, _number(added), _number(removed)))
    return {pair: tuple(counts) for pair, counts in found.items()}


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() else None
