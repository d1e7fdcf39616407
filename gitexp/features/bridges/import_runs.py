"""Write imported runs to the branch, each run of a source once.

gitexp never invents data that a source lacks: the field is absent, or a warning names it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from gitexp.adapters.system import clock
from gitexp.adapters.trackers.source_run import ImportedRun, SkippedRun
from gitexp.core.errors import InvalidInput, NoCommit
from gitexp.core.inputs.redaction import redact_argv, redact_table, redact_text
from gitexp.core.model.directions import guess_metric
from gitexp.core.model.ids import ObjectId
from gitexp.core.model.run import (
    Annotation,
    AnnotationKind,
    Code,
    Command,
    Origin,
    Outcome,
    Run,
    flatten,
    numbers,
)
from gitexp.core.model.run_names import memorable_name
from gitexp.core.schema.limits import MAX_CLOCK, fit
from gitexp.core.schema.toml_codec import encode_run
from gitexp.features.recording.batch import record_events
from gitexp.storage.branch.events import RunEvent, annotated, sealed
from gitexp.storage.workspace import Workspace

_HEX = re.compile(r"[0-9a-fA-F]{7,64}\Z")
_RUN_ID = re.compile(r"[0-9a-f]{16}\Z")
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Selection:
    """The result of an import before it happens."""

    new: tuple[ImportedRun, ...]
    known: int
    """Runs that are on the branch."""
    going_on: int
    """Runs in progress in the source; an import takes them after they have ended."""


def select_new(
    workspace: Workspace,
    runs: Sequence[ImportedRun],
    *,
    unfinished: bool,
    outcome: Outcome | None = None,
) -> Selection:
    """Return the runs that are not on the branch yet, oldest first.

    `unfinished` includes runs that have not ended in the source, with an unknown outcome. `outcome`
    is for runs whose source does not record how they ended.
    """
    index = workspace.index
    recorded = set(index.column("source").values())
    fresh = [r for r in runs if r.source not in recorded and not _is_ours(workspace, r.original)]
    ready = [_with_outcome(run, outcome) for run in fresh if run.outcome is not None or unfinished]
    ready.sort(key=lambda run: run.started.timestamp() if run.started else float("inf"))
    return Selection(tuple(ready), len(runs) - len(fresh), len(fresh) - len(ready))


def _with_outcome(run: ImportedRun, outcome: Outcome | None) -> ImportedRun:
    """Return the run with an outcome, and a warning if its source does not record it."""
    if run.outcome is None:
        warning, outcome = "the run had not ended in its source when it was imported", None
    elif run.is_outcome_said:
        return run
    elif outcome is not None:
        warning = f"the source does not say how the run ended; '{outcome}' was said at the import"
    elif run.outcome is Outcome.UNKNOWN:
        warning = "the source does not say how the run ended"
    else:
        warning = "the source does not say how the run ended; it has results, so it counts as ended"
    known = outcome or run.outcome or Outcome.UNKNOWN
    return replace(run, outcome=known, warnings=(*run.warnings, warning))


def _is_ours(workspace: Workspace, original: str | None) -> bool:
    """Return whether the source got the run from this repository."""
    is_id = original is not None and _RUN_ID.match(original)
    return bool(is_id and workspace.index.by_prefix(str(original)))


@dataclass(frozen=True, slots=True)
class Imported:
    """Result of an import."""

    runs: tuple[Run, ...]
    """As recorded, oldest first."""
    left_out: tuple[SkippedRun, ...]
    """Data that no record can hold."""


def record_imported(
    workspace: Workspace,
    imported: Sequence[ImportedRun],
    *,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Write runs and their decisions to the branch.

    Safe to interrupt: the next import skips the runs recorded so far. A run that no record can hold
    does not stop the others. Raises `NoCommit` in a repository without a commit, `GitexpError` when
    the branch cannot be written.
    """
    codes = _Codes(workspace, imported)
    recorded: list[Run] = []
    left_out: list[SkippedRun] = []
    if imported:
        events = _events(workspace, imported, codes, recorded, left_out)
        record_events(workspace, events, progress=progress)
    return Imported(tuple(recorded), tuple(left_out))


def _events(
    workspace: Workspace,
    imported: Sequence[ImportedRun],
    codes: "_Codes",
    recorded: list[Run],
    left_out: list[SkippedRun],
) -> Iterator[RunEvent]:
    """Yield the events of every run, in order, each with the next logical time."""
    first, ahead = workspace.next_clock(), 0
    for source in imported:
        run = _run(workspace, source, codes, min(first + ahead, MAX_CLOCK))
        try:
            encode_run(run)
        except InvalidInput as fault:
            left_out.append(SkippedRun(source.source, fault.why or fault.what))
            continue
        recorded.append(run)
        yield sealed(run, source.series, _summary(workspace, run))
        ahead += 1
        for annotation in _annotations(workspace, run, source):
            said = replace(annotation, clock=min(first + ahead, MAX_CLOCK))
            text = annotation.decision or annotation.text or ""
            yield annotated(run, said, str(text))
            ahead += 1


