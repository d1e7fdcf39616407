"""Sweeps as text: a plan, a trial that ended, how far it is, and what came out."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gitexp.core.model.directions import direction_of
from gitexp.core.model.run import Direction, Outcome, Run, Value, numbers
from gitexp.core.render.table import format_table
from gitexp.core.render.text import clean, counted, format_cell, format_duration, format_number
from gitexp.features.sweeps.known import Overview
from gitexp.features.sweeps.plan import Planned, State
from gitexp.features.sweeps.proposed_plan import ProposedPlan, objective_of
from gitexp.features.sweeps.summary import Summary, has_failed, is_pruned, short_point

_WORDS: Final = {
    State.NEW: "new",
    State.REPEAT: "has a result",
    State.DISCARDED: "discarded",
    State.RUNNING: "runs elsewhere",
}


def plan_lines(sweep: str, planned: Sequence[Planned]) -> Iterator[str]:
    """Every trial with what is known of it, then the counts."""
    names = list(dict.fromkeys(name for each in planned for name in each.point))
    rows = []
    for each in planned:
        known = "" if each.known is None else each.known.run.id[:7]
        values = [format_cell(each.point.get(name)) if name in each.point else "" for name in names]
        rows.append([str(each.number), *values, _state(each), known])
    yield format_table(["number", *names, "state", "run"], rows)
    counts = {state: sum(each.state is state for each in planned) for state in State}
    text = ", ".join(f"{count:,} {_WORDS[state]}" for state, count in counts.items() if count)
    yield f"sweep {sweep[:7]}: {counted(planned, 'trial')}: {text}"


def _state(each: Planned) -> str:
    if each.state is State.REPEAT and each.known is not None and is_pruned(each.known.run):
        return "was pruned"
    return _WORDS[each.state]


def study_lines(plan: ProposedPlan) -> Iterator[str]:
    """What Optuna improves and knows, and whether the space has as many points as asked for."""
    metric, direction = objective_of(plan.workspace, plan.definition)
    declared = {**plan.workspace.settings.directions, **plan.definition.directions}
    guessed = " (guessed from its name)" if direction_of(metric, declared)[1] else ""
    yield clean(f"Optuna {direction.value}s {metric}{guessed}")
    if plan.priors:
        yield f"{counted(plan.priors, 'other result')} in this space also enter the study"
    if len(plan.groups) + plan.left < plan.definition.optuna:
        yield f"the space has only {plan.left:,} points without a result"


def overview_table(found: Sequence[Overview]) -> str:
    """All sweeps, one a row."""
    rows = []
    for each in found:
        definition, counts = each.definition, each.counts
        others = sum(counts.values()) - counts[Outcome.SUCCEEDED] - counts[Outcome.RUNNING]
        rows.append(
            [
                definition.id[:7],
                "running" if each.pid is not None else "",
                str(counts[Outcome.SUCCEEDED]),
                str(others),
                " ".join(definition.values) or definition.table_name,
                shlex.join(definition.argv),
                definition.reason,
            ]
        )
    headers = ["sweep", "state", "succeeded", "other", "values", "command", "reason"]
    return format_table(headers, rows, fixed={"sweep"})


def overview_lines(found: Overview) -> Iterator[str]:
    """What a sweep is, in lines."""
    definition = found.definition
    method = {
        "grid": "every point",
        "random": f"{definition.random:,} points at random",
        "optuna": f"{definition.optuna:,} points that Optuna proposes",
    }[definition.method]
    pairs = {
        "sweep": definition.id,
        "reason": definition.reason,
        "command": shlex.join(definition.argv),
        "directory": "" if definition.directory == "." else definition.directory,
        "values": "  ".join(definition.values),
        "table": definition.table_name,
        "together": "  ".join(definition.zipped),
        "where": "  ".join(definition.conditions),
        "points": method,
        "sampler": definition.sampler,
        "prune": definition.prune,
        "seeds": str(definition.seeds or ""),
        "code": f"{definition.commit[:10]}, tree {definition.tree[:10]}",
        "runs": ", ".join(f"{n:,} {outcome.value}" for outcome, n in found.counts.items() if n),
        "running": "" if found.pid is None else f"process {found.pid}",
    }
    for name, text in pairs.items():
        if text:
            yield f"{name:<10} {clean(text)}"


def ended_words(run: Run) -> str:
    """How a trial ended, in a few words."""
    if run.sweep is not None and run.sweep.pruned_at is not None:
        return f"pruned at step {run.sweep.pruned_at}"
    if run.outcome is Outcome.FAILED and run.command is not None and run.command.exit_code:
        return f"failed ({run.command.exit_code})"
    return run.outcome.value


def ended_line(
    run: Run,
    point: Mapping[str, Value],
    done: int,
    total: int,
    metric: str | None,
    is_best: bool,
) -> str:
    """`[17/40] 0f54d60 civil-gecko lr 0.01 depth 4: loss 0.031 (best), 12.4 s`."""
    facts = []
    value = None if metric is None else numbers(run.metrics).get(metric)
    if run.outcome is not Outcome.SUCCEEDED:
        facts.append(ended_words(run))
    if metric is not None and value is not None:
        facts.append(f"{metric} {format_number(value)}{' (best)' if is_best else ''}")
    if run.duration_s is not None:
        facts.append(format_duration(run.duration_s))
    head = f"[{done}/{total}] {run.id[:7]} {run.name} {short_point(point)}".rstrip()
    return clean(f"{head}: {', '.join(facts)}")


def last_words(run: Run) -> Iterator[str]:
    """Of a trial that failed: the last line that it printed, else its first warning."""
    lines = [line for line in run.output_tail.splitlines() if line.strip()]
    if has_failed(run):
        yield from (f"  {clean(text.strip())}" for text in (lines[-1:] or run.warnings[:1]))


def status_line(
    sweep: str,
    *,
    done: int,
    failed: int,
    pruned: int,
    running: int,
    total: int,
    reused: int,
    seconds: float,
    metric: str | None,
    best: float | None,
) -> str:
    """`sweep 3f2a9c1: 17 of 40 done, 1 failed, 4 running; best loss 0.031; about 5 min left`."""
    parts = [f"{done:,} of {total:,} done"]
    parts += [f"{reused:,} reused"] if reused else []
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{pruned:,} pruned"] if pruned else []
    parts.append(f"{running:,} running")
    text = f"sweep {sweep[:7]}: {', '.join(parts)}"
    if metric is not None and best is not None:
        text += f"; best {metric} {format_number(best)}"
    if done and done < total:
        text += f"; about {format_duration(seconds / done * (total - done))} left"
    return clean(text)


def end_lines(summary: Summary, results: int, failed: int, left: int, short: str) -> Iterator[str]:
    """The best trials, how each parameter went with the metric, and what to type next."""
    parts = [counted(results, "result")]
    parts += [f"{failed:,} of them failed"] if failed else []
    parts += [f"{left:,} not run"] if left else []
    yield f"sweep {short}: {', '.join(parts)}"
    if summary.metric is None or not summary.best:
        if results > failed:
            yield _nothing_found(summary)
        return
    yield from _best_lines(summary)
    yield from _effect_lines(summary)
    if summary.direction is not None:
        best = summary.best[0].run
        yield f"next: `git exp show {best.id[:7]}`, `git exp brief --sweep last`"


def _nothing_found(summary: Summary) -> str:
    """Say what the trials have in place of the metric."""
    if summary.metric in summary.names:
        return f"no trial has a finite number for {clean(summary.metric or '')}"
    if summary.names:
        shown = ", ".join(map(clean, summary.names[:5]))
        more = f" and {len(summary.names) - 5:,} more" if len(summary.names) > 5 else ""
        return f"no trial has the metric {clean(summary.metric or '')}; they have {shown}{more}"
    return (
        "no trial printed or logged a metric: print lines like `METRIC loss=0.1`, "
        "or read the output with `--metric-pattern`"
    )


def _best_lines(summary: Summary) -> Iterator[str]:
    assert summary.metric is not None  # noqa: S101 - see `end_lines`
    if summary.direction is None:
        yield (
            f"which way {clean(summary.metric)} is better is not known: "
            f"say `--minimize {clean(summary.metric)}` or `--maximize {clean(summary.metric)}`"
        )
    names = list(dict.fromkeys(name for score in summary.best for name in score.point))
    rows = [
        [
            score.run.id[:7],
            format_number(score.value),
            *(format_cell(score.point[n]) if n in score.point else "" for n in names),
        ]
        for score in summary.best
    ]
    if any(score.count > 1 for score in summary.best):
        rows = [[*row, str(s.count)] for row, s in zip(rows, summary.best, strict=True)]
        names.append("runs")
    yield format_table(["run", summary.metric, *names], rows)


def _effect_lines(summary: Summary) -> Iterator[str]:
    if not summary.effects:
        return
    metric = clean(summary.metric or "")
    yield f"how {metric} went with each parameter at these {summary.measured:,} points:"
    for effect in summary.effects:
        name = clean(effect.name)
        if effect.correlation is not None:
            yield f"  {name}: {_said(effect.correlation, summary.direction)}"
        else:
            means = ", ".join(
                f"{clean(text)} {format_number(mean)}" for text, mean, _ in effect.levels
            )
            yield f"  {name}: mean {metric} by value: {means}"


def _said(correlation: float, direction: Direction | None) -> str:
    strength = f"rank correlation {correlation:+.2f}"
    if abs(correlation) < 0.3 or direction is None:
        return strength
    is_better = (correlation > 0) == (direction is Direction.MAXIMIZE)
    return f"{strength}, higher values went with {'better' if is_better else 'worse'} results"
