"""Sentences about metrics read from files of frameworks."""

from collections.abc import Mapping
from typing import Final

from gitexp.core.model.run import Harvested
from gitexp.core.render.text import clean, counted

_NAMED: Final = 2


def harvest_sentence(sources: Mapping[str, Harvested]) -> str:
    """Return one line about the files; empty without files."""
    said = [f"{_counts(source)} from {path}" for path, source in list(sources.items())[:_NAMED]]
    more = len(sources) - _NAMED
    if more > 0:
        said.append(f"more from {counted(more, 'other file')}")
    return f"picked up {', '.join(said)}" if said else ""


def harvest_lines(sources: Mapping[str, Harvested]) -> list[str]:
    """Return a line for each file: its path, its kind, and the number of values from it."""
    return [
        f"{clean(path)}  {clean(source.kind)}: {_counts(source)}"
        for path, source in sources.items()
    ]


def _counts(source: Harvested) -> str:
    counts = (
        (source.metrics, "metric"),
        (source.steps, "step"),
        (len(source.params), "parameter"),
    )
    shown = [counted(count, noun) for count, noun in counts if count]
    return " and ".join(shown) if len(shown) < 3 else f"{shown[0]}, {shown[1]} and {shown[2]}"
