"""A brief on one screen, and as the document for `--json`."""

from collections.abc import Iterator, Sequence

from gitexp.core.analysis.noise import Basis
from gitexp.core.brief.causes import Cause, alone, changed_params, has_changed_code
from gitexp.core.brief.hints import Hint
from gitexp.core.brief.summary import Brief
from gitexp.core.brief.trials import Attempt, CodeChange
from gitexp.core.model.run import Direction, Outcome, Value, flatten
from gitexp.core.render.brief_document import brief_json
from gitexp.core.render.colour import style
from gitexp.core.render.run_detail import TextOptions
from gitexp.core.render.run_table import decision_word, short_id
from gitexp.core.render.text import (
    clean,
    counted,
    fold,
    format_age,
    format_cell,
    format_param,
    shorten,
)

__all__ = ["brief_json", "brief_text"]

_SHOWN_PARAMS = 6
_SHOWN_TRIALS = 4
_SHOWN_VALUES = 20
_SHOWN_FILES = 3
_LONGEST = 160
"""Width to which lines are cut if the terminal's is unknown."""


def brief_text(brief: Brief, *, view: TextOptions) -> str:
    """Return the sections that are not empty, the most useful first."""
    sections = [
        [*_head(brief, view), *_best(brief, view)],
        *(_section(name, brief, view) for name in _TITLES),
        [*_unlisted(brief)],
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections if lines)
    return fold(text, view.width)


_TITLES = {
    "running": "running",
    "hints": "open hints",
    "rejected": "given up, by cause",
    "failed": "failed, not decided, by cause",
    "undecided": "waiting for a decision",
    "kept": "kept",
    "interrupted": "interrupted",
    "untried": "not tried yet, next to the best",
}


def _section(name: str, brief: Brief, view: TextOptions) -> list[str]:
    lines = [*_lines(name, brief, view)]
    if not lines:
        return []
    told = sum(cause.more for cause in getattr(brief, name)) if name in _BY_CAUSE else 0
    if more := brief.left_out.get(name, 0) - told:
        lines.append(f"and {more:,} more")
    title = style(_TITLES[name], "heading", enabled=view.colour)
    if name in _BY_CAUSE:
        causes: tuple[Cause, ...] = getattr(brief, name)
        if any(attempt.near is not None for cause in causes for attempt in cause.attempts):
            title += "; changes against the nearest kept trial"
        return [title, *(f"  {line}" for line in lines)]
    width = _LONGEST if view.width is None else view.width - 2
    return [title, *(f"  {shorten(line, width)}" for line in lines)]


_BY_CAUSE = ("rejected", "failed")
"""Sections whose lines are folded and never cut, because no other section has their content."""


def _unlisted(brief: Brief) -> Iterator[str]:
    """Return which lists have entries that did not fit."""
    parts = [
        f"{count:,} {_NOUNS[name]}"
        for name, count in brief.left_out.items()
        if not getattr(brief, name)
    ]
    if parts:
        yield f"left out: {', '.join(parts)}; a larger --budget has room"


_NOUNS = {
    "running": "running",
    "hints": "open hints",
    "rejected": "given up",
    "failed": "failed",
    "undecided": "waiting for a decision",
    "kept": "kept",
    "interrupted": "interrupted",
    "untried": "not tried yet",
}


def _lines(name: str, brief: Brief, view: TextOptions) -> Iterator[str]:
    if name == "hints":
        yield from (_hint(hint, view) for hint in brief.hints)
    elif name == "untried":
        for n in brief.untried:
            yield f"{clean(n.param)} {_cell(n.value, view)}: {clean(n.why)}"
    elif name in _BY_CAUSE:
        causes: tuple[Cause, ...] = getattr(brief, name)
        yield from (_cause(cause, brief, view) for cause in causes)
    else:
        attempts: tuple[Attempt, ...] = getattr(brief, name)
        yield from (_attempt(attempt, name, brief, view) for attempt in attempts)


def _head(brief: Brief, view: TextOptions) -> Iterator[str]:
    text = ", ".join(f"{count:,} {outcome}" for outcome, count in brief.outcomes.items() if count)
    line = f"{counted(brief.total, 'run')}: {text}" if brief.total else "no runs yet"
    if brief.considered < brief.total:
        line += (
            f"; summed up here are {brief.considered:,}: the newest, the best, those given up, "
            "failed and running"
        )
    elif brief.trials < brief.total:
        line += f"; {counted(brief.trials, 'trial')}"
    yield line
    if brief.since is not None:
        run = brief.since
        older = f"; {counted(brief.older, 'older trial')} left out" if brief.older else ""
        yield f"listed is what is newer than {short_id(run.id, view.ids)} {clean(run.name)}{older}"
    if brief.by_numbers:
        yield "noise unknown: the best is so by the numbers"


