"""Open hints: suggestions for the next run that no run has taken up."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Annotation, AnnotationKind, RecordedRun

DROP: Final = "-"
"""A decision with this hint, or with an empty one, drops the hints of its run."""


@frozen
class Hint:
    """Hint of a decision, until a run takes it up or a later decision drops it."""

    text: str
    entry: RecordedRun
    since: int
    """Runs after the hint's run; any of them may have taken it up without saying so."""
    clock: int
    """Logical time of the decision."""


def open_hints(entries: Sequence[RecordedRun]) -> Iterator[Hint]:
    """Return the open hints, newest first, of entries given oldest first; each text once.

    A run takes up a hint that its reason repeats, if it is newer than the hint's run. A run whose
    user named the hint's run as parent takes up all hints of that run, or only those that its
    reason repeats, if it repeats any. It does not matter whether the run or the decision came
    first. A decision without a hint leaves the earlier hints of its run open.
    """
    reasons = [_words(entry.run.reason or "") for entry in entries]
    children: dict[RunId, list[str]] = {}
    for entry, reason in zip(entries, reasons, strict=True):
        if entry.run.parent is not None and entry.run.parent_rule is None:
            children.setdefault(entry.run.parent, []).append(reason)
    found: list[Hint] = []
    for number, entry in enumerate(entries):
        said = _said(entry)
        later = reasons[number + 1 :] if said else []
        named = children.get(entry.run.id, [])
        everything = [_words(annotation.hint or "") for annotation in said]
        for annotation in said:
            words = _words(annotation.hint or "")
            is_taken = any(words in reason for reason in (*later, *named)) or any(
                not any(other in reason for other in everything) for reason in named
            )
            if not is_taken:
                text = (annotation.hint or "").strip()
                found.append(Hint(text, entry, len(later), annotation.clock))
    found.sort(key=lambda hint: hint.clock, reverse=True)
    newest: dict[str, Hint] = {}
    for hint in found:
        newest.setdefault(_words(hint.text), hint)
    yield from newest.values()


def _said(entry: RecordedRun) -> list[Annotation]:
    """Return the decisions whose hints no later decision dropped, oldest first."""
    said: list[Annotation] = []
    for annotation in entry.annotations:
        if annotation.kind is not AnnotationKind.DECISION or annotation.hint is None:
            continue
        if annotation.hint.strip() in ("", DROP):
            said.clear()
        else:
            said.append(annotation)
    return said


def _words(text: str) -> str:
    """Return only the words, each between spaces."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return f" {' '.join(words)} " if words else f" {text.strip()} "
