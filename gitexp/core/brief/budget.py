"""Cut a brief to a budget: keep the most useful entries, and count what is left out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from gitexp.core.brief.causes import Cause, shortened
from gitexp.core.brief.summary import SECTIONS, Brief

FIRST: Final = 2
"""Entries of each list that come before the rest of any list."""

Measure = Callable[[Brief], int]


def fit(brief: Brief, measure: Measure, room: int, *, most: int | None = None) -> Brief:
    """Keep as much of each list as fits, at most `most` entries each.

    `measure` returns the size of a brief in its final form. The part before the lists stays even if
    it is larger than the room.
    """
    lists: dict[str, tuple[Any, ...]] = {name: getattr(brief, name) for name in SECTIONS}
    kept = dict.fromkeys(SECTIONS, 0)
    bounds = {
        name: len(found) if most is None else min(most, len(found)) for name, found in lists.items()
    }
    turns = [(name, min(FIRST, bound)) for name, bound in bounds.items()]
    for name, bound in (*turns, *bounds.items()):
        while kept[name] < bound:
            longer = {**kept, name: kept[name] + 1}
            if measure(_cut(brief, lists, longer)) > room:
                break
            kept = longer
    for name in _BY_CAUSE:
        if kept[name] < bounds[name]:
            lists, kept = _with_part(brief, lists, kept, name, measure=measure, room=room)
    return _cut(brief, lists, kept)


_BY_CAUSE: Final = ("rejected", "failed")

Lists = dict[str, tuple[Any, ...]]


def _with_part(
    brief: Brief, lists: Lists, kept: dict[str, int], name: str, *, measure: Measure, room: int
) -> tuple[Lists, dict[str, int]]:
    """Keep as many of the newest trials of a long cause as fit."""
    place = kept[name]
    cause: Cause = lists[name][place]
    count = len(cause.attempts) // 2
    while count:
        found = (*lists[name][:place], shortened(cause, count), *lists[name][place + 1 :])
        shorter, longer = {**lists, name: found}, {**kept, name: place + 1}
        if measure(_cut(brief, shorter, longer)) <= room:
            return shorter, longer
        count //= 2
    return lists, kept


def _cut(brief: Brief, lists: dict[str, tuple[Any, ...]], kept: dict[str, int]) -> Brief:
    cut: dict[str, Any] = {name: found[: kept[name]] for name, found in lists.items()}
    left_out = {
        name: _count(found[kept[name] :])
        + sum(item.more for item in found[: kept[name]] if isinstance(item, Cause))
        + brief.unread.get(name, 0)
        for name, found in lists.items()
    }
    left_out = {name: count for name, count in left_out.items() if count}
    return replace(brief, **cut, left_out=left_out)


def _count(items: tuple[Any, ...]) -> int:
    """Return the number of trials, hints or neighbours."""
    return sum(item.count if isinstance(item, Cause) else 1 for item in items)
