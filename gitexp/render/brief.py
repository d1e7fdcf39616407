"""A brief on one screen, and as the document that `--json` prints.

Floor 5, pure.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gitexp.briefing import Attempt, Brief, Hint, Standing
from gitexp.model import Direction, Entry, Value, flatten
from gitexp.records.documents import json_value
from gitexp.render.colour import Role, style
from gitexp.render.detail import View
from gitexp.render.listing import decision_word, short_id
from gitexp.render.text import clean, fold, format_age, format_cell, shorten

BRIEF_SCHEMA = 1

_STANDING_ROLES: dict[Standing, Role] = {
    "first": "heading",
    "better": "good",
    "same": "doubt",
    "worse": "bad",
    "unknown": "doubt",
}
_SHOWN_PARAMS = 6


# --- text -----------------------------------------------------------------------------------------


def brief_text(brief: Brief, *, view: View) -> str:
    """Sections that have something to say, the most useful first."""
    sections = [
        [_counts(brief), *_best(brief, view)],
        _section("open hints", [_hint(hint, view) for hint in brief.hints], view),
        _section("last runs", [_attempt(a, brief, view) for a in brief.recent], view),
        _section("given up", [_attempt(a, brief, view) for a in brief.rejected], view),
        _section("failed", [_attempt(a, brief, view) for a in brief.failed], view),
        _section("waiting for a decision", _names(brief.undecided, view), view),
        _section("not finished", _names(brief.unfinished, view), view),
        _section(
            "not tried yet, next to the best",
            [f"{clean(n.param)} {_cell(n.value, view)}: {clean(n.why)}" for n in brief.untried],
            view,
        ),
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections if lines)
    return fold(text, view.width)


def _section(title: str, lines: Sequence[str], view: View) -> list[str]:
    if not lines:
        return []
    cut = [line if view.width is None else shorten(line, view.width - 2) for line in lines]
    return [style(title, "heading", enabled=view.colour), *(f"  {line}" for line in cut)]


def _counts(brief: Brief) -> str:
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in brief.outcomes.items() if count)
    plural = "" if brief.total == 1 else "s"
    line = f"{brief.total:,} run{plural}: {told}" if brief.total else "no runs yet"
    if brief.considered < brief.total:
        line += f"; summed up here are {brief.considered:,}: the newest, the best, those given up"
    return line


def _best(brief: Brief, view: View) -> Iterator[str]:
    best = brief.best
    if best is None:
        if brief.metric and brief.direction is None:
            yield f"which way '{clean(brief.metric)}' is better is not known: declare it"
        return
    run = best.entry.run
    name = f"{short_id(run.id, view.ids)} {clean(run.name)}"
    better = "higher" if brief.direction is Direction.MAXIMIZE else "lower"
    guess = " (a guess)" if brief.guessed else ""
    value = _cell(best.value, view)
    yield (
        f"{style('best', 'good', enabled=view.colour)}: {clean(brief.metric or '')} {value} by "
        f"{name}, {format_age(run.started, now=view.now)}{_decided(best.entry)}; "
        f"{better} is better{guess}"
    )
    params = _params(dict(flatten(run.parameters)), view, most=None)
    if params:
        yield f"  with {params}"
    if run.reason:
        yield f"  because: {shorten(clean(run.reason), 200)}"
    if brief.since_best:
        plural = "" if brief.since_best == 1 else "s"
        yield f"  {brief.since_best:,} run{plural} since did not beat it"
    if brief.better_rejected:
        were = "was" if brief.better_rejected == 1 else "were"
        yield f"  {brief.better_rejected:,} with a better value {were} discarded"


def _attempt(attempt: Attempt, brief: Brief, view: View) -> str:
    """`7f3a9c0 brave-otter: 0.8, worse; lr 0.1; decided discard: too slow`."""
    run, decision = attempt.entry.run, attempt.entry.decision
    measured = f"{clean(brief.metric or '')} {_cell(attempt.value, view)}"
    told = measured if attempt.value is not None else run.outcome.value
    if attempt.standing not in ("unknown", "first"):
        role = _STANDING_ROLES[attempt.standing]
        told += f", {style(attempt.standing, role, enabled=view.colour)}"
    if attempt.value is not None and run.outcome.value != "succeeded":
        told += f", {run.outcome.value}"
    parts = [told, _params(attempt.params, view, most=_SHOWN_PARAMS)]
    if decision is not None and decision.decision is not None:
        why = decision.text or run.reason
        parts.append(decision_word(attempt.entry) + (f": {clean(why)}" if why else ""))
    elif run.reason:
        parts.append(clean(run.reason))
    name = f"{short_id(run.id, view.ids)} {clean(run.name)}"
    return f"{name}: {'; '.join(part for part in parts if part)}"


def _hint(hint: Hint, view: View) -> str:
    run = hint.entry.run
    since = f"; {hint.since:,} run{'' if hint.since == 1 else 's'} since" if hint.since else ""
    return f"{clean(hint.text)} ({short_id(run.id, view.ids)} {clean(run.name)}{since})"


def _names(attempts: Sequence[Attempt], view: View) -> list[str]:
    """All on one line: they are only to be named."""
    if not attempts:
        return []
    return [
        ", ".join(
            f"{short_id(a.entry.run.id, view.ids)} {clean(a.entry.run.name)}" for a in attempts
        )
    ]


def _decided(entry: Entry) -> str:
    word = decision_word(entry)
    return f", decided {word}" if word else ""


def _params(params: dict[str, Value], view: View, *, most: int | None) -> str:
    shown = [f"{clean(n)} {_cell(v, view)}" for n, v in list(params.items())[:most]]
    more = len(params) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])])


def _cell(value: Value | None, view: View) -> str:
    return shorten(format_cell(value, precision=view.precision), 60)


# --- json -----------------------------------------------------------------------------------------


def brief_document(brief: Brief) -> dict[str, Any]:
    """The document of a brief; `docs/json.md` has its keys."""
    return {
        "schema": BRIEF_SCHEMA,
        "total": brief.total,
        "considered": brief.considered,
        "outcomes": dict(brief.outcomes),
        "metric": brief.metric,
        "direction": brief.direction and brief.direction.value,
        "guessed": brief.guessed,
        "best": None if brief.best is None else _best_document(brief.best),
        "better_rejected": brief.better_rejected,
        "since_best": brief.since_best,
        "recent": [_attempt_document(a) for a in brief.recent],
        "rejected": [_attempt_document(a) for a in brief.rejected],
        "failed": [_attempt_document(a) for a in brief.failed],
        "undecided": [_attempt_document(a) for a in brief.undecided],
        "unfinished": [_attempt_document(a) for a in brief.unfinished],
        "hints": [
            {"hint": h.text, "run": h.entry.run.id, "name": h.entry.run.name, "since": h.since}
            for h in brief.hints
        ],
        "untried": [
            {"param": n.param, "value": json_value(n.value), "why": n.why} for n in brief.untried
        ],
    }


def _best_document(best: Attempt) -> dict[str, Any]:
    """The best run with all that is needed to go on from it."""
    run = best.entry.run
    document = {
        **_attempt_document(best),
        "params": {name: json_value(value) for name, value in flatten(run.parameters)},
        "metrics": {name: json_value(value) for name, value in flatten(best.entry.metrics)},
        "commit": run.code.commit,
        "snapshot": run.code.snapshot,
        "argv": None if run.command is None else list(run.command.template or run.command.argv),
    }
    return {name: value for name, value in document.items() if value is not None}


def _attempt_document(attempt: Attempt) -> dict[str, Any]:
    run, decision = attempt.entry.run, attempt.entry.decision
    found = {
        "run": run.id,
        "name": run.name,
        "outcome": run.outcome.value,
        "started": run.started.isoformat(),
        "value": _number(attempt.value),
        "standing": attempt.standing,
        "params": {name: json_value(value) for name, value in attempt.params.items()},
        "reason": run.reason,
        "decision": decision and decision.decision and decision.decision.value,
        "disputed": [word.value for word in attempt.entry.disputed] or None,
        "why": decision and decision.text,
        "hint": decision and decision.hint,
    }
    return {name: value for name, value in found.items() if value is not None}


def _number(value: float | None) -> Any:
    return None if value is None else json_value(value)
