"""A brief as the document for `--json`; `docs/json.md` lists its keys."""

from collections.abc import Mapping, Sequence
from typing import Any

from gitexp.core.brief.causes import Cause, alone, changed_params, has_changed_code
from gitexp.core.brief.summary import Brief
from gitexp.core.brief.trials import Attempt, CodeChange
from gitexp.core.model.run import Outcome, flatten
from gitexp.core.render.machine_formats import format_json
from gitexp.core.schema.json_codec import json_value

BRIEF_SCHEMA = 2

_SHOWN_TRIALS = 4
_SHOWN_WHEN_SHARED = 1
_SHOWN_VALUES = 20
_SHOWN_FILES = 5


def brief_json(brief: Brief) -> str:
    """Return the document of a brief as one compact line."""
    return format_json(_document(brief), indent=None)


def _document(brief: Brief) -> dict[str, Any]:
    document = {
        "schema": BRIEF_SCHEMA,
        "total": brief.total,
        "considered": brief.considered,
        "trials": brief.trials,
        "outcomes": dict(brief.outcomes),
        "metric": brief.metric,
        "direction": brief.direction and brief.direction.value,
        "guessed": brief.guessed,
        "noise": brief.basis and brief.basis.value,
        "since": brief.since and brief.since.id,
        "older": brief.older or None,
        "best": None if brief.best is None else _best_document(brief, brief.best),
        "better_rejected": brief.better_rejected,
        "since_best": brief.since_best,
        "running": [_attempt_document(a, brief) for a in brief.running],
        "hints": [
            {"hint": h.text, "run": h.entry.run.id, "name": h.entry.run.name, "since": h.since}
            for h in brief.hints
        ],
        "rejected": [_cause_document(cause, brief) for cause in brief.rejected],
        "undecided": [_attempt_document(a, brief) for a in brief.undecided],
        "failed": [_cause_document(cause, brief) for cause in brief.failed],
        "kept": [_attempt_document(a, brief) for a in brief.kept],
        "interrupted": [_attempt_document(a, brief) for a in brief.interrupted],
        "untried": [
            {"param": n.param, "value": json_value(n.value), "why": n.why} for n in brief.untried
        ],
        "left_out": dict(brief.left_out),
    }
    return _present(document)


def _best_document(brief: Brief, best: Attempt) -> dict[str, Any]:
    """Return the best trial, with everything needed to continue from it."""
    run = best.entry.run
    here = None if brief.here is None else not brief.here
    return _present(
        {
            **_attempt_document(best, brief),
            "standing": None,
            "contenders": brief.contenders,
            "params": {name: json_value(value) for name, value in flatten(run.parameters)},
            "metrics": {name: json_value(value) for name, value in flatten(best.entry.metrics)},
            "commit": run.code.commit,
            "snapshot": run.code.snapshot,
            "argv": None if run.command is None else list(run.command.template or run.command.argv),
            "in_work_tree": here,
            "work_tree": _changes_of(brief.here or ()),
        }
    )


def _attempt_document(attempt: Attempt, brief: Brief) -> dict[str, Any]:
    run, decided = attempt.entry.run, attempt.decided
    decision = None if decided is None else decided.decision
    words = [] if decided is None else [word.value for word in decided.disputed]
    return _present(
        {
            **_trial_document(attempt, brief),
            "name": run.name,
            "outcome": None if run.outcome is Outcome.SUCCEEDED else run.outcome.value,
            "standing": attempt.standing,
            "reason": run.reason,
            "decision": decision and decision.decision and decision.decision.value,
            "disputed": words or None,
            "why": decision and decision.text,
            "started": run.started.isoformat() if attempt.is_running else None,
            "unseen": any(e.run.id in brief.unseen for e in attempt.entries) or None,
        }
    )


def _trial_document(attempt: Attempt, brief: Brief) -> dict[str, Any]:
    """Return a trial's differences from the best; its cause already holds the decision."""
    run = attempt.entry.run
    return _present(
        {
            "run": run.id,
            "value": None if attempt.value is None else json_value(attempt.value),
            "n": attempt.runs if attempt.runs > 1 else None,
            "params": {name: json_value(v) for name, v in (attempt.params or {}).items()},
            "code": _code(attempt, brief),
        }
    )


def _changed_document(attempt: Attempt, brief: Brief) -> dict[str, Any]:
    """Return the changes of a discarded or failed trial against the nearest kept trial."""
    document = _trial_document(attempt, brief)
    document["params"] = {n: json_value(v) for n, v in changed_params(attempt).items()}
    if attempt.near is not None:
        document["near"] = attempt.near.run.id
        document["code"] = ["other code"] if has_changed_code(attempt) else None
    return _present(document)


def _cause_document(cause: Cause, brief: Brief) -> dict[str, Any]:
    shared = cause.shared
    params: dict[str, list[Any]] = {}
    if len(cause.attempts) > 1:
        params = {name: list(map(json_value, values)) for name, values in shared.params.items()}
    single: dict[str, list[Any]] = {}
    named = cause.attempts
    if len(cause.attempts) > 1 and not params:
        found, others = alone(cause.attempts)
        single = {name: list(map(json_value, values)) for name, values in found.items()}
        named = tuple(others)
    most = _SHOWN_WHEN_SHARED if params else _SHOWN_TRIALS
    return _present(
        {
            "cause": cause.text,
            "kind": cause.word,
            "count": cause.count,
            "output": cause.output or None,
            "disputed": [word.value for word in cause.disputed] or None,
            "params": {name: values[:_SHOWN_VALUES] for name, values in params.items()} or None,
            "varied": (shared.varied if params else None) or None,
            "alone": {name: values[:_SHOWN_VALUES] for name, values in single.items()} or None,
            "trials": [_changed_document(a, brief) for a in named[:most]],
        }
    )


def _code(attempt: Attempt, brief: Brief) -> list[str] | None:
    """Return the differences from the best's code; those of the best from its parent's."""
    changes = _changes_of(brief.code.get(attempt.entry.run.id, ()))
    return changes or (["other code"] if attempt.has_other_code else None)


def _changes_of(changes: Sequence[CodeChange]) -> list[str] | None:
    """Return `model.py +3 -1` for each file, and finally the number of further files."""
    shown = [
        f"{c.path} (binary)" if c.added is None else f"{c.path} +{c.added} -{c.removed}"
        for c in changes[:_SHOWN_FILES]
    ]
    more = len(changes) - len(shown)
    return [*shown, *([f"{more} more"] if more else [])] or None


def _present(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
