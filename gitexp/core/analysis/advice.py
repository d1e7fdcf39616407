"""Advice after a run: one sentence about the next step, based on its verdicts.

Never advises to discard a trial while the noise is unknown, or because of its seed.
"""

from collections.abc import Sequence
from typing import Final

from gitexp.core.analysis.guards import GuardState, GuardVerdict
from gitexp.core.analysis.noise import Basis
from gitexp.core.analysis.samples import Answer
from gitexp.core.analysis.verdicts import (
    MORE_FAILED,
    NO_DIRECTION,
    NOT_A_NUMBER,
    OTHER_UNIT,
    MetricVerdict,
)
from gitexp.core.model.frozen import frozen
from gitexp.core.model.run import Outcome

BASELINE: Final = 5
"""Repeats of the first trial, enough to judge later trials by single runs."""

FEW: Final = 3
"""Repeats that give a first estimate of the noise."""


@frozen(kw_only=True)
class Advised:
    """Facts that the advice depends on."""

    outcome: Outcome
    measured: bool
    """True if the run has a main metric."""
    reproduction: bool = False
    last: MetricVerdict | None = None
    best: MetricVerdict | None = None
    guards: Sequence[GuardVerdict] = ()
    claim: str = ""
    is_repeat: bool = False
    runs: int = 1
    """Number of runs in its group."""
    seeded: bool = False
    """True if its parameters contain a random seed."""
    unknown_noise: bool = True


def next_step(facts: Advised, selector: str = "last") -> str:
    """Return one sentence of advice. `selector` is what the user may type for the run."""
    unjudged = _unjudged(facts, selector)
    if unjudged is not None:
        return unjudged
    verdict = facts.best or facts.last
    if any(guard.state is GuardState.BROKEN for guard in facts.guards):
        return (
            "revise it, since a guard is broken, or keep it nevertheless: "
            f"`git exp decide {selector} keep --force -m WHY`"
        )
    if verdict is None:
        return _first(facts)
    unanswered = _unanswered(verdict, selector)
    if unanswered is not None:
        return unanswered
    return _unsure(facts, verdict) if facts.unknown_noise else _sure(facts, verdict, selector)


def _unjudged(facts: Advised, selector: str) -> str | None:
    """Return the advice for a run without comparison; `None` if it is compared."""
    if facts.outcome is Outcome.RUNNING:
        return "wait until the run has ended"
    if facts.outcome in (Outcome.INTERRUPTED, Outcome.UNKNOWN):
        return "run it again: this run says nothing about its trial"
    if facts.outcome is not Outcome.SUCCEEDED:
        return f"look at its output with `git exp show {selector}`, fix the cause and run it again"
    if facts.reproduction:
        return f"compare it with the run that it reproduces: `git exp diff {selector}`"
    if not facts.measured:
        return "let the command print `METRIC name=value`, or name its metrics file: `--metrics`"
    return None


def _unanswered(verdict: MetricVerdict, selector: str) -> str | None:
    """Return the advice if a direction or a number is missing; `None` if both sides compare."""
    metric = verdict.metric
    if verdict.why == NO_DIRECTION:
        return (
            f"declare which way '{metric}' is better, in gitexp.toml: "
            f'`[metrics."{metric}"]` with `direction = "minimize"` or `"maximize"`'
        )
    if (verdict.why or "").startswith(OTHER_UNIT):
        return f"print '{metric}' in the same unit in all runs, and run it again"
    if verdict.value is None and verdict.why == NOT_A_NUMBER:
        return f"find out why '{metric}' is not a number: `git exp show {selector} --output`"
    if verdict.value is None or verdict.reference_value is None:
        return f"nothing can be said of '{metric}': one side has no number"
    return None


def _repeat(facts: Advised, count: int) -> str:
    """Return the option that repeats the trial."""
    return f"`--seeds {count}`" if facts.seeded else f"`--repeat {count}`"


def _first(facts: Advised) -> str:
    if facts.runs > 1:
        return "change one thing and record another trial to compare with this one"
    return (
        f"learn the noise once with {_repeat(facts, BASELINE)} on this trial, then change one "
        "thing and compare"
    )


def _unsure(facts: Advised, verdict: MetricVerdict) -> str:
    """Return the advice while the noise is unknown."""
    tells = f"{_repeat(facts, FEW)} measures the noise"
    if verdict.one_seed:
        tells = f"the same seed shows no noise: `--seeds {FEW}` does"
    if facts.claim == "best" or (facts.best is None and verdict.answer is Answer.BETTER):
        return f"continue improving from here; {tells}"
    if facts.last is not None and facts.last.answer is Answer.BETTER:
        return f"continue improving from here or from `best`; {tells}"
    if verdict.answer is Answer.SAME:
        return "the same result: keep the simpler of the two and try a bolder change"
    if verdict.answer is Answer.UNKNOWN:
        return f"repeat the trial to be able to tell; {tells}"
    return f"try something else, or make sure that it is worse: {tells}"


def _sure(facts: Advised, verdict: MetricVerdict, selector: str) -> str:
    """Return the advice when the noise is known."""
    is_above_last = facts.last is not None and facts.last.answer is Answer.BETTER
    if facts.claim == "best" or (facts.best is None and is_above_last):
        return f"continue improving from here: `git exp decide {selector} improve -m WHY`"
    if facts.claim == "group":
        return "it stays the best: change one thing and compare again"
    if facts.claim == "leads":
        return _prove(facts, verdict)
    if verdict.answer is Answer.WORSE and not is_above_last:
        return f"discard or revise this trial: `git exp decide {selector} discard -m WHY`"
    if is_above_last:
        rank = "not the best" if verdict.answer is Answer.WORSE else "not shown to be the best"
        return f"better than the last, {rank}: continue from here or from `best`"
    return _undecided(facts, verdict)


def _prove(facts: Advised, verdict: MetricVerdict) -> str:
    """Return the advice for a leader that is not shown to be better than the others."""
    if verdict.reference is not None and verdict.reference_runs < verdict.runs:
        return (
            f"repeat the best other, {verdict.reference[:7]}, which has "
            f"{verdict.reference_runs} run{'' if verdict.reference_runs == 1 else 's'}, "
            "before building on this one"
        )
    return f"repeat it before building on it: {_repeat(facts, verdict.needed or FEW)}"


def _undecided(facts: Advised, verdict: MetricVerdict) -> str:
    if verdict.answer is Answer.SAME:
        return "no difference that counts: keep the simpler of the two and try a bolder change"
    if verdict.why == MORE_FAILED:
        return f"find out why {MORE_FAILED}; the others alone were better"
    if verdict.needed is None and verdict.basis is Basis.PAIRED:
        return "more seeds, or more turns, may tell; or try a bolder change"
    if verdict.needed is None:
        return "the difference is too small to show with 100 repeats: try a bolder change"
    return f"{_repeat(facts, verdict.needed)} would probably tell, or try a bolder change"