def _best(brief: Brief, view: TextOptions) -> Iterator[str]:
    best = brief.best
    if best is None:
        if brief.metric and brief.direction is None:
            yield f"which way '{clean(brief.metric)}' is better is not known: declare it"
        return
    run = best.entry.run
    better = "higher" if brief.direction is Direction.MAXIMIZE else "lower"
    guess = " (a guess)" if brief.guessed else ""
    word = style("best?" if brief.contenders else "best", "good", enabled=view.colour)
    decided = "" if best.decided is None else f", decided {decision_word(best.decided)}"
    by = "typical run" if best.runs > 1 else "by"
    yield (
        f"{word}: {_measured(best, brief, view)}{', ' if best.runs > 1 else ' '}{by} "
        f"{_name(best, view)}, {format_age(run.started, now=view.now)}{decided}; "
        f"{better} is better{guess}"
    )
    if brief.contenders:
        yield f"  {counted(brief.contenders, 'other')} (?) cannot be told from it"
    params = _params(dict(flatten(run.parameters)), view, most=None)
    if params:
        yield f"  with {params}"
    if run.reason:
        yield f"  because: {shorten(clean(run.reason), _LONGEST)}"
    changes = brief.code.get(run.id)
    if changes:
        yield f"  changed against its parent: {_changes(changes)}"
    if brief.here is not None:
        yield f"  the work tree has {_here(brief.here)}"
    if best.is_running:
        yield "  another run of it is running"
    if brief.since_best:
        yield f"  {counted(brief.since_best, 'trial')} since"
    if brief.better_rejected:
        were = "was" if brief.better_rejected == 1 else "were"
        yield f"  {brief.better_rejected:,} with a better value {were} discarded"


def _here(changes: Sequence[CodeChange]) -> str:
    return f"other code: {_changes(changes)}" if changes else "its code"


def _attempt(attempt: Attempt, section: str, brief: Brief, view: TextOptions) -> str:
    """Return `7f3a9c0 brave-otter: loss 0.8, worse; lr 0.1; model.py +3 -1; keep: good enough`."""
    run, decided = attempt.entry.run, attempt.decided
    if section == "running":
        newest = next(e.run for e in reversed(attempt.entries) if not e.run.is_sealed)
        text = f"since {format_age(newest.started, now=view.now).removesuffix(' ago')}"
        if newest.id in brief.unseen:
            text += ", as far as is known: it was not started here"
        name = f"{short_id(newest.id, view.ids)} {clean(newest.name)}"
    else:
        measured = attempt.value is not None
        text = _measured(attempt, brief, view) if measured else run.outcome.value
        text += _standing(attempt, section, brief, view)
        name = _name(attempt, view)
    parts = [text, _params(attempt.params or {}, view, most=_SHOWN_PARAMS)]
    parts.append(_code(attempt, brief))
    if decided is not None and decided.decision is not None:
        why = decided.decision.text or run.reason
        parts.append(decision_word(decided) + (f": {_line(why)}" if why else ""))
    elif run.reason:
        parts.append(_line(run.reason))
    return f"{name}: {'; '.join(part for part in parts if part)}"


def _standing(attempt: Attempt, section: str, brief: Brief, view: TextOptions) -> str:
    """Return `, worse` if that is shown, ` ?` if it may be the best, `, same` by the numbers."""
    if attempt.value is None or section not in ("undecided", "kept"):
        return ""
    if attempt.standing == "same":
        return f", {style('same', 'doubt', enabled=view.colour)}"
    if brief.basis not in _WITH_NOISE:
        return ""  # the numbers show which one is worse
    if attempt.standing == "worse":
        return f", {style('worse', 'bad', enabled=view.colour)}"
    return " ?" if brief.contenders else ""


_WITH_NOISE = (Basis.DECLARED, Basis.MEASURED)


