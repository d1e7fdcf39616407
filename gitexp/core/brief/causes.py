"""Causes of discarded and failed trials: trials with the same cause are grouped."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from gitexp.core.analysis.fingerprint import canonical
from gitexp.core.brief.trials import Attempt
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Decision, Outcome, Run, Table, Value

NO_REASON: Final = "no reason given"
FAILED: Final = (Outcome.FAILED, Outcome.TIMED_OUT)

_NUMBER = re.compile(r"(?<![^\W\d_])[-+]?\d[\d.,]*(?:e[-+]?\d+)?%?", re.IGNORECASE)
_ID = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b")
_GAP = "…"


class Shared(NamedTuple):
    """Common changes of the trials of one cause against their nearest kept trials."""

    params: dict[str, list[Value]]
    """Values of each parameter that all of them changed."""
    varied: list[str]
    """Names of parameters, and `code`, that only some of them changed."""


@frozen
class Cause:
    """Trials that were discarded, or failed, for one cause."""

    text: str
    """Common text of all of them; `…` in place of numbers that differ."""
    word: str
    """`discard`, `stop`, `failed` or `timed out`."""
    attempts: tuple[Attempt, ...]
    """Newest first."""
    shared: Shared
    output: str = ""
    """Last line that the newest failed trial printed, if the cause does not contain it."""
    disputed: tuple[Decision, ...] = ()
    """Independent decisions about the newest disputed trial."""
    more: int = 0
    """Number of older trials that did not fit."""

    @property
    def count(self) -> int:
        """Number of its trials."""
        return len(self.attempts) + self.more


def shortened(cause: Cause, count: int) -> Cause:
    """Return the cause with only its newest trials."""
    attempts = cause.attempts[:count]
    return replace(
        cause, attempts=attempts, shared=shared_params(attempts), more=cause.count - count
    )


def shared_params(attempts: Sequence[Attempt]) -> Shared:
    """Return the common changes of trials: numbers sorted, other values newest first."""
    tables = [changed_params(attempt) for attempt in attempts]
    names = dict.fromkeys(name for table in tables for name in table)
    shared = [name for name in names if all(name in table for table in tables)]
    params = {name: _values(table[name] for table in tables) for name in shared}
    varied = [name for name in names if name not in params]
    if any(has_changed_code(attempt) for attempt in attempts):
        varied.append("code")
    return Shared(params, varied)


def changed_params(attempt: Attempt) -> Table:
    """Return the parameters that a trial changed against the nearest kept trial, or the best."""
    return (attempt.params if attempt.changed is None else attempt.changed) or {}


def has_changed_code(attempt: Attempt) -> bool:
    """Return whether a trial changed the code of the nearest kept trial, or the best."""
    return attempt.has_other_code if attempt.changed is None else attempt.changed_code


def alone(attempts: Sequence[Attempt]) -> tuple[dict[str, list[Value]], list[Attempt]]:
    """Return the values of the trials that changed one parameter only, by parameter; and the
    others.
    """
    found: dict[str, list[Value]] = {}
    others = []
    for attempt in attempts:
        changed = changed_params(attempt)
        if len(changed) == 1 and not has_changed_code(attempt):
            ((name, value),) = changed.items()
            found.setdefault(name, []).append(value)
        else:
            others.append(attempt)
    return {name: _values(values) for name, values in found.items()}, others


def _values(values: Iterable[Value]) -> list[Value]:
    """Return each value once: numbers sorted, other values in the given order."""
    found = list({canonical(value): value for value in values}.values())
    if all(isinstance(value, int | float) for value in found):
        found.sort(key=_as_number)
    return found


def _as_number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def causes_of(attempts: Iterable[Attempt]) -> list[Cause]:
    """Group trials, given newest first, by cause; the cause with the newest trial comes first."""
    found: dict[tuple[str, str], list[tuple[str, Attempt]]] = {}
    for attempt in attempts:
        text, word = cause_of(attempt)
        found.setdefault((word, _normal(text)), []).append((text, attempt))
    causes = []
    for (word, _), members in found.items():
        texts = {text for text, _ in members}
        text = members[0][0] if len(texts) == 1 else _without_numbers(members[0][0])
        printed = (last_line(e.run) for _, a in members if (e := a.ended(*FAILED)) is not None)
        output = next(filter(None, printed), "")
        found_here = tuple(attempt for _, attempt in members)
        disputed = (a.decided.disputed for a in found_here if a.decided is not None)
        causes.append(
            Cause(
                text,
                word,
                found_here,
                shared_params(found_here),
                output="" if output in texts else output,
                disputed=next(filter(None, disputed), ()),
            )
        )
    return causes


def cause_of(attempt: Attempt) -> tuple[str, str]:
    """Return why a trial was discarded or failed, and the kind of its end.

    The reason is that of the decision, else the last output line of a failure, else that of the
    run.
    """
    failed = attempt.ended(*FAILED)
    decided = attempt.decided
    annotation = None if decided is None else decided.decision
    if attempt.is_rejected and annotation is not None and annotation.decision is not None:
        word, text = annotation.decision.value, annotation.text
    else:
        word, text = (Outcome.FAILED if failed is None else failed.run.outcome).value, None
    if not text and failed is not None:
        text = last_line(failed.run) or _exit_of(failed.run)
    text = text or attempt.entry.run.reason or NO_REASON
    return " ".join(text.split()), word


def last_line(run: Run) -> str:
    """Return the last line with text that a run printed, except printed metrics."""
    lines = (" ".join(line.split()) for line in reversed(run.output_tail.splitlines()))
    return next((line for line in lines if line and not line.startswith("METRIC ")), "")


def _exit_of(run: Run) -> str:
    """Return how a run ended that printed nothing but metrics."""
    command = run.command
    if run.outcome is Outcome.TIMED_OUT and command is not None and command.timeout_s:
        silent = "not ended " if run.output_tail.strip() else "no output "
        return f"{silent}within {command.timeout_s:g} s"
    code = None if command is None else command.exit_code
    refused = next((text for text in run.warnings if text.startswith("cannot run '")), None)
    if command is not None and refused is not None and code in _NOT_STARTED:
        return f"command not found: {command.argv[0]}" if code == _NOT_FOUND else refused
    if not run.output_tail.strip():
        return "no output" if code is None else f"no output, exit code {code}"
    return "no word on why" if code is None else f"exit code {code}"


_NOT_FOUND: Final = 127
_NOT_STARTED: Final = (126, _NOT_FOUND)
"""Exit codes of a command that could not be started, as in a shell."""


def _without_numbers(text: str) -> str:
    return _NUMBER.sub(_GAP, _ID.sub(_GAP, text))


def _normal(text: str) -> str:
    """Return the words of a text without case, numbers and punctuation, to compare causes."""
    words = re.findall(rf"[^\W_]+|{_GAP}", _without_numbers(text.casefold()))
    return " ".join(words) or text
