"""Guards: metrics that must not get worse while another one improves.

A guard compares with the best kept group; `least` and `most` are absolute limits.
"""

from enum import StrEnum

from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.verdicts import MetricVerdict
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Checks, Direction, MetricRule, Outcome, Tolerance


class GuardState(StrEnum):
    """State of a guard."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    """Impossible to decide."""


@frozen(kw_only=True)
class GuardVerdict:
    """Verdict of a guard on one metric of a group."""

    metric: str
    state: GuardState
    bound: str
    """Rule as the project wrote it: `guard 2 %`, `at least 0.8`."""
    value: float | None
    reference_value: float | None = None
    difference: float | None = None
    relative: float | None = None
    half: float | None = None
    """Half the width of the interval of the difference."""
    allowed: float | None = None
    """Allowed loss, in the metric's unit."""
    why: str | None = None


def judge_checks(checks: Checks | None) -> list[GuardVerdict]:
    """Return the project's checks of a run as a guard; none if they did not run."""
    if checks is None:
        return []
    state = GuardState.KEPT if checks.outcome is Outcome.SUCCEEDED else GuardState.BROKEN
    return [
        GuardVerdict(
            metric="checks",
            state=state,
            bound=f"checks {checks.outcome.value}",
            value=None,
            why=checks.output[-200:] or None,
        )
    ]


def judge_guards(
    verdict: MetricVerdict, rule: MetricRule, *, has_reference: bool = True
) -> list[GuardVerdict]:
    """Return the guards on one metric, from its verdict against the best kept group.

    Without a reference (no kept group) a relative guard has no verdict. Each guard is tested at the
    full level: since all of them must hold, several guards cause no more false alarms.
    """
    found = []
    if rule.guard is not None and has_reference:
        found.append(_relative(verdict, rule))
    if rule.least is not None:
        found.append(_absolute(verdict, f"at least {rule.least:g}", low=rule.least))
    if rule.most is not None:
        found.append(_absolute(verdict, f"at most {rule.most:g}", high=rule.most))
    return found


def _relative(verdict: MetricVerdict, rule: MetricRule) -> GuardVerdict:
    guard = rule.guard
    assert guard is not None  # noqa: S101 - the caller asked
    bound = f"guard {_size(guard)}"
    allowed = None if verdict.reference_value is None else guard.allowed(verdict.reference_value)
    state, why = _loss_state(verdict, allowed)
    return GuardVerdict(
        metric=verdict.metric,
        state=state,
        bound=bound,
        value=verdict.value,
        reference_value=verdict.reference_value,
        difference=verdict.difference,
        relative=verdict.relative,
        half=verdict.half,
        allowed=allowed,
        why=why,
    )


def _size(guard: Tolerance) -> str:
    """Return the allowed loss as the project wrote it: `2 %`, `0.1`, or `2 % or 0.1`."""
    parts = [f"{guard.relative * 100:g} %"] if guard.relative else []
    return " or ".join([*parts, f"{guard.absolute:g}"] if guard.absolute or not parts else parts)


def _loss_state(verdict: MetricVerdict, allowed: float | None) -> tuple[GuardState, str | None]:
    if verdict.difference is None or allowed is None:
        return GuardState.UNKNOWN, verdict.why
    if verdict.direction is None:
        return GuardState.UNKNOWN, "which way it is better is not known"
    is_plain = verdict.basis in (Basis.UNKNOWN, Basis.DETERMINISTIC, Basis.MISSING)
    if verdict.half is None and not is_plain:
        return GuardState.UNKNOWN, None
    sign = 1 if verdict.direction is Direction.MAXIMIZE else -1
    gain, half = verdict.difference * sign, verdict.half or 0.0
    if gain - half >= -allowed:
        return GuardState.KEPT, None
    if gain < -allowed and gain + half < 0:
        return GuardState.BROKEN, None
    return GuardState.UNKNOWN, None


def _absolute(
    verdict: MetricVerdict, bound: str, *, low: float | None = None, high: float | None = None
) -> GuardVerdict:
    value = verdict.value
    if value is None:
        state, why = GuardState.UNKNOWN, verdict.why or "it was not measured"
    elif (low is not None and value < low) or (high is not None and value > high):
        state, why = GuardState.BROKEN, None
    else:
        state, why = GuardState.KEPT, None
    return GuardVerdict(metric=verdict.metric, state=state, bound=bound, value=value, why=why)