def _cause(cause: Cause, brief: Brief, view: TextOptions) -> str:
    """Return `OOM: hidden 8192, 16384 (2)`."""
    word = ""
    if cause.word in ("stop", Outcome.TIMED_OUT.value):
        word = f"{cause.word}: "
    if cause.disputed:
        word = "disputed: "
    text = word + shorten(clean(cause.text), 80)
    if cause.output:
        text += f" [{shorten(clean(cause.output), 60)}]"
    more = f"; {cause.more:,} older" if cause.more else ""
    return f"{text}: {_trials(cause, brief, view)}{more} ({cause.count:,})"


def _trials(cause: Cause, brief: Brief, view: TextOptions) -> str:
    """Return their common changes, else the changes of each: `lr 0.3, 1; hidden 64`."""
    attempts, shared = cause.attempts, cause.shared
    if len(attempts) > 1 and shared.params:
        parts = [f"{clean(name)} {_values(v, view)}" for name, v in shared.params.items()]
        varied = list(map(clean, shared.varied))
        verb = "varies" if len(varied) == 1 else "vary"
        return "; ".join([*parts, *([f"{', '.join(varied)} {verb}"] if varied else [])])
    found: list[str] = []
    others = list(attempts)
    if len(attempts) > 1:
        single, others = alone(attempts)
        found = [f"{clean(name)} {_values(values, view)}" for name, values in single.items()]
    shown = others[:_SHOWN_TRIALS]
    found += [_trial(attempt, brief, view, measured=len(attempts) == 1) for attempt in shown]
    more = len(others) - len(shown)
    return "; ".join([*found, *([f"{more:,} more"] if more else [])])


def _trial(attempt: Attempt, brief: Brief, view: TextOptions, *, measured: bool) -> str:
    parts = [
        _params(changed_params(attempt), view, most=_SHOWN_PARAMS, joint=" + "),
        _changed_code(attempt, brief),
        _measured(attempt, brief, view) if measured and attempt.value is not None else "",
    ]
    text = ", ".join(part for part in parts if part)
    return f"{_name(attempt, view)}{' ' if text else ''}{text}"


def _values(values: Sequence[Value], view: TextOptions) -> str:
    shown = [_cell(value, view) for value in values[:_SHOWN_VALUES]]
    more = len(values) - len(shown)
    return ", ".join([*shown, *([f"{more:,} more"] if more else [])])


def _measured(attempt: Attempt, brief: Brief, view: TextOptions) -> str:
    mean = f", mean of {attempt.runs}" if attempt.runs > 1 else ""
    value = format_cell(attempt.value, precision=view.precision)
    return f"{clean(brief.metric or '')} {value}{mean}"


def _hint(hint: Hint, view: TextOptions) -> str:
    run = hint.entry.run
    since = f"; {counted(hint.since, 'run')} since" if hint.since else ""
    return f"{_line(hint.text)} ({short_id(run.id, view.ids)} {clean(run.name)}{since})"


def _name(attempt: Attempt, view: TextOptions) -> str:
    run = attempt.entry.run
    return f"{short_id(run.id, view.ids)} {clean(run.name)}"


def _code(attempt: Attempt, brief: Brief) -> str:
    """Return the differences from the best's code."""
    changes = brief.code.get(attempt.entry.run.id, ())
    return _changes(changes) or ("other code" if attempt.has_other_code else "")


def _changed_code(attempt: Attempt, brief: Brief) -> str:
    """Return the differences from the nearest kept trial's code; only their number against the
    best.
    """
    if attempt.near is None:
        return _code(attempt, brief)
    return "other code" if has_changed_code(attempt) else ""


def _changes(changes: Sequence[CodeChange]) -> str:
    """Return `model.py +3 -1, 2 more files`."""
    shown = [
        clean(c.path) + (" (binary)" if c.added is None else f" +{c.added} -{c.removed}")
        for c in changes[:_SHOWN_FILES]
    ]
    more = len(changes) - len(shown)
    return ", ".join([*shown, *([f"{counted(more, 'more file')}"] if more else [])])


def _params(
    params: dict[str, Value], view: TextOptions, *, most: int | None, joint: str = ", "
) -> str:
    shown = [f"{clean(n)} {_cell(v, view)}" for n, v in list(params.items())[:most]]
    more = len(params) - len(shown)
    return joint.join([*shown, *([f"{more} more"] if more else [])])


def _line(text: str) -> str:
    return clean(" ".join(text.split()))


def _cell(value: Value | None, view: TextOptions) -> str:
    return shorten(format_param(value, precision=view.precision), 60)
