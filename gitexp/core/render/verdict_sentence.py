"""A verdict as a sentence: `accuracy 0.8576 (mean of 5): better than the last, 0.8474 (…)`.

Colour only repeats what the words say. The sentence names unknown facts.
"""

import math
from collections.abc import Sequence
from typing import Final

from gitexp.core.analysis.groups import Group
from gitexp.core.analysis.guards import GuardState, GuardVerdict
from gitexp.core.analysis.noise import Basis, are_equal
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import MISSING_HERE, MISSING_THERE, MetricVerdict
from gitexp.core.model.run import Direction, Outcome
from gitexp.core.render.colour import Role, style
from gitexp.core.render.text import (
    clean,
    format_like,
    format_number,
    format_percent,
    format_signed,
)

ANSWER_ROLES: Final[dict[Answer, Role]] = {
    Answer.BETTER: "good",
    Answer.WORSE: "bad",
    Answer.SAME: "quiet",
    Answer.UNKNOWN: "doubt",
}

_NOT_COMPARED: Final = {
    Outcome.FAILED: "the run failed",
    Outcome.TIMED_OUT: "the run timed out",
    Outcome.INTERRUPTED: "the run was interrupted",
    Outcome.RUNNING: "the run has not ended",
    Outcome.UNKNOWN: "how the run ended is not known",
}

_LOOKS: Final = ("", "", "second look", "third look", "fourth look", "fifth look")


def metric_sentence(
    last: MetricVerdict | None,
    best: MetricVerdict | None = None,
    *,
    claim: str = "",
    guards: Sequence[GuardVerdict] = (),
    parent: str | None = None,
    is_repeat: bool = False,
    precision: int | None = 5,
    colour: bool = False,
    tell_guess: bool = True,
) -> str:
    """Return the sentence about a metric against the last and the best group.

    `claim` is the rank that the evidence supports, as in `RunVerdict`; `parent` is the short id of
    the run that takes the place of the last.
    """
    verdict = last or best
    if verdict is None:
        return "nothing was measured"
    subject = f"{clean(verdict.metric)}{_own_value(verdict, precision, is_repeat=is_repeat)}"
    name = "the last" if parent is None else f"its parent {parent}"
    parts = [
        _against(v, reference, precision=precision, colour=colour)
        for v, reference in _references(last, best, name, claim)
        if v.reference is not None
    ]
    if not parts:
        return f"{subject}: nothing to compare with yet"
    parts[0] += _guards_not_kept(verdict, guards, precision)
    rank = _rank(last, best, claim, precision)
    if rank:
        parts.insert(1, style(rank, "good" if claim != "leads" else "doubt", enabled=colour))
    parts += _remarks(verdict)
    if verdict.guessed and tell_guess:
        higher = "higher" if verdict.direction is Direction.MAXIMIZE else "lower"
        parts.append(f"{higher} is better (a guess)")
    return f"{subject}: {'; '.join(parts)}"


def alone_sentence(
    metric: str,
    value: float,
    group: Group | None,
    *,
    outcome: Outcome = Outcome.SUCCEEDED,
    reproduces: str | None = None,
    guards: Sequence[GuardVerdict] = (),
    precision: int | None = 5,
) -> str:
    """Return the sentence about a metric without comparison, with the reason.

    `reproduces` is the short id of the run that it reproduces.
    """
    text = f"{clean(metric)} {format_number(value, precision=precision)}"
    if outcome in _NOT_COMPARED:
        return f"{text}: not compared, {_NOT_COMPARED[outcome]}"
    if reproduces is not None:
        return f"{text}: a reproduction of {reproduces}, so no improvement"
    why = "nothing to compare with yet"
    if group is not None and group.runs > 1:
        if group.counted > 1:
            text += f", mean of {group.counted} {format_number(group.mean, precision=precision)}"
        why = "repeats of one trial; no other trial to compare with yet"
    broken = [guard_words(guard, precision=precision) for guard in _not_kept(guards)]
    return "; ".join([f"{text}: {why}", *broken])


def run_sentence(
    verdict: MetricVerdict,
    *,
    against: str,
    guards: Sequence[GuardVerdict] = (),
    precision: int | None = 5,
) -> str:
    """Compare with a named run: `accuracy 0.85: worse than 7f3a9c0, 0.9 (-5.6%)`."""
    subject = f"{clean(verdict.metric)}{_own_value(verdict, precision, is_repeat=False)}"
    compared = _against(verdict, clean(against), precision=precision, colour=False)
    compared += _guards_not_kept(verdict, guards, precision)
    return f"{subject}: {'; '.join([compared, *_remarks(verdict)])}"


