"""A report without names, for blind review.

People, machines, branches, remotes and commits are left out; their names are replaced where they
stand in texts. All other words of the authors stay.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

_DROPPED: Final = (
    *("session", "source", "batch", "fingerprint"),
    *("inputs", "outputs", "reads", "changed_reads"),
)
_DROPPED_OF_CODE: Final = ("commit", "branch", "remote", "snapshot")
_MACHINE: Final = re.compile(r"^(host|user|hostname|username|machine)$|(?:^|[._])(?:host|user)$")
_SHORTEST: Final = 3
"""Shorter names are not looked for in texts."""


Replaced = Callable[[Any], Any]
"""A value with other words for the names in its texts and keys."""


def without_names(
    documents: Sequence[Mapping[str, Any]], hidden: Iterable[str] = ()
) -> tuple[list[dict[str, Any]], Replaced]:
    """Return the documents without names, and a function that replaces names in other values.

    `hidden` are more words that must not be in a text. Trees of files are numbered.
    """
    people: dict[str, str] = {}
    trees: dict[str, str] = {}
    for document in documents:
        trees.setdefault(document["code"]["tree"], f"tree {len(trees) + 1}")
        for said in (document, *document.get("annotations", ())):
            people.setdefault(said["author"], f"author {len(people) + 1}")
    words = _words(people, documents, hidden) | trees
    pattern = re.compile("|".join(map(re.escape, words)), re.IGNORECASE)
    folded = {word.casefold(): other for word, other in words.items()}

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(lambda m: folded[m[0].casefold()], value) if words else value
        if isinstance(value, list):
            return [replaced(inner) for inner in value]
        if isinstance(value, Mapping):
            return {replaced(key): replaced(inner) for key, inner in value.items()}
        return value

    return [replaced(_bare(document)) for document in documents], replaced


def _words(
    people: Mapping[str, str], documents: Sequence[Mapping[str, Any]], hidden: Iterable[str]
) -> dict[str, str]:
    """Return the words to replace, the longest first."""
    words = dict(people)
    for author, other in people.items():
        name, _, mail = author.partition("<")
        for part in (name.strip(), mail.rstrip("> "), mail.partition("@")[0]):
            words.setdefault(part, other)
    for document in documents:
        for name, value in document.get("environment", {}).items():
            if _MACHINE.search(name) and isinstance(value, str):
                words.setdefault(value, "a machine")
        for name in ("branch", "remote"):
            words.setdefault(str(document["code"].get(name, "")), "…")
    words |= {word: "…" for word in hidden if word not in words}
    kept = [word for word in words if len(word) >= _SHORTEST and word not in _KEPT]
    return {word: words[word] for word in sorted(kept, key=len, reverse=True)}


_KEPT: Final = frozenset({"main", "master", "train", "run", "exp", "test"})
"""Words of every project, which are no names."""


def _bare(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in document.items() if name not in _DROPPED}
    kept["code"] = {n: v for n, v in document["code"].items() if n not in _DROPPED_OF_CODE}
    if "environment" in document:
        environment = document["environment"]
        kept["environment"] = {n: v for n, v in environment.items() if not _MACHINE.search(n)}
    return kept
