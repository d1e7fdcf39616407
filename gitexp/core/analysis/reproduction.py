"""Compare a reproduction with the recorded run: equal, within tolerance, or drifted, by metric.

Metrics of the machine (time, speed, memory) are shown but never decide, unless they have a declared
tolerance.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from gitexp.core.analysis.noise import are_equal
from gitexp.core.model.directions import is_time_like, last_part
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Outcome, ReproductionVerdict, Run, Tolerance, Value, flatten

MatchState: TypeAlias = Literal["equal", "within", "outside", "missing", "informative"]


@frozen(kw_only=True)
class MetricMatch:
    """Comparison of one metric as recorded and as measured again."""

    metric: str
    """Dotted name; members of a list as `name[0]`."""
    recorded: float | str | None
    """`None` if only the reproduction has it."""
    again: float | str | None
    """`None` if the reproduction does not have it."""
    difference: float | None
    """Signed difference, again minus recorded; `None` unless both are numbers."""
    tolerance: float
    """Allowed difference."""
    state: MatchState
    """`informative` never decides: a metric of the machine, or not recorded before."""


def compare_reproduction(
    recorded: Run,
    again: Run,
    *,
    tolerances: Mapping[str, Tolerance],
    default: Tolerance,
) -> tuple[ReproductionVerdict, list[MetricMatch]]:
    """Judge a reproduction.

    `tolerances` may name only the last part of a metric. A different outcome is a failure, a
    different exit code is drift. If the recorded outcome is unknown, success counts as equal.
    """
    before, after = dict(_leaves(recorded.metrics)), dict(_leaves(again.metrics))
    matches = [
        _match(metric, before.get(metric), after.get(metric), tolerances, default)
        for metric in dict.fromkeys([*before, *after])
    ]
    states = {match.state for match in matches}
    expected = recorded.outcome
    if expected is Outcome.UNKNOWN and again.outcome is not Outcome.UNKNOWN:
        expected = Outcome.SUCCEEDED
    if again.outcome is not expected:
        return ReproductionVerdict.FAILED, matches
    if states & {"outside", "missing"} or not _same_exit(recorded, again):
        return ReproductionVerdict.DRIFTED, matches
    if "within" in states:
        return ReproductionVerdict.WITHIN_TOLERANCE, matches
    return ReproductionVerdict.REPRODUCED, matches


def name_faults(matches: Sequence[MetricMatch]) -> str | None:
    """Return the names of ten metrics outside the tolerance, and of ten missing ones."""
    parts = []
    for state, words in (("outside", "outside the tolerance"), ("missing", "missing")):
        names = [match.metric for match in matches if match.state == state]
        parts += [f"{words}: {', '.join(names[:10])}"] if names else []
    return "; ".join(parts) or None


def _leaves(metrics: Mapping[str, Value]) -> Iterator[tuple[str, float | str]]:
    for name, value in flatten(metrics):
        yield from _members(name, value)


def _members(name: str, value: Value) -> Iterator[tuple[str, float | str]]:
    if isinstance(value, list):
        for position, member in enumerate(value):
            yield from _members(f"{name}[{position}]", member)
    elif isinstance(value, dict):
        for inner, member in flatten(value, name + "."):
            yield from _members(inner, member)
    else:
        yield name, float(value) if isinstance(value, bool | int | float) else str(value)


def _match(
    metric: str,
    recorded: float | str | None,
    again: float | str | None,
    tolerances: Mapping[str, Tolerance],
    default: Tolerance,
) -> MetricMatch:
    plain = metric.partition("[")[0]
    declared = tolerances.get(plain) or tolerances.get(last_part(plain))
    difference: float | None = None
    allowed = 0.0
    state: MatchState
    if isinstance(recorded, float):
        allowed = (declared or default).allowed(recorded)
    if isinstance(recorded, float) and isinstance(again, float):
        difference = again - recorded
        equal = are_equal(recorded, again)
        state = "equal" if equal else "within" if abs(difference) <= allowed else "outside"
    else:
        state = "equal" if recorded == again else "outside"
    if recorded is None or (declared is None and is_time_like(plain)):
        state = "informative"
    elif again is None:
        state = "missing"
    return MetricMatch(
        metric=metric,
        recorded=recorded,
        again=again,
        difference=difference,
        tolerance=allowed,
        state=state,
    )


def _same_exit(recorded: Run, again: Run) -> bool:
    """Return whether two exit codes agree; an unknown one agrees with any."""
    before = recorded.command and recorded.command.exit_code
    after = again.command and again.command.exit_code
    return before is None or after is None or before == after