def guard_words(guard: GuardVerdict, *, precision: int | None = 5) -> str:
    """Return a guard that may be broken: `loss5 +48.8 %, guard 2 %`."""
    metric = clean(guard.metric)
    if guard.value is None and guard.state is GuardState.BROKEN:
        return guard.bound
    if guard.state is GuardState.UNKNOWN and guard.difference is None:
        return f"{metric} is not known ({guard.why}), {guard.bound}"
    if guard.relative is not None:
        change = format_percent(guard.relative)
    elif guard.difference is not None:
        change = format_signed(guard.difference, precision=precision)
    else:
        change = "" if guard.value is None else format_number(guard.value, precision=precision)
    doubt = f", {guard.why or 'cannot tell'}" if guard.state is GuardState.UNKNOWN else ""
    return f"{metric} {change}, {guard.bound}{doubt}"


def _guards_not_kept(
    verdict: MetricVerdict, guards: Sequence[GuardVerdict], precision: int | None
) -> str:
    """Return `, but loss5 +48.8 %, guard 2 %`; empty if all guards are kept."""
    words = " and ".join(guard_words(guard, precision=precision) for guard in _not_kept(guards))
    return f", {'and' if verdict.answer is Answer.WORSE else 'but'} {words}" if words else ""


def _not_kept(guards: Sequence[GuardVerdict]) -> list[GuardVerdict]:
    return [guard for guard in guards if guard.state is not GuardState.KEPT]


# --- parts ----------------------------------------------------------------------------------------


def _own_value(verdict: MetricVerdict, precision: int | None, *, is_repeat: bool) -> str:
    """Return ` 0.85`, ` 0.8576 (mean of 5)`, or for a repeat ` 0.846, mean of 3 0.8517`."""
    if verdict.value is None:
        return ""
    value, _ = _values(verdict, precision)
    if verdict.runs < 2:
        return f" {value}"
    if is_repeat and verdict.own is not None:
        own = format_number(verdict.own, precision=precision)
        return f" {own}, mean of {verdict.runs} {value}"
    return f" {value} (mean of {verdict.runs})"


def _values(verdict: MetricVerdict, precision: int | None) -> tuple[str, str]:
    """Format two numbers for comparison: means as fine as their interval, others in full."""
    value, old = verdict.value or 0.0, verdict.reference_value
    if old is None:
        return format_number(value, precision=precision), ""
    decimals = None if verdict.half is None else _decimals(verdict.half)
    if decimals is None or verdict.repeats < 2:
        return format_apart(value, old, precision=precision)
    pair = ((value, verdict.runs), (old, verdict.reference_runs))
    first, second = (
        f"{number:.{decimals}f}" if runs > 1 else format_number(number, precision=precision)
        for number, runs in pair
    )
    return first, second


def format_apart(value: float, other: float, *, precision: int | None = 5) -> tuple[str, str]:
    """Format two numbers for comparison, with enough digits to show a difference.

    Numbers that differ only by rounding look alike.
    """
    are_apart = not are_equal(value, other)
    while True:
        first = format_like(value, other, precision=precision)
        second = format_like(other, value, precision=precision)
        if first != second or not are_apart or precision is None or precision >= 17:
            return first, second
        precision += 1


def _references(
    last: MetricVerdict | None, best: MetricVerdict | None, last_name: str, claim: str
) -> list[tuple[MetricVerdict, str]]:
    """Return the parts of the comparison; one if the last group is also the best."""
    pairs: list[tuple[MetricVerdict, str]] = []
    if last is not None and best is not None and is_one_reference(last, best):
        is_passed = best.answer is Answer.BETTER
        rank = "the best other" if claim == "leads" else _best_name(best)
        name = last_name if is_passed else f"{last_name}, which is {rank}"
        # The best was picked from several, so its verdict has the stricter level.
        return [(last if is_passed else best, name)]
    if last is not None:
        pairs.append((last, last_name))
    if best is not None and (last is None or best.answer is not Answer.BETTER or not claim):
        pairs.append((best, "the best other" if claim == "leads" else _best_name(best)))
    return pairs


def _best_name(best: MetricVerdict) -> str:
    return "the best?" if best.rivals > 1 else "the best"


def is_one_reference(last: MetricVerdict | None, best: MetricVerdict | None) -> bool:
    """Return whether the last group is the best one."""
    return last is not None and best is not None and last.reference == best.reference


def _rank(
    last: MetricVerdict | None, best: MetricVerdict | None, claim: str, precision: int | None
) -> str:
    if claim == "leads":
        return "leads, not shown"
    if claim == "group":
        return "its trial is the best"
    if claim != "best":
        return ""
    if best is None or last is None or is_one_reference(last, best):
        return "best so far"
    if best.reference_value is None or best.value is None:
        return "best so far"
    before, _ = format_apart(best.reference_value, best.value, precision=precision)
    return f"best so far, before {before}"


