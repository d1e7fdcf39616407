"""Says how a sweep goes: lines on the terminal, events in JSON, and what came out at its end."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from gitexp.adapters.system import clock
from gitexp.cli.output.errors import tell, warn
from gitexp.cli.output.terminal import answer, say, width
from gitexp.cli.sweep.options import SweepOptions
from gitexp.cli.sweep.text import (
    end_lines,
    ended_line,
    last_words,
    status_line,
)
from gitexp.core.errors import ExitCode, GitexpError
from gitexp.core.model.run import Direction, Outcome, Run, Value, numbers
from gitexp.core.render.text import clean, counted
from gitexp.features.execution.place_inputs import find_missing
from gitexp.features.sweeps.definition import Definition
from gitexp.features.sweeps.plan import Planned, State, count_states
from gitexp.features.sweeps.progress import Listener, Progress, Result
from gitexp.features.sweeps.space import Point, Span
from gitexp.features.sweeps.summary import Summary, choose, has_failed, is_pruned, summarize
from gitexp.storage.workspace import Workspace

_ERASE = "\r\x1b[K"
_REDRAW_S = 0.2


def plain_point(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point, or metrics, as JSON has them."""
    return {str(name): json.loads(json.dumps(value, default=str)) for name, value in point.items()}


def _point(definition: Definition, each: Planned) -> dict[str, Value]:
    """What tells the trials apart in a ranking: not the seeds that the sweep added."""
    return {n: v for n, v in each.point.items() if n != "seed" or not definition.seeds}


def reused_trials(definition: Definition, planned: Sequence[Planned]) -> list[tuple[Point, Run]]:
    """The results that a sweep had before it ran, each with its point."""
    return [
        (_point(definition, each), each.known.measured)
        for each in planned
        if each.state is State.REPEAT and each.known is not None
    ]


def _has_failed(each: Planned) -> bool:
    known = each.known if each.state is State.REPEAT else None
    return known is not None and has_failed(known.run)


def _pruning(run: Run) -> dict[str, Any]:
    return {"pruned_at": run.sweep.pruned_at} if run.sweep and is_pruned(run) else {}