def _summary(workspace: Workspace, run: Run) -> str:
    settings = workspace.settings
    metric = settings.metric or guess_metric(
        numbers(run.metrics), [*run.directions, *settings.directions]
    )
    value = dict(flatten(run.metrics)).get(metric or "")
    text = f"{metric} {value}" if value is not None else run.outcome.value
    return f"{text}, imported from {run.source}"


# --- the record -----------------------------------------------------------------------------------


def _run(workspace: Workspace, source: ImportedRun, codes: "_Codes", logical_time: int) -> Run:
    warnings = list(source.warnings)
    code = codes.find(source, warnings)
    params, no_params = fit(redact_table(source.params), "parameter")
    metrics, no_metrics = fit(source.metrics, "metric")
    environment, no_values = fit(redact_table(source.environment), "value")
    warnings += [*no_params, *no_metrics, *no_values]
    if source.started is None:
        warnings.append("the source does not say when the run started; the time is the import's")
    run_id = clock.new_run_id()
    name = " ".join((source.name or "").split())[:_MAX_NAME]
    return Run(
        id=run_id,
        name=name or memorable_name(run_id),
        outcome=source.outcome or Outcome.UNKNOWN,
        clock=logical_time,
        started=source.started or clock.now(),
        author=workspace.settings.author,
        origin=Origin.IMPORT,
        code=code,
        duration_s=source.duration_s,
        reason=redact_text(source.reason) if source.reason else None,
        source=source.source,
        tags=tuple(sorted({" ".join(tag.split())[:_MAX_NAME] for tag in source.tags})),
        command=Command(argv=tuple(redact_argv(source.argv))) if source.argv else None,
        params=params,
        metrics=metrics,
        directions=source.directions,
        environment=environment,
        warnings=tuple(warnings),
    )


def _annotations(workspace: Workspace, run: Run, source: ImportedRun) -> Iterator[Annotation]:
    """Yield annotations for the source's decision and notes, without a logical time."""
    said = Annotation(
        id="",
        run=run.id,
        kind=AnnotationKind.NOTE,
        clock=0,
        time=clock.now(),
        author=workspace.settings.author,
    )
    if source.decision is not None:
        yield replace(
            said,
            id=clock.new_id(),
            kind=AnnotationKind.DECISION,
            decision=source.decision,
            text=_redacted(source.why),
            hint=_redacted(source.hint),
            saw=(),
        )
    for note in source.notes:
        yield replace(said, id=clock.new_id(), text=redact_text(note))


def _redacted(text: str | None) -> str | None:
    return None if text is None else redact_text(text)


# --- the code -------------------------------------------------------------------------------------


class _Codes:
    """Commits of the sources that this repository has; one git query for all runs."""

    def __init__(self, workspace: Workspace, runs: Sequence[ImportedRun]) -> None:
        self._repo, self._store = workspace.repo, workspace.branch
        named = {text for run in runs for text in (run.commit, run.snapshot) if text}
        asked = sorted(text for text in named if _HEX.match(text))
        wanted = [f"{text}^{{{kind}}}" for text in asked for kind in ("commit", "tree")]
        wanted = ["HEAD^{commit}", "HEAD^{tree}", *wanted]
        answer = self._repo.git(
            *("cat-file", "--batch-check=%(objectname)"), stdin="\n".join(wanted).encode()
        )
        oids = [None if " " in line else ObjectId(line) for line in answer.text.splitlines()]
        commit, tree = oids[:2]
        if commit is None or tree is None:
            raise NoCommit(
                "the repository has no commit yet",
                why="a run is recorded beside the commit whose code it ran",
                hints=["commit something first: `git add -A && git commit -m start`"],
            )
        self._head = Code(commit=commit, tree=tree)
        self._known = {text: (oids[2 + 2 * n], oids[3 + 2 * n]) for n, text in enumerate(asked)}

    def find(self, source: ImportedRun, warnings: list[str]) -> Code:
        """Return the code of a run; HEAD's, with a warning, if the repository lacks its commit."""
        commit, tree = self._known.get(source.commit or "", (None, None))
        code = None
        if commit is not None and tree is not None:
            code = Code(commit=commit, tree=tree)
            snapshot, its_tree = self._known.get(source.snapshot or "", (None, None))
            if snapshot is not None and its_tree is not None and its_tree != tree:
                code = replace(code, tree=its_tree, dirty=True)
            if not source.is_exact:
                warnings.append("the source does not say whether there were uncommitted changes")
        else:
            code = self._head
            warnings.append(
                f"commit {source.commit[:12]}, which the source names, is not in this repository; "
                "the code shown is HEAD's at the import, not what ran"
                if source.commit
                else "the source names no commit; the code shown is HEAD's at the import, not what "
                "ran"
            )
        remote = redact_text(source.remote) if source.remote else None
        snapshot = self._store.code_commit(code.tree)
        return replace(code, snapshot=snapshot, branch=source.branch, remote=remote)