def _against(verdict: MetricVerdict, reference: str, *, precision: int | None, colour: bool) -> str:
    if verdict.reference_value is None:
        lack = "not measured by" if verdict.why in (None, MISSING_THERE) else "not comparable with"
        return f"{lack} {reference}" + _because(verdict, MISSING_THERE)
    old = verdict.reference_value
    if verdict.value is None:
        shown = format_number(old, precision=precision)
        lack = "missing here" if verdict.why in (None, MISSING_HERE) else f"here {verdict.why}"
        comma = "," if "," in reference else ""
        return f"{lack}, while {reference}{comma} has {shown}"
    words = f"{_words(verdict)} {reference}"
    text = style(words, ANSWER_ROLES[verdict.answer], enabled=colour)
    remarks = _inner_remarks(verdict)
    change = change_of(verdict, precision=precision)
    inner = "; ".join([change, *remarks] if change else remarks)
    _, shown = _values(verdict, precision)
    return f"{text}, {shown}" + (f" ({inner})" if inner else "")


def _because(verdict: MetricVerdict, known: str) -> str:
    return "" if verdict.why in (None, known) else f": {verdict.why}"


def _words(verdict: MetricVerdict) -> str:
    match verdict.answer:
        case Answer.BETTER:
            return "better than"
        case Answer.WORSE:
            return "worse than"
        case Answer.UNKNOWN:
            return "cannot tell from"
    if not verdict.difference and verdict.half is None:
        return "same as"
    return "no difference that counts from" if verdict.min_effect else "no difference shown from"


def change_of(verdict: MetricVerdict, *, precision: int | None = 5) -> str:
    """Return the difference: `+0.0102 ±0.0040` with a known interval, else `+6.25%`."""
    if verdict.half is not None and verdict.difference is not None:
        decimals = _decimals(verdict.half)
        if decimals is None:
            signed = format_signed(verdict.difference, precision=precision)
            return f"{signed} ±{format_number(verdict.half, precision=2)}"
        return f"{verdict.difference:+.{decimals}f} ±{verdict.half:.{decimals}f}"
    if not verdict.difference:
        return ""
    if verdict.relative is not None:
        return format_percent(verdict.relative)
    return format_signed(verdict.difference, precision=precision)


def _decimals(half: float) -> int | None:
    """Return the decimals for two digits of a half width; `None` for extreme sizes."""
    if not math.isfinite(half) or half <= 0 or not 1e-9 < half < 1e9:
        return None
    return max(0, 1 - math.floor(math.log10(half)))


def _inner_remarks(verdict: MetricVerdict) -> list[str]:
    """Return remarks on one comparison."""
    parts = [] if verdict.why is None else [verdict.why]
    if verdict.min_effect and verdict.answer is Answer.SAME:
        parts.append(f"less than {format_number(verdict.min_effect, precision=3)}")
    if verdict.basis is Basis.DECLARED:
        parts.append("noise as declared")
    if verdict.in_turns:
        parts.append("in turns")
    elif verdict.basis is Basis.PAIRED:
        parts.append("same seeds")
    elif verdict.apart and verdict.half is not None:
        parts.append("run apart: use --beside")
    if verdict.rivals > 1:
        parts.append(f"{verdict.rivals} may be the best")
    if verdict.look > 1 and verdict.half is not None:
        parts.append(_LOOKS[verdict.look] if verdict.look < len(_LOOKS) else f"look {verdict.look}")
    return parts + _needed(verdict)


def _needed(verdict: MetricVerdict) -> list[str]:
    if verdict.needed is None or verdict.effect is None:
        return []
    repeats = f"about {verdict.needed} repeats each would"
    if verdict.answer is Answer.SAME:
        return [f"{repeats} show {format_number(verdict.effect, precision=2)}"]
    return [repeats] if verdict.answer is Answer.UNKNOWN else []


def _remarks(verdict: MetricVerdict) -> list[str]:
    """Return remarks on the noise, for the end of the sentence."""
    parts = []
    failed = verdict.failed - verdict.not_numbers - verdict.missing
    if failed:
        parts.append(f"{failed} of {verdict.total} failed")
    if verdict.not_numbers and verdict.total > 1:
        parts.append(f"{verdict.not_numbers} of {verdict.total} not a number")
    if verdict.missing and verdict.total > 1:
        parts.append(f"{verdict.missing} of {verdict.total} did not measure it")
    if verdict.overruled is not None and verdict.noise is not None:
        shown = format_number(verdict.noise, precision=2)
        declared = format_number(verdict.overruled, precision=2)
        parts.append(f"repeats show more noise, {shown}, than declared, {declared}")
    if verdict.reference_value is None or verdict.value is None:
        return parts
    if verdict.basis is Basis.DETERMINISTIC:
        parts.append("repeats agree")
    elif verdict.basis is Basis.UNKNOWN:
        parts.append(_unknown(verdict))
    return parts


def _unknown(verdict: MetricVerdict) -> str:
    if verdict.one_seed:
        return "the same seed shows no noise: --seeds 3"
    if verdict.runs < 2 and verdict.reference_runs < 2:
        return "one run each, noise unknown"
    return "repeats agree, too few to know the noise"