class Teller:
    """Says on the terminal, or in JSON, how a sweep goes."""

    def __init__(
        self,
        workspace: Workspace,
        definition: Definition,
        planned: Sequence[Planned],
        options: SweepOptions,
        *,
        to_run: int,
        others: Sequence[tuple[Point, Run]] = (),
    ) -> None:
        """`planned` are the trials that are known, `to_run` is the number of all without result.

        `others` are results in the space that do not count as trials of the sweep.
        """
        self._workspace = workspace
        self._definition = definition
        self._planned = list(planned)
        self._to_run = to_run
        self._others = list(others)
        self._said = options
        self._counts = count_states(planned)
        self._lively = sys.stderr.isatty() and not (options.quiet or options.as_json)
        self._drawn_s = 0.0
        self._is_drawn = False
        self._directions = {**workspace.settings.directions, **definition.directions}
        wanted = definition.metric or workspace.settings.metric
        self._metric: str | None = wanted
        self._best: float | None = None
        self._is_wanted = bool(wanted)
        for each in planned:
            if each.state is State.REPEAT and each.known is not None:
                self._note(each.known.measured)
        for _, run in others:
            self._note(run)
        self.listener = Listener(
            on_start=self._on_start,
            on_line=self._on_line if options.prefix_output else lambda _r, _s, _l: None,
            on_reuse=self._on_reuse,
            on_end=self._on_end,
            on_tick=self._on_tick,
            on_notice=self._on_notice,
            on_problem=self._on_problem,
        )

    def tell_plan(self) -> None:
        """Say how many trials there are and how many of them run."""
        counts, short = self._counts, self._definition.id[:7]
        total = len(self._planned) - counts[State.NEW] + self._to_run
        counts[State.NEW] = self._to_run
        self._event(
            "plan",
            trials=total,
            **{state.value: count for state, count in counts.items()},
        )
        if self._said.quiet or self._said.as_json:
            return
        parts = [f"{counts[State.NEW]:,} to run"]
        parts += [f"{counts[State.REPEAT]:,} have a result"] if counts[State.REPEAT] else []
        parts += [f"{counts[State.DISCARDED]:,} were discarded"] if counts[State.DISCARDED] else []
        parts += [f"{counts[State.RUNNING]:,} run elsewhere"] if counts[State.RUNNING] else []
        trials = counted(total, "trial")
        say(f"sweep {short}: {trials}, {', '.join(parts)}")
        failed = [each for each in self._planned if _has_failed(each)]
        if failed:
            say(f"{counted(failed, 'result')} failed; `--retry-failed` runs them again")
        self._tell_of_a_small_space()

    def _tell_of_a_small_space(self) -> None:
        """Say that there are fewer points than the user wants to draw, and why if it is a range."""
        wanted = self._definition.random
        points = len(self._planned) // max(self._definition.seeds, 1)
        if points >= wanted:
            return
        say(f"the space has {counted(points, 'point')}, fewer than the {wanted:,} asked for")
        for name, values in self._definition.space().values.items():
            if isinstance(values, Span) and values.is_whole:
                low, high = f"{values.low:.1f}", f"{values.high:.1f}"
                say(
                    f"{clean(name)} takes whole numbers; `-S {clean(name)}={low}..{high}` "
                    "takes any number"
                )

    def _event(self, event: str, **fields: Any) -> None:
        if self._said.as_json:
            document = {"schema": 1, "event": event, "sweep": self._definition.id, **fields}
            click.echo(json.dumps(document, default=str))

    # --- while it runs ------------------------------------------------------------------------

    def _on_start(self, planned: Planned, run: Run) -> None:
        self._event("start", number=planned.number, run=run.id, params=plain_point(planned.point))

    def _on_line(self, run: Run, stream: str, line: bytes) -> None:
        text = line.decode(errors="replace")
        if self._said.as_json:
            self._event("output", run=run.id, stream=stream, line=text)
            return
        self.erase()
        say(f"{run.id[:7]} | {clean(text)}")

    def _on_reuse(self, planned: Planned) -> None:
        """Take note of a trial that was proposed and has a result already."""
        self._planned.append(planned)
        self._counts[planned.state] += 1
        if planned.state is not State.REPEAT or planned.known is None:
            return
        run = planned.known.measured
        self._note(run)
        params = plain_point(planned.point)
        self._event("reuse", number=planned.number, run=run.id, params=params)

    def _on_end(self, planned: Planned, run: Run, progress: Progress) -> None:
        is_best = self._note(run)
        self._event(
            "end",
            number=planned.number,
            run=run.id,
            outcome=run.outcome.value,
            **_pruning(run),
            duration_s=run.duration_s,
            metrics=plain_point(numbers(run.metrics)),
        )
        if self._said.quiet or self._said.as_json:
            return
        self.erase()
        say(ended_line(run, planned.point, progress.done, progress.total, self._metric, is_best))
        for line in last_words(run):
            say(line)

    def _note(self, run: Run) -> bool:
        """Take a result into account; true when it is the best so far."""
        if self._metric is None:
            self._metric = choose([run], None, self._directions)
        if self._metric is None or run.outcome is not Outcome.SUCCEEDED:
            return False
        summary = summarize([({}, run)], self._metric, self._directions)
        if not summary.best or summary.direction is None:
            return False
        value = summary.best[0].value
        up = summary.direction is Direction.MAXIMIZE
        if self._best is None or (value > self._best if up else value < self._best):
            self._best = value
            return True
        return False

    def _on_tick(self, progress: Progress) -> None:
        now_s = clock.monotonic_s()
        if not self._lively or now_s - self._drawn_s < _REDRAW_S:
            return
        self._drawn_s, self._is_drawn = now_s, True
        seconds = now_s - progress.started_s
        text = status_line(
            self._definition.id,
            done=progress.done,
            failed=progress.failed,
            pruned=progress.pruned,
            running=progress.running,
            total=progress.total,
            reused=self._counts[State.REPEAT],
            seconds=seconds,
            metric=self._metric,
            best=self._best,
        )
        sys.stderr.write(_ERASE + text[: (width() or 80) - 1])
        sys.stderr.flush()

    def _on_notice(self, text: str) -> None:
        self.erase()
        self._event("notice", text=text)
        if not self._said.as_json:
            say(text)

    def _on_problem(self, problem: GitexpError) -> None:
        self.erase()
        tell(problem)

    def erase(self) -> None:
        """Take the line that is rewritten off the terminal."""
        if self._is_drawn:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
            self._is_drawn = False

    # --- at the end ---------------------------------------------------------------------------

    def tell_end(self, result: Result) -> int:
        """Say what came out. Returns the exit code."""
        trials = reused_trials(self._definition, self._planned)
        trials += [(_point(self._definition, each), run) for each, run in result.runs]
        runs = [run for _, run in trials]
        metric = choose(runs, self._metric if self._is_wanted else None, self._directions)
        summary = summarize([*self._others, *trials], metric, self._directions)
        failed = sum(map(has_failed, runs))
        self._tell_event(summary, result, len(trials), failed)
        short = self._definition.id[:7]
        if not (self._said.quiet or self._said.as_json):
            for line in end_lines(summary, len(trials), failed, result.left, short):
                answer(line)
        if result.stopped_by is not None:
            warn(f"stopped: {result.stopped_by}; {result.left:,} trials did not start")
        if result.unrecorded:
            warn(
                f"{result.unrecorded:,} trials are not on the branch yet; their journals are kept, "
                "and the next `git exp` command completes them"
            )
        self._hint_at_links([run for _, run in result.runs])
        if trials and not result.runs and not summary.best and self._definition.metric_patterns:
            hint = (
                "these results were recorded without the pattern; `--again` runs the trials with it"
            )
            click.echo(f"hint: {hint}", err=True)
        if result.left:
            click.echo(f"hint: `git exp sweep resume {short}` goes on", err=True)
        return self._exit_code(result, summary, failed)

    def _hint_at_links(self, runs: Sequence[Run]) -> None:
        """Name the untracked files that trials did not find, as the end of their output tells."""
        tails = [run.output_tail for run in runs if run.outcome is Outcome.FAILED]
        if not tails or self._definition.in_place:
            return
        missing = find_missing(self._workspace, runs[0])
        names = [item.path.rstrip("/") for item in missing if item.is_here]
        named = [name for name in names if any(name in tail for tail in tails)]
        if named:
            options = " ".join(f"--link {shlex.quote(name)}" for name in named[:3])
            click.echo(
                f"hint: git does not hold {clean(', '.join(named[:3]))}, so trials do not have it: "
                f"`{clean(options)} --retry-failed`",
                err=True,
            )

    def _tell_event(self, summary: Summary, result: Result, results: int, failed: int) -> None:
        self._event(
            "done",
            results=results,
            failed=failed,
            left=result.left,
            interrupted=result.was_interrupted,
            metric=summary.metric,
            best=[
                {"run": score.run.id, "value": score.value, "params": plain_point(score.point)}
                for score in summary.best
            ],
            correlations={
                effect.name: effect.correlation
                for effect in summary.effects
                if effect.correlation is not None
            },
        )

    def _exit_code(self, result: Result, summary: Summary, failed: int) -> int:
        if result.was_interrupted:
            return ExitCode.INTERRUPTED
        if result.unrecorded:
            return ExitCode.FAILED
        if failed or result.left:
            return ExitCode.NO
        if self._is_wanted and not summary.measured and (result.runs or self._planned):
            warn(f"no trial has the metric '{summary.metric}'")
            return ExitCode.UNKNOWN
        return ExitCode.DONE
