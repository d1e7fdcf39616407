"""A run made again against the recorded one: equal, within tolerance, or drifted, by metric.

What measures the machine (time, speed, memory) is shown but never decides, unless
a tolerance is declared for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gitexp.core.analysis.noise import are_equal
from gitexp.core.model.directions import is_time_like, last_part
from gitexp.core.model.run import Outcome, ReproductionVerdict, Run, Tolerance, Value, flatten

MatchState: TypeAlias = Literal["equal", "within", "outside", "missing", "informative"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMatch:
    """One metric as recorded and as measured again."""

    metric: str
    """Dotted name; members of a list as `name[0]`."""
    recorded: float | str | None
    """Absent when only the new run measured it."""
    again: float | str | None
    """Absent when the new run did not measure it."""
    difference: float | None
    """Signed, again minus recorded; absent unless both are numbers."""
    tolerance: float
    """The difference that was allowed."""
    state: MatchState
    """`informative` never decides: it measures the machine, or was not recorded before."""


def compare_reproduction(
    recorded: Run,
    again: Run,
    *,
    tolerances: Mapping[str, Tolerance],
    default: Tolerance,
) -> tuple[ReproductionVerdict, list[MetricMatch]]:
    """Judge a run made again. `tolerances` may name just the last part of a metric.

    Another outcome is a failure, another exit code drift. A recorded outcome that is unknown is
    no promise, so success will do.
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
    numeric = isinstance(recorded, float) and isinstance(again, float)
    difference = allowed = 0.0
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
        difference=difference if numeric else None,
        tolerance=allowed,
        state=state,
    )


def _same_exit(recorded: Run, again: Run) -> bool:
    """Unknown exit codes are no evidence of anything."""
    before = recorded.command and recorded.command.exit_code
    after = again.command and again.command.exit_code
    return before is None or after is None or before == after
