"""One run: all its data for `show`, and a few lines for `log`."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime

from gitexp.core.analysis.kinship import Kin
from gitexp.core.analysis.verdicts import Comparison
from gitexp.core.model.directions import direction_of
from gitexp.core.model.frozen import frozen
from gitexp.core.model.ids import MIN_PREFIX_LENGTH, RunId
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    Checks,
    Command,
    Direction,
    FileState,
    Outcome,
    ParentRule,
    RecordedRun,
    Run,
    Series,
    SweepPlace,
    Value,
    flatten,
    numbers,
)
from gitexp.core.render.colour import Role, style
from gitexp.core.render.harvest import harvest_lines
from gitexp.core.render.run_table import decision_word, short_id
from gitexp.core.render.sparkline import series_values, sparkline
from gitexp.core.render.text import (
    clean,
    fold,
    format_age,
    format_bytes,
    format_cell,
    format_duration,
    format_moment,
    width_of,
)
from gitexp.core.render.verdict import REPRODUCTION_ROLES, comparison_heading, comparison_table

OUTCOME_ROLES: dict[Outcome, Role] = {
    Outcome.RUNNING: "doubt",
    Outcome.SUCCEEDED: "good",
    Outcome.FAILED: "bad",
    Outcome.INTERRUPTED: "bad",
    Outcome.TIMED_OUT: "bad",
    Outcome.UNKNOWN: "doubt",
}
_LABEL_COLUMNS = 12
_SPACE = "\0"
"""Replaces a space within a word while lines are folded."""


@frozen(kw_only=True)
class TextOptions:
    """Settings of the reader and the terminal."""

    now: datetime
    """UTC, with time zone; ages count from it."""
    colour: bool = False
    width: int | None = None
    """Columns of the terminal; `None` means unlimited."""
    precision: int | None = 5
    """Significant digits; `None` means all."""
    ids: Mapping[RunId, str] = field(default_factory=dict)
    """Shortest unique prefix of each run id that the text may contain."""
    directions: Mapping[str, Direction] = field(default_factory=dict)
    """Directions declared by the project."""


# --- show -----------------------------------------------------------------------------------------


def run_detail(
    entry: RecordedRun,
    *,
    view: TextOptions,
    comparisons: Sequence[Comparison] = (),
    kin: Sequence[tuple[Kin, RecordedRun]] = (),
    series: Series | None = None,
) -> str:
    """Return all data of a run, in sections; empty ones are left out."""
    run = entry.run
    sections = [
        "\n".join(_header(entry, view)),
        _section("decision", _decisions(entry, view), view),
        _section("code", _code(run), view),
        _section("command", _command(run.command), view),
        _section("params", _params(run), view),
        _section("metrics", _metrics(entry, view, series or []), view),
        _section("checks", _checks(run.checks), view),
        _section("picked up", harvest_lines(run.harvested), view),
        _section("inputs", _files(run.inputs), view),
        _section("outputs", _files(run.outputs), view),
        _section("changed since earlier runs", _files(run.changed_reads), view),
        _section("read, not in git", _files(run.reads), view),
        _section("environment", _leaves(run.environment), view),
        *(_comparison(c, view) for c in comparisons),
        _section("reproductions", [_reproduction(a, view) for a in entry.reproductions], view),
        _section("kin", [_kin(how, other, view) for how, other in kin], view),
        _section("notes", list(_notes(entry, view)), view),
        _section("warnings", [clean(warning) for warning in run.warnings], view),
        _section("output", clean(run.output_tail, multiline=True).splitlines(), view),
    ]
    return "\n\n".join(section for section in sections if section)


def _section(title: str, lines: Sequence[str], view: TextOptions) -> str:
    if not lines:
        return ""
    return "\n".join([style(title, "heading", enabled=view.colour), *(f"  {x}" for x in lines)])


def _header(entry: RecordedRun, view: TextOptions) -> Iterator[str]:
    run = entry.run
    yield f"{style(f'run {run.id}', 'id', enabled=view.colour)} {clean(run.name)}"
    ended = style(run.outcome.value, OUTCOME_ROLES[run.outcome], enabled=view.colour)
    if run.command and run.command.exit_code is not None:
        ended += f", {_exit(run.command.exit_code)}"
    if run.duration_s is not None:
        ended += f", after {format_duration(run.duration_s)}"
    age = format_age(run.started, now=view.now)
    for label, text in (
        ("outcome", ended),
        ("started", f"{format_moment(run.started)} ({age})"),
        ("author", clean(run.author)),
        ("origin", run.origin.value),
        ("tags", clean(", ".join(entry.tags))),
        ("reason", clean(run.reason or "")),
        ("parent", _parent(run, view)),
        ("sweep", _sweep(run.sweep)),
        ("reproduces", short_id(run.reproduces, view.ids) if run.reproduces else ""),
        ("source", clean(run.source or "")),
        ("fingerprint", clean(run.fingerprint[:16])),
    ):
        if text:
            yield f"{label:<{_LABEL_COLUMNS}}{text}"


_RULES: dict[ParentRule | None, str] = {
    None: "",
    ParentRule.NEWEST: " (not named: the newest run that this code builds on)",
    ParentRule.APPLIED: " (not named: its code was applied)",
}


def _parent(run: Run, view: TextOptions) -> str:
    return short_id(run.parent, view.ids) + _RULES[run.parent_rule] if run.parent else ""


def _sweep(place: SweepPlace | None) -> str:
    if place is None:
        return ""
    pruned = "" if place.pruned_at is None else f", stopped at step {place.pruned_at}"
    worker = "" if place.worker is None else f", on {clean(place.worker)}"
    return f"{clean(place.id[:MIN_PREFIX_LENGTH])}, trial {place.number}{pruned}{worker}"


def _checks(checks: Checks | None) -> list[str]:
    if checks is None:
        return []
    code = "" if checks.exit_code is None else f", {_exit(checks.exit_code)}"
    output = clean(checks.output, multiline=True).splitlines()
    return [checks.outcome.value + code, *output]


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _decisions(entry: RecordedRun, view: TextOptions) -> list[str]:
    """Return the decisions in force, a note if they differ, and earlier ones, latest first."""
    in_force = entry.decisions
    lines = []
    for decision in in_force:
        lines += _decision(decision, view)
    if entry.disputed:
        lines.append(
            f"disputed: made apart; {entry.disputed[0].value} counts until a later decision"
            " settles it"
        )
    for old in reversed(entry.annotations):
        if old.kind is AnnotationKind.DECISION and old not in in_force:
            lines += [f"before: {line}" for line in _decision(old, view)[:1]]
    return lines


def _decision(annotation: Annotation, view: TextOptions) -> list[str]:
    if annotation.decision is None:
        return []
    why = f": {clean(annotation.text)}" if annotation.text else ""
    line = f"{annotation.decision.value}{why} ({_by(annotation, view)})"
    return [line, f"next: {clean(annotation.hint)}"] if annotation.hint else [line]


def _by(annotation: Annotation, view: TextOptions) -> str:
    who = annotation.author.partition(" <")[0]
    return f"{clean(who)}, {format_age(annotation.time, now=view.now)}"


def _code(run: Run) -> list[str]:
    code = run.code
    state = "with uncommitted changes" if code.dirty else ""
    pairs = [
        ("commit", f"{code.commit} {state}".rstrip()),
        ("branch", clean(code.branch or "")),
        ("remote", clean(code.remote or "")),
        ("snapshot", code.snapshot or ""),
        ("tree", code.tree),
        *(("left out", clean(path)) for path in code.left_out),
        *(("produced", clean(path)) for path in run.produced),
    ]
    return _aligned([(label, text) for label, text in pairs if text])


def _command(command: Command | None) -> list[str]:
    if command is None:
        return []
    lines = [f"$ {clean(shlex.join(command.argv))}"]
    if command.template:
        lines.append(f"from {clean(shlex.join(command.template))}")
    if command.directory not in ("", "."):
        lines.append(f"in {clean(command.directory)}")
    return lines


def _params(run: Run) -> list[str]:
    """Return given and parsed parameters; a default of the program is marked."""
    if not run.parsed:
        return _leaves(run.params)
    defaults = set()
    if run.parser is not None and run.parser.given:
        defaults = dict(flatten(run.parsed)).keys() - {*run.parser.given}
    defaults -= dict(flatten(run.params)).keys()
    defaults -= {name for found in run.harvested.values() for name in found.params}
    return _aligned(
        [
            (clean(n), format_cell(v, precision=None) + (" (default)" if n in defaults else ""))
            for n, v in flatten(run.parameters)
        ]
    )


def _leaves(table: Mapping[str, Value]) -> list[str]:
    return _aligned(
        [(clean(name), format_cell(value, precision=None)) for name, value in flatten(table)]
    )


def _metrics(entry: RecordedRun, view: TextOptions, series: Series) -> list[str]:
    said = {**view.directions, **entry.run.directions}
    recorded, added = dict(flatten(entry.run.metrics)), entry.added_metrics
    units = entry.units
    pairs = []
    for name, value in flatten(entry.metrics):
        direction, guessed = direction_of(name, said)
        text = format_cell(value, precision=None)
        if name in units:
            unit = clean(units[name])
            text += unit if unit == "%" else f" {unit}"
        if direction is not None:
            text += f" ({direction.value}{', a guess' if guessed else ''})"
        logged = series_values(series, name)
        bars = sparkline(logged)
        if bars:
            text += f"  {bars} {len(logged):,} values"
        if name in added:
            before = f", recorded: {format_cell(recorded[name])}" if name in recorded else ""
            text += f"  added later ({_by(added[name], view)}{before})"
        pairs.append((clean(name), text))
    return _aligned(pairs)


def _content(state: FileState) -> str:
    return f"sha256 {clean(state.sha256[:12])}" if state.sha256 else "not hashed"


def _files(files: Mapping[str, FileState]) -> list[str]:
    return _aligned(
        [
            (clean(path), f"{format_bytes(state.bytes)}, {_content(state)}")
            for path, state in files.items()
        ]
    )


def _aligned(pairs: Sequence[tuple[str, str]]) -> list[str]:
    columns = min(max((width_of(label) for label, _ in pairs), default=0), 40)
    return [f"{label}{' ' * max(0, columns - width_of(label))}  {text}" for label, text in pairs]


def _comparison(comparison: Comparison, view: TextOptions) -> str:
    if not comparison.verdicts:
        return ""
    width = None if view.width is None else view.width - 2
    table = comparison_table(comparison, width=width, precision=view.precision)
    return _section(comparison_heading(comparison, ids=view.ids), table.splitlines(), view)


def _reproduction(annotation: Annotation, view: TextOptions) -> str:
    verdict = annotation.verdict
    word = (
        "unknown"
        if verdict is None
        else style(verdict.value, REPRODUCTION_ROLES[verdict], enabled=view.colour)
    )
    by = f" by run {short_id(annotation.by, view.ids)}" if annotation.by else ""
    text = f": {clean(annotation.text)}" if annotation.text else ""
    return f"{word}{by}{text} ({_by(annotation, view)})"


def _kin(how: Kin, other: RecordedRun, view: TextOptions) -> str:
    word = decision_word(other)
    decided = f", {word}" if word else ""
    name = f"{short_id(other.run.id, view.ids)} {clean(other.run.name)}"
    return f"{name}: {how.value} ({other.run.outcome.value}{decided})"


def _notes(entry: RecordedRun, view: TextOptions) -> Iterator[str]:
    for annotation in entry.annotations:
        if annotation.kind is AnnotationKind.NOTE and annotation.text:
            first, *more = clean(annotation.text, multiline=True).splitlines() or [""]
            yield f"{first} ({_by(annotation, view)})"
            yield from more


# --- log ------------------------------------------------------------------------------------------


def log_lines(entry: RecordedRun, *, view: TextOptions, verdicts: Sequence[str] = ()) -> list[str]:
    """Return a run in the style of `git log`; `verdicts` are sentences about its metrics.

    Without `verdicts`, the values of the metrics are shown.
    """
    run, code = entry.run, entry.run.code
    tags = "".join(f", tag: {clean(tag)}" for tag in entry.tags)
    head = style(f"run {run.id}", "id", enabled=view.colour)
    ended = style(run.outcome.value, OUTCOME_ROLES[run.outcome], enabled=view.colour)
    took = "" if run.duration_s is None else f" after {format_duration(run.duration_s)}"
    where = f" on {clean(code.branch)}" if code.branch else ""
    changes = ", with uncommitted changes" if code.dirty else ""
    lines = [
        f"{head} ({clean(run.name)}{tags})",
        f"Author:   {clean(run.author)}",
        f"Date:     {format_moment(run.started)} ({format_age(run.started, now=view.now)})",
        f"Code:     {code.commit[:MIN_PREFIX_LENGTH]}{where}{changes}",
        f"Outcome:  {ended}{took}",
    ]
    named = None if run.parent_rule is ParentRule.NEWEST else run.parent
    for kind, text in (("Parent", named), ("Repeats", run.reproduces)):
        if text:
            lines.append(f"{kind + ':':<10}{short_id(text, view.ids)}")
    body = [f"    {line}" if line else "" for line in _log_body(entry, view, verdicts)]
    parts = [*lines, "", *body] if body else lines
    return "\n".join(fold(line, view.width) for line in parts).split("\n")


def _log_body(entry: RecordedRun, view: TextOptions, verdicts: Sequence[str]) -> Iterator[str]:
    run = entry.run
    paragraphs: list[list[str]] = [
        clean(run.reason or "", multiline=True).splitlines(),
        _command_line(run.command, view) if run.command else [],
        list(verdicts) or _metric_line(entry.measured, view),
        _decisions(entry, view),
        [f"reproduction: {_reproduction(a, view)}" for a in entry.reproductions],
        list(_notes(entry, view)),
    ]
    first = True
    for paragraph in paragraphs:
        if paragraph:
            if not first:
                yield ""
            yield from paragraph
            first = False


def _command_line(command: Command, view: TextOptions) -> list[str]:
    """Return the command, folded between its words so that a shell still accepts it."""
    words = [clean(shlex.quote(word)).replace(" ", _SPACE) for word in command.argv]
    folded = fold(f"$ {' '.join(words)}", view.width and view.width - 4, joint=" \\")
    return folded.replace(_SPACE, " ").split("\n")


def _metric_line(run: Run, view: TextOptions) -> list[str]:
    measured = numbers(run.metrics)
    shown = [
        f"{clean(name)} {format_cell(value, precision=view.precision)}"
        for name, value in measured.items()
    ]
    return [", ".join(shown)] if shown else []
