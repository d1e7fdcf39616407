"""Complete interrupted runs from their journals. Every command does this first.

Safe to repeat and to race: recovery does not change a run that another process has sealed.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gitexp.adapters.journal.journal import (
    Journal,
    JournalContent,
    claimed,
    list_journals,
    read_journal,
)
from gitexp.adapters.journal.liveness import liveness
from gitexp.adapters.journal.output_archive import finish_abandoned
from gitexp.adapters.journal.output_tail import OutputTail
from gitexp.core.errors import NotFound, UnreadableRecord
from gitexp.core.inputs.redaction import redact_text
from gitexp.core.model.ids import RunId
from gitexp.core.model.run import Outcome, Run, Series
from gitexp.core.schema.toml_codec import decode_run
from gitexp.features.execution.unfinished import with_files_left
from gitexp.features.harvest.parsed_params import (
    discard_report,
    read_report,
    report_path,
    with_report,
)
from gitexp.features.recording.record import (
    PRUNED,
    TAIL_LINES,
    TIMEOUT,
    apply_ending,
    apply_totals,
    commit_sealed,
    fit_to_limits,
    fold_events,
    kept_path,
)
from gitexp.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """Result of a recovery."""

    completed: tuple[Run, ...] = ()
    """Runs that recovery sealed on the branch."""
    waiting: tuple[RunId, ...] = ()
    """Runs that are alive, of another host, begun by hand, or claimed by another process."""
    damaged: tuple[Path, ...] = ()
    """Unreadable journals; moved aside, never deleted."""


def recover(
    workspace: Workspace, *, only: RunId | None = None, force: bool = False
) -> RecoveryResult:
    """Complete the records of runs whose process is dead; with `force`, of one that seems alive.

    Safe to repeat and to race: a run that another process has sealed does not change.
    """
    completed: list[Run] = []
    waiting: list[RunId] = []
    damaged: list[Path] = []
    for path in list_journals(workspace.journals):
        if only is not None and path.stem != only:
            continue
        with claimed(path) as is_ours:
            try:
                content = read_journal(path)
            except FileNotFoundError:
                continue  # another process has just completed it
            except UnreadableRecord:
                damaged += [_set_aside(path)] if is_ours else []
                continue
            if not is_ours or not (force or liveness(content).is_over):
                waiting.append(content.run_id)
            else:
                completed.append(_complete(workspace, path, content))
    return RecoveryResult(tuple(completed), tuple(waiting), tuple(damaged))


def open_states(workspace: Workspace) -> dict[RunId, bool]:
    """Return for every run with a readable journal whether it may still be running."""
    states = {}
    for path in list_journals(workspace.journals):
        try:
            content = read_journal(path)
        except (FileNotFoundError, UnreadableRecord):
            continue
        states[content.run_id] = not liveness(content).is_over
    return states


def _complete(workspace: Workspace, path: Path, content: JournalContent) -> Run:
    keeps_tail = workspace.settings.keep_output != "none"
    run, series, notes = _final(workspace, path, content, keeps_tail=keeps_tail)
    finish_abandoned(kept_path(workspace, run.id), redact_text)
    try:
        on_branch = workspace.branch.load_run(run.id, run.started)
    except (NotFound, UnreadableRecord):
        on_branch = None
    if on_branch is None or not on_branch.is_sealed:
        commit_sealed(workspace, run, series, content.extra.get("packages", {}), notes=notes)
    else:
        run = on_branch
        workspace.branch.release(run)
    Journal.discard(path)
    discard_report(report_path(path.parent, run.id))
    with suppress(OSError):
        (path.parent / f"{run.id}.params.toml").unlink()
    workspace.look_again()  # later steps concern this run too
    return run


def _final(
    workspace: Workspace, path: Path, content: JournalContent, *, keeps_tail: bool
) -> tuple[Run, Series, tuple[str, ...]]:
    """Return the sealed record if the journal has one, else a record from the journal's events.

    With its series and the notes in the journal.
    """
    found = fold_events(content)
    if content.sealed is not None:
        run = decode_run(content.sealed)
        if content.is_cut and not found.series:
            run = replace(run, warnings=(*run.warnings, _SERIES_LOST))
        return run, content.sealed_series or found.series, found.notes
    run = apply_totals(decode_run(content.record), found)
    run = with_report(run, read_report(report_path(path.parent, run.id)))
    warnings = list(run.warnings)
    if content.damaged:
        warnings.append(f"{content.damaged} damaged lines of the journal were skipped")
    if content.ending is not None:
        run = apply_ending(run, content.ending)
        warnings.append(_END_LOST)
    else:
        timed_out = any(event["event"] == TIMEOUT for event in content.events)
        outcome = Outcome.TIMED_OUT if timed_out else Outcome.INTERRUPTED
        run = replace(run, outcome=outcome, duration_s=found.last_s)
        run = _with_pruning(run, content)
    tail = OutputTail.read(path, lines=TAIL_LINES) if keeps_tail else ""
    run = replace(run, output_tail=tail, warnings=tuple(warnings))
    run, series = with_files_left(workspace, run, found, path)
    run, _ = fit_to_limits(run)
    return run, series, found.notes


def _with_pruning(run: Run, content: JournalContent) -> Run:
    """Return a run whose process died, with the step at which its sweep was stopping it."""
    steps = [event.get("step") for event in content.events if event["event"] == PRUNED]
    if run.sweep is None or not steps or not isinstance(steps[0], int):
        return run
    return replace(run, sweep=replace(run.sweep, pruned_at=steps[0]))


_SERIES_LOST = "the disk was full: a series that came from a file may be missing"

_END_LOST = (
    "the command ended, then recording it failed: "
    "outputs, values of files and the end of its output may be missing"
)


def _set_aside(path: Path) -> Path:
    folder = path.parent / "damaged"
    folder.mkdir(exist_ok=True)
    return path.rename(folder / path.name)
