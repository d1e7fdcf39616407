"""Repeats of a trial as one row, with means and standard deviations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gitexp.core.analysis.groups import Group, Measurement, group_of
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome, RecordedRun, Value
from gitexp.core.render.text import format_cell, format_number


class Row(NamedTuple):
    """Runs of one group, shown as one row."""

    entry: RecordedRun
    """Run that represents them: the row shows its id, name and age."""
    members: tuple[RecordedRun, ...]
    """All of them, newest first, `entry` included."""


class Spread(NamedTuple):
    """Metric of several runs."""

    mean: float
    sd: float | None
    """`None` for a single number, or if all are equal."""


def single(entries: Sequence[RecordedRun]) -> list[Row]:
    """Return a row for each run."""
    return [Row(entry, (entry,)) for entry in entries]


def fold(entries: Sequence[RecordedRun], groups: Mapping[RunId, str]) -> list[Row]:
    """Return a row for each group, in order of first occurrence; its newest run represents it."""
    found: dict[str, list[RecordedRun]] = {}
    for entry in entries:
        found.setdefault(groups.get(entry.run.id, entry.run.id), []).append(entry)
    rows = []
    for members in found.values():
        newest = sorted(members, key=lambda e: (e.run.clock, e.run.id), reverse=True)
        rows.append(Row(newest[0], tuple(newest)))
    return rows


def spread_of(entries: Sequence[RecordedRun], values: Sequence[Value | None]) -> Spread | None:
    """Return the mean and standard deviation of a metric; `None` if no run has a number for it."""
    measured = group_of(
        Measurement(
            run=entry.run.id,
            clock=entry.run.clock,
            value=_number(entry, value),
            group="",
            cell=entry.run.fingerprint,
        )
        for entry, value in zip(entries, values, strict=True)
    )
    return spread(measured) if measured.sample else None


def spread(group: Group) -> Spread:
    """Return the mean of a group and, if its numbers differ, their standard deviation."""
    return Spread(group.mean, group.sd or None)


def _number(entry: RecordedRun, value: Value | None) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or entry.run.outcome is not Outcome.SUCCEEDED:
        return None
    number = float(value)  # type: ignore[arg-type]
    return number if number - number == 0 else None


def value_of_all(values: Sequence[Value | None], *, precision: int | None) -> Value | None:
    """Return the value that all runs share, else the different ones; numbers are sorted."""
    different = {format_cell(value, precision=precision): value for value in reversed(values)}
    if len(different) == 1:
        return values[0]
    texts = [text for text in different if text]
    if all(isinstance(different[text], int | float) for text in texts):
        texts.sort(key=lambda text: float(different[text]))  # type: ignore[arg-type]
    return ", ".join(texts)


def format_spread(spread: Spread, *, precision: int | None) -> str:
    """Return `0.8517 ±0.0035`: the mean and one standard deviation."""
    shown = format_number(spread.mean, precision=precision)
    if spread.sd is None:
        return shown
    return f"{shown} ±{format_number(spread.sd, precision=2)}"
