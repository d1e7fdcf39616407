"""What changed in the code between pairs of runs, as text.

Only files that count as code; one question to git for all pairs.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from gitexp.adapters.git.verify import LOCAL
from gitexp.core.analysis.fingerprint import DEFAULT_EXCLUDE, WRITTEN_BY_TOOLS, path_matcher
from gitexp.core.errors import GitexpError
from gitexp.storage.workspace import Workspace

MOST_PAIRS: Final = 80
MOST_LETTERS: Final = 40_000
"""A longer diff is cut at the end of a line."""

MOST_TOGETHER: Final = 1_500_000
"""Letters of all diffs; pairs after that are left out."""

_PAIR: Final = re.compile(r"^([0-9a-f]{40,64}) ([0-9a-f]{40,64})$", re.MULTILINE)
_FILE: Final = re.compile(r"^diff --git .*$", re.MULTILINE)
_PATH: Final = re.compile(r"^(?:\+\+\+ b/|--- a/)(.+)$", re.MULTILINE)
_CUT: Final = "\n… the rest is left out\n"

Pair = tuple[str, str]


def patches_of(
    workspace: Workspace, pairs: Iterable[Pair], produced: Collection[str] = ()
) -> dict[str, str]:
    """Return the diffs by `OLD NEW`, the ids of two trees, without pairs whose code is missing."""
    wanted = [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]][:MOST_PAIRS]
    exclude = (*DEFAULT_EXCLUDE, *workspace.settings.code_exclude, *WRITTEN_BY_TOOLS)
    is_left_out = path_matcher(exclude)
    found: dict[str, str] = {}
    letters = 0
    for (old, new), text in _ask(workspace, wanted):
        files = [f for f in _files(text) if not _is_left_out(f, is_left_out, produced)]
        shown = _cut("".join(files))
        letters += len(shown)
        if letters > MOST_TOGETHER:
            break
        found[f"{old} {new}"] = shown
    return found


def _ask(workspace: Workspace, pairs: Sequence[Pair]) -> list[tuple[Pair, str]]:
    if not pairs:
        return []
    options = ("--stdin", "-r", "-p", "--no-renames", "--no-ext-diff", "--no-textconv")
    try:
        asked = workspace.repo.git(
            *("diff-tree", *options, "--no-color"),
            stdin="".join(f"{old} {new}\n" for old, new in pairs).encode(),
            env=LOCAL,
        )
    except GitexpError:
        if len(pairs) == 1:
            return []
        middle = len(pairs) // 2  # one whose code is missing hides no other
        return [*_ask(workspace, pairs[:middle]), *_ask(workspace, pairs[middle:])]
    parts = _PAIR.split(asked.stdout.decode(errors="replace"))
    triples = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    return [((old, new), text) for old, new, text in triples]


def _files(text: str) -> list[str]:
    starts = [found.start() for found in _FILE.finditer(text)]
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def _is_left_out(text: str, matches: object, produced: Collection[str]) -> bool:
    named = _PATH.search(text)
    if named is None or not callable(matches):
        return False
    path = named[1].strip('"')
    return path in produced or bool(matches(path))


def _cut(text: str) -> str:
    if len(text) <= MOST_LETTERS:
        return text
    return text[: text.rfind("\n", 0, MOST_LETTERS)] + _CUT
