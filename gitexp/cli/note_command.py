"""`git exp note`: add a note or metrics to a run."""

import click

from gitexp.cli.output.terminal import answer, open_workspace, say
from gitexp.cli.params.options import (
    IntegerRange,
    json_option,
    measured_option,
    metric_pattern_option,
    run_argument,
)
from gitexp.cli.params.run_argument import find_entry
from gitexp.core.errors import InvalidInput
from gitexp.core.model.run import Annotation, RecordedRun, flatten
from gitexp.core.render.text import clean, format_cell
from gitexp.features.recording.add_metrics import add_metrics
from gitexp.features.recording.manual import log_by_hand
from gitexp.features.recording.say import note
from gitexp.storage.workspace import Workspace


@click.command("note")
@run_argument
@click.argument("text", required=False)
@measured_option("A metric of the run, open or finished. Repeatable.")
@metric_pattern_option(
    "Read metrics from the kept output of a finished run: NAME=REGEX with one group. Repeatable."
)
@click.option(
    "--step", type=IntegerRange(0), metavar="N", help="The step of the metrics of an open run."
)
@json_option
def command(
    run: str,
    text: str | None,
    measured: tuple[str, ...],
    metric_patterns: tuple[str, ...],
    step: int | None,
    as_json: bool,
) -> None:
    """Say something about a run, or add metrics to it

    Metrics of an open run that was begun by hand are logged, with `--step` if given. Metrics of a
    finished run become an annotation with your name and the time, from `-M` or read from the kept
    output with `--metric-pattern`. The record stays unchanged; all commands use the latest value
    and mark it. Only the last value of a metric is added, never a series: `git exp run
    --metric-pattern` records one.

    \b
    git exp note last "the loss curve is flat after step 40"
    git exp note best -M rmse=0.4507
    """
    workspace = open_workspace()
    entry = find_entry(workspace, run, to_change=True)
    if not (text or measured or metric_patterns):
        raise InvalidInput("there is nothing to note", hints=['`git exp note RUN "TEXT"`'])
    if measured:
        from gitexp.cli.params.options import nested

        if entry.run.is_sealed:
            _check_no_step(step)
            add_metrics(workspace, entry, nested(measured))
        else:
            log_by_hand(workspace, entry.run.id, nested(measured), step=step)
    if metric_patterns:
        _read_output(workspace, entry, metric_patterns)
    made = note(workspace, entry, text) if text else None
    if as_json:
        _print_json(entry, made, measured, step)
        return
    say(f"noted for run {entry.run.id[:7]} {entry.run.name}")


def _print_json(
    entry: RecordedRun, made: Annotation | None, measured: tuple[str, ...], step: int | None
) -> None:
    from gitexp.cli.params.options import nested
    from gitexp.core.render.machine_formats import format_json
    from gitexp.core.schema.json_codec import annotation_document

    document: dict[str, object] = {"schema": 1, "run": entry.run.id, "name": entry.run.name}
    if made is not None:
        document["annotation"] = annotation_document(made)
    if measured:
        document["metrics"] = nested(measured)
    if measured and step is not None:
        document["step"] = step
    answer(format_json(document))


def _check_no_step(step: int | None) -> None:
    if step is not None:
        raise InvalidInput(
            "cannot add a metric with a step",
            why="the run is finished, and its series stays as it was recorded",
            hints=["leave `--step` out: the value counts as the metric's last"],
        )


def _read_output(workspace: Workspace, entry: RecordedRun, texts: tuple[str, ...]) -> None:
    from gitexp.cli.output.errors import warn
    from gitexp.core.inputs.patterns import parse_patterns
    from gitexp.features.recording.add_metrics import add_read_again

    patterns = parse_patterns(texts)
    if not entry.run.is_sealed:
        raise InvalidInput(
            "cannot read the output again",
            why="the run is still going on",
            hints=["wait until it has ended"],
        )
    _, found = add_read_again(workspace, entry, patterns)
    for fault in found.faults:
        warn(clean(fault))
    for name, value in flatten(found.metrics):
        count = found.counts[name]
        values = "1 value" if count == 1 else f"the last of {count:,} values"
        say(f"{clean(name)} {format_cell(value)} ({values})")
    if any(count > 1 for count in found.counts.values()):
        say("only last values are added, no series; `git exp run --metric-pattern` records one")
